"""A still picture: one frame, or, live, a steady stream of it."""

import math
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from realtime.errors import EndOfStream, SourceError, SourceMissing
from realtime.flow.letterbox import Image, letterbox
from realtime.flow.worker import Worker
from realtime.frame import Frame
from realtime.sources.limits import check_asked, check_seen, fitted_size
from realtime.sources.pace import Pace

PICTURES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class Still:
    """A picture as a source; it opens in `async with`.

    Recorded, it is one frame. Live, it comes `fps` times a second until somebody stops it, and who reads slowly
    skips numbers, as with a camera. Where a width or height is given, it is fitted into that size.
    """

    def __init__(
        self, path: Path, live: bool = False, width: int | None = None, height: int | None = None, fps: float = 30.0
    ) -> None:
        check_asked(width, height, fps)
        self.path = path
        self.live = live
        self._asked = (width, height)
        self._fps = fps
        self._pace = Pace()
        self._next = 0

    async def __aenter__(self) -> Self:
        async with Worker("still") as worker:
            self._image = await worker.run(load_picture, self.path, *self._asked)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""

    async def read(self) -> Frame:
        """The picture. Raises EndOfStream when a recorded one was read."""
        if self.live:
            index = max(self._next, newest(self._pace, self._fps))
            captured_at = await self._pace.wait(index / self._fps)
        elif self._next:
            raise EndOfStream(f"{self.path} is a single picture")
        else:
            index, captured_at = 0, time.perf_counter()
        self._next = index + 1
        return Frame(self._image, index, captured_at, index / self._fps)


def newest(pace: Pace, fps: float) -> int:
    """The number of the newest picture that is due by now, of pictures that come fps times a second."""
    return math.floor(pace.now() * fps)


def load_picture(path: Path, width: int | None = None, height: int | None = None) -> Image:
    """The picture in a file, upright, fitted into the size where one is given. (h, w, 3) BGR.

    Raises SourceMissing where there is no such file, SourceError where it is no picture.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SourceMissing(f"there is no file {path}") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    image = _decoded(data)
    if image is None:
        raise SourceError(f"{path} is no picture that can be read: wanted one of {', '.join(sorted(PICTURES))}")
    check_seen(str(path), image.shape[1], image.shape[0])
    return letterbox(image, *fitted_size(image.shape[1], image.shape[0], width, height))


def _decoded(data: bytes) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # a header that promises more pixels than OpenCV accepts
        return None
    return None if image is None else np.asarray(image, np.uint8)
