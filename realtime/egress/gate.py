"""The only door out: every frame is marked here on its way to its sink, or it does not leave."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from realtime.egress.label import Label
from realtime.face.geometry import Image
from realtime.flow.pipeline import Sink
from realtime.frame import Frame

NOTICE: Final = "AI-generated: face swapped by liveswap"


@runtime_checkable
class Describable(Protocol):
    """A sink whose container has room for a description, such as a video file."""

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Takes what to write into the container's metadata; called before the sink is opened."""


class Mark(Protocol):
    """Something that marks a picture and gives back the marked copy. It raises where it cannot."""

    def __call__(self, image: Image) -> Image: ...


class Gate:
    """A sink around the real one: labels each frame, then hands it on.

    What a mark raises leaves write(), and the frame goes nowhere. More marks may be added after the label; none of
    them, and no setting, takes the label away.
    """

    def __init__(self, sink: Sink, marks: Sequence[Mark] = ()) -> None:
        self._sink = sink
        self._marks: tuple[Mark, ...] = (Label(), *marks)
        if isinstance(sink, Describable):
            sink.describe({"comment": NOTICE})

    async def write(self, frame: Frame) -> None:
        """Marks the frame and hands it on. Raises SinkError."""
        await self._sink.write(replace(frame, image=self._marked(frame.image)))

    async def __aenter__(self) -> Self:
        await self._sink.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        return await self._sink.__aexit__(kind, error, trace)

    def _marked(self, image: Image) -> Image:
        for mark in self._marks:
            image = mark(image)
        return image
