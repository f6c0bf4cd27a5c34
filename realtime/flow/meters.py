"""Counters and timings of a run: age at delivery, drops, each stage."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

KEPT = 20_000  # samples of each timing that percentiles look back on: 11 minutes at 30 fps
RECENT_S = 1.0  # what "now" means on the status line, seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a status line shows."""

    frames_in: int  # captured so far, those that the source dropped included
    frames_out: int  # delivered so far
    dropped: int  # frames_in that will never be delivered
    fps: float  # delivered in the last second
    age_ms: float | None  # median age at delivery in the last second; None when nothing was delivered
    faces: int  # in the frame that was looked at last
    duration_s: float  # since the start of the run


class Meters:
    """Counts and times what happens to frames; any thread may call any method, memory stays bounded.

    Names with a meaning of their own are `frames_in`, `frames_out`, `dropped`, `faces`, `frames_looked_at`,
    `frames_with_face`, `detector_runs`, `unchanged` (frames with the very picture of the one before, for which its
    faces were kept) and `failed`. Percentiles cover the latest KEPT samples, maxima the whole run.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._times: defaultdict[str, deque[float]] = defaultdict(partial(deque[float], maxlen=KEPT))  # seconds
        self._ages: deque[float] = deque(maxlen=KEPT)  # seconds
        self._oldest = 0.0  # the largest age so far, seconds
        self._recent: deque[tuple[float, float]] = deque(maxlen=1000)  # (delivered at, age), the last second
        self._faces_now = 0
        self._missed: dict[str, int] = {}
        self._first_delivery: float | None = None
        self._last_delivery = 0.0
        self._started: float | None = None
        self._ended: float | None = None

    def start(self) -> None:
        """Begins the run's duration."""
        with self._lock:
            self._started, self._ended = self._clock(), None

    def end(self) -> None:
        """Ends the run's duration."""
        with self._lock:
            self._ended = self._clock()

    def count(self, name: str, n: int = 1) -> None:
        """Adds n to a counter."""
        with self._lock:
            self._counts[name] += n

    def time(self, name: str, seconds: float) -> None:
        """Notes how long a stage took for one item."""
        with self._lock:
            self._times[name].append(seconds)

    def faces(self, found: int) -> None:
        """Notes that one frame was looked at and how many faces it showed."""
        with self._lock:
            self._counts["frames_looked_at"] += 1
            self._counts["faces"] += found
            self._counts["frames_with_face"] += found > 0
            self._faces_now = found

    def missed(self, by_sink: Mapping[str, int]) -> None:
        """Notes how many of the delivered frames each of several sinks was too slow for."""
        with self._lock:
            self._missed = dict(by_sink)

    def delivered(self, captured_at: float) -> None:
        """Notes that a frame, captured at this time (seconds, the meters' clock), has just been delivered."""
        with self._lock:
            now = self._clock()
            age = now - captured_at
            self._counts["frames_out"] += 1
            self._ages.append(age)
            self._oldest = max(self._oldest, age)
            self._recent.append((now, age))
            self._last_delivery = now
            if self._first_delivery is None:
                self._first_delivery = now

    def snapshot(self) -> Snapshot:
        """The state of this moment."""
        with self._lock:
            now = self._clock()
            while self._recent and self._recent[0][0] <= now - RECENT_S:
                self._recent.popleft()
            ages = [age for _, age in self._recent]
            return Snapshot(
                frames_in=self._counts["frames_in"],
                frames_out=self._counts["frames_out"],
                dropped=self._counts["dropped"],
                fps=len(ages) / RECENT_S,
                age_ms=_milliseconds(ages, 50) if ages else None,
                faces=self._faces_now,
                duration_s=self._duration(now),
            )

    def report(self) -> dict[str, Any]:
        """The run in numbers, ready for JSON; an age is None where nothing was delivered.

        `failed`, how often a stage failed on a frame, is there only where one did; `sinks` only after missed(), so
        where there were several.
        """
        with self._lock:
            counts = self._counts
            looked_at = counts["frames_looked_at"]
            return {
                "frames_in": counts["frames_in"],
                "frames_out": counts["frames_out"],
                "dropped": counts["dropped"],
                "duration_s": round(self._duration(self._clock()), 3),
                "fps": round(self._fps(), 2),
                "age_ms": {
                    **{f"p{p}": _milliseconds(self._ages, p) for p in (50, 95, 99)},
                    "max": round(self._oldest * 1000, 2) if self._ages else None,
                },
                "stages": {
                    name: {f"p{p}": _milliseconds(taken, p) for p in (50, 95)} for name, taken in self._times.items()
                },
                "faces_per_frame": round(counts["faces"] / looked_at, 3) if looked_at else 0.0,
                "frames_with_face": counts["frames_with_face"],
                "detector_runs": counts["detector_runs"],
                "unchanged": counts["unchanged"],
                **({"failed": counts["failed"]} if counts["failed"] else {}),
                **({"sinks": {name: {"dropped": n} for name, n in self._missed.items()}} if self._missed else {}),
            }

    def _duration(self, now: float) -> float:
        if self._started is None:
            return 0.0
        return (now if self._ended is None else self._ended) - self._started

    def _fps(self) -> float:
        """Deliveries for each second from the first to the last, so that loading and warming up do not count."""
        if self._first_delivery is None or self._last_delivery <= self._first_delivery:
            return 0.0
        return (self._counts["frames_out"] - 1) / (self._last_delivery - self._first_delivery)


def _milliseconds(seconds: Iterable[float], percentile: int) -> float | None:
    taken = list(seconds)
    return round(float(np.percentile(taken, percentile)) * 1000, 2) if taken else None
