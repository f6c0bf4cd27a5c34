"""The only door out: every frame is marked here on its way to its sink, or it does not leave."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from realtime.egress.about import Mark
from realtime.egress.instead import card
from realtime.egress.label import LabelSettings
from realtime.egress.marks import Marks
from realtime.egress.record import Record
from realtime.errors import LiveswapError, SinkError
from realtime.face.geometry import Image
from realtime.flow.pipeline import Sink
from realtime.flow.worker import Worker
from realtime.frame import Frame

logger = logging.getLogger(__name__)

NOTICE: Final = "AI-generated: face swapped by liveswap"
HOLD_S: Final = 1.0  # for so long the last marked picture stands in for those that cannot be marked; then the card does


@runtime_checkable
class Describable(Protocol):
    """A sink whose container has room for a description, such as a video file."""

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Takes what to write into the container's metadata; called before the sink is opened."""


@runtime_checkable
class Lone(Protocol):
    """A sink that may keep a single picture, which then has to carry marks that need no others."""

    @property
    def keeps_one(self) -> bool:
        """Whether it does."""


@runtime_checkable
class Sealable(Protocol):
    """A sink that completes files, which can then be signed."""

    def seal_with(self, seal: Callable[[Path], None]) -> None:
        """Takes what is to be done with each complete file, on a thread of the sink; called before it is opened."""


Seal = Callable[[Path, Record], None]  # realtime.egress.credentials.Credentials
Journal = Callable[[str, Record], None]  # realtime.egress.session_log.Journal


class Gate:
    """A sink around the real one: marks each frame, on a thread of its own, then hands it on.

    Where a mark fails, the picture does not leave: for a second the last marked one leaves in its place, then a card
    that says why, until marking works again. The run goes on, and the log says so once; where not one frame could be
    marked, its end says so too.
    """

    def __init__(
        self,
        sink: Sink,
        marks: Sequence[Mark] = (),
        label: LabelSettings | None = None,
        disclosure: str = "",
        seal: Seal | None = None,
        journal: Journal | None = None,
    ) -> None:
        """marks come after our own; a disclosure says how the audience is told, and takes the label's place.

        seal takes each file that the sink completes, with what is known of it; journal is told when the session began,
        shows somebody for the first time, and ended. Raises SettingsError for a disclosure that says nothing.
        """
        self._sink = sink
        self._marks = Marks(marks, label, disclosure)
        self._alone = isinstance(sink, Lone) and sink.keeps_one
        self._worker = Worker("gate")
        self._open = AsyncExitStack()
        self._last: Frame | None = None  # the last frame that was marked
        self._failing = False
        self._why: Exception | None = None  # what went wrong last
        self._journal = journal or (lambda event, record: None)
        if isinstance(sink, Sealable) and seal is not None:
            sink.seal_with(lambda path: seal(path, self.record))
        if isinstance(sink, Describable):
            said = self._marks.disclosure
            sink.describe({"comment": f"{NOTICE}; the audience is told: {said}" if said else NOTICE})

    @property
    def session(self) -> bytes:
        """The random id that is in every mark of this gate's frames."""
        return self._marks.session

    @property
    def record(self) -> Record:
        """What is known of what has left so far."""
        return self._marks.record

    @property
    def label(self) -> LabelSettings:
        """How the label looks; it may be replaced between two frames."""
        return self._marks.label.settings

    @label.setter
    def label(self, settings: LabelSettings) -> None:
        self._marks.label.settings = settings

    async def write(self, frame: Frame) -> None:
        """Marks the frame and hands it on. Raises SinkError."""
        await self._sink.write(await self._worker.run(self._marked, frame))

    def still(self) -> Frame:
        """The last marked picture as one that may be kept by itself: with a mark that needs no others besides.

        It blocks, and not the frames; on one thread at a time. Raises SinkError where no picture has left yet.
        """
        last = self._last
        if last is None:
            raise SinkError("no picture has left yet")
        return replace(last, image=self._marks.again(last))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._worker)
            await self._worker.run(self._journal, "began", self.record)
            opening.push_async_callback(self._end)
            await opening.enter_async_context(self._sink)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Closes the sink. Raises SinkError where frames came and none of them could be marked."""
        handled = await self._open.__aexit__(kind, error, trace)
        if error is None and self._why is not None and self._last is None:
            raise SinkError(f"no frame could be marked, so none has left: {self._why}") from self._why
        return handled

    async def _end(self) -> None:
        await self._worker.finish(self._journal, "ended", self.record)

    def _marked(self, frame: Frame) -> Frame:
        """The frame with every mark, or what is shown in its place."""
        before = self.record.shown
        try:
            image = self._marks(frame, self._alone)
        except Exception as error:  # whatever it is: the picture must not leave, and the others still may
            self._note_failure(frame, error)
            return replace(frame, image=self._instead(frame))
        if self.record.shown != before:
            self._journal("shows", self.record)
        if self._failing:
            logger.info("marking works again from frame %d on", frame.index)
        self._failing, self._last = False, replace(frame, image=image)
        return self._last

    def _instead(self, frame: Frame) -> Image:
        last = self._last
        if last is not None and abs(frame.captured_at - last.captured_at) < HOLD_S:
            return last.image
        height, width = frame.image.shape[:2]
        return card(width, height)

    def _note_failure(self, frame: Frame, error: Exception) -> None:
        if not self._failing:
            expected = isinstance(error, LiveswapError)
            logger.error(
                "frame %d could not be marked, so it is not shown, nor are others until marking works again: %s",
                frame.index,
                error if expected else repr(error),
                exc_info=None if expected else error,
            )
        self._failing, self._why = True, error
