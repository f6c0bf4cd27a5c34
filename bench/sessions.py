"""`liveswap-bench sessions`: how many sessions a machine carries, against the age of their pictures and their rate."""

import asyncio
import itertools
import json
import os
import shlex
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.apart import heard
from bench.glass_numbers import RATE
from bench.processes import family, memory_mb, processor_seconds
from bench.report import said, with_origin, write
from bench.scale import Pages
from bench.sessions_numbers import Level, Size, Start, in_words, judged, markdown
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError, MissingExtra, SettingsError, SinkError, SourceLost
from realtime.options import ModelFolder, NetworkSize, Threads
from realtime.sinks.writable import check_writable
from realtime.status import speak

if TYPE_CHECKING:  # they need aiortc, which a base installation lacks
    from bench.glass_browser import Served

COLUMNS: Final = (  # of the table in a terminal: ms, cores and kbit/s of each session, MB of each process
    *("picture", "processes", "sessions", "fps", "p50", "p95"),
    *("back as", "cores", "visitor", "MB", "in", "out"),
)
COLOURS: Final = ("#1e8a4c", "#2a78c2", "#8a5fbf", "#c8452c", "#d98e04", "#5b6770")
LONGEST_LINE: Final = 64 << 20  # bytes of what visitors saw
LIMIT_S: Final = 300.0  # for visitors to come, settle and leave, beyond what is measured
MOST_SESSIONS: Final = 64


@dataclass(slots=True)
class Climb:
    """What was seen."""

    levels: list[Level] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # a sentence for each level that gave no numbers
    origins: list[str] = field(default_factory=list)  # where the numbers come from, a sentence for each run


