"""What visitors saw of one machine's sessions, in numbers, and those as a table of docs/benchmarks.md and back."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.glass_numbers import RATE, Arrival, first_arrivals
from bench.report import said
from realtime.errors import LiveswapError, SettingsError

TITLES: Final = (
    *("picture", "processes", "sessions", "fps of the slowest", "age p50, ms", "age p95, ms", "comes back as"),
    *("cores a session", "cores of its visitor", "MB a process", "kbit/s in", "kbit/s out"),
)
STARTS: Final = ("processes", "ready after, s", "MB a process, empty")
KEEPS_UP: Final = 0.9  # of the camera's rate, which the slowest session must have
IN_TIME_MS: Final = 100.0  # and at most this p95 of the age


@dataclass(frozen=True, slots=True)
class Size:
    """Of the pictures, px."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """From WIDTHxHEIGHT. Raises SettingsError."""
        found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text.strip())
        size = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not (160 <= size.width <= 1920 and 120 <= size.height <= 1080) or size.width % 2 or size.height % 2:
            raise SettingsError(f"the picture {text!r} is none, wanted WIDTHxHEIGHT, even, 160x120 to 1920x1080")
        return size

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Level:
    """How it goes with so many sessions; rates and ages are as the visitors see them."""

    picture: str
    processes: int
    sessions: int
    fps: float  # of the slowest session, frames that were new
    age_p50_ms: float | None  # of all frames of all sessions, from capture to arrival; None where nothing came
    age_p95_ms: float | None
    returned: str  # the size that most pictures came back in: under load they become smaller
    cores: float | None  # that the server takes for each session, the front of several processes included
    visitor_cores: float  # that each visitor takes of the same machine
    memory_mb: float | None  # of the largest process, at the end
    kbps_in: float  # of each session, at the server
    kbps_out: float
    first_s: float = 0.0  # from an offer to its first picture, median; not in the table


@dataclass(frozen=True, slots=True)
class Start:
    """How a server came up, before anybody visited it."""

    processes: int
    ready_s: float  # until /healthz answered
    memory_mb: float | None  # of the largest process


def judged(
    size: Size,
    processes: int,
    seconds: float,
    seen: Sequence[Mapping[str, Any]],
    used: float | None,
    used_by_visitors: float,
    memory: float | None,
) -> Level:
    """What the visitors saw (bench.sessions_visitors.Seen) in numbers; used are seconds of the processor."""
    new = [first_arrivals(Arrival(*each) for each in one["arrivals"])[0] for one in seen]
    ages = [each.age_ms for one in new for each in one]
    rates = [len(one) / seconds for one in new]
    back = statistics.mode(f"{one['width']}x{one['height']}" for one in seen)
    spent = seconds * len(seen)
    return Level(
        picture=str(size),
        processes=processes,
        sessions=len(seen),
        fps=round(min(rates), 1),
        age_p50_ms=round(float(np.percentile(ages, 50)), 1) if ages else None,
        age_p95_ms=round(float(np.percentile(ages, 95)), 1) if ages else None,
        returned=back,
        cores=None if used is None else round(used / spent, 3),
        visitor_cores=round(used_by_visitors / spent, 3),
        memory_mb=memory,
        kbps_in=round(statistics.mean(one["sent_bytes"] for one in seen) * 8 / 1000 / seconds),
        kbps_out=round(statistics.mean(one["received_bytes"] for one in seen) * 8 / 1000 / seconds),
        first_s=round(statistics.median(one["first_s"] for one in seen), 2),
    )


def keeps_up(one: Level) -> bool:
    """Whether the slowest session has nearly all frames, and in time."""
    return one.fps >= KEEPS_UP * RATE and one.age_p95_ms is not None and one.age_p95_ms <= IN_TIME_MS


def in_words(one: Level) -> tuple[str, ...]:
    """A level under TITLES."""
    return (
        *(one.picture, str(one.processes), str(one.sessions), f"{one.fps:.1f}"),
        *(said(one.age_p50_ms, ".1f"), said(one.age_p95_ms, ".1f"), one.returned),
        *(said(one.cores, ".2f"), f"{one.visitor_cores:.2f}", said(one.memory_mb, ".0f")),
        *(f"{one.kbps_in:.0f}", f"{one.kbps_out:.0f}"),
    )


def markdown(levels: Sequence[Level], starts: Sequence[Start]) -> str:
    """Both tables, as they stand in the docs."""
    rows = [in_words(one) for one in levels]
    empty = [(str(one.processes), f"{one.ready_s:.1f}", said(one.memory_mb, ".0f")) for one in starts]
    return f"{_table(TITLES, rows)}\n\n{_table(STARTS, empty)}"


def read(text: str) -> tuple[list[Level], list[Start]]:
    """What markdown() wrote, rounded as it is there. Raises LiveswapError where there is no such table."""
    levels = [
        Level(
            picture=words[0],
            processes=int(words[1]),
            sessions=int(words[2]),
            fps=float(words[3]),
            age_p50_ms=_number(words[4]),
            age_p95_ms=_number(words[5]),
            returned=words[6],
            cores=_number(words[7]),
            visitor_cores=float(words[8]),
            memory_mb=_number(words[9]),
            kbps_in=float(words[10]),
            kbps_out=float(words[11]),
        )
        for words in _rows(text, TITLES)
    ]
    return levels, [Start(int(one), float(ready), _number(held)) for one, ready, held in _rows(text, STARTS)]


def between(text: str, name: str) -> str:
    """What stands between the marks of that name, without them. Raises LiveswapError where they are missing."""
    return _marked(text, name)[1]


def put(text: str, name: str, block: str) -> str:
    """The text with that block between the marks of that name. Raises LiveswapError where they are missing."""
    before, _, after = _marked(text, name)
    return f"{before}\n{block.strip()}\n{after}"


def _marked(text: str, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    inside, closed, after = rest.partition(end)
    if not found or not closed:
        raise LiveswapError(f"the page has no place for {name}, wanted the lines {begin} and {end}")
    return before + begin, inside.strip(), end + after


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(words)} |" for words in lines)


def _rows(text: str, titles: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows below that heading. Raises LiveswapError."""
    lines = iter(text.splitlines())
    for line in lines:
        if _words(line) == tuple(titles):
            next(lines, None)
            found = []
            for row in lines:
                if not row.startswith("|"):
                    break
                found.append(_words(row))
            return found
    raise LiveswapError(f"there is no table with the heading {titles[0]}, {titles[1]}, ..., wanted one as measured")


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.strip().strip("|").split("|"))


def _number(word: str) -> float | None:
    return None if word == "-" else float(word)
