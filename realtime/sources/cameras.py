"""Which cameras there are, what they can do, and which of them a text means."""

import platform
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from realtime.errors import SourceError, SourceMissing
from realtime.sources import listing
from realtime.sources.formats import Format, in_avfoundation, in_dshow

SYSFS: Final = Path("/sys/class/video4linux")
DEV: Final = Path("/dev")
_PROBED: Final = 6  # camera numbers that are tried where the system has no list
_MOST: Final = 64  # entries that are read of one of a driver's lists
_ANSWER_S: Final = 10.0  # in which FFmpeg lists a camera; a driver that hangs is given up

# Video4Linux's calls and what they take, from linux/videodev2.h; the same on all of Linux's usual machines.
_QUERYCAP: Final = 0x80685600
_ENUM_FMT: Final = 0xC0405602
_ENUM_FRAMESIZES: Final = 0xC02C564A
_ENUM_FRAMEINTERVALS: Final = 0xC034564B
_CAPABILITY: Final = struct.Struct("=16s32s32s3I12x")  # driver, card, bus, version, of the card, of the node
_FORMAT: Final = struct.Struct("=3I32s4s16x")  # index, kind of buffer, flags, words, fourcc
_SIZE: Final = struct.Struct("=I4sI6I8x")  # index, fourcc, kind, a size or a range of sizes
_INTERVAL: Final = struct.Struct("=I4s3I6I8x")  # index, fourcc, size, kind, an interval or a range of them
_CAPTURE: Final = 0x00000001 | 0x00001000  # one plane, several planes
_OUTPUT: Final = 0x00000002 | 0x00002000
_PLANES: Final = 0x00001000
_DISCRETE: Final = 1  # a size or an interval, not a range


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that --source takes."""

    source: str  # what to say to --source
    name: str
    formats: tuple[Format, ...] = ()  # largest first; empty where the system does not say


@dataclass(frozen=True, slots=True)
class Node:
    """One video device of Linux."""

    path: str
    name: str
    captures: bool
    outputs: bool


def cameras(formats: bool = True) -> tuple[Camera, ...]:
    """Looks now, with what each can give where formats are wanted and the system says them.

    Cameras that another program holds are listed on Linux and may be missed elsewhere.
    """
    if platform.system() == "Linux":
        there = [node for node in linux_nodes() if node.captures]
        return tuple(Camera(n.path, n.name, formats_of(Path(n.path)) if formats else ()) for n in there)
    return tuple(_with_formats(tuple(_listed())) if formats else _listed())


def camera_meant(text: str, there: Sequence[Camera] | None = None) -> Camera:
    """The camera whose name is the text or has it in it, in whichever case.

    Raises SourceMissing where there is none, SourceError where there are several.
    """
    there = cameras(formats=False) if there is None else there
    wanted = text.strip().casefold()
    whole = [camera for camera in there if camera.name.casefold() == wanted]
    meant = whole or [camera for camera in there if wanted and wanted in camera.name.casefold()]
    if not meant:
        known = ", ".join(f"{camera.name} ({camera.source})" for camera in there)
        raise SourceMissing(f"there is no camera {text!r}: {f'wanted one of {known}' if known else 'none is there'}")
    if len(meant) > 1:
        several = ", ".join(f"{camera.name} ({camera.source})" for camera in meant)
        raise SourceError(f"{text!r} means several cameras: {several}; wanted one, by its number or path")
    return meant[0]


def linux_nodes(sysfs: Path = SYSFS) -> tuple[Node, ...]:
    """The video devices in sysfs, by number; one that cannot be asked (no permission) counts as a camera."""
    folders = sorted(sysfs.glob("video*"), key=lambda folder: int("0" + folder.name.removeprefix("video")))
    nodes = []
    for folder in folders:
        path = DEV / folder.name
        able = _abilities(path)
        nodes.append(Node(str(path), _name(folder), able is None or bool(able & _CAPTURE), bool((able or 0) & _OUTPUT)))
    return tuple(nodes)


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text("utf-8", "replace").strip()
    except OSError:
        return folder.name


def formats_of(path: Path) -> tuple[Format, ...]:
    """What a camera of Linux can give, largest first; nothing where it cannot be asked. Ranges are their ends."""
    able = _abilities(path)
    if able is None or not able & _CAPTURE:
        return ()
    kind = 9 if able & _PLANES else 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE, of several planes or one
    found: dict[tuple[str, int, int], Format] = {}
    try:
        with path.open("rb", buffering=0) as device:
            for fourcc in _fourccs(device.fileno(), kind):
                for width, height in _sizes(device.fileno(), fourcc):
                    text = fourcc.decode("ascii", "replace").strip()
                    rates = tuple(sorted(set(_rates(device.fileno(), fourcc, width, height)), reverse=True))
                    found[text, width, height] = Format(text, width, height, rates)
    except OSError:
        return ()
    return tuple(sorted(found.values(), key=lambda one: (-one.width * one.height, one.fourcc)))


def _fourccs(device: int, kind: int) -> Iterator[bytes]:
    for index in range(_MOST):
        answer = _asked(device, _ENUM_FMT, bytearray(_FORMAT.pack(index, kind, 0, b"", b"")))
        if answer is None:
            return
        yield _FORMAT.unpack(answer)[4]


def _sizes(device: int, fourcc: bytes) -> Iterator[tuple[int, int]]:
    for index in range(_MOST):
        answer = _asked(device, _ENUM_FRAMESIZES, bytearray(_SIZE.pack(index, fourcc, 0, *[0] * 6)))
        if answer is None:
            return
        _, _, kind, *numbers = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            yield numbers[0], numbers[1]
            continue
        least_w, most_w, _, least_h, most_h, _ = numbers
        yield most_w, most_h
        yield least_w, least_h
        return


def _rates(device: int, fourcc: bytes, width: int, height: int) -> Iterator[float]:
    for index in range(_MOST):
        asked = bytearray(_INTERVAL.pack(index, fourcc, width, height, 0, *[0] * 6))
        answer = _asked(device, _ENUM_FRAMEINTERVALS, asked)
        if answer is None:
            return
        kind, *numbers = _INTERVAL.unpack(answer)[4:]
        ends = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
        yield from (round(per / seconds, 2) for seconds, per in ends if seconds and per)
        if kind != _DISCRETE:
            return


def _asked(device: int, request: int, question: bytearray) -> bytes | None:
    """The driver's answer; None where it has none, as after the last entry of a list."""
    import fcntl  # only where there is Linux

    try:
        fcntl.ioctl(device, request, question)
    except OSError:
        return None
    return bytes(question)


