"""What the reader finds where there is no mark: the strengths of unmarked stretches, and the law that they follow."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.marks_clips import Clip
from bench.marks_takes import STARTS, Take, evidences, takes
from realtime.egress.evidence import FALSE_ALARMS, Complex, Reader, Search, evened
from realtime.egress.pattern import GRID


@dataclass(frozen=True, slots=True)
class Null:
    """The strengths of unmarked stretches, sorted, each the best of so many looks."""

    strengths: NDArray[np.float64]  # with our own key
    others: NDArray[np.float64]  # of the first stretch of each take, with a random key
    looks: int
    different: int  # stretches of which no two have the same evidence, to the bit
    takes: int

    @property
    def threshold(self) -> float:
        """From which strength on a stretch is called marked."""
        return float(np.log(self.looks / FALSE_ALARMS))

    @property
    def alarms(self) -> int:
        """How many were called marked, with whichever key."""
        return int((self.strengths >= self.threshold).sum() + (self.others >= self.threshold).sum())

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
        return self._distance(self.strengths)

    @property
    def others_deviation(self) -> float:
        """The same for the random keys, with the fit of our own."""
        return self._distance(self.others)

    def _distance(self, strengths: NDArray[np.float64]) -> float:
        n = len(strengths)
        return float(np.abs((1 - (np.arange(n) + 0.5) / n) - self.expected(strengths)).max())


def measure(films: Sequence[Clip], wanted: int, threads: int, told: Callable[[int, int], None]) -> Null:
    """At least so many different stretches, as many of each film, each read with our own key and with others."""
    reader = Reader()
    each = -(-wanted // (STARTS * len(films)))
    jobs = [(film, take) for number, film in enumerate(films) for take in takes(film, each, number)]
    strengths: list[float] = []
    others: list[float] = []
    seen: set[bytes] = set()
    with ThreadPoolExecutor(threads) as pool:
        work = [pool.submit(_taken, film, take, reader, number) for number, (film, take) in enumerate(jobs)]
        for job in work:
            ours, other, digests = job.result()
            strengths += ours
            others.append(other)
            seen.update(digests)
            told(len(strengths), STARTS * len(jobs))
    looks = reader.read(evidences(*jobs[0], 1)[0]).looks
    return Null(np.sort(strengths), np.sort(others), looks, len(seen), len(jobs))


def _taken(film: Clip, take: Take, reader: Reader, number: int) -> tuple[list[float], float, list[bytes]]:
    """The strength of each stretch of a take; that of the first with another key; digests of their evidence."""
    found = evidences(film, take)
    other = Search.of(f"take {number}".encode(), False)
    first, theirs = strengths_of(found[0], [reader.moving, other], reader.periods)
    ours = [first, *(strengths_of(one, [reader.moving], reader.periods)[0] for one in found[1:])]
    return ours, theirs, [hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in found]


def strengths_of(evidence: Complex, searches: Sequence[Search], periods: Sequence[float]) -> list[float]:
    """What each search says of the evidence, as its own `read` would; all share what does not depend on the key."""
    even = evened(evidence)
    side = min(even.shape)
    best = [(-1.0, 1.0)] * len(searches)  # strength, and at which size of the tile
    for period in periods:
        for heard, power in searches[0].spectra(even, period * side):
            for number, search in enumerate(searches):
                best[number] = max(best[number], (largest(heard * search.key) / power, period))
    return [search.read(evidence, (period,)).strength for search, (_, period) in zip(searches, best, strict=True)]


def largest(spectrum: Complex) -> float:
    """The largest power of what has this spectrum (GRID, GRID)."""
    parts = cv2.idft(spectrum.view(np.float32).reshape(GRID, GRID, 2))
    return float((parts[..., 0] ** 2 + parts[..., 1] ** 2).max())
