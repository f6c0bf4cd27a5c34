"""What the reader finds where there is no mark: the strengths of unmarked stretches under many keys."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.marks_clips import Clip
from bench.marks_ways import Way, greys
from realtime.egress.evidence import FALSE_ALARMS, Complex, Gatherer, Reader, evened
from realtime.egress.pattern import GRID

STRETCH_S: Final = 5.0
HOP_S: Final = 0.5  # from one stretch to the next: they overlap


@dataclass(frozen=True, slots=True)
class Null:
    """The strengths of unmarked stretches, sorted, each the best of so many looks."""

    strengths: NDArray[np.float64]
    looks: int
    stretches: int  # different ones; each is read with many keys
    own: float  # the strongest with our own key

    @property
    def threshold(self) -> float:
        """From which strength on a stretch is called marked."""
        return float(np.log(self.looks / FALSE_ALARMS))

    @property
    def alarms(self) -> int:
        """How many were called marked."""
        return int((self.strengths >= self.threshold).sum())

    @property
    def effective(self) -> float:
        """Of the looks, how many count as independent: fitted to the middle half of the strengths.

        The best of n independent looks stays below s with the probability (1 - exp(-s)) ** n, nearly exp(-n exp(-s)).
        """
        n = len(self.strengths)
        inner = slice(n // 4, n * 3 // 4)
        below = (np.arange(n) + 0.5) / n
        return float(np.exp(np.mean(self.strengths[inner] + np.log(-np.log(below[inner])))))

    def expected(self, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of stretches that exceed these strengths, as the fit has it."""
        return np.asarray(-np.expm1(-self.effective * np.exp(-strengths)))

    @property
    def deviation(self) -> float:
        """The largest distance between the measured shares and those of the fit (Kolmogorov-Smirnov)."""
        n = len(self.strengths)
        return float(np.abs((1 - (np.arange(n) + 0.5) / n) - self.expected(self.strengths)).max())


def evidences(clip: Clip, way: Way, hop: float = HOP_S) -> list[Complex]:
    """Of every stretch of a clip on one way."""
    pictures, out = greys(clip.pictures) if way.go is greys else way.go(clip.pictures), []
    length, step = round(STRETCH_S * way.fps), max(1, round(hop * way.fps))
    for start in range(0, max(1, len(pictures) - length + 1), step):
        gatherer = Gatherer()
        for number, picture in enumerate(pictures[start : start + length]):
            gatherer.add(picture, (start + number) / way.fps)
        found = gatherer.evidence()
        if found is not None:
            out.append(found)
    return out


def measure(all_: Sequence[Complex], wanted: int, threads: int, told: Callable[[int, int], None]) -> Null:
    """At least so many strengths: every stretch with as many keys as it takes, and with our own."""
    reader = Reader()
    keys = -(-wanted // len(all_))
    strengths: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_strengths, one, reader, keys, number) for number, one in enumerate(all_)]
        own = [pool.submit(reader.read, one) for one in all_]
        for job in jobs:
            strengths += job.result()
            told(len(strengths), keys * len(all_))
        strongest = max(one.result().strength for one in own)
    looks = len(reader.periods) * 2 * GRID * GRID
    return Null(np.sort(np.array(strengths)), looks, len(all_), strongest)


def _strengths(evidence: Complex, reader: Reader, keys: int, seed: int) -> list[float]:
    """The best of all looks, for each of so many random keys."""
    even = evened(evidence)
    side = min(even.shape)
    drawn = np.random.default_rng(seed)
    search = reader.moving
    size = np.abs(search.key)
    turned = [(size * np.exp(2j * np.pi * drawn.random(size.shape))).astype(np.complex64) for _ in range(keys)]
    best = np.zeros(keys)
    for period in reader.periods:
        for heard, power in search.spectra(even, period * side):
            for number, key in enumerate(turned):
                found = largest(heard * key) / power
                best[number] = max(best[number], found)
    return [float(one) for one in best]


def largest(spectrum: Complex) -> float:
    """The largest power of what has this spectrum (GRID, GRID)."""
    parts = cv2.idft(spectrum.view(np.float32).reshape(GRID, GRID, 2))
    return float((parts[..., 0] ** 2 + parts[..., 1] ** 2).max())
