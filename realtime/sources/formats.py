"""What a camera can give, and how FFmpeg's listings of DirectShow and AVFoundation say it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_FASTEST: Final = 1000.0  # frames a second; some drivers say ten million where they mean that they do not know

# FFmpeg's names of what cameras give, and the four letters that cameras themselves have for it.
_FOURCCS: Final = (
    ("bgr0", "BGR4"),
    ("bgr24", "BGR3"),
    ("hevc", "HEVC"),
    ("h264", "H264"),
    ("mjpeg", "MJPG"),
    ("nv12", "NV12"),
    ("uyvy422", "UYVY"),
    ("yuv420p", "I420"),
    ("yuyv422", "YUYV"),
)
# libavdevice/dshow.c: what it is, then the smallest and slowest and the largest and fastest of one entry.
_DSHOW: Final = re.compile(
    r"(?:pixel_format=|vcodec=|unknown compression type )(?P<kind>\S+)"
    r"\s+min s=(?P<least>\d+x\d+) fps=(?P<slow>\S+)\s+max s=(?P<most>\d+x\d+) fps=(?P<fast>\S+)"
)
# libavdevice/avfoundation.m: a size, and the slowest and fastest of one range of its rates.
_AVFOUNDATION: Final = re.compile(r"(?P<size>\d+x\d+)@\[(?P<slow>[\d.,]+) (?P<fast>[\d.,]+)\]fps")


@dataclass(frozen=True, slots=True)
class Format:
    """Pictures that a camera can give."""

    fourcc: str  # MJPG is compressed, most others are raw; empty where the system chooses, as on macOS
    width: int  # px
    height: int  # px
    rates: tuple[float, ...]  # frames a second, highest first; empty where the driver does not say

    @property
    def compressed(self) -> bool:
        """Whether pictures are compressed on their way, so that the cable does not limit the rate."""
        return self.fourcc in ("MJPG", "JPEG", "H264", "HEVC")


def in_dshow(listing: str) -> tuple[Format, ...]:
    """What FFmpeg's `list_options` says of a camera of DirectShow, largest first; ranges are their ends."""
    return _sorted(_of_dshow(listing))


def in_avfoundation(listing: str) -> tuple[Format, ...]:
    """The supported modes that FFmpeg lists where it was asked for one that is none, largest first.

    AVFoundation turns pictures into whatever is asked for, so no format is said.
    """
    return _sorted(_of_avfoundation(listing))


def _of_dshow(listing: str) -> Iterator[tuple[str, str, str]]:
    for found in _DSHOW.finditer(listing):
        fourcc = _fourcc(found["kind"])
        for size in (found["most"], found["least"]):
            yield fourcc, size, found["fast"]
            yield fourcc, size, found["slow"]


def _of_avfoundation(listing: str) -> Iterator[tuple[str, str, str]]:
    for found in _AVFOUNDATION.finditer(listing):
        yield "", found["size"], found["fast"]
        yield "", found["size"], found["slow"]


def _sorted(said: Iterable[tuple[str, str, str]]) -> tuple[Format, ...]:
    """Fourcc, size and rate as they are said, put together: the same size comes in several entries."""
    rates: dict[tuple[str, int, int], set[float]] = {}
    for fourcc, size, rate in said:
        width, height = (int(side) for side in size.split("x"))
        if not width or not height:
            continue
        known = rates.setdefault((fourcc, width, height), set())
        known.update(one for one in _rate(rate) if 0 < one <= _FASTEST)
    there = [Format(*key, tuple(sorted(known, reverse=True))) for key, known in rates.items()]
    return tuple(sorted(there, key=lambda one: (-one.width * one.height, one.fourcc)))


def _rate(text: str) -> Iterator[float]:
    """Nothing where it is no number; some systems write 29,97."""
    try:
        yield round(float(text.replace(",", ".")), 2)
    except ValueError:
        return


def _fourcc(kind: str) -> str:
    """MJPG for mjpeg; for 0x34363248, a format that FFmpeg does not know, the letters that it stands for: H264."""
    if not kind.startswith("0x"):
        return dict(_FOURCCS).get(kind, kind.upper())
    letters = int(kind, 16).to_bytes(8, "little").rstrip(b"\0").decode("latin-1")
    return letters if letters.isascii() and letters.isprintable() else kind
