"""The journey of frames: from a source, through stages, to a sink."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from realtime.errors import MOST_FAILURES, EndOfStream
from realtime.flow.mailbox import Mailbox
from realtime.flow.meters import Meters
from realtime.flow.patience import Patience
from realtime.flow.worker import Worker
from realtime.frame import Frame

In = TypeVar("In")
Out = TypeVar("Out")
Next = TypeVar("Next")
_LOST: Final = object()  # in place of an item on which a stage failed
logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where frames come from; open between `async with` and its end."""

    @property
    def live(self) -> bool:
        """True: late frames are dropped. False: every frame counts."""

    async def read(self) -> Frame:
        """The next frame. Raises EndOfStream after the last one, SourceLost where it stopped too soon."""

    async def __aenter__(self) -> Self:
        """Opens it. Raises SourceError."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Closes it."""


class Sink(Protocol):
    """Where frames go; open between `async with` and its end."""

    async def write(self, frame: Frame) -> None:
        """Takes one frame. Raises SinkError where it cannot, EndOfStream where nobody wants more."""

    async def __aenter__(self) -> Self:
        """Opens it. Raises SinkError or MissingExtra."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Closes it; what was written stays."""


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """Work done on one resource: one item at a time, in order, on one thread."""

    name: str
    work: Callable[[In], Out]
    parts: tuple["Stage[Any, Any]", ...] = ()  # what it was joined from, each metered under its own name
    instead: Callable[[In], Out] | None = None  # goes on for an item that work fails on; None: nothing does
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext  # held while it works; see realtime.flow.turns

    def then(self, other: "Stage[Out, Next]") -> "Stage[In, Next]":
        """Both, one after the other, on one thread."""
        return Stage(
            f"{self.name}+{other.name}",
            lambda item: other.work(self.work(item)),
            (*(self.parts or (self,)), *(other.parts or (other,))),
        )

    def covered(self, insteads: Mapping[str, Callable[[Any], Any]]) -> "Stage[In, Out]":
        """The same, where insteads say by a part's name what goes on in place of an item that its work fails on."""
        parts = tuple(part.covered(insteads) for part in self.parts)
        return replace(self, parts=parts, instead=insteads.get(self.name, self.instead))


