"""Which cameras there are, and whether there is a virtual camera to write to."""

import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2

from realtime.errors import LiveswapError
from realtime.sinks.virtual_camera import ready

SYSFS: Final = Path("/sys/class/video4linux")
_QUERYCAP: Final = 0x80685600  # VIDIOC_QUERYCAP
_CAPABILITY: Final = struct.Struct("=16s32s32s3I12x")  # driver, card, bus, version, of the card, of the node
_CAPTURE: Final = 0x00000001 | 0x00001000  # one plane, several planes
_OUTPUT: Final = 0x00000002 | 0x00002000
_PROBED: Final = 6  # camera numbers that are tried where the system has no list


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that --source takes."""

    source: str  # what to say to --source
    name: str


@dataclass(frozen=True, slots=True)
class VirtualCamera:
    """Whether --sink virtualcam has something to write to."""

    available: bool
    detail: str  # the device, or what is missing and how to get it


@dataclass(frozen=True, slots=True)
class Devices:
    """What this machine has."""

    cameras: tuple[Camera, ...]
    virtual_camera: VirtualCamera

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "cameras": [{"source": camera.source, "name": camera.name} for camera in self.cameras],
            "virtual_camera": {"available": self.virtual_camera.available, "detail": self.virtual_camera.detail},
        }


@dataclass(frozen=True, slots=True)
class Node:
    """One video device of Linux."""

    path: str
    name: str
    captures: bool
    outputs: bool


def devices() -> Devices:
    """Looks now. Cameras that another program holds are listed on Linux and may be missed elsewhere."""
    if platform.system() == "Linux":
        nodes = linux_nodes(SYSFS)
        cameras = tuple(Camera(node.path, node.name) for node in nodes if node.captures)
        return Devices(cameras, _virtual_camera())
    return Devices(tuple(_probed()), _virtual_camera())


def linux_nodes(sysfs: Path) -> tuple[Node, ...]:
    """The video devices in sysfs, by number; one that cannot be asked (no permission) counts as a camera."""
    folders = sorted(sysfs.glob("video*"), key=lambda folder: int("0" + folder.name.removeprefix("video")))
    nodes = []
    for folder in folders:
        path = Path("/dev") / folder.name
        able = _abilities(path)
        name = (folder / "name").read_text("utf-8", "replace").strip() if (folder / "name").is_file() else folder.name
        nodes.append(Node(str(path), name, able is None or bool(able & _CAPTURE), bool(able and able & _OUTPUT)))
    return tuple(nodes)


def _abilities(path: Path) -> int | None:
    """The capability bits of a video device; None when it cannot be asked."""
    import fcntl  # only where there is Linux

    answer = bytearray(_CAPABILITY.size)
    try:
        with path.open("rb", buffering=0) as device:
            fcntl.ioctl(device, _QUERYCAP, answer)
    except OSError:
        return None
    return int(_CAPABILITY.unpack(answer)[5])


def _virtual_camera() -> VirtualCamera:
    try:
        return VirtualCamera(True, ready())
    except LiveswapError as error:
        return VirtualCamera(False, str(error))


def _probed() -> Iterator[Camera]:
    """Cameras that OpenCV can open, by number."""
    with _quiet():
        for number in range(_PROBED):
            capture = cv2.VideoCapture(number)
            if capture.isOpened():
                yield Camera(str(number), f"camera {number}")
            capture.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV without its warnings about cameras that are not there."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
