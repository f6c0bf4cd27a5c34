"""`liveswap-bench scale`: what a million sessions would take, computed from the table of measured ones.

The page docs/scale.md has nothing computed by hand: this file writes its tables from those of docs/benchmarks.md, and a
test does so again and compares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

import typer

from bench.glass_numbers import RATE
from bench.sessions_numbers import Level, Start, between, keeps_up, put, read
from realtime.errors import LiveswapError, SinkError

SESSIONS: Final = "sessions"  # the marks in benchmarks.md
SCALE: Final = "scale"  # and in scale.md
NOTHING: Final = "Not measured yet."  # in place of tables
MONTH_H: Final = 730.0


@dataclass(frozen=True, slots=True)
class Assumed:
    """What was not measured. Prices are round figures to compare with, not offers."""

    sessions: int = 1_000_000  # at once
    used: float = 0.7  # of a machine's cores, so that a busy minute finds room
    cores: int = 32  # of one machine
    memory_gb: float = 64.0  # of one machine
    core_hour: float = 0.03  # dollars
    relayed: float = 0.2  # share of sessions whose pictures must go through TURN
    relay_gbps: float = 5.0  # that one TURN machine carries, each way
    gigabyte_out: float = 0.01  # dollars, for what leaves the network
    arrivals: float = 0.001  # of all sessions that begin in one second
    image_mb: float = 900.0  # of the container with all models
    network_gbps: float = 10.0  # of one machine, and of what gives out images
    least_share: float = 0.05  # of the machines that are kept ready and empty


@dataclass(frozen=True, slots=True)
class Needed:
    """What all sessions of one size of picture take."""

    level: Level  # that it is computed from
    cores: float  # of one session at the camera's full rate
    by_cores: int  # sessions of one machine, as its cores allow
    by_memory: int
    machines: int
    dollars_hour: float  # of one session: cores alone
    gbps_in: float  # of all sessions
    gbps_out: float
    relays: int  # TURN machines
    dollars_traffic: float  # of one session for an hour
    start_s: float  # of a machine's server, from its start until /healthz answers


def basis(levels: Sequence[Level], picture: str) -> Level:
    """The level that sessions of that size are computed from: of those that keep up the one with the most sessions.

    Where none keeps up it is one with the fewest, so that what is wrong is the rate, not the size that came back.
    Raises LiveswapError where none says what it took.
    """
    known = [one for one in levels if one.picture == picture and one.cores and one.memory_mb and one.fps]
    if not known:
        raise LiveswapError(f"no level of {picture} says what it took, wanted one measured on Linux")
    good = [one for one in known if keeps_up(one)]
    if good:
        return max(good, key=lambda one: (one.sessions, one.fps, -one.processes))
    return min(known, key=lambda one: (one.sessions, -one.fps, one.processes))


def needed(level: Level, starts: Sequence[Start], assumed: Assumed) -> Needed:
    """What so many sessions like those of a level take.

    Processor time goes with frames, so a level that was too slow is scaled up to the camera's rate. A machine runs one
    worker for each of its cores; what a worker holds beyond an empty one is shared by its sessions.
    """
    assert level.cores is not None
    assert level.memory_mb is not None
    cores = level.cores * RATE / min(level.fps, RATE)
    by_cores = max(1, math.floor(assumed.cores * assumed.used / cores))
    empty = min((one.memory_mb for one in starts if one.memory_mb), default=level.memory_mb)
    of_session = max(1.0, level.memory_mb - empty) / math.ceil(level.sessions / level.processes)
    by_memory = max(1, math.floor((assumed.memory_gb * 1000 * assumed.used - assumed.cores * empty) / of_session))
    machines = math.ceil(assumed.sessions / min(by_cores, by_memory))
    gbps_in, gbps_out = (assumed.sessions * kbps / 1e6 for kbps in (level.kbps_in, level.kbps_out))
    # TURN takes a relayed session's pictures in and gives them out: both ways count on its way out
    relayed = assumed.relayed * (gbps_in + gbps_out)
    gigabytes = (level.kbps_out + assumed.relayed * (level.kbps_in + level.kbps_out)) * 3600 / 8e6
    return Needed(
        level=level,
        cores=cores,
        by_cores=by_cores,
        by_memory=by_memory,
        machines=machines,
        dollars_hour=assumed.core_hour * machines * assumed.cores / assumed.sessions,
        gbps_in=gbps_in,
        gbps_out=gbps_out,
        relays=math.ceil(relayed / assumed.relay_gbps),
        dollars_traffic=assumed.gigabyte_out * gigabytes,
        start_s=max((one.ready_s for one in starts), default=0.0),
    )


def tables(levels: Sequence[Level], starts: Sequence[Start], assumed: Assumed) -> str:
    """What docs/scale.md shows between its marks: one column for each size of picture, and what both share."""
    pictures = list(dict.fromkeys(one.picture for one in levels))
    found = [needed(basis(levels, picture), starts, assumed) for picture in pictures]
    rows: list[tuple[str, list[str]]] = [
        ("computed from", [from_level(one.level) for one in found]),
        ("cores of one session at 30 fps", [f"{one.cores:.2f}" for one in found]),
        (
            f"sessions of a machine: {assumed.cores} cores, {assumed.used:.0%} of them",
            [said(o.by_cores) for o in found],
        ),
        (
            f"sessions of a machine: {assumed.memory_gb:.0f} GB, {assumed.used:.0%} of it",
            [said(o.by_memory) for o in found],
        ),
        ("machines", [said(one.machines) for one in found]),
        (f"a session for an hour, at ${assumed.core_hour:g} a core", [f"${one.dollars_hour:.3f}" for one in found]),
        ("into the machines, all sessions", [f"{said(round(one.gbps_in))} Gbit/s" for one in found]),
        ("out of them", [f"{said(round(one.gbps_out))} Gbit/s" for one in found]),
        ("of one machine, both", [f"{machine_gbps(one, assumed):.2f} Gbit/s" for one in found]),
        (
            f"TURN machines, {assumed.relayed:.0%} relayed, {assumed.relay_gbps:g} Gbit/s each",
            [said(o.relays) for o in found],
        ),
        (
            f"traffic of a session for an hour, at ${assumed.gigabyte_out:g} a GB",
            [f"${o.dollars_traffic:.4f}" for o in found],
        ),
        ("all sessions for a month", [f"${said(round(month(one, assumed)))}" for one in found]),
        (
            f"new sessions a second, {assumed.arrivals:.1%} of all",
            [said(round(assumed.sessions * assumed.arrivals))] * len(found),
        ),
        ("machines that those fill in a second", [f"{filled(one, assumed):.1f}" for one in found]),
        ("server ready after its start", [f"{one.start_s:.1f} s" for one in found]),
        (f"machines kept ready, {assumed.least_share:.0%}", [said(ready(one, assumed)) for one in found]),
        ("seconds that these last", [f"{ready(one, assumed) / filled(one, assumed):.0f}" for one in found]),
        (f"an image of {assumed.image_mb:.0f} MB to one machine", [f"{image_s(assumed):.1f} s"] * len(found)),
        ("to all, from one place", [f"{image_s(assumed) * one.machines / 3600:.1f} h" for one in found]),
        ("to all, each machine that has it giving it on", [f"{spread_s(one, assumed):.0f} s" for one in found]),
    ]
    lines = [["", *pictures], ["---"] * (1 + len(pictures)), *([title, *values] for title, values in rows)]
    return "\n".join(f"| {' | '.join(words)} |".replace("|  |", "| |") for words in lines)


def from_level(level: Level) -> str:
    """Which row of the measured table it is."""
    word = "session" if level.sessions == 1 else "sessions"
    rate = "" if keeps_up(level) else f", which had {level.fps:.1f} fps only"
    return f"{level.sessions} {word} of {level.processes} process{'' if level.processes == 1 else 'es'}{rate}"


def machine_gbps(one: Needed, assumed: Assumed) -> float:
    """What one full machine takes and gives."""
    return (one.level.kbps_in + one.level.kbps_out) * min(one.by_cores, one.by_memory) / 1e6


def month(one: Needed, assumed: Assumed) -> float:
    """Dollars for all sessions, day and night."""
    return (one.dollars_hour + one.dollars_traffic) * assumed.sessions * MONTH_H


def filled(one: Needed, assumed: Assumed) -> float:
    """Machines that the new sessions of one second fill."""
    return assumed.sessions * assumed.arrivals / min(one.by_cores, one.by_memory)


def ready(one: Needed, assumed: Assumed) -> int:
    """Machines that are kept empty."""
    return math.ceil(one.machines * assumed.least_share)


def image_s(assumed: Assumed) -> float:
    """Seconds that an image takes at a network's full rate."""
    return assumed.image_mb * 8 / 1000 / assumed.network_gbps


