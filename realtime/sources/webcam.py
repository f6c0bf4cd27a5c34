"""A camera, read through OpenCV."""

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from realtime.errors import SourceError, SourceMissing
from realtime.flow.letterbox import Image
from realtime.sources.cameras import backend, camera_meant, captures, formats_of, quiet
from realtime.sources.draining import Draining, Patience
from realtime.sources.formats import Format
from realtime.sources.limits import check_asked
from realtime.sources.watch import Watch

logger = logging.getLogger(__name__)

RAW_LIMIT: Final = 640 * 480  # pixels above which USB 2 carries too few uncompressed frames
OLDEST_S: Final = 1.0  # a driver's timestamp older than this, or from the future, is on another clock than ours
ALIKE: Final = 0.05  # share by which a rate may differ and is still the one that was asked for


@dataclass(frozen=True, slots=True)
class WebcamSettings:
    """Which camera, and what is asked of it; it may give the nearest that it can."""

    device: int | str = 0  # a number, a path such as /dev/video0, or a part of a name
    width: int = 1280  # px
    height: int = 720  # px
    fps: float = 30.0

    def __post_init__(self) -> None:
        check_asked(self.width, self.height, self.fps)


class Webcam(Draining):
    """A camera as a source; it opens in `async with`, once.

    Opening raises SourceMissing where there is no such camera, SourceError where it fails; reading raises SourceLost
    where pictures stop.
    """

    def __init__(self, settings: WebcamSettings | None = None, patience: Patience | None = None) -> None:
        settings = settings or WebcamSettings()
        name = device_name(settings.device)
        super().__init__(name, partial(Eye, settings), patience, Watch(name))


class Eye:
    """The open camera; it blocks, and belongs to one thread."""

    def __init__(self, settings: WebcamSettings) -> None:
        """Raises SourceMissing where there is no such camera, SourceError where it fails."""
        self._camera = open_camera(settings)

    def next(self) -> tuple[Image, float] | None:
        """The next picture and when it was taken; None where none comes."""
        if not self._camera.grab():
            return None
        captured_at = self._birthday(time.perf_counter())
        arrived, image = self._camera.retrieve()
        return (np.asarray(image, np.uint8), captured_at) if arrived else None

    def close(self) -> None:
        """Gives the camera back."""
        self._camera.release()

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

    It blocks, so it belongs on a thread of its own. What it gives is logged; a difference from what was asked is a
    warning.
    """
    device = _found(settings.device)
    name = device_name(device)
    if name.startswith("/"):
        _check_file(name)
    with quiet():
        camera = cv2.VideoCapture(device, backend())
    if not camera.isOpened():
        camera.release()
        if name.startswith("/"):
            raise SourceError(f"{name} does not open as a camera: another program may be using it")
        raise SourceMissing(f"{name} does not open: it is not there, or another program is using it")
    _set_up(camera, settings, formats_of(Path(name)) if name.startswith("/") else ())
    _say_obtained(camera, settings, name)
    return camera


def _found(device: int | str) -> int | str:
    """The number or path that a name means; looked up at each opening, because a camera may come back elsewhere."""
    if isinstance(device, int) or device.startswith("/"):
        return device
    source = camera_meant(device).source
    return int(source) if source.isdecimal() else source


def _check_file(name: str) -> None:
    if not Path(name).exists():
        raise SourceMissing(f"there is no camera {name}")
    if Path(name).is_fifo() or Path(name).is_dir():
        raise SourceError(f"{name} is no camera: wanted a video device")
    if not os.access(name, os.R_OK | os.W_OK):
        raise SourceError(f"{name} may not be used by this user: on most systems the group `video` may")
    if not Path(name).is_char_device():
        return  # OpenCV says what it is
    gives = captures(Path(name))
    if gives is None:
        raise SourceError(f"{name} is no camera: wanted a video device")
    if not gives:
        raise SourceError(f"{name} gives no pictures: it is no camera, or a virtual one that nobody writes to")


def _set_up(camera: cv2.VideoCapture, settings: WebcamSettings, formats: Sequence[Format]) -> None:
    """Order matters: the format decides which sizes there are, the size which rates."""
    if compressed_wanted(settings, formats):
        camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    camera.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
    camera.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
    camera.set(cv2.CAP_PROP_FPS, settings.fps)
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in the driver is old


def compressed_wanted(settings: WebcamSettings, formats: Sequence[Format]) -> bool:
    """Whether MJPG is to be asked for: where raw pictures of that size do not come at that rate.

    Where the driver does not say what it can, the size decides.
    """
    rated = [one for one in formats if one.rates]
    if not rated:
        return settings.width * settings.height > RAW_LIMIT
    sized = [one for one in rated if (one.width, one.height) == (settings.width, settings.height)]
    raw = [one.rates[0] for one in sized if not one.compressed]
    mjpg = [one.rates[0] for one in sized if one.fourcc == "MJPG"]
    if not mjpg:
        return False
    return not raw or max(raw) < min(settings.fps, max(mjpg)) * (1 - ALIKE)


def _say_obtained(camera: cv2.VideoCapture, settings: WebcamSettings, name: str) -> None:
    width, height = (round(camera.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    fps, kind = camera.get(cv2.CAP_PROP_FPS), _words(round(camera.get(cv2.CAP_PROP_FOURCC)))
    rate = f"{fps:g} fps" if fps > 0 else "a rate that it does not say"
    given = f"{width} x {height} at {rate}{f' ({kind})' if kind else ''}"
    differs = width > 0 and (width, height) != (settings.width, settings.height)
    another = fps > 0 and abs(fps - settings.fps) > ALIKE * settings.fps
    if differs or another:
        asked = f"{settings.width} x {settings.height} at {settings.fps:g} fps"
        logger.warning("%s was asked for %s and gives %s", name, asked, given)
    else:
        logger.info("%s opened: %s", name, given)


def _words(fourcc: int) -> str:
    """A fourcc as text, such as MJPG; empty where it is none."""
    text = bytes((fourcc >> shift) & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1").strip("\0 ")
    return text if text.isascii() and text.isprintable() else ""
