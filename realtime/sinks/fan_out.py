"""Several sinks at once, none of which slows the others."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing, suppress
from types import TracebackType
from typing import Self

from realtime.errors import EndOfStream
from realtime.flow.mailbox import Mailbox
from realtime.flow.pipeline import Sink
from realtime.frame import Frame
from realtime.sinks.writable import Seal


class FanOut:
    """Sinks side by side, each with a mailbox and a loop of its own; they open in `async with`.

    Live, each gets the newest frame whenever it is ready for one, and write() never waits. Otherwise each gets every
    frame, and write() waits for the slowest. What one of them raises leaves the next write(), or the end of `async
    with`, as it is; EndOfStream from one of them ends all.
    """

    def __init__(self, sinks: Sequence[Sink], live: bool) -> None:
        self._sinks = tuple(sinks)
        self._live = live
        self._outlets: list[tuple[Mailbox[Frame], asyncio.Task[None]]] = []
        self._dropped = [0 for _ in sinks]
        self._open = AsyncExitStack()

    @property
    def dropped(self) -> tuple[int, ...]:
        """How many frames each sink was too slow for; other sinks may have taken them."""
        return tuple(self._dropped)

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Hands a description on to the sinks whose files have room for one."""
        for sink in self._sinks:
            if hasattr(sink, "describe"):
                sink.describe(metadata)

    def seal_with(self, seal: Seal) -> None:
        """Hands on what is to be done with complete files."""
        for sink in self._sinks:
            if hasattr(sink, "seal_with"):
                sink.seal_with(seal)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for sink in self._sinks:
                await opening.enter_async_context(sink)
            self._open = opening.pop_all()
        for sink in self._sinks:
            box: Mailbox[Frame] = Mailbox(self._live)
            self._outlets.append((box, asyncio.create_task(_deliver(box, sink))))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delivers what is under way, unless an error ends the run; then closes the sinks."""
        try:
            await self._settle(broken=kind is not None)
        finally:
            await self._open.__aexit__(kind, error, trace)

    async def write(self, frame: Frame) -> None:
        """Leaves the frame for every sink. Raises what a sink has raised."""
        for number, (box, delivery) in enumerate(self._outlets):
            try:
                self._dropped[number] += await box.put(frame) is not None
            except EndOfStream:
                await delivery  # raises what ended it
                raise

    async def _settle(self, broken: bool) -> None:
        deliveries = [delivery for _, delivery in self._outlets]
        try:
            for box, _ in self._outlets:
                box.close()
            if not broken:
                await asyncio.gather(*deliveries)
        finally:
            for delivery in deliveries:
                delivery.cancel()
            await asyncio.gather(*deliveries, return_exceptions=True)


async def _deliver(box: Mailbox[Frame], sink: Sink) -> None:
    with closing(box), suppress(EndOfStream):
        while True:
            await sink.write(await box.take())
