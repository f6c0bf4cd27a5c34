"""A camera, read through OpenCV."""

import logging
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from realtime.errors import SourceError, SourceLost, SourceMissing
from realtime.flow.letterbox import Image
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sources.limits import check_asked

logger = logging.getLogger(__name__)

RAW_LIMIT = 640 * 480  # pixels above which USB 2 carries too few uncompressed frames, so that MJPG is asked for
OLDEST_S = 1.0  # a driver's timestamp older than this, or from the future, is on another clock than ours


@dataclass(frozen=True, slots=True)
class WebcamSettings:
    """Which camera, and what is asked of it; it may give the nearest that it can."""

    device: int | str = 0  # a number, or a path such as /dev/video0
    width: int = 1280  # px
    height: int = 720  # px
    fps: float = 30.0

    def __post_init__(self) -> None:
        check_asked(self.width, self.height, self.fps)


class Webcam(Owner):
    """A camera as a source; it opens in `async with`. Each read waits for the next picture on a thread of its own."""

    live = True

    def __init__(self, settings: WebcamSettings | None = None) -> None:
        super().__init__("webcam")
        self._settings = settings or WebcamSettings()
        self.name = device_name(self._settings.device)
        self._count = 0

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SourceMissing where there is no such camera, SourceError where it fails."""
        opened = partial(open_camera, self._settings)
        self._camera = await self._hold(opening, opened, lambda camera: camera.release())

    async def read(self) -> Frame:
        """The next picture. Raises SourceError where the first never comes, SourceLost where they stop."""
        seen = await self._worker.run(self._next)
        if seen is None and self._count == 0:
            raise SourceError(f"{self.name} opened but gave no picture: another program may be using it")
        if seen is None:
            raise SourceLost(f"{self.name} stopped after {self._count} frames")
        image, captured_at = seen
        self._count += 1
        return Frame(image, self._count - 1, captured_at)

    def _next(self) -> tuple[Image, float] | None:
        if not self._camera.grab():
            return None
        captured_at = self._birthday(time.perf_counter())
        arrived, image = self._camera.retrieve()
        return (np.asarray(image, np.uint8), captured_at) if arrived else None

    def _birthday(self, now: float) -> float:
        """When the picture was taken: what the driver says where it uses our clock (Linux), otherwise now."""
        taken = self._camera.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return taken if now - OLDEST_S < taken <= now else now


def device_name(device: int | str) -> str:
    """What the user knows the camera by."""
    if isinstance(device, str):
        return device
    return f"/dev/video{device}" if sys.platform == "linux" else f"camera {device}"


def open_camera(settings: WebcamSettings) -> cv2.VideoCapture:
    """The camera, set up for the newest picture. Raises SourceMissing where there is none, SourceError where it fails.

    It blocks, so it belongs on a worker.
    """
    name = device_name(settings.device)
    if name.startswith("/"):
        _check_file(name)
    camera = cv2.VideoCapture(settings.device, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
    if not camera.isOpened():
        camera.release()
        if name.startswith("/"):
            raise SourceError(f"{name} does not open as a camera: another program may be using it")
        raise SourceMissing(f"{name} does not open: it is not there, or another program is using it")
    _set_up(camera, settings)
    size = camera.get(cv2.CAP_PROP_FRAME_WIDTH), camera.get(cv2.CAP_PROP_FRAME_HEIGHT)
    logger.info("%s opened: %g x %g at %g fps", name, *size, camera.get(cv2.CAP_PROP_FPS))
    return camera


def _check_file(name: str) -> None:
    if not Path(name).exists():
        raise SourceMissing(f"there is no camera {name}")
    if not os.access(name, os.R_OK | os.W_OK):
        raise SourceError(f"{name} may not be used by this user: on most systems the group `video` may")


def _set_up(camera: cv2.VideoCapture, settings: WebcamSettings) -> None:
    """Order matters: the format decides which sizes there are, the size which rates."""
    if settings.width * settings.height > RAW_LIMIT:
        camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    camera.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
    camera.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
    camera.set(cv2.CAP_PROP_FPS, settings.fps)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in the driver is old