class Pipeline:
    """One loop for the source, one for each stage, one for the sink; a mailbox between each two.

    It runs once. The source and the sink are opened and closed by whoever builds it.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[Stage[Any, Any]],
        sink: Sink,
        meters: Meters | None = None,
        patience: int = MOST_FAILURES,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """patience is how many failures in a row of one stage end the run; with 1 the first one does.

        prepare is called on the thread of each stage before its first item.
        """
        self._prepare = prepare
        self._source = source
        self._stages = tuple(stages)
        self._sink = sink
        self._patience = patience
        self.meters = meters or Meters()
        self._stopped = False
        self._reading: asyncio.Timeout | None = None  # while the source is being read

    async def run(self, duration: float | None = None) -> None:
        """Carries frames until the source ends, `duration` seconds are over or stop() is called.

        For a recorded source whose frames have a place on its timeline, `duration` is measured there, so that the
        same frames come out of every run; for all others it is the time that passes. What a source or sink raises
        leaves here as it is; so does what a stage raises as often in a row as patience says, while of fewer failures
        each costs the frame that it happened on. When cancelled, it ends as soon as the calls under way have ended.
        """
        boxes: list[Mailbox[Any]] = [Mailbox(self._source.live) for _ in range(len(self._stages) + 1)]
        fault: BaseException | None = None
        self.meters.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(boxes[0], duration))
                for stage, before, after in zip(self._stages, boxes, boxes[1:], strict=False):
                    group.create_task(self._work(stage, before, after))
                group.create_task(self._write(boxes[-1]))
        except BaseExceptionGroup as faults:
            fault = _first(faults)
        finally:
            self.meters.end()
        if fault is not None:
            raise fault

    def stop(self) -> None:
        """Ends reading; what is under way is delivered, then run() returns. To be called in the event loop."""
        self._stopped = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def _read(self, box: Mailbox[Frame], duration: float | None) -> None:
        deadline = None if duration is None else asyncio.get_running_loop().time() + duration
        end: float | None = None  # on the timeline of a recording, seconds
        last: int | None = None
        with closing(box), suppress(EndOfStream):
            while True:
                # A recording's first frame says whether there is a timeline; until then the clock does not count.
                frame = await self._next(deadline if self._source.live or last is not None else None)
                if duration is not None and frame.at is not None and not self._source.live:
                    end, deadline = (frame.at + duration if end is None else end), None
                if end is not None and frame.at is not None and frame.at >= end:
                    return
                self._count_captured(frame.index, last)
                last = frame.index
                self._count_lost(await box.put(frame))
                await asyncio.sleep(0)  # a source that never has to wait must not keep the others from running

    async def _next(self, deadline: float | None) -> Frame:
        """The source's next frame. Raises EndOfStream also at the deadline (seconds, loop time) and after stop()."""
        loop = asyncio.get_running_loop()
        if self._stopped or (deadline is not None and loop.time() >= deadline):
            raise EndOfStream("reading was ended")
        try:
            async with asyncio.timeout_at(deadline) as self._reading:
                return await self._source.read()
        except TimeoutError:
            if self._reading is not None and self._reading.expired():
                raise EndOfStream("reading was ended") from None
            raise
        finally:
            self._reading = None

    async def _work(self, stage: Stage[Any, Any], before: Mailbox[Any], after: Mailbox[Any]) -> None:
        parts = [(part, Patience(part.name, self._patience)) for part in stage.parts or (stage,)]
        async with Worker(stage.name) as worker:
            await worker.run(self._prepare)
            with closing(before), closing(after), suppress(EndOfStream):
                while True:
                    await before.filled()
                    async with stage.turn():  # whoever waits for it takes what is newest then
                        done = await worker.run(self._through, parts, await before.take())
                    self._count_lost(done if done is _LOST else await after.put(done))

    def _through(self, parts: "Sequence[tuple[Stage[Any, Any], Patience]]", item: Any) -> Any:
        """What the parts of a stage make of an item, one after the other; _LOST where nothing can stand in for it."""
        for part, patience in parts:
            began = time.perf_counter()
            try:
                item = self._done(part, patience, item)
            finally:
                self.meters.time(part.name, time.perf_counter() - began)
            if item is _LOST:
                break
        return item

    def _done(self, part: Stage[Any, Any], patience: Patience, item: Any) -> Any:
        try:
            done = part.work(item)
        except Exception as error:  # whatever it is: a frame is lost sooner than the run
            if not patience.bears(error):
                raise
            self.meters.count("failed")
            return self._instead(part, item)
        patience.worked()
        return done

    def _instead(self, part: Stage[Any, Any], item: Any) -> Any:
        if part.instead is None:
            return _LOST
        try:
            return part.instead(item)
        except Exception as error:  # what cannot even be hidden is not shown
            logger.error("%s has nothing to show instead: %r", part.name, error)
            return _LOST

    async def _write(self, box: Mailbox[Frame]) -> None:
        """Delivers. A frame's age is taken when write() has returned: it includes the sink's own work."""
        with closing(box), suppress(EndOfStream):
            while True:
                frame = await box.take()
                began = time.perf_counter()
                await self._sink.write(frame)
                self.meters.time("sink", time.perf_counter() - began)
                self.meters.delivered(frame.captured_at)
        self.stop()  # where the sink wants no more, nothing needs reading

    def _count_captured(self, index: int, last: int | None) -> None:
        """A gap in the numbers means that frames were captured and dropped at the source."""
        missed = 0 if last is None else max(0, index - last - 1)
        self.meters.count("frames_in", 1 + missed)
        self.meters.count("dropped", missed)

    def _count_lost(self, displaced: object | None) -> None:
        if displaced is not None:
            self.meters.count("dropped")


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first fault of a group, with a note about each of the others."""
    leaves = list(_leaves(faults))
    for other in leaves[1:]:
        leaves[0].add_note(f"at the same time: {other!r}")
    return leaves[0]


def _leaves(fault: BaseException) -> list[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        return [leaf for inner in fault.exceptions for leaf in _leaves(inner)]
    return [fault]
