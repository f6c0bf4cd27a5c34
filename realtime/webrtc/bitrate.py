"""How many bits and pixels are sent: aiortc's encoders with limits of our own, and less of both under load."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av import VideoFrame
from av.frame import Frame

from realtime.webrtc.media import MediaSettings

SCALES: Final = (1.0, 0.75, 0.5)  # of a picture's sides
BITS_PER_PIXEL: Final = 0.03  # below it a smaller picture looks better than a coarser one
ENOUGH_PER_PIXEL: Final = 0.2  # bits: what more a face in VP8 is given, nobody sees, and it takes longer to encode
LEAST_LINES: Final = 360  # px of the shorter side, below which a label that is made smaller cannot be read
# Each change of an encoder's rate costs a picture that stands alone, so changes are seldom: down soon, up later.
DOWN: Final = 0.85
UP: Final = 1.25
DOWN_S: Final = 1.0
UP_S: Final = 5.0
BUSY: Final = 0.9  # of the time between two frames, from which a part is too slow
EASY: Final = 0.75  # up to which a larger size is tried again: most of the work is the same at every size
DROPPED: Final = 0.15  # of the frames, from which something is too slow
PATIENCE: Final = 3  # seconds of load before a step down
CALM: Final = 10  # seconds without before a step up
LONGEST_CALM: Final = 160
STARVED: Final = 0.67  # of the frames lost, from which on a session has too few
STARVED_S: Final = 5  # seconds of it at the smallest size, after which nobody else should come


@dataclass(frozen=True, slots=True)
class Limits:
    """Bits a second."""

    start: int
    least: int
    most: int
    fps: float = math.inf  # of the pictures; says how many bits are enough for their size

    @classmethod
    def of(cls, media: MediaSettings) -> "Limits":
        """Those of the settings."""
        return cls(media.start_kbps * 1000, media.least_kbps * 1000, media.most_kbps * 1000, media.fps)


class Rate:
    """The bitrate of one encoder: what the far end says it can take, within limits, and a share of that under load.

    One thread changes it, any may read.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._estimate = limits.start
        self._share = 1.0
        self._enough = math.inf  # for pictures of the size that is sent
        self._applied = limits.start
        self._changed_at = -math.inf

    @property
    def applied(self) -> int:
        """Bits a second, as the encoder is to make them."""
        return self._applied

    @property
    def estimate(self) -> int:
        """Bits a second that the far end can take, within the limits."""
        return self._estimate

    def estimated(self, bits: int) -> None:
        """Takes the far end's estimate (REMB), in bits a second."""
        self._estimate = max(self._limits.least, min(bits, self._limits.most))
        self._apply()

    def shared(self, share: float) -> None:
        """Takes what share of the estimate is to be used, 0..1."""
        self._share = share
        self._apply()

    def sized(self, width: int, height: int) -> None:
        """Takes the size of the pictures that are sent, px."""
        self._enough = ENOUGH_PER_PIXEL * width * height * self._limits.fps

    def _apply(self) -> None:
        wanted = max(self._limits.least, round(min(self._estimate * self._share, self._enough)))
        waited = self._clock() - self._changed_at
        down = wanted < self._applied * DOWN and waited >= DOWN_S
        up = wanted > self._applied * UP and waited >= UP_S
        if down or up:
            self._applied, self._changed_at = wanted, self._clock()


class Gauge:
    """What encoders do: any thread may write and read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._encoded: deque[tuple[float, float, int]] = deque(maxlen=240)  # (at, seconds, bytes)
        self.keyframes_asked = 0

    def encoded(self, seconds: float, size: int, keyframe: bool) -> None:
        """Notes one picture: how long it took, its bytes, and whether it had to stand alone."""
        with self._lock:
            self._encoded.append((self._clock(), seconds, size))
            self.keyframes_asked += keyframe

    @property
    def kbps(self) -> float:
        """Kilobits in the last second."""
        with self._lock:
            return sum(size for at, _, size in self._encoded if at > self._clock() - 1.0) * 8 / 1000

    @property
    def busy(self) -> float:
        """What share of the last second went into encoding."""
        with self._lock:
            return sum(seconds for at, seconds, _ in self._encoded if at > self._clock() - 1.0)


class Steered(Encoder):
    """An encoder of aiortc's, which stands behind this one in the order of bases, at a rate of ours, unclamped."""

    def __init__(self, rate: Rate, gauge: Gauge) -> None:
        super().__init__()
        self._rate = rate
        self._gauge = gauge

    @property
    def target_bitrate(self) -> int:
        """Bits a second; what is set is an estimate of the far end."""
        return self._rate.applied

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._rate.estimated(bitrate)

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """As aiortc's, and notes what it took."""
        if isinstance(frame, VideoFrame):
            self._rate.sized(frame.width, frame.height)
        began = time.perf_counter()
        payloads, timestamp = super().encode(frame, force_keyframe)  # type: ignore[safe-super]
        self._gauge.encoded(time.perf_counter() - began, sum(map(len, payloads)), force_keyframe)
        return payloads, timestamp


class Vp8(Steered, Vp8Encoder):
    """VP8, which aiortc clamps to 1.5 Mbit/s."""


class H264(Steered, H264Encoder):
    """H.264, which aiortc clamps to 3 Mbit/s."""


def encoder_for(codec: RTCRtpCodecParameters, rate: Rate, gauge: Gauge) -> Encoder:
    """An encoder of our own for one of realtime.webrtc.offer.CODECS."""
    return Vp8(rate, gauge) if codec.name.upper() == "VP8" else H264(rate, gauge)


def scale_for(bits: int, width: int, height: int, fps: float) -> float:
    """The largest of SCALES at which so many bits a second make a good picture of what is width x height px now."""
    readable = [scale for scale in SCALES if scale == 1.0 or min(width, height) * scale >= LEAST_LINES]
    for scale in readable:
        if bits >= BITS_PER_PIXEL * width * height * scale**2 * fps:
            return scale
    return readable[-1]


@dataclass(frozen=True, slots=True)
class Load:
    """How one second went."""

    busy: float  # the slowest part's time for a frame, as a share of the time between two frames
    dropped: float  # share of the frames that nobody had time for


class Effort:
    """Chooses the picture's scale from how the last seconds went: smaller after a few bad ones, larger after many good.

    A size that proved too large is tried again after twice as long each time.
    """

    def __init__(self) -> None:
        self._level = 0
        self._bad = 0
        self._good = 0
        self._calm = CALM
        self._starved = 0

    @property
    def starved(self) -> bool:
        """Whether for STARVED_S the smallest size has not been small enough for a third of the frames."""
        return self._starved >= STARVED_S

    @property
    def scale(self) -> float:
        """One of SCALES."""
        return SCALES[self._level]

    def __call__(self, load: Load) -> float:
        """The scale from now on, after one more second that went like this."""
        bad = load.busy > BUSY or load.dropped > DROPPED
        self._bad = self._bad + 1 if bad else 0
        starved = self._level == len(SCALES) - 1 and load.dropped > STARVED
        self._starved = self._starved + 1 if starved else 0
        good = load.busy <= EASY and load.dropped <= DROPPED / 3
        self._good = self._good + 1 if good else 0
        if self._bad >= PATIENCE and self._level < len(SCALES) - 1:
            self._step(1)
            self._calm = min(2 * self._calm, LONGEST_CALM)
        elif self._good >= self._calm and self._level > 0:
            self._step(-1)
        elif self._good >= LONGEST_CALM:
            self._calm = CALM
        return self.scale

    def _step(self, by: int) -> None:
        self._level += by
        self._bad = self._good = 0
