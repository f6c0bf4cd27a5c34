"""Small sources, sinks and work that the tests of the flow share."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import numpy as np

from realtime.errors import EndOfStream
from realtime.frame import Frame


def frame(index: int, at: float | None = None, size: tuple[int, int] = (4, 4)) -> Frame:
    """A small picture that carries its number in its pixels too."""
    return Frame(np.full((size[1], size[0], 3), index % 256, np.uint8), index, time.perf_counter(), at)


class Opened:
    """What `async with` has to offer, and a note of what became of it."""

    entered = False
    left = False
    left_by: type[BaseException] | None = None

    async def __aenter__(self) -> Self:
        self.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left, self.left_by = True, kind


class FakeCamera(Opened):
    """Gives these frames, one every `period` seconds, then raises `then` (the end, unless told otherwise)."""

    def __init__(
        self, frames: Iterable[Frame], live: bool = True, period: float = 0.0, then: BaseException | None = None
    ) -> None:
        self.live = live
        self.given = 0
        self._frames = iter(frames)
        self._period = period
        self._then = then

    async def read(self) -> Frame:
        await asyncio.sleep(self._period)
        for given in self._frames:
            self.given += 1
            return given
        raise self._then or EndOfStream("the last frame was read")


class Collector(Opened):
    """Keeps what is written to it; slow or faulty on demand."""

    def __init__(self, period: float = 0.0, fault: BaseException | None = None, fault_at: int = 0) -> None:
        self.frames: list[Frame] = []
        self._period = period
        self._fault = fault
        self._fault_at = fault_at

    async def write(self, frame: Frame) -> None:
        if self._fault is not None and len(self.frames) == self._fault_at:
            raise self._fault
        await asyncio.sleep(self._period)
        self.frames.append(frame)

    @property
    def numbers(self) -> list[int]:
        return [kept.index for kept in self.frames]
