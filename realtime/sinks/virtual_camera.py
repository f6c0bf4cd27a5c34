"""A camera that any video-call program can pick: v4l2loopback on Linux, OBS on Windows and macOS."""

import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from realtime.errors import MissingExtra, SinkError
from realtime.flow.letterbox import Image, letterbox, pad_to_even
from realtime.flow.owner import Owner
from realtime.frame import Frame

logger = logging.getLogger(__name__)

PACKAGE = "a virtual camera needs the package pyvirtualcam: pip install 'liveswap[virtualcam]'"
LOOPBACKS = Path("/sys/devices/virtual/video4linux")  # where Linux lists cameras that are no hardware


class VirtualCamera(Owner):
    """A virtual camera as a sink; it opens in `async with`.

    The first frame decides the size, made even where it is odd; later frames of another size are fitted in.
    """

    def __init__(self, device: str | None = None, fps: float = 30.0, loopbacks: Path = LOOPBACKS) -> None:
        super().__init__("virtual camera")
        self._device = device  # such as /dev/video10; None: the first there is
        self._fps = fps
        self._loopbacks = loopbacks
        self._camera: Any = None  # pyvirtualcam.Camera, from the first frame on

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises MissingExtra, with what to install, where the package or (on Linux) the driver is missing."""
        try:
            import pyvirtualcam
        except ImportError as error:
            raise MissingExtra(PACKAGE) from error
        self._package = pyvirtualcam
        if sys.platform == "linux" and not any(self._loopbacks.glob("*")):
            raise MissingExtra(driver_advice(sys.platform))
        opening.push_async_callback(self._worker.run, self._close)

    async def write(self, frame: Frame) -> None:
        """Shows the frame to whoever looks through the camera. Raises MissingExtra or SinkError where it cannot."""
        await self._worker.run(self._send, frame.image)

    def _send(self, image: Image) -> None:
        if self._camera is None:
            self._start(pad_to_even(image))
        self._camera.send(letterbox(pad_to_even(image), self._camera.width, self._camera.height))

    def _start(self, first: Image) -> None:
        height, width = first.shape[:2]
        bgr = self._package.PixelFormat.BGR
        try:
            self._camera = self._package.Camera(width, height, self._fps, fmt=bgr, device=self._device)
        except RuntimeError as error:
            if self._device is None and sys.platform != "linux":
                raise MissingExtra(f"{driver_advice(sys.platform)} (seen: {error})") from error
            raise SinkError(f"the virtual camera {self._device or ''} does not open: {error}") from error
        logger.info("virtual camera %s: %d x %d", self._camera.device, width, height)

    def _close(self) -> None:
        if self._camera is not None:
            self._camera.close()


def driver_advice(platform: str) -> str:
    """What to install, on this system, to have a virtual camera."""
    if platform == "linux":
        how = (
            "install v4l2loopback-dkms, then: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=liveswap"
        )
    else:
        how = "install OBS (https://obsproject.com) and start its virtual camera once"
    return f"there is no virtual camera driver: {how}"