def spread_s(one: Needed, assumed: Assumed) -> float:
    """Seconds until all machines have the image, where their number doubles each time."""
    return image_s(assumed) * math.ceil(math.log2(one.machines + 1))


def said(number: int) -> str:
    """With commas."""
    return f"{number:,}"


@dataclass(frozen=True, slots=True)
class Pages:
    """The two pages of a folder of docs."""

    folder: Path
    benchmarks: str
    scale: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises LiveswapError where one is missing, or has no place for the tables."""
        try:
            texts = [(folder / name).read_text("utf-8") for name in ("benchmarks.md", "scale.md")]
        except OSError as error:
            raise LiveswapError(f"{error.filename} cannot be read: {(error.strerror or str(error)).lower()}") from error
        between(texts[0], SESSIONS), between(texts[1], SCALE)
        return cls(folder, *texts)

    def measured(self, origin: str, measured: str) -> "Pages":
        """With other tables in the benchmarks, and what follows from them. Raises LiveswapError."""
        return Pages(self.folder, put(self.benchmarks, SESSIONS, f"{origin}\n\n{measured}"), self.scale).computed()

    def computed(self, assumed: Assumed | None = None) -> "Pages":
        """With everything computed anew from the tables in the benchmarks. Raises LiveswapError."""
        measured = between(self.benchmarks, SESSIONS)
        if measured == NOTHING:
            return Pages(self.folder, self.benchmarks, put(self.scale, SCALE, NOTHING))
        levels, starts = read(measured)
        return Pages(self.folder, self.benchmarks, put(self.scale, SCALE, tables(levels, starts, assumed or Assumed())))

    def write(self) -> None:
        """Into the folder. Raises SinkError."""
        try:
            (self.folder / "benchmarks.md").write_text(self.benchmarks, "utf-8")
            (self.folder / "scale.md").write_text(self.scale, "utf-8")
        except OSError as error:
            raise SinkError(f"{error.filename} cannot be written: {(error.strerror or str(error)).lower()}") from error


def scale(
    docs: Annotated[Path, typer.Option(metavar="FOLDER", help="Where benchmarks.md and scale.md are.")] = Path("docs"),
) -> None:
    """What a million sessions would take, written into scale.md from the tables in benchmarks.md."""
    Pages.read(docs).computed().write()
    typer.echo(f"{docs / 'scale.md'} is written")
