"""A synthetic camera: a clip that never jumps, each picture with its number in it, at exactly the camera's speed."""

import asyncio
import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench import stamp
from bench.glass_numbers import RATE
from realtime.errors import SourceError, SourceMissing
from realtime.flow.letterbox import letterbox
from realtime.frame import Frame

WIDTH: Final = 640  # px
HEIGHT: Final = 480
CLIP_S: Final = 5.0  # of the clip, played forwards and backwards, so that there is no cut that has to be hidden
Planes = NDArray[np.uint8]  # (height * 3 // 2, width) I420: luma, then both colours at half size


@dataclass(frozen=True, slots=True)
class Film:
    """The pictures of a clip, fitted into one size, ready for an encoder."""

    pictures: tuple[Planes, ...]

    @classmethod
    def load(cls, path: Path, seconds: float = CLIP_S, width: int = WIDTH, height: int = HEIGHT) -> "Film":
        """The first seconds of the clip in pictures of width x height px. Raises SourceMissing and SourceError."""
        if not path.is_file():
            raise SourceMissing(f"there is no file {path}")
        pictures: list[Planes] = []
        try:
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    if len(pictures) >= seconds * RATE:
                        break
                    fitted = letterbox(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), width, height)
                    pictures.append(np.asarray(cv2.cvtColor(fitted, cv2.COLOR_BGR2YUV_I420), np.uint8))
        except (av.FFmpegError, OSError, IndexError) as error:
            raise SourceError(f"{path} is no clip that can be measured with: {error}") from error
        if len(pictures) < 2:
            raise SourceError(f"{path} has {len(pictures)} frames, wanted at least two")
        return cls(tuple(pictures))

    @property
    def round(self) -> int:
        """How many frames it takes to be back at the first."""
        return 2 * len(self.pictures) - 2

    def stamped(self, number: int) -> Planes:
        """The picture of that number, forwards and backwards in turn, with the number in it."""
        place = number % self.round
        planes = self.pictures[min(place, self.round - place)].copy()
        stamp.write(planes[: len(planes) * 2 // 3], number)
        return planes


class Clock:
    """When each frame of the camera is captured: number n exactly n / RATE seconds after the start."""

    def __init__(self, start: float | None = None) -> None:
        """start is when number 0 is captured: seconds, time.perf_counter(); now, unless told otherwise."""
        self.start = time.perf_counter() if start is None else start
        self._next = 0

    def captured_at(self, number: int) -> float:
        """Seconds, time.perf_counter()."""
        return self.start + number / RATE

    @property
    def newest(self) -> int:
        """The number of the frame that was captured last."""
        return math.floor((time.perf_counter() - self.start) * RATE)

    async def tick(self) -> int:
        """The number of the next frame, once it is captured; who asks late gets the newest, and others are skipped."""
        number = max(self._next, self.newest)
        while (early := self.captured_at(number) - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        self._next = number + 1
        return number


class Camera:
    """The film as a source of the pipeline."""

    live = True

    def __init__(self, film: Film) -> None:
        self._film = film
        self.clock = Clock()

    async def __aenter__(self) -> Self:
        self.clock = Clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""

    async def read(self) -> Frame:
        """The next picture, BGR."""
        number = await self.clock.tick()
        image = cv2.cvtColor(self._film.stamped(number), cv2.COLOR_YUV2BGR_I420)
        return Frame(np.asarray(image, np.uint8), number, self.clock.captured_at(number))