def captures(path: Path) -> bool | None:
    """Whether a video device of Linux gives pictures now; None when it cannot be asked."""
    able = _abilities(path)
    return None if able is None else bool(able & _CAPTURE)


def _abilities(path: Path) -> int | None:
    """The capability bits of a video device; None when it cannot be asked."""
    try:
        if not path.is_char_device():  # opening anything else might wait for ever
            return None
        with path.open("rb", buffering=0) as device:
            answer = _asked(device.fileno(), _QUERYCAP, bytearray(_CAPABILITY.size))
    except OSError:
        return None
    return None if answer is None else int(_CAPABILITY.unpack(answer)[5])


def backend() -> int:
    """Through which of OpenCV's doors cameras are opened, so that numbers mean the same as in the list."""
    doors = {"Linux": cv2.CAP_V4L2, "Windows": cv2.CAP_DSHOW, "Darwin": cv2.CAP_AVFOUNDATION}
    return doors.get(platform.system(), cv2.CAP_ANY)


def _listed() -> Iterator[Camera]:
    """The cameras of Windows and macOS by name, or, where that list is missing, those that open, by number."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:
        yield from _probed()
        return
    for camera in enumerate_cameras(backend()):
        yield Camera(str(camera.index), str(camera.name))


def _with_formats(there: Sequence[Camera]) -> Iterator[Camera]:
    """The cameras of Windows and macOS with what FFmpeg lists of each; as they are where it lists nothing."""
    for number, camera in enumerate(there):
        alike = sum(other.name == camera.name for other in there[:number])
        if platform.system() == "Windows":
            further = (f"video_device_number={alike}",) if alike else ()
            formats = in_dshow(_said("dshow", f"video={camera.name}", *further))
        else:
            formats = in_avfoundation(_said("avfoundation", f"{camera.name}:none"))
        yield Camera(camera.source, camera.name, formats)


def _said(kind: str, target: str, *options: str) -> str:
    """What FFmpeg says when it is asked to list a camera; nothing where it does not answer."""
    command = (sys.executable, "-P", listing.__file__, kind, target, *options)
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")


def _probed() -> Iterator[Camera]:
    """Cameras that OpenCV can open, by number."""
    with quiet():
        for number in range(_PROBED):
            capture = cv2.VideoCapture(number, backend())
            if capture.isOpened():
                yield Camera(str(number), f"camera {number}")
            capture.release()


@contextmanager
def quiet() -> Iterator[None]:
    """OpenCV without its warnings about cameras that are not there."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
