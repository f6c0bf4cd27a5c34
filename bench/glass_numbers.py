"""What the arrivals of stamped frames say about a path: age, rate, drops, reorders, freezes, and whether age grows."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 30.0  # frames a second of the synthetic camera
FREEZE_S: Final = 0.2  # nothing new for longer than this is a freeze
SETTLING_S: Final = 3.0  # after the first arrival, at most: what a path does then, its bitrate rising, does not count


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame at the far end."""

    number: int  # of the camera's frame, counted on beyond what the strip can hold
    captured_at: float  # seconds, the clock of seen_at
    seen_at: float  # seconds

    @property
    def age_ms(self) -> float:
        """From capture to arrival."""
        return 1000 * (self.seen_at - self.captured_at)


@dataclass(frozen=True, slots=True)
class Run:
    """What the far end of one path saw."""

    arrivals: tuple[Arrival, ...]  # in the order in which they were seen
    unread: tuple[float, ...] = ()  # when a frame came whose number could not be read, seconds


class Unwrap:
    """Counts numbers on that start again at 0, as long as neighbours are less than half of the way round apart."""

    def __init__(self, numbers: int) -> None:
        """numbers is how many there are before they start again."""
        self._numbers = numbers
        self._last: int | None = None

    def __call__(self, number: int) -> int:
        """The number, counted on from the one before; the first is itself."""
        if self._last is None:
            self._last = number
        half = self._numbers // 2
        self._last += (number - self._last + half) % self._numbers - half
        return self._last


def settling(seconds: float) -> float:
    """How many seconds a path gets before so many seconds of it are measured."""
    return min(SETTLING_S, seconds / 3)


def measured(run: Run, seconds: float) -> Run:
    """What arrived within so many seconds after the path had settled."""
    if not run.arrivals:
        return run
    begin = run.arrivals[0].seen_at + settling(seconds)
    end = begin + seconds
    arrivals = tuple(one for one in run.arrivals if begin <= one.seen_at < end)
    return Run(arrivals, tuple(at for at in run.unread if begin <= at < end))


def numbers(run: Run) -> dict[str, Any]:
    """The run in numbers, ready for JSON; ages, rates and slopes are None where too little arrived.

    A frame counts when it arrives for the first time; what comes again is a repeat, and what comes after a later one
    is a reorder. Dropped are the numbers between the least and the largest that arrived which never came; a frame that
    came unread is one of them.
    """
    new, repeated, reordered = first_arrivals(run.arrivals)
    ages = [one.age_ms for one in new]
    seen = [one.seen_at for one in new]
    gaps = [later - earlier for earlier, later in itertools.pairwise(seen)]
    captured = max(one.number for one in new) - min(one.number for one in new) + 1 if new else 0
    slope = slope_of(new)
    return {
        "frames": len(new),
        "captured": captured,
        "dropped": captured - len(new),
        "dropped_percent": round(100 * (captured - len(new)) / captured, 2) if captured else 0.0,
        "repeated": repeated,
        "reordered": reordered,
        "unread": len(run.unread),
        "fps": round(len(gaps) / (seen[-1] - seen[0]), 2) if gaps and seen[-1] > seen[0] else None,
        "age_ms": {
            **{f"p{p}": round(float(np.percentile(ages, p)), 2) if ages else None for p in (50, 95, 99)},
            "max": round(max(ages), 2) if ages else None,
        },
        "freezes": sum(gap > FREEZE_S for gap in gaps),
        "longest_gap_ms": round(1000 * max(gaps), 1) if gaps else None,
        "slope_ms_a_minute": None if slope is None else round(slope[0], 2),
        "slope_error_ms_a_minute": None if slope is None else round(slope[1], 2),
    }


def first_arrivals(arrivals: Iterable[Arrival]) -> tuple[list[Arrival], int, int]:
    """Each frame when it came for the first time, how many came again, how many came after a later one."""
    new: list[Arrival] = []
    known: set[int] = set()
    repeated = reordered = 0
    latest = -1
    for one in arrivals:
        reordered += one.number < latest
        latest = max(latest, one.number)
        if one.number in known:
            repeated += 1
            continue
        known.add(one.number)
        new.append(one)
    return new, repeated, reordered


def slope_of(arrivals: Sequence[Arrival]) -> tuple[float, float] | None:
    """How the age grows, by least squares, and its standard error: ms a minute; None for less than three seconds.

    The error comes from the residuals of whole seconds, because frames within one are late together.
    """
    if len(arrivals) < 3 or arrivals[-1].seen_at - arrivals[0].seen_at < 3:
        return None
    minutes = np.array([(one.seen_at - arrivals[0].seen_at) / 60 for one in arrivals])
    ages = np.array([one.age_ms for one in arrivals])
    slope, start = np.polyfit(minutes, ages, 1)
    return float(slope), _error(minutes, ages - (start + slope * minutes))


def _error(minutes: NDArray[np.float64], residuals: NDArray[np.float64]) -> float:
    """The standard error of a slope with these residuals."""
    seconds = np.floor(minutes * 60).astype(int)
    means = np.array([residuals[seconds == second].mean() for second in np.unique(seconds)])
    times = np.array([minutes[seconds == second].mean() for second in np.unique(seconds)])
    spread = float(((times - times.mean()) ** 2).sum())
    return float(np.sqrt((means**2).sum() / max(1, len(means) - 2) / spread))


def per_second(arrivals: Sequence[Arrival]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """For a plot: seconds since the first arrival, the median age of each second and its largest, ms."""
    began = arrivals[0].seen_at
    seconds = np.array([int(one.seen_at - began) for one in arrivals])
    ages = np.array([one.age_ms for one in arrivals])
    there = np.unique(seconds)
    medians = np.array([np.median(ages[seconds == second]) for second in there])
    return there.astype(np.float64), medians, np.array([ages[seconds == second].max() for second in there])
