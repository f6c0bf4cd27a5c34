"""What goes wrong during a soak: a camera, a model, a stage and a sink that fail by the calendar of the frames."""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np

from realtime.errors import ModelError
from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.swap.compose import Swapped
from realtime.swap.swapper import Finder

RATE: Final = 30.0  # frames a second
SIZES: Final = ((640, 360), (480, 360), (320, 240))  # px, in turns
STALL_S: Final = 0.5
LOST: Final = 15  # frames, at once
IN_A_ROW: Final = 5  # frames that something fails on; of five one is seen also where most are dropped
SLOW_S: Final = 0.05  # that the slow sink needs for a frame


@dataclass(frozen=True, slots=True)
class Weather:
    """Which frames something happens to; it all comes round every `period` frames, half of which are fair."""

    period: int = 300  # frames

    def stalls(self, index: int) -> bool:
        """Whether the camera hangs for STALL_S before this frame."""
        return self._is(index, 6)

    def loses(self, index: int) -> bool:
        """Whether the camera loses LOST frames before this one."""
        return self._is(index, 8)

    def model_fails(self, index: int) -> bool:
        """Whether a model refuses this frame, as it may: several in a row."""
        return self._is(index, 1, IN_A_ROW)

    def stage_fails(self, index: int) -> bool:
        """Whether composing fails in a way that nobody expects, several times in a row."""
        return self._is(index, 3, IN_A_ROW)

    def sink_stalls(self, index: int) -> bool:
        """Whether the slow sink hangs for STALL_S with this frame."""
        return self._is(index, 5, IN_A_ROW)

    def size(self, index: int) -> tuple[int, int]:
        """Of the camera's pictures, px."""
        return SIZES[index // self.period % len(SIZES)]

    def _is(self, index: int, tenth: int, long: int = 1) -> bool:
        """Whether the frame is one of `long` from this tenth of the period on."""
        return 0 <= index % self.period - self.period * tenth // 10 < long


class Camera(Owner):
    """A live camera that shows these pictures over and over at RATE, in the weather; it drops what nobody reads."""

    live = True

    def __init__(self, pictures: Sequence[Image], weather: Weather) -> None:
        super().__init__("camera")
        self._weather = weather
        self._films = {size: [_fitted(picture, size) for picture in pictures] for size in SIZES}
        self._began = 0.0
        self._index = -1

    async def _acquire(self, opening: AsyncExitStack) -> None:
        self._began = time.perf_counter()

    async def read(self) -> Frame:
        """The next picture, on the worker's thread, as a driver would block there."""
        return await self._worker.run(self._next)

    def _next(self) -> Frame:
        due = self._began + (self._index + 1) / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        before, self._index = self._index, max(self._index + 1, int((time.perf_counter() - self._began) * RATE))
        passed = range(before + 1, self._index + 1)
        if any(map(self._weather.stalls, passed)):
            time.sleep(STALL_S)
        if any(map(self._weather.loses, passed)):
            self._began -= LOST / RATE
            self._index += LOST
        film = self._films[self._weather.size(self._index)]
        return Frame(film[self._index % len(film)], self._index, time.perf_counter())


class Moody:
    """A finder whose model fails in bad weather."""

    def __init__(self, finder: Finder, weather: Weather) -> None:
        self._finder = finder
        self._weather = weather

    @property
    def detector_runs(self) -> int:
        """Of the finder behind it."""
        return self._finder.detector_runs

    @property
    def glimpses(self) -> tuple[Glimpse, ...]:
        """Of the finder behind it."""
        return self._finder.glimpses

    def cut(self) -> None:
        """Tells the finder behind it."""
        self._finder.cut()

    def holds(self, frame: Frame) -> bool:
        """As the finder behind it says, where its model does not fail."""
        return not self._weather.model_fails(frame.index) and self._finder.holds(frame)

    def looking_aside(self) -> AbstractContextManager[None]:
        """Of the finder behind it."""
        return self._finder.looking_aside()

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        """The faces of the frame. Raises ModelError."""
        if self._weather.model_fails(frame.index):
            raise ModelError(f"a soak has frame {frame.index} fail")
        return self._finder(frame)


def failing(compose: Callable[[Swapped], Frame], weather: Weather) -> Callable[[Swapped], Frame]:
    """The same, but it fails in bad weather."""

    def work(swapped: Swapped) -> Frame:
        if weather.stage_fails(swapped.frame.index):
            raise ArithmeticError(f"a soak has frame {swapped.frame.index} fail")
        return compose(swapped)

    return work


class Slow:
    """A sink that keeps nothing, is too slow for its frames, and hangs now and then."""

    def __init__(self, weather: Weather) -> None:
        self.count = 0
        self._weather = weather

    async def write(self, frame: Frame) -> None:
        """Takes its time."""
        await asyncio.sleep(STALL_S if self._weather.sink_stalls(frame.index) else SLOW_S)
        self.count += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has nothing to close."""


def there_and_back(pictures: Sequence[Image]) -> list[Image]:
    """The pictures, then the same backwards, so that they come round without a cut."""
    return list(itertools.chain(pictures, reversed(pictures)))


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """The middle of the picture, in that size."""
    width, height = size
    wide = min(picture.shape[1], round(picture.shape[0] * width / height))
    left = (picture.shape[1] - wide) // 2
    out = cv2.resize(np.ascontiguousarray(picture[:, left : left + wide]), size, interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.uint8)
