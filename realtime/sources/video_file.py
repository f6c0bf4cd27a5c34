"""A video file: every frame of it, or, live, what a camera would have given."""

import logging
import time
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from realtime.errors import EndOfStream, SourceError, SourceLost, SourceMissing
from realtime.flow.letterbox import Image, letterbox
from realtime.flow.owner import Owner
from realtime.frame import Frame
from realtime.sources.limits import check_asked, check_seen, fitted_size
from realtime.sources.pace import Pace

logger = logging.getLogger(__name__)

UNTAGGED_HD = 720  # rows from which video that does not name its colours has those of HD (BT.709), as players assume
ROUNDED = (
    Interpolation.BILINEAR | Interpolation.ACCURATE_RND
)  # into YUV and other sizes: the default is 3 of 255 too dark
PATIENCE_S = 1.0  # how long late frames are skipped in one go before the clock is set back instead


class VideoFile(Owner):
    """A file as a source; it opens in `async with`.

    Recorded, every frame is read, with its place on the timeline in `at`. Live, the file plays at its own speed:
    no frame comes before its time, `captured_at` is the time at which it was due, and who reads slowly gets the
    newest one, with a gap in the numbers. Where a width or height is given, pictures are fitted into that size.
    """

    def __init__(self, path: Path, live: bool = False, width: int | None = None, height: int | None = None) -> None:
        super().__init__("video file")
        check_asked(width, height, None)
        self.path = path
        self.live = live
        self._asked = (width, height)
        self._pace = Pace()

    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Raises SourceMissing where there is no such file, SourceError where it is no video."""
        self._film = await self._hold(opening, partial(Film, self.path), Film.close)

    async def read(self) -> Frame:
        """The next frame. Raises EndOfStream after the last one, SourceLost where the file is damaged."""
        if not self.live:
            shot, image = await self._worker.run(self._next)
            return Frame(image, shot.index, time.perf_counter(), shot.at)
        shot, image = await self._worker.run(self._current)
        return Frame(image, shot.index, await self._pace.wait(shot.at), shot.at)

    def _next(self) -> "tuple[Shot, Image]":
        shot = self._film.next()
        return shot, self._film.picture(shot, *self._asked)

    def _current(self) -> "tuple[Shot, Image]":
        """The frame to show now, or, where the reader is early, next; frames whose time is over are skipped."""
        shot, began = self._film.next(), time.perf_counter()
        while shot.at + shot.lasts <= self._pace.now():
            if time.perf_counter() - began > PATIENCE_S:
                logger.warning("%s plays slower than its own speed on this machine", self.path)
                self._pace.restart(shot.at)
                break
            try:
                shot = self._film.next()
            except EndOfStream:
                break
        return shot, self._film.picture(shot, *self._asked)


@dataclass(frozen=True, slots=True)
class Shot:
    """A decoded frame, not yet a picture."""

    frame: VideoFrame
    index: int  # counts from 0
    at: float  # seconds since the file's start
    lasts: float  # seconds until the next one is due


class Film:
    """Decodes the pictures of one file; it blocks, so it belongs on a worker."""

    def __init__(self, path: Path) -> None:
        """Raises SourceMissing where there is no such file, SourceError where it is no video."""
        self._path = path
        self._container = open_media(path)
        try:
            self._stream = _moving_pictures(path, self._container)
            check_seen(str(path), self._stream.width, self._stream.height)
        except SourceError:
            self._container.close()
            raise
        self._origin = timeline_origin(self._container)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._lasts = float(1 / rate) if rate else 1 / 30
        self._frames = self._decoded()
        self._count = 0
        self._end = 0.0  # where a frame without a time of its own belongs

    @property
    def seconds(self) -> float:
        """How long the file says that it is; 0 where it does not say."""
        return (self._container.duration or 0) / av.time_base

    @property
    def rate(self) -> float:
        """Frames in a second, about."""
        return 1 / self._lasts

    def seek(self, at: float) -> None:
        """Goes on from the last key frame that is not after `at` seconds. Raises SourceError where the file cannot."""
        try:
            self._container.seek(round((self._origin + at) * av.time_base))
        except (av.FFmpegError, OSError) as error:
            raise SourceError(f"{self._path} cannot be wound to {at:.1f} s: {error.strerror}") from error
        self._frames.close()
        self._frames = self._decoded()

    def next(self) -> Shot:
        """The next frame. Raises EndOfStream after the last one, SourceLost where the file breaks off."""
        frame = next(self._frames, None)
        if frame is None and self._count == 0:
            raise SourceError(f"{self._path} holds no picture that can be decoded")
        if frame is None:
            raise EndOfStream(f"{self._path} has no more than {self._count} frames")
        at = self._end if frame.time is None else frame.time - self._origin
        lasts = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else self._lasts
        shot = Shot(frame, self._count, at, lasts)
        self._count, self._end = self._count + 1, at + lasts
        return shot

    def picture(self, shot: Shot, width: int | None, height: int | None) -> Image:
        """The frame as it is meant to be seen: upright, with square pixels, fitted into the size where one is given."""
        image = as_bgr(shot.frame, self._square_width(shot.frame))
        if turns := shot.frame.rotation // 90:
            image = np.ascontiguousarray(np.rot90(image, turns))
        return letterbox(image, *fitted_size(image.shape[1], image.shape[0], width, height))

    def close(self) -> None:
        """Gives the file back."""
        self._frames.close()
        self._container.close()

    def _decoded(self) -> "Generator[VideoFrame, None, None]":
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise SourceLost(f"{self._path} breaks off after {self._count} frames: {error.strerror}") from error
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                logger.warning("%s: a damaged packet after frame %d was skipped", self._path, self._count)

    def _square_width(self, frame: VideoFrame) -> int:
        aspect = self._stream.sample_aspect_ratio
        return frame.width if not aspect else min(2 * frame.width, max(1, round(frame.width * aspect)))


def open_media(path: Path) -> InputContainer:
    """The file, opened for reading. Raises SourceMissing where there is none, SourceError where it is no media."""
    if not path.exists():
        raise SourceMissing(f"there is no file {path}")
    try:
        container = av.open(path, "r")
    except PermissionError as error:
        raise SourceError(f"{path} may not be read by this user") from error
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"{path} is no video that can be read: {error.strerror}") from error
    if container.format.name == "tty":  # FFmpeg draws any text file as a film of a terminal
        container.close()
        raise SourceError(f"{path} is a text file: wanted a video")
    return container


def timeline_origin(container: InputContainer) -> float:
    """Where the file's timeline starts, in seconds on the clock of its packets; picture and sound share it."""
    return (container.start_time or 0) / av.time_base


def _moving_pictures(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song is no video
            return stream
    raise SourceError(f"{path} has no moving picture: wanted a video")


def as_bgr(frame: VideoFrame, width: int) -> Image:
    """The frame's picture, scaled to a width and not in height; where its colours are not named, as players guess."""
    untagged = frame.colorspace in (2, 3)  # unspecified, reserved
    colours = ("ITU709" if frame.height >= UNTAGGED_HD else "ITU601") if untagged else None
    # In its own size the default is as right as ROUNDED, but for edges of colours, and takes a fifth of the time.
    how = Interpolation.BILINEAR if width == frame.width else ROUNDED
    image = frame.to_ndarray(
        format="bgr24", width=width, height=frame.height, src_colorspace=colours, interpolation=how
    )
    return np.asarray(image, np.uint8)
