"""Keeps sound in step with the picture: what comes in goes out as much later as pictures do."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

LONGEST_S: Final = 3.0  # sound that waits longer is lost
GENTLE: Final = 0.02  # seconds by which the delay changes in a second, while it is nearly right
BRISK: Final = 2.0  # of what is wrong is mended in a second, while it is not: far ends stretch sound, and hear no gap
QUICKEST: Final = 1.0  # seconds in a second
LEAP_S: Final = 1.0  # timestamps that leap so far begin a new recording
WAITING: Final = 25  # frames of 20 ms that one listener may leave untaken


class Timeline:
    """Knows when a piece of sound was captured, on our clock, from its own timestamps; the network's jitter is not in.

    The quickest arrivals say how the two clocks lie to each other; slow ones are believed slowly, because clocks drift.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def __call__(self, at: float, arrived_at: float) -> float:
        """The capture of what has the timestamp `at` and has just come, both in seconds."""
        offset = arrived_at - at
        if self._offset is None or abs(offset - self._offset) > LEAP_S:
            self._offset = offset
        self._offset += (offset - self._offset) * (0.5 if offset < self._offset else 0.005)
        return at + self._offset


class Delay:
    """Follows the picture's delay smoothly, so that nobody hears the change."""

    def __init__(self) -> None:
        self.seconds: float | None = None  # None until there was a picture
        self._at = 0.0

    def __call__(self, wanted: float | None, now: float) -> float:
        """The delay at `now` (seconds) while the picture's is `wanted`; None is not known yet, or any more."""
        passed, self._at = now - self._at, now
        if self.seconds is None or wanted is None:
            self.seconds = wanted if self.seconds is None else self.seconds
            return self.seconds or 0.0
        away = wanted - self.seconds
        most = min(max(GENTLE, BRISK * abs(away)), QUICKEST) * min(passed, 0.5)
        self.seconds += max(-most, min(away, most))
        return self.seconds


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of sound on its way."""

    frame: av.AudioFrame
    captured_at: float  # seconds


class Heard(MediaStreamTrack):
    """What one peer or viewer hears."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pieces: deque[av.AudioFrame] = deque(maxlen=WAITING)
        self._changed = asyncio.Event()
        self._next_pts: int | None = None

    def offer(self, frame: av.AudioFrame) -> None:
        """Leaves a piece; where too many wait, the oldest is lost."""
        self._pieces.append(frame)
        self._changed.set()

    def stop(self) -> None:
        """Ends it; whoever waits for sound is told."""
        super().stop()
        self._changed.set()

    async def recv(self) -> av.AudioFrame:
        """The next piece. Raises MediaStreamError once it has ended."""
        while self.readyState == "live":
            if self._pieces:
                return self._stamped(self._pieces.popleft())
            self._changed.clear()
            await self._changed.wait()
        raise MediaStreamError("this track has ended")

    def _stamped(self, frame: av.AudioFrame) -> av.AudioFrame:
        """A copy, because encoders write to what they get; its timestamp is later than the one before."""
        copy = av.AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=frame.layout.name)
        copy.sample_rate, copy.time_base = frame.sample_rate, frame.time_base
        pts = frame.pts or 0
        copy.pts = pts if self._next_pts is None else max(pts, self._next_pts)
        self._next_pts = copy.pts + frame.samples
        return copy


class Sound:
    """Takes sound from a peer and hands it to everybody who hears the session, in step with the picture."""

    def __init__(self, delay: Callable[[], float | None], clock: Callable[[], float] = time.perf_counter) -> None:
        """delay is how many seconds pictures take from their capture until they are sent; None: there was none."""
        self._wanted = delay
        self._clock = clock
        self._delay = Delay()
        self._timeline = Timeline()
        self._line: deque[Piece] = deque()
        self._arrived = asyncio.Event()
        self._heard: list[Heard] = []

    @property
    def delay(self) -> float | None:
        """Seconds by which sound is held back; None where there was none."""
        return self._delay.seconds

    def added(self) -> Heard:
        """One more who hears it."""
        heard = Heard()
        self._heard.append(heard)
        return heard

    def remove(self, heard: Heard) -> None:
        """One who hears it no more."""
        heard.stop()
        if heard in self._heard:
            self._heard.remove(heard)

    async def carry(self, track: MediaStreamTrack) -> None:
        """Carries the track's sound until it ends."""
        playing = asyncio.create_task(self._play(), name="sound")
        try:
            with suppress(MediaStreamError):
                while True:
                    self._take(await track.recv())
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
            for heard in self._heard:
                heard.stop()

    def _take(self, frame: object) -> None:
        if not isinstance(frame, av.AudioFrame) or frame.pts is None or frame.time_base is None:
            return
        now = self._clock()
        self._line.append(Piece(frame, self._timeline(float(frame.pts * frame.time_base), now)))
        while now - self._line[0].captured_at > LONGEST_S:
            self._line.popleft()
        self._arrived.set()

    async def _play(self) -> None:
        while True:
            while not self._line:
                self._arrived.clear()
                await self._arrived.wait()
            wait = self._line[0].captured_at + self._delay(self._wanted(), self._clock()) - self._clock()
            if wait > 0:
                await asyncio.sleep(min(wait, 0.02))
                continue
            piece = self._line.popleft()
            for heard in self._heard:
                heard.offer(piece.frame)
