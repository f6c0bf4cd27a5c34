"""The only door out: every frame is marked here on its way to its sink, or it does not leave."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from realtime.egress.label import CORNERS, STYLES, Label
from realtime.face.geometry import Image
from realtime.flow.pipeline import Sink
from realtime.flow.worker import Worker
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
    """A sink around the real one: labels each frame, on a thread of its own, then hands it on.

    What a mark raises leaves write(), and the frame goes nowhere. More marks may be added after the label; none of
    them, and no setting, takes the label away: its corner and its style can be chosen, and that is all.
    """

    def __init__(
        self, sink: Sink, marks: Sequence[Mark] = (), corner: str = CORNERS[0], style: str = STYLES[0]
    ) -> None:
        """corner and style are of realtime.egress.label's CORNERS and STYLES. Raises SettingsError for others."""
        self._sink = sink
        self._label = Label(corner, style)
        self._marks: tuple[Mark, ...] = (self._label, *marks)
        self._worker = Worker("gate")
        self._open = AsyncExitStack()
        if isinstance(sink, Describable):
            sink.describe({"comment": NOTICE})

    @property
    def corner(self) -> str:
        """Where the label is; it may be changed between two frames. Raises SettingsError."""
        return self._label.corner

    @corner.setter
    def corner(self, corner: str) -> None:
        self._label.corner = corner

    @property
    def style(self) -> str:
        """How the label looks; it may be changed between two frames. Raises SettingsError."""
        return self._label.style

    @style.setter
    def style(self, style: str) -> None:
        self._label.style = style

    async def write(self, frame: Frame) -> None:
        """Marks the frame and hands it on. Raises SinkError."""
        image = await self._worker.run(self._marked, frame.image)
        await self._sink.write(replace(frame, image=image))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._worker)
            await opening.enter_async_context(self._sink)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        return await self._open.__aexit__(kind, error, trace)

    def _marked(self, image: Image) -> Image:
        for mark in self._marks:
            image = mark(image)
        return image
