"""A camera that any video-call program can pick: v4l2loopback on Linux, OBS on Windows and macOS."""

import logging
import platform
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from realtime.errors import LiveswapError, MissingExtra, SinkError
from realtime.flow.letterbox import Image, letterbox, pad_to_even
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sinks.loopback import Kernel, free
from realtime.sinks.pace import Pace

logger = logging.getLogger(__name__)

PACKAGE: Final = "a virtual camera needs the package pyvirtualcam: pip install 'liveswap[virtualcam]'"
OBS: Final = "install OBS Studio (https://obsproject.com), then start and stop its virtual camera once"


class VirtualCamera(Owner):
    """A virtual camera as a sink; it opens in `async with`.

    The first frame decides the size, made even where it is odd; later frames of another size are fitted in. Pictures
    go at the rate that was asked for: where a frame is late, the last one goes again, so that no program that watches
    ever waits. They have come through the gate, and so have those that go again.
    """

    def __init__(
        self, device: str | None = None, fps: float = 30.0, live: bool = True, kernel: Kernel | None = None
    ) -> None:
        """device is a path, a number or a part of a name; None: the first there is. Frames that come too fast are
        left out where the source is live, and waited with otherwise.
        """
        super().__init__("virtual camera")
        self._device = device
        self._fps = fps
        self._live = live
        self._kernel = kernel or Kernel()
        self._camera: Any = None  # pyvirtualcam.Camera, from the first frame on
        self._pace: Pace | None = None

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises MissingExtra, with what to install, where the package or the driver is missing.

        On Linux also SinkError, with what to do, where there is no such device or it takes no pictures.
        """
        self._package = _package()
        if platform.system() == "Linux":
            self._device = str(await self._worker.run(self._kernel.writable, self._device))
        opening.push_async_callback(self._worker.finish, self._close)

    async def write(self, frame: Frame) -> None:
        """Shows the frame to whoever looks through the camera. Raises MissingExtra or SinkError where it cannot."""
        await self._worker.run(self._show, frame.image)

    def _show(self, image: Image) -> None:
        if self._pace is None:
            self._pace = self._start(pad_to_even(image))
        self._pace.show(letterbox(pad_to_even(image), self._camera.width, self._camera.height), wait=not self._live)

    def _start(self, first: Image) -> Pace:
        height, width = first.shape[:2]
        bgr = self._package.PixelFormat.BGR
        try:
            self._camera = self._package.Camera(width, height, self._fps, fmt=bgr, device=self._device)
        except RuntimeError as error:
            raise _refused(error, self._device, self._kernel) from error
        logger.info("virtual camera %s: %d x %d at %g fps", self._camera.device, width, height, self._fps)
        return Pace(self._camera.send, self._fps, f"the virtual camera {self._camera.device}")

    def _close(self) -> None:
        if self._pace is None:
            return
        if not self._pace.close():
            return  # the driver still holds the picture
        device = self._camera.device
        self._camera.close()
        if platform.system() == "Linux":
            free(Path(device))


def ready(kernel: Kernel | None = None) -> str:
    """What `--sink virtualcam` would write to, as far as that can be known before a picture is sent.

    Where OBS is the driver, its camera is opened for a moment. Raises what a run would end with.
    """
    package = _package()
    kernel = kernel or Kernel()
    if platform.system() == "Linux":
        path = kernel.writable(None)
        names = [camera.name for camera in kernel.loopbacks() if camera.path == path]
        return " ".join([str(path), *(f"({name})" for name in names)])
    try:
        package.Camera(640, 480, 30, fmt=package.PixelFormat.BGR, device=None).close()
    except RuntimeError as error:
        raise _refused(error, None, kernel) from error
    return "OBS Virtual Camera"


def _refused(error: RuntimeError, device: str | None, kernel: Kernel) -> LiveswapError:
    seen = " ".join(str(error).split())
    if platform.system() == "Linux":
        return SinkError(f"{kernel.busy(Path(device or ''))} (seen: {seen})")
    name = device or "OBS Virtual Camera"
    return SinkError(f"{name} does not open: close the program that writes to it, or {OBS} (seen: {seen})")


def _package() -> Any:
    """pyvirtualcam. Raises MissingExtra."""
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingExtra(PACKAGE) from error
    return pyvirtualcam
