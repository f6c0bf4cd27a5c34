"""What stands in for pictures that did not come goes past the work on faces, and never shows more than was shown."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from realtime.frame import Frame

Worked = TypeVar("Worked")


@dataclass(frozen=True, slots=True)
class Aside:
    """A stand-in on its way past the stages."""

    frame: Frame


class Standing(Generic[Worked]):
    """Wraps the stages of a run: `first` takes frames, `last` gives them back; `between` wraps what is between them.

    A frame whose `instead` is card leaves as it is. One whose `instead` is hold leaves as the last frame that `last`
    gave, so that what is held is what was shown, never what the camera saw; before the first one it leaves as it is,
    which is a card too.
    """

    def __init__(
        self, first: Callable[[Frame], Worked], last: Callable[[Worked], Frame], instead: Callable[[Worked], Frame]
    ) -> None:
        """instead is what leaves where `last` fails."""
        self._first = first
        self._last = last
        self._instead = instead
        self._shown: Frame | None = None  # what left last; set on the thread of `last`

    def first(self, frame: Frame) -> Worked | Aside:
        """What the first stage makes of the frame, or the stand-in."""
        return Aside(frame) if frame.instead else self._first(frame)

    def between(self, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same work, past which stand-ins go."""
        return lambda item: item if isinstance(item, Aside) else work(item)

    def last(self, item: Worked | Aside) -> Frame:
        """What the last stage makes of it, or what is shown instead."""
        if not isinstance(item, Aside):
            left = self._last(item)
            self._shown = left
            return left
        frame, shown = item.frame, self._shown
        if frame.instead != "hold" or shown is None:
            return frame
        return replace(shown, index=frame.index, captured_at=frame.captured_at, at=frame.at, instead="hold")

    def forget(self) -> None:
        """What was shown is held no more, because it may not be shown any more; any thread may call it."""
        self._shown = None

    def covered(self, item: Worked | Aside) -> Frame:
        """What leaves where the last stage fails on it."""
        return item.frame if isinstance(item, Aside) else self._instead(item)
