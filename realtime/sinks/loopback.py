"""The virtual cameras of Linux: which there are, what keeps one from being written to, and how one is freed again."""

import errno
import logging
import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from realtime.errors import LiveswapError, MissingExtra, SinkError

logger = logging.getLogger(__name__)

LOAD: Final = "sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label=liveswap"
ADVICE: Final = f"install v4l2loopback-dkms, then: {LOAD}"
QUERYCAP: Final = 0x80685600  # VIDIOC_QUERYCAP
STREAMON: Final = 0x40045612  # VIDIOC_STREAMON
_CAPABILITY: Final = struct.Struct("=16s32s32s3I12x")  # driver, card, bus, version, of the card, of the node
SETTLING_S: Final = 0.3  # seconds in which a writer that nobody knew of would write again, and lock what was freed
_TO_WRITE: Final = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
_OUTPUT: Final = 0x00000002 | 0x00002000  # one plane, several planes


@dataclass(frozen=True, slots=True)
class Loopback:
    """One virtual camera of the kernel."""

    path: Path
    name: str  # its card label, as other programs show it


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where Linux shows its devices and programs."""

    cameras: Path = Path("/sys/devices/virtual/video4linux")  # those that are no hardware
    devices: Path = Path("/dev")
    programs: Path = Path("/proc")

    def loopbacks(self) -> tuple[Loopback, ...]:
        """The virtual cameras, by number."""
        folders = sorted(self.cameras.glob("video*"), key=lambda folder: int("0" + folder.name.removeprefix("video")))
        return tuple(Loopback(self.devices / folder.name, _label(folder)) for folder in folders)

    def writable(self, device: str | None) -> Path:
        """The virtual camera that a path, a number or a part of a name means; the first free one for None.

        Raises MissingExtra where the driver is missing, SinkError where there is no such camera or it takes nothing.
        """
        there = self.loopbacks()
        if not there:
            raise MissingExtra(f"there is no virtual camera driver: {ADVICE}")
        meant = there if device is None else tuple(camera for camera in there if _means(device, camera))
        if not meant:
            names = ", ".join(f"{camera.path} ({camera.name})" for camera in there)
            raise SinkError(f"there is no virtual camera {device!r}: wanted one of {names}")
        obstacles = [self.obstacle(camera.path) for camera in meant]
        for camera, obstacle in zip(meant, obstacles, strict=True):
            if obstacle is None:
                return camera.path
        assert obstacles[0] is not None
        raise obstacles[0]

    def obstacle(self, path: Path) -> LiveswapError | None:
        """What keeps pictures from being written to a virtual camera, and what helps; None where nothing does.

        One that a run has left locked, and that no program holds, is freed.
        """
        try:
            if _takes_pictures(path):
                return None
            if not self.holders(path):
                free(path)
                time.sleep(SETTLING_S)
                if _takes_pictures(path):
                    return None
        except OSError as error:
            return SinkError(f"the virtual camera {path} does not open: {_remedy(error)}")
        return SinkError(self.busy(path))

    def busy(self, path: Path) -> str:
        """Says that a virtual camera takes no second writer, and what to do."""
        holders = ", ".join(self.holders(path))
        first = f"close what holds it ({holders})" if holders else "close the program that writes to it"
        return (
            f"the virtual camera {path} takes no pictures: {first}, name another one, "
            f"or load its driver again: sudo modprobe -r v4l2loopback && {LOAD}"
        )

    def holders(self, path: Path) -> tuple[str, ...]:
        """Other programs that have a device open, as far as this user may see them, such as "chromium (1234)"."""
        found = []
        for program in self.programs.glob("[0-9]*"):
            if program.name == str(os.getpid()):
                continue
            with suppress(OSError):  # another user's, or over by now
                if any(_leads_to(opened, path) for opened in (program / "fd").iterdir()):
                    found.append(f"{(program / 'comm').read_text('utf-8', 'replace').strip()} ({program.name})")
        return tuple(found)


def free(path: Path) -> None:
    """Makes a virtual camera that was written to ready for its next writer.

    With exclusive_caps=1, v4l2loopback 0.12 does not notice that a writer has gone that never began to stream, and
    takes no further one until the module is loaded anew. One that begins to stream and goes is noticed, even where
    its beginning is refused. Newer versions do not need it. What fails is of no consequence.
    """
    import fcntl  # only where there is Linux

    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        logger.debug("%s was not freed: %s", path, error.strerror)
        return
    try:
        for request, argument in (
            (STREAMON, struct.pack("=i", _TO_WRITE)),
            (QUERYCAP, bytearray(_CAPABILITY.size)),
        ):
            try:
                fcntl.ioctl(device, request, argument)
            except OSError as error:
                logger.debug("%s refused %#x while it was freed: %s", path, request, error.strerror)
    finally:
        os.close(device)


def _takes_pictures(path: Path) -> bool:
    """Whether a video device says that it can be written to. Raises OSError where it cannot be opened or asked."""
    import fcntl

    device = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(_CAPABILITY.size)
        fcntl.ioctl(device, QUERYCAP, answer)
    finally:
        os.close(device)
    return bool(_CAPABILITY.unpack(answer)[5] & _OUTPUT)


def _label(folder: Path) -> str:
    try:
        return (folder / "name").read_text("utf-8", "replace").strip()
    except OSError:
        return folder.name


def _means(device: str, camera: Loopback) -> bool:
    if device.isdecimal():
        return camera.path.name == f"video{device}"
    if device.startswith("/"):
        return Path(device).resolve() == camera.path.resolve()
    return device.lower() in camera.name.lower()


def _leads_to(opened: Path, path: Path) -> bool:
    with suppress(OSError):
        return opened.readlink() == path
    return False


def _remedy(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "this user may not write to it; sudo usermod -aG video $USER, then log in again"
    if error.errno == errno.ENOENT:
        return "the kernel lists it and there is no such file; a container has to be given it (--device)"
    if error.errno == errno.EBUSY:
        return "it is in use; close the other program"
    return (error.strerror or str(error)).lower()
