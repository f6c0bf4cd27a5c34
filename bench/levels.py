"""What a long run holds over time: memory, threads, open files and delay, and whether they level out."""

import os
import statistics
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from realtime.errors import MissingExtra, SinkError

WARM: Final = 0.25  # of the time, during which memory may rise: caches fill, arenas are made
RISE_MB: Final = 24.0  # that memory may rise after that, whatever the time: arenas and the length of a recording vary
RISE_MB_HOUR: Final = 8.0  # and for each hour: an MP4 that grows keeps a place for each of its frames
SLACK: Final = 3  # threads or files more than before: what happened to be counted in a moment of coming and going
AGE_TIMES: Final = 3.0  # that the delay may rise, on a machine that becomes busy meanwhile,
AGE_MS: Final = 1000.0  # and by so much more; in a queue without bound it rises by more than this every few seconds


@dataclass(frozen=True, slots=True)
class Level:
    """One moment."""

    at: float  # seconds since the beginning
    memory_mb: float | None  # resident; None where the system does not say
    threads: int
    files: int | None  # descriptors; None where the system does not say
    age_ms: float | None  # of the frames of the last second; None where none came

    @classmethod
    def of_now(cls, at: float, age_ms: float | None) -> "Level":
        """As this process stands."""
        return cls(at, memory_mb(), threading.active_count(), open_files(), age_ms)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one thing held."""

    held: bool
    said: str


def memory_mb() -> float | None:
    """What this process holds in memory."""
    if sys.platform != "linux":
        return None
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float | None:
    """The most that this process has held in memory so far; None where the system does not say."""
    if sys.platform != "linux":
        return None
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def open_files() -> int | None:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else None  # noqa: PTH208


def judged(levels: Sequence[Level]) -> dict[str, Verdict]:
    """Whether what is held levels out, and no delay grows; nothing is said of what was not measured."""
    verdicts = {"threads": _level([(one.at, one.threads) for one in levels], "threads")}
    files = [(one.at, one.files) for one in levels if one.files is not None]
    memory = [(one.at, one.memory_mb) for one in levels if one.memory_mb is not None]
    ages = [one.age_ms for one in levels if one.age_ms is not None]
    if files:
        verdicts["files"] = _level(files, "open files")
    if len(memory) > 2:
        verdicts["memory"] = _memory(memory)
    if len(ages) > 2:
        verdicts["delay"] = _delay(ages)
    return verdicts


def _level(counted: Sequence[tuple[float, int]], what: str) -> Verdict:
    """The most of the last third against the most of what was before."""
    early = max(count for _, count in counted[: max(1, len(counted) * 2 // 3)])
    late = max(count for _, count in counted[len(counted) * 2 // 3 :])
    return Verdict(late <= early + SLACK, f"at most {late} {what} in the last third, {early} before")


def _memory(measured: Sequence[tuple[float, float]]) -> Verdict:
    """How much a straight line through what was held after warming up rises."""
    end = measured[-1][0]
    at, held = np.array([one for one in measured if one[0] >= WARM * end] or measured[-2:]).T
    slope = float(np.polyfit(at - at[0], held, 1)[0]) if len(at) > 2 else 0.0
    rise, hours = slope * float(at[-1] - at[0]), float(at[-1] - at[0]) / 3600
    limit = RISE_MB + RISE_MB_HOUR * hours
    said = (
        f"rose by {rise:.1f} MB to {held[-1]:.0f} MB after warming up ({slope * 3600:+.0f} MB/h), allowed {limit:.0f}"
    )
    return Verdict(rise <= limit, said)


def _delay(ages: Sequence[float]) -> Verdict:
    third = max(1, len(ages) // 3)
    early, late = statistics.median(ages[:third]), statistics.median(ages[-third:])
    return Verdict(late <= AGE_TIMES * early + AGE_MS, f"{late:.0f} ms in the last third, {early:.0f} ms in the first")


def plot(levels: Sequence[Level], rounds: Sequence[float], path: Path) -> None:
    """Draws them over time; rounds are when runs began, seconds. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(9, 8), layout="constrained")
    lines: tuple[tuple[str, Callable[[Level], Any]], ...] = (
        ("memory, MB", lambda one: one.memory_mb),
        ("threads", lambda one: one.threads),
        ("open files", lambda one: one.files),
        ("age, ms", lambda one: one.age_ms),
    )
    for place, (title, value) in enumerate(lines, 1):
        axes = figure.add_subplot(len(lines), 1, place)
        shown = [(one.at, value(one)) for one in levels if value(one) is not None]
        if shown:
            axes.plot(*zip(*shown, strict=True), linewidth=1.2, color="#1e8a4c")
        for began in rounds:
            axes.axvline(began, color="#5b6770", linewidth=0.6, linestyle=":")
        axes.set_ylim(0, 1.1 * max((height for _, height in shown), default=1.0))
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
    figure.axes[-1].set_xlabel("seconds; dotted: a run begins")
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
