"""Blind reading of the invisible mark: evidence is gathered over pictures, then searched for the keyed pattern.

A stretch's pictures are turned into one complex picture, in which what stands still is gone and what swings at the
mark's pace remains. It is cut at many guesses of the tile's size, all tiles are laid over each other, and the sum is
compared with the key at every shift at once. Without a mark the key's phases have nothing to do with the picture, so
the strength of the best of n looks exceeds s with a probability of at most n exp(-s), whatever the picture shows.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.egress.pattern import GRID, KEY, PERIOD_S, TILES, Waves
from realtime.egress.payload import CODED_BITS, Payload, decode

FALSE_ALARMS: Final = 1e-6  # of stretches without a mark that may be called marked, at most
SIDE: Final = 240  # px on the shorter side of the pictures that are looked at
LONGEST: Final = 4  # times the shorter side
FASTEST: Final = 31.0  # pictures in a second that are looked at
LARGEST_TILE: Final = 1.7  # of the shorter side: of a picture cropped to 60 %
SMALLEST_TILE: Final = 0.4  # of a picture that fills 40 % of the screen
STEP: Final = 0.012  # from one guess of the tile's size to the next
_CLIP: Final = 4.0  # grey levels: what changes more is no mark
_NEAR: Final = 5  # px of the pictures that are looked at: what a pixel is compared with
_EXPECTED: Final = 8.0  # grey levels squared: about what a mark adds there, and a camera's noise

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]
Spectrum = TypeVar("Spectrum", Complex, Floats)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mark was found."""

    period: float  # px of the evidence from one tile to the next
    shift: tuple[int, int]  # of the tile, right and down, in its GRID samples
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What the pictures of one stretch say."""

    strength: float  # exceeds s with a probability of at most looks * exp(-s) where there is no mark
    looks: int
    place: Place
    signs: NDArray[np.float64]  # (CODED_BITS,) soft, of the message
    payload: Payload | None  # None where the check bits do not fit

    @property
    def chance(self) -> float:
        """The probability that pictures without a mark look as marked as these, at most."""
        return float(min(1.0, self.looks * np.exp(-self.strength)))

    @property
    def marked(self) -> bool:
        """Whether a mark is there, at FALSE_ALARMS."""
        return self.chance <= FALSE_ALARMS


class Gatherer:
    """Turns grey pictures with their times into evidence; its memory is that of the pictures of one second."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, Floats]] = deque()
        self._sum: list[Floats] = []
        self._first = self._last = 0.0
        self._count = 0

    def add(self, grey: Grey, at: float) -> None:
        """The next picture, (h, w), at so many seconds; too quick ones are left out, and a leap begins anew."""
        if self._past and 0 <= at - self._past[-1][0] < 0.9 / FASTEST:
            return
        small = reduced(grey)
        if self._past and (not 0 < at - self._past[-1][0] < PERIOD_S or self._past[-1][1].shape != small.shape):
            self._past.clear()
            if self._sum and self._sum[0].shape != small.shape:
                self.clear()
        if not self._sum:
            self._sum = [np.zeros_like(small), np.zeros_like(small)]
        self._past.append((at, small))
        half = PERIOD_S / 2
        while len(self._past) > 1 and self._past[1][0] <= at - half + 0.5 / FASTEST:
            self._past.popleft()
        then, before = self._past[0]
        if abs(at - half - then) > 1.5 / FASTEST + 0.02:
            return
        change = small - before
        change -= cv2.blur(change, (SIDE // 5, SIDE // 5))
        np.clip(change, -_CLIP, _CLIP, out=change)
        turn = 2 * np.pi * (at % PERIOD_S) / PERIOD_S
        for part, factor in zip(self._sum, (np.cos(turn), -np.sin(turn)), strict=True):
            cv2.scaleAdd(change, float(factor), part, part)
        self._count += 1

    def evidence(self) -> Complex | None:
        """The complex picture (h, w) of all that was added; None while it is too little."""
        if self._count < 8:
            return None
        return np.asarray(self._sum[0] + 1j * self._sum[1], np.complex64)

    def clear(self) -> None:
        """Forgets the evidence, not the pictures of the last second."""
        self._sum, self._count = [], 0


def alone(grey: Grey) -> Complex:
    """The evidence of a single picture, (h, w): what is left where its shapes are taken out.

    That is what Lee's filter (1980), Wiener's with the mean and the variance of each pixel's surroundings, would call
    noise: all that is fine where the picture is flat, little where it is textured.
    """
    small = reduced(grey)
    mean = cv2.blur(small, (_NEAR, _NEAR))
    variance = np.maximum(cv2.blur(small * small, (_NEAR, _NEAR)) - mean * mean, 0)
    fine = (small - mean) * (_EXPECTED / (_EXPECTED + variance))
    return np.asarray(np.clip(fine, -_CLIP, _CLIP), np.complex64)


def reduced(grey: Grey) -> Floats:
    """The picture with SIDE px on its shorter side, or as it is; the middle of a very long one."""
    most = LONGEST * min(grey.shape)
    top, left = (max(0, side - most) // 2 for side in grey.shape)
    grey = grey[top : top + most, left : left + most]
    scale = SIDE / min(grey.shape)
    if scale < 1:
        size = round(grey.shape[1] * scale), round(grey.shape[0] * scale)
        return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)
    return grey.astype(np.float32)


class Reader:
    """Knows a key and searches for its pattern."""

    def __init__(self, key: bytes = KEY, periods: Sequence[float] | None = None) -> None:
        """periods are guesses of the tile's size, as parts of the shorter side."""
        count = int(np.log(LARGEST_TILE / SMALLEST_TILE) / STEP)
        first = round(np.log(SMALLEST_TILE * TILES) / STEP)  # so that the size of an uncropped picture is among them
        guesses = np.exp(STEP * (first + np.arange(count))) / TILES
        self.periods = tuple(guesses.tolist()) if periods is None else tuple(periods)
        self.moving, self._alone = Search.of(key, False), Search.of(key, True)

    def read(self, evidence: Complex) -> Reading:
        """The likeliest mark in the evidence (h, w) of moving pictures."""
        return self.moving.read(evidence, self.periods)

    def read_picture(self, grey: Grey) -> Reading:
        """The likeliest mark in a single picture, (h, w): one made for such, or that of a film it was taken from."""
        evidence = alone(grey)
        first, second = (search.read(evidence, self.periods, 2) for search in (self._alone, self.moving))
        return max(first, second, key=lambda reading: reading.strength)


@dataclass(frozen=True, slots=True)
class Search:
    """The waves of a key, ready to be compared."""

    waves: Waves
    key: Complex  # (GRID, GRID) what the spectrum of a tile is compared with

    @classmethod
    def of(cls, key: bytes, alone: bool) -> "Search":
        """For moving pictures, or for those that stand alone."""
        waves = Waves.of(key, alone)
        spectrum = np.zeros((GRID, GRID), np.complex64)
        spectrum[waves.v % GRID, waves.u % GRID] = waves.strength * waves.phase.conj()
        return cls(waves, spectrum)

    def read(self, evidence: Complex, periods: Sequence[float], searches: int = 1) -> Reading:
        """The likeliest place, at these sizes of the tile, and what is said there; one of so many searches."""
        even = evened(evidence)
        side = min(even.shape)
        best = max((self._look(even, period * side) for period in periods), key=lambda found: found[0])
        near = best[1].period * np.exp(STEP / 4 * np.arange(-3, 4))
        strength, place = max((self._look(even, float(period)) for period in near), key=lambda found: found[0])
        looks = searches * (len(periods) + len(near)) * 2 * GRID * GRID
        signs = self._signs(even, place)
        return Reading(strength, looks, place, signs, decode(signs))

    def _look(self, even: Complex, period: float) -> tuple[float, Place]:
        """The best shift at this size of the tile."""
        best = -1.0, Place(period, (0, 0), False)
        for mirrored, (heard, power) in enumerate(self.spectra(even, period)):
            agreement = transformed(heard * self.key, cv2.DFT_INVERSE)
            power_there = agreement.real**2 + agreement.imag**2
            y, x = divmod(int(power_there.argmax()), GRID)
            strength = float(power_there[y, x]) / power
            if strength > best[0]:
                best = strength, Place(period, (x, y), bool(mirrored))
        return best

    def spectra(self, even: Complex, period: float) -> tuple[tuple[Complex, float], tuple[Complex, float]]:
        """The spectrum (GRID, GRID) at this size of the tile, and that of its mirror image.

        Each is as loud everywhere as its surroundings, and comes with the power that chance alone would find in it.
        """
        spectrum = transformed(fold(even, period))
        there = spectrum.real**2 + spectrum.imag**2
        level = smooth(there)
        loudest = 2 * np.sqrt(level / np.maximum(there, 1e-30))
        heard = spectrum * (np.minimum(1, loudest) / level)  # nobody shouts
        loud, wanted = heard.real**2 + heard.imag**2, self.key.real**2 + self.key.imag**2
        powers = (float((one * wanted).sum()) for one in (loud, mirrored(loud)))
        straight, turned = (max(power, 1e-30) for power in powers)
        # A tile turned over begins with its last column, not with its first.
        seam = np.exp(2j * np.pi * np.arange(GRID) / GRID).astype(np.complex64)
        return (heard, straight), (mirrored(heard) * seam, turned)

    def _signs(self, even: Complex, place: Place) -> NDArray[np.float64]:
        heard, power = self.spectra(even, place.period)[place.mirrored]
        waves = self.waves
        ramp = np.exp(2j * np.pi * (waves.u * place.shift[0] + waves.v * place.shift[1]) / GRID)
        chips = heard[waves.v % GRID, waves.u % GRID] * waves.phase.conj() * waves.strength * ramp
        turned = chips * np.exp(-1j * np.angle(chips.sum())) / np.sqrt(power)
        return np.asarray(np.bincount(waves.bit, turned.imag, CODED_BITS), np.float64)


def evened(evidence: Complex) -> Complex:
    """The evidence with the same power everywhere, so that what moved does not drown what stood still."""
    side = min(evidence.shape) // 8 | 1
    power = cv2.blur(evidence.real**2 + evidence.imag**2, (side, side))
    power = power + 1e-3 * power.mean() + 1e-12
    return np.asarray(evidence / np.sqrt(power), np.complex64)


def transformed(tile: Complex, flags: int = 0) -> Complex:
    """The Fourier transform of (GRID, GRID), without a factor."""
    parts = np.ascontiguousarray(tile, np.complex64).view(np.float32).reshape(GRID, GRID, 2)
    return np.ascontiguousarray(cv2.dft(parts, flags=flags), np.float32).view(np.complex64)[..., 0]


def mirrored(spectrum: Spectrum) -> Spectrum:
    """The spectrum (GRID, GRID) of what is seen in a mirror whose edge is the first column, or a power likewise."""
    return np.roll(spectrum[:, ::-1], 1, axis=1)


def smooth(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """The power of a spectrum (GRID, GRID) averaged over neighbours, around the corners as well."""
    around = cv2.copyMakeBorder(power.astype(np.float32), 3, 3, 3, 3, cv2.BORDER_WRAP)
    level = cv2.blur(around, (7, 7))[3:-3, 3:-3]
    return np.asarray(level + 1e-4 * level.mean() + 1e-20, np.float32)


def fold(even: Complex, period: float) -> Complex:
    """All tiles of this size, in px, laid over each other, (GRID, GRID)."""
    height, width = even.shape
    scale = GRID / period
    size = max(1, round(width * scale)), max(1, round(height * scale))
    parts = even.view(np.float32).reshape(height, width, 2)
    scaled = cv2.resize(parts, size, interpolation=cv2.INTER_LINEAR)
    right, down = -size[0] % GRID, -size[1] % GRID
    filled = cv2.copyMakeBorder(scaled, 0, down, 0, right, cv2.BORDER_CONSTANT, value=0)
    tiles = filled.reshape(filled.shape[0] // GRID, GRID, filled.shape[1] // GRID, GRID, 2).sum(axis=(0, 2))
    return np.ascontiguousarray(tiles).view(np.complex64)[..., 0]
