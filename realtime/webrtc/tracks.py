"""Hands the pictures that leave a session to its peer and to its viewers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import av
import cv2
import numpy as np
from aiortc.mediastreams import VIDEO_CLOCK_RATE, VIDEO_TIME_BASE, MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

from realtime.flow.owner import Owner
from realtime.flow.worker import Worker
from realtime.frame import Frame
from realtime.webrtc.bitrate import Gauge, Rate, scale_for

STEP: Final = VIDEO_CLOCK_RATE // 1000  # timestamps rise by a millisecond at least, which survives the encoders' clocks
RECENT_S: Final = 1.0
LONG_S: Final = 10.0


class Ages:
    """How old pictures are when they have been handed over: from their capture to the end of sending."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._noted: deque[tuple[float, float]] = deque(maxlen=1000)  # (at, age), seconds

    def note(self, captured_at: float) -> None:
        """Notes a picture that was handed over just now."""
        now = self._clock()
        self._noted.append((now, now - captured_at))

    def percentile(self, share: float, within: float = RECENT_S) -> float | None:
        """The age in seconds that so many of 100 in the last seconds did not exceed; None where there was none."""
        since = self._clock() - within
        ages = sorted(age for at, age in self._noted if at > since)
        return ages[min(len(ages) - 1, int(len(ages) * share / 100))] if ages else None


class Picture(MediaStreamTrack):
    """What one peer or viewer sees. It waits for a frame, and gives the newest one there is, once."""

    kind = "video"

    def __init__(self, worker: Worker, rate: Rate, fps: float, sent: Callable[[float], None]) -> None:
        """worker draws; sent takes the capture time of each frame when it has been encoded and sent."""
        super().__init__()
        self.rate = rate
        self.gauge = Gauge()
        self._offered = 0
        self._replaced = 0
        self._worker = worker
        self._fps = fps
        self._sent = sent
        self._newest: Frame | None = None
        self._changed = asyncio.Event()
        self._sending: float | None = None  # capture time of what recv() gave last
        self._begun = False  # whether anybody has asked for a frame: nobody does before the connection stands
        self._origin: float | None = None
        self._pts = -STEP

    def offer(self, frame: Frame) -> None:
        """Leaves a frame in place of the one that was not taken."""
        self._offered += 1
        self._replaced += self._newest is not None
        self._newest = frame
        self._changed.set()

    def missed(self) -> float:
        """What share of the frames offered since this was asked last was replaced before it could be sent."""
        share = self._replaced / self._offered if self._offered and self._begun else 0.0
        self._offered = self._replaced = 0
        return share

    def stop(self) -> None:
        """Ends it; whoever waits for a frame is told."""
        super().stop()
        self._changed.set()

    async def recv(self) -> av.VideoFrame:
        """The newest frame, as soon as there is one. Raises MediaStreamError once it has ended."""
        if self._sending is not None:  # whoever asks for another one has encoded and sent that one
            self._sent(self._sending)
            self._sending = None
        self._begun = True
        frame = await self._next()
        height, width = frame.image.shape[:2]
        scale = scale_for(self.rate.applied, width, height, self._fps)
        picture = await self._worker.run(drawn, frame.image, scale)
        if self.readyState != "live":
            raise MediaStreamError("this track has ended")
        picture.pts, picture.time_base = self._stamp(frame.captured_at), VIDEO_TIME_BASE
        self._sending = frame.captured_at
        return picture

    async def _next(self) -> Frame:
        while self.readyState == "live":
            if self._newest is not None:
                frame, self._newest = self._newest, None
                return frame
            self._changed.clear()
            await self._changed.wait()
        raise MediaStreamError("this track has ended")

    def _stamp(self, captured_at: float) -> int:
        """The capture's place on the track's clock, later than the one before in any case."""
        if self._origin is None:
            self._origin = captured_at
        self._pts = max(self._pts + STEP, round((captured_at - self._origin) * VIDEO_CLOCK_RATE))
        return self._pts


class Screens(Owner):
    """Everybody who sees a session, as the one sink behind its gate; nobody slows the others."""

    def __init__(self, fps: float) -> None:
        super().__init__("screens")
        self._fps = fps
        self._pictures: list[Picture] = []
        self._last: Frame | None = None

    async def _acquire(self, opening: AsyncExitStack) -> None:
        opening.callback(self._end)

    def added(self, rate: Rate, sent: Callable[[float], None]) -> Picture:
        """One more who sees the session, from the last frame on."""
        picture = Picture(self._worker, rate, self._fps, sent)
        self._pictures.append(picture)
        if self._last is not None:
            picture.offer(self._last)
        return picture

    def remove(self, picture: Picture) -> None:
        """One who sees it no more."""
        picture.stop()
        if picture in self._pictures:
            self._pictures.remove(picture)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Everybody there is."""
        return tuple(self._pictures)

    async def write(self, frame: Frame) -> None:
        """Leaves the frame for everybody; never waits."""
        self._last = frame
        for picture in self._pictures:
            picture.offer(frame)

    def _end(self) -> None:
        for picture in self._pictures:
            picture.stop()


def drawn(image: NDArray[np.uint8], scale: float) -> av.VideoFrame:
    """The picture (h, w, 3) BGR as encoders take it, its sides times scale and even."""
    height, width = image.shape[:2]
    size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    if size != (width, height):
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")
