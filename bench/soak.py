"""Runs for minutes or hours in bad weather, and says whether memory, threads, open files and delay level out."""

import asyncio
import faulthandler
import gc
import logging
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import av
import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.levels import Level, Verdict, judged, open_files, plot
from bench.report import with_origin, write
from bench.weather import Camera, Moody, Slow, Weather, failing, there_and_back
from realtime.__main__ import DEMO
from realtime.carrying import Models, stages
from realtime.egress.door import Door
from realtime.errors import SourceMissing
from realtime.face.geometry import Image
from realtime.flow.meters import Meters
from realtime.flow.pipeline import Pipeline
from realtime.leaving import INTERRUPTED, leave
from realtime.options import ModelFolder, NetworkSize, Threads
from realtime.settings import Settings, load
from realtime.signals import Ending
from realtime.sinks.fan_out import FanOut
from realtime.sinks.video_file import Recording
from realtime.sinks.writable import check_writable
from realtime.status import shown
from realtime.swap.compose import Composer
from realtime.swap.swapper import Swapper, unswapped

ROUNDS: Final = 3  # runs one after the other: what opening and closing leave behind is seen from one to the next
WARMING: Final = 4  # short ones before those: malloc makes arenas for threads until there are enough of them
WARMING_S: Final = 3.0  # each of them, at most
PICTURES: Final = 60  # of the clip
LEVELS: Final = 600  # at most that many moments are kept
CLOSING_S: Final = 60.0  # longer than its time no run may take to open and close
SETTLING_S: Final = 5.0  # for threads to end after a run


@dataclass
class Soaked:
    """What was seen."""

    levels: list[Level] = field(default_factory=list)
    began: list[float] = field(default_factory=list)  # when each run began, seconds
    runs: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # what a run did not close
    signal: int = 0  # that ended it early

    def verdicts(self) -> dict[str, Verdict]:
        """Whether everything held."""
        failed = sum(run.get("failed", 0) for run in self.runs)
        played = [run["recorded"] for run in self.runs]
        return {
            **judged(self.levels),
            "closed": Verdict(not self.left, "; ".join(self.left) or "every run closed what it had opened"),
            "recordings": Verdict(
                all(count > 0 for count in played), f"frames that play: {', '.join(map(str, played))}"
            ),
            "weather": Verdict(failed > 0, f"{failed} frames on which a stage failed, and the runs went on"),
        }


def soak(
    settings: Settings, models: Models, seconds: float, weather: Weather, console: Console | None = None
) -> Soaked:
    """So many seconds of frames, in ROUNDS runs, as the weather has it. Raises LiveswapError, TimeoutError."""
    pictures = there_and_back(pictures_of(Path(settings.source)))
    soaked, before = Soaked(), set(threading.enumerate())
    with tempfile.TemporaryDirectory(prefix="liveswap-soak-") as folder:
        path = Path(folder) / "soak.mp4"

        def once(length: float, began: float, levels: list[Level]) -> dict[str, Any]:
            one = Run(settings, models, Camera(pictures, weather), path, weather)
            soaked.signal = asyncio.run(one.carry(length, levels.append, began, console))
            return {**one.meters.report(), "recorded": frames_in(path), "slow_sink": one.slow.count}

        for _ in range(WARMING):
            if not soaked.signal:
                once(min(WARMING_S, seconds / ROUNDS / WARMING), time.perf_counter(), [])
        files, began = open_files(), time.perf_counter()  # some are opened once and kept: the system's random numbers
        while len(soaked.runs) < ROUNDS and not soaked.signal:
            soaked.began.append(time.perf_counter() - began)
            soaked.runs.append(once(seconds / ROUNDS, began, soaked.levels))
            name = f"run {len(soaked.runs)} left"
            soaked.left += [f"{name} the thread {thread}" for thread in _left(before)]
            if files is not None and (more := (open_files() or 0) - files) > 0:
                soaked.left.append(f"{name} {more} open files")
    return soaked