def sessions(
    pictures: Annotated[
        str, typer.Option(metavar="WxH,...", help="Sizes of the pictures, in turn.")
    ] = "320x240,640x480",
    counts: Annotated[str, typer.Option(metavar="N,...", help="How many sessions, in turn.")] = "1,2,3,4,6",
    processes: Annotated[str, typer.Option(metavar="N,...", help="As --workers of liveswap serve has it.")] = "1,2",
    seconds: Annotated[float, typer.Option(min=0.5, max=300.0, metavar="S", help="Of each step.")] = 20.0,
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    models: ModelFolder = None,
    size: NetworkSize = None,
    threads: Threads = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw age and rate over sessions.")] = None,
    docs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the tables into benchmarks.md and scale.md there.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="An earlier run's --out: its numbers stand there as well.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """Visitors of `liveswap serve`, more and more: age, rate, processor and memory of each session."""
    speak(0)
    sizes = [Size.parse(text) for text in pictures.split(",")]
    steps = tuple(itertools.product(numbers_in("counts", counts), numbers_in("processes", processes)))
    for path in (plot, out):
        if path is not None:
            check_writable(path)
    flags = {"--models": models, "--size": size, "--threads": threads}
    words = [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
    pages = None if docs is None else Pages.read(docs)  # what is wrong with them is said before minutes have passed
    before = Climb() if beside is None else earlier(beside)
    command = shlex.join(["liveswap-bench", *sys.argv[1:]])
    here = origin(command, seconds, busy())
    seen = asyncio.run(climb(sizes, steps, words, source, seconds))
    seen = Climb(
        before.levels + seen.levels, before.starts + seen.starts, before.failed + seen.failed, [*before.origins, here]
    )
    levels = sorted(seen.levels, key=lambda one: (Size.parse(one.picture).width, one.processes, one.sessions))
    Console().print(table(levels))
    for start in seen.starts:
        megabytes = said(start.memory_mb, ".0f")
        typer.echo(f"processes {start.processes}: ready after {start.ready_s:.1f} s with {megabytes} MB each")
    if plot is not None:
        draw(levels, plot)
    if pages is not None and levels:
        measured = markdown(levels, first_starts(seen.starts))
        if plot is not None and plot.resolve().parent == pages.folder.resolve():
            measured += f"\n\n![Age and rate over the number of sessions]({plot.name})"
        pages.measured("\n\n".join(seen.origins), measured).write()
    if out is not None:
        write(out, with_origin({"seconds": seconds, **asdict(seen)}, command))
    if seen.failed:
        raise LiveswapError("; ".join(seen.failed))


def earlier(path: Path) -> Climb:
    """What a run before wrote. Raises SettingsError where it is none."""
    try:
        said = json.loads(path.read_text("utf-8"))
        levels, starts = [Level(**one) for one in said["levels"]], [Start(**one) for one in said["starts"]]
        return Climb(levels, starts, list(said["failed"]), list(said["origins"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} has no numbers of sessions ({error}), wanted a file that --out wrote") from error


def numbers_in(name: str, text: str) -> tuple[int, ...]:
    """The numbers of a text such as "1,2,4". Raises SettingsError."""
    words = text.split(",")
    found = tuple(int(word) for word in words if word.strip().isdecimal())
    if len(found) < len(words) or not all(1 <= number <= MOST_SESSIONS for number in found):
        raise SettingsError(f"--{name} is {text!r}, wanted numbers from 1 to {MOST_SESSIONS}, as in 1,2,4")
    return tuple(dict.fromkeys(found))


async def climb(
    sizes: Sequence[Size], steps: Sequence[tuple[int, int]], words: Sequence[str], clip: Path, seconds: float
) -> Climb:
    """A level for each size and each step (sessions, processes), and how each kind of server started.

    The servers of one size run side by side and are visited in turns, so that a machine that slows down slows all;
    one that nobody visits takes nothing but memory. A level that fails does not stop others. Raises LiveswapError
    where a server does not start.
    """
    climb = Climb()
    most = max(count for count, _ in steps)
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=len(sizes) * len(steps))
        for size in sizes:
            async with AsyncExitStack() as servers:
                there: dict[int, Served] = {}
                for processes in dict.fromkeys(one for _, one in steps):
                    began = time.perf_counter()
                    there[processes] = await servers.enter_async_context(serving(size, processes, most, words))
                    ready = round(time.perf_counter() - began, 2)
                    climb.starts.append(Start(processes, ready, largest(family(there[processes].pid))))
                for count, processes in steps:
                    name = f"{size}, processes {processes}, sessions {count}"
                    bar.update(task, description=name)
                    try:
                        climb.levels.append(await level(there[processes], size, processes, count, clip, seconds))
                    except SourceLost as error:
                        climb.failed.append(f"{name}: {error}")
                    bar.advance(task)
    return climb


@asynccontextmanager
async def serving(size: Size, processes: int, most: int, words: Sequence[str]) -> "AsyncIterator[Served]":
    """`liveswap serve` for so many sessions. Raises MissingExtra, SourceLost."""
    try:
        from bench.glass_browser import Served
    except ImportError as error:
        raise MissingExtra(f"sessions need more packages ({error}): pip install 'liveswap[webrtc]'") from None
    limits = ["--max-sessions", str(most), "--offers-per-minute", "10000", "--no-turn-away"]
    shape = ["--width", str(size.width), "--height", str(size.height), "--workers", str(processes)]
    async with Served([*limits, *shape, *words], "") as server:
        yield server


async def level(server: "Served", size: Size, processes: int, count: int, clip: Path, seconds: float) -> Level:
    """So many visitors, from their coming to their leaving. Raises SourceLost."""
    asked = {"address": server.address, "clip": str(clip), "sessions": count, "seconds": seconds}
    words = ("-m", "bench.sessions_visitors", json.dumps({**asked, "width": size.width, "height": size.height}))
    visitors = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE
    )
    assert visitors.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S + seconds):
            begin = await heard(visitors.stdout)
            pids = family(server.pid)
            before = processor_seconds(pids)
            end = await heard(visitors.stdout)
            after = processor_seconds(pids)
            memory = largest(pids)
            seen = await heard(visitors.stdout)
            await visitors.wait()
    except TimeoutError:
        raise SourceLost(f"{count} visitors had not left after {LIMIT_S + seconds:g} s") from None
    finally:
        if visitors.returncode is None:
            visitors.kill()
            await visitors.wait()
    used = None if before is None or after is None else after - before
    return judged(size, processes, seconds, seen["seen"], used, end["end"] - begin["begin"], memory)


def first_starts(starts: Sequence[Start]) -> list[Start]:
    """The first of each kind: later ones started beside others."""
    kinds: dict[int, Start] = {}
    for one in starts:
        kinds.setdefault(one.processes, one)
    return list(kinds.values())


def busy() -> float | None:
    """How many processes wanted a core in the last minute, those of others included; None where nobody knows."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def origin(command: str, seconds: float, load: float | None) -> str:
    """Where the numbers come from, for the docs."""
    beside = "" if load is None else f", load average before it {load:g}"
    return f"`{command}`, {seconds:g} s a level, {date.today().isoformat()}{beside}."


def largest(pids: Sequence[int]) -> float | None:
    """Megabytes of the largest of these processes: a worker, not the front."""
    held = [mb for pid in pids if (mb := memory_mb(pid)) is not None]
    return round(max(held), 1) if held else None


def table(levels: Sequence[Level]) -> Table:
    """A row for each level."""
    made = Table()
    for title in COLUMNS:
        made.add_column(title, justify="right")
    for one in levels:
        made.add_row(*in_words(one))
    return made


def draw(levels: Sequence[Level], path: Path) -> None:
    """The p95 age and the slowest session's rate over the number of sessions. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    ages, rates = figure.add_subplot(2, 1, 1), figure.add_subplot(2, 1, 2)
    kinds = dict.fromkeys((one.picture, one.processes) for one in levels)
    pictures = list(dict.fromkeys(picture for picture, _ in kinds))
    for picture, processes in kinds:
        mine = [one for one in levels if (one.picture, one.processes) == (picture, processes)]
        name = f"{picture}, {processes} process{'' if processes == 1 else 'es'}"
        colour, dashes = COLOURS[pictures.index(picture) % len(COLOURS)], "-" if processes == 1 else "--"
        aged = [(one.sessions, one.age_p95_ms) for one in mine if one.age_p95_ms is not None]
        ages.plot([at for at, _ in aged], [age for _, age in aged], dashes, marker="o", color=colour, label=name)
        rates.plot([one.sessions for one in mine], [one.fps for one in mine], dashes, marker="o", color=colour)
    ages.set_yscale("log")
    ages.yaxis.set_major_formatter("{x:g}")
    ages.set_ylabel("p95 of the age, ms")
    rates.set_ylim(0, RATE * 1.1)
    rates.set_ylabel("fps of the slowest session")
    rates.set_xlabel("sessions")
    for axes in (ages, rates):
        axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
