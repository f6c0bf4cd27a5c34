"""What is to be verified, as grey pictures with their times: of a film, a folder, a picture or a stream."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from realtime.egress.evidence import SIDE, Grey
from realtime.errors import SourceError
from realtime.sources.folder import pictures_of
from realtime.sources.limits import check_seen
from realtime.sources.still import PICTURES, load_picture
from realtime.sources.video_file import open_media

OPENS_S: Final = 10.0  # a stream that is not there by then is given up
ANSWERS_S: Final = 10.0  # likewise one that falls silent
_STREAM: Final = re.compile(r"(https?|rtsps?|rtmps?|srt|udp|tcp)://", re.IGNORECASE)
_KINDS: Final = "a file, a folder of pictures, or an http, rtsp, rtmp, srt, udp or tcp address"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and when it is shown."""

    grey: Grey  # (h, w), as it is meant to be seen; small where it comes from a film
    at: float  # seconds since the beginning


def is_stream(target: str) -> bool:
    """Whether it is an address rather than a place on this machine."""
    return _STREAM.match(target) is not None


def stills(target: str) -> tuple[Path, ...]:
    """The pictures to look at one by one: that file, or those of that folder; none where it is a film or a stream.

    Raises SourceMissing and SourceError.
    """
    path = Path(target)
    if is_stream(target):
        return ()
    if path.is_dir():
        return pictures_of(path)
    if "://" in target and not path.exists():
        raise SourceError(f"{target} cannot be verified: wanted {_KINDS}")
    return (path,) if path.suffix.lower() in PICTURES else ()


def still(path: Path) -> Grey:
    """A picture of a file, (h, w). Raises SourceMissing and SourceError."""
    return np.asarray(cv2.cvtColor(load_picture(path), cv2.COLOR_BGR2GRAY), np.uint8)


def sequence(pictures: tuple[Path, ...], fps: float) -> Iterator[Shown]:
    """Pictures of a folder as those of a film. Raises SourceError."""
    for number, path in enumerate(pictures):
        yield Shown(still(path), number / fps)


class Reel:
    """The pictures of a file or stream, one after the other; use it in `with`, and read `broken` at the end."""

    def __init__(self, target: str, duration: float | None = None) -> None:
        """At most so many seconds of it; of a stream, also not longer than that and what opening may take.

        Raises SourceMissing and SourceError.
        """
        self.broken = ""  # why it ended too soon
        self._target = target
        self._duration = duration
        self._until = time.monotonic() + duration + OPENS_S if is_stream(target) and duration is not None else None
        self._container = _opened(target) if is_stream(target) else open_media(Path(target))
        try:
            self._stream = _moving(target, self._container)
            check_seen(target, self._stream.width, self._stream.height)
        except SourceError:
            self._container.close()
            raise

    def __enter__(self) -> "Reel":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Shown]:
        """The pictures. Raises SourceError where there is not one."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        step = float(1 / rate) if rate else 1 / 30
        first, at = None, -step
        for frame in self._decoded():
            at = at + step if frame.time is None else float(frame.time)
            first = at if first is None else first
            if self._duration is not None and at - first >= self._duration:
                return
            yield Shown(self._grey(frame), at - first)
        if first is None:
            raise SourceError(f"{self._target} holds no picture that can be decoded{self.broken and ': '}{self.broken}")

    def _decoded(self) -> Iterator[VideoFrame]:
        packets = self._container.demux(self._stream)
        while self._until is None or time.monotonic() < self._until:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                self.broken = (error.strerror or str(error)).lower()
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.FFmpegError as error:
                self.broken = f"a damaged packet was skipped ({(error.strerror or str(error)).lower()})"

    def _grey(self, frame: VideoFrame) -> Grey:
        """As it is meant to be seen: upright, with square pixels; no larger than it is looked at."""
        check_seen(self._target, frame.width, frame.height)
        aspect = self._stream.sample_aspect_ratio
        wide = frame.width if not aspect else min(2 * frame.width, max(1, round(frame.width * aspect)))
        scale = min(1.0, 2 * SIDE / min(wide, frame.height))
        size = max(1, round(wide * scale)), max(1, round(frame.height * scale))
        grey = np.asarray(frame.to_ndarray(format="gray", width=size[0], height=size[1]), np.uint8)
        turns = frame.rotation // 90
        return np.ascontiguousarray(np.rot90(grey, turns)) if turns else grey


def _opened(target: str) -> InputContainer:
    """A stream. Raises SourceError."""
    options = {"rtsp_transport": "tcp"} if target.lower().startswith("rtsp") else {}
    try:
        return av.open(target, "r", options=options, timeout=(OPENS_S, ANSWERS_S))
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{target} cannot be opened: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise SourceError(f"{target} is no address that can be opened: {error}") from error


def _moving(target: str, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise SourceError(f"{target} has no moving picture: wanted a video")