class Run:
    """One run from opening to closing, as `liveswap run` has it: two sinks, one of them a recording."""

    def __init__(self, settings: Settings, models: Models, camera: Camera, path: Path, weather: Weather) -> None:
        how = settings.fallback
        self.meters = Meters()
        self.slow = Slow(weather)
        finder = Moody(models.tracker, weather)
        swapper = Swapper(finder, models.shelf, models.identity, how, self.meters, settings.faces, settings.fade)
        composer = Composer(how, settings.composing)
        covers: dict[str, Callable[[Any], Any]] = {
            "find": unswapped,
            "swap": lambda found: unswapped(found.frame),
            "compose": composer.instead,
        }
        loops = stages(swapper.find, swapper.draw, failing(composer, weather))
        self._loops = [stage.covered(covers) for stage in loops]
        self._aside = finder.looking_aside
        self._camera = camera
        door = Door.of(replace(settings, session_log=False), models.shelf.cards)
        self._gate = door.gate(FanOut([Recording(path), self.slow], live=True), [str(path)])

    async def carry(self, seconds: float, note: Callable[[Level], None], began: float, console: Console | None) -> int:
        """Carries frames for so many seconds; the signal that ended it, or 0. Raises TimeoutError where it hangs."""
        ending = Ending()

        async def carried() -> None:
            async with asyncio.timeout(seconds + CLOSING_S), self._camera, self._gate:
                pipeline = Pipeline(self._camera, self._loops, self._gate, self.meters)
                looking = asyncio.create_task(self._look(note, began, max(0.25, seconds * ROUNDS / LEVELS)))
                try:
                    with self._aside(), ending.stopping(pipeline.stop):
                        async with shown(self.meters, lambda: "soak", console):
                            await pipeline.run(seconds)
                finally:
                    looking.cancel()

        return await ending.of(carried())

    async def _look(self, note: Callable[[Level], None], began: float, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            note(Level.of_now(time.perf_counter() - began, self.meters.snapshot().age_ms))


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    """Where the block takes longer, the stacks of all threads are shown and the process ends with 1, whatever hangs."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def pictures_of(path: Path) -> list[Image]:
    """The first PICTURES of a clip. Raises SourceMissing."""
    try:
        with av.open(path) as container:
            frames = zip(container.decode(video=0), range(PICTURES), strict=False)
            found = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame, _ in frames]
    except (OSError, av.FFmpegError) as error:
        raise SourceMissing(f"{path} is no clip that can be read: {error}") from error
    if not found:
        raise SourceMissing(f"{path} has no pictures, wanted a clip")
    return found


def frames_in(path: Path) -> int:
    """How many frames of a recording play; 0 where there is none."""
    if not path.exists():
        return 0
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def _left(before: set[threading.Thread]) -> list[str]:
    """The threads that are left after a run, by name; they are given SETTLING_S to end."""
    deadline = time.monotonic() + SETTLING_S
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    gc.collect()
    return sorted(thread.name for thread in set(threading.enumerate()) - before)


def _table(verdicts: dict[str, Verdict]) -> Table:
    table = Table("", "held", "seen")
    for name, verdict in verdicts.items():
        table.add_row(name, "yes" if verdict.held else "NO", verdict.said)
    return table


def command(
    minutes: Annotated[float, typer.Option(min=0.05, max=100_000, help="How long, in three runs.")] = 5.0,
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    identity: Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx")] = None,
    models: ModelFolder = None,
    size: NetworkSize = None,
    period: Annotated[int, typer.Option(min=30, max=100_000, help="Frames after which the faults come again.")] = 300,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write what was seen as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw it over time.")] = None,
) -> None:
    """Runs in bad weather (stalls, drops, sizes, failing models): do memory, threads, files and delay level out?"""
    for path in (out, picture):
        if path is not None:
            check_writable(path)  # now, not after hours
    console = Console(stderr=True)
    flags = {"source": str(source), "identity": identity, "models": models, "size": size, "threads": threads}
    settings = load(None, flags)
    cv2.setNumThreads(settings.threads)
    for noisy in ("realtime.flow.patience", "realtime.swap.swapper"):  # what fails here is meant to
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with watched(60 * minutes + (ROUNDS + WARMING) * 2 * CLOSING_S):
        soaked = soak(settings, Models.load(settings), 60 * minutes, Weather(period), console)
        verdicts = soaked.verdicts()
        Console().print(_table(verdicts))
        if out is not None:
            write(out, with_origin(_numbers(soaked, verdicts, minutes), shlex.join(["liveswap-bench", *sys.argv[1:]])))
        if picture is not None:
            plot(soaked.levels, soaked.began, picture)
    leave(INTERRUPTED + soaked.signal if soaked.signal else int(not all(one.held for one in verdicts.values())))


def _numbers(soaked: Soaked, verdicts: dict[str, Verdict], minutes: float) -> dict[str, Any]:
    return {
        "minutes": minutes,
        "verdicts": {name: asdict(verdict) for name, verdict in verdicts.items()},
        "runs": soaked.runs,
        "levels": _columns(soaked.levels),
    }


def _columns(levels: Sequence[Level]) -> dict[str, list[Any]]:
    rows = [asdict(level) for level in levels]
    return {key: [_short(row[key]) for row in rows] for key in (rows[0] if rows else ())}


def _short(value: Any) -> Any:
    return round(value, 2) if isinstance(value, float) else value
