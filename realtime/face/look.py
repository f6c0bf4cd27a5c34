"""Looks for faces on a thread of its own, so that no frame that is being followed waits for a detector."""

import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from realtime.face.detect import Detector
from realtime.face.face import Detection
from realtime.face.geometry import Image, Points

MODESTY: Final = 10  # added to the thread's niceness


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found, and where the followed faces were in the picture that it looked at."""

    found: tuple[Detection, ...]
    followed: Mapping[int, Points]  # by number, landmarks (68, 2)


class Aside:
    """One look at a time, beside the frames; its thread lives between `with` and its end. One thread calls it."""

    def __init__(self, detector: Detector) -> None:
        """detector is used by no other thread as long as this is open."""
        self._detector = detector
        self._thread: ThreadPoolExecutor | None = None
        self._look: Future[tuple[Detection, ...]] | None = None
        self._followed: Mapping[int, Points] | None = None  # None where nobody wants the answer any more

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, "look", initializer=_step_back)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the look under way, which nobody wants any more."""
        assert self._thread is not None
        self._thread.shutdown(wait=True)
        self._thread = self._look = None

    @property
    def busy(self) -> bool:
        """Whether a look is under way, or its answer waits to be taken."""
        return self._look is not None

    @property
    def ready(self) -> bool:
        """Whether the look has ended and its answer can be taken."""
        return self._look is not None and self._look.done()

    def ask(self, image: Image, thorough: bool, followed: Mapping[int, Points]) -> None:
        """Begins a look at image, which nobody writes to. followed: as in Seen. Not while busy."""
        if self._thread is None or self.busy:
            raise RuntimeError("a look aside is asked for while another is under way, or outside `with`")
        self._followed = followed
        self._look = self._thread.submit(self._detector.detect, image, thorough)

    def answer(self) -> Seen | None:
        """What the look found, once; None while it is under way or nobody asked. Raises what the detector raised."""
        if self._look is None or not self._look.done():
            return None
        look, followed = self._look, self._followed
        self._look = self._followed = None
        found = look.result()
        return None if followed is None else Seen(found, followed)

    def forget(self) -> None:
        """The look under way, if any, will have no answer."""
        self._followed = None


def _step_back() -> None:
    """Gives the thread the processor's spare time only: a look may come a frame later, the frames may not."""
    if sys.platform == "linux":  # elsewhere niceness belongs to the whole process
        os.nice(MODESTY)
