"""A run in a process of its own, in which something hangs for a minute: python -m tests.realtime.hanging WHERE FILE.

WHERE is opening, source, stage, sink, closing, or nowhere; it says `there` once it has come to that.
"""

import asyncio
import itertools
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from realtime.flow.owner import Owner
from realtime.flow.pipeline import Pipeline, Stage
from realtime.frame import Frame
from realtime.leaving import INTERRUPTED, leave
from realtime.signals import Ending
from realtime.sinks.fan_out import FanOut
from realtime.sinks.video_file import Recording

GOOD = 60  # frames before anything hangs


class Hanging:
    """Hangs, where it is asked from the right place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def here(self, place: str) -> None:
        if place == self._where:
            print("there", flush=True)
            time.sleep(60)


class Camera(Owner):
    """A camera of a hundred frames a second whose driver may hang."""

    live = True

    def __init__(self, hanging: Hanging) -> None:
        super().__init__("camera")
        self._hanging = hanging
        self._numbers = itertools.count()

    async def _acquire(self, opening: AsyncExitStack) -> None:
        await self._hold(opening, lambda: self._hanging.here("opening"), lambda _: None)

    async def read(self) -> Frame:
        return await self._worker.run(self._next)

    def _next(self) -> Frame:
        index = next(self._numbers)
        if index == GOOD:
            self._hanging.here("source")
        time.sleep(0.01)
        return Frame(np.full((48, 64, 3), 90, np.uint8), index, time.perf_counter())


class Screen(Owner):
    """A sink whose driver may hang."""

    def __init__(self, hanging: Hanging) -> None:
        super().__init__("screen")
        self._hanging = hanging

    async def _acquire(self, opening: AsyncExitStack) -> None:
        opening.push_async_callback(self._worker.finish, self._hanging.here, "closing")

    async def write(self, frame: Frame) -> None:
        if frame.index >= GOOD:
            await self._worker.run(self._hanging.here, "sink")


async def carry(where: str, path: Path) -> int:
    hanging, ending = Hanging(where), Ending()

    def work(frame: Frame) -> Frame:
        if frame.index >= GOOD:
            hanging.here("stage")
        return frame

    async def carried() -> None:
        sinks = FanOut([Screen(hanging), Recording(path)], live=True)
        async with Camera(hanging) as camera, sinks:
            pipeline = Pipeline(camera, [Stage("swap", work)], sinks)
            with ending.stopping(pipeline.stop):
                await pipeline.run()

    return await ending.of(carried())


if __name__ == "__main__":
    leave(INTERRUPTED + asyncio.run(carry(sys.argv[1], Path(sys.argv[2]))))
