"""`liveswap-bench targets`: what the pipeline shall do on two cores, each beside what it does here."""

import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import startup
from bench import switch as bench_switch
from bench.apart import told
from bench.clips import Footage, Scene, write_clip
from bench.counts import SETTLING, frames_of
from bench.inferences import through
from bench.report import said, with_origin, write
from realtime.__main__ import DEMO
from realtime.carrying import Models
from realtime.egress.marks import Marks
from realtime.errors import SourceMissing
from realtime.face.track import Tracker
from realtime.options import Threads
from realtime.settings import Settings, load
from realtime.swap.compose import Composer
from realtime.swap.swapper import Swapper

BRIEFLY: Final = 20.0  # seconds of the runs that are not to be sustained
SPARE_S: Final = 1.0  # of a clip beyond a run, so that its end is no part of it
LIMIT_S: Final = 60.0  # that a run may take beyond its own length
STARTS: Final = 3  # of each kind; medians count
ALONE: Final = 100  # frames of which the work beside inference is measured

# One run as `liveswap run` has it, in a process of its own; then its report, its processor time and its memory.
PROGRAM: Final = """
import asyncio, json, sys, time
import cv2
from bench.levels import peak_mb
from realtime import report
from realtime.carrying import Models, carry
from realtime.flow.meters import Meters
from realtime.settings import load
flags = json.loads(sys.argv[1])
settings = load(None, {**flags, "sink": tuple(flags["sink"])})
cv2.setNumThreads(settings.threads)
models, meters = Models.load(settings), Meters()
began = time.process_time()
asyncio.run(carry(settings, models, meters))
took = time.process_time() - began
numbers = report.report(meters, models.identity, models.shelf.encoder.provider, models.precision)
print(json.dumps({**numbers, "processor_s": took, "peak_mb": peak_mb()}))
"""


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is wanted, and what was seen."""

    name: str
    most: float
    unit: str
    seen: float | None  # None where nothing could be seen
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as wanted; what could not be seen is not."""
        return self.seen is not None and self.seen <= self.most

    @property
    def verdict(self) -> str:
        """In words."""
        if self.seen is None:
            return "not measured"
        if self.met:
            return "met"
        return f"missed by {self.seen - self.most:,.2f} {self.unit}"


@dataclass(frozen=True, slots=True)
class Case:
    """A live run of a clip."""

    name: str
    scene: Scene
    sustained: bool = False  # for as long as asked; the others briefly


CASES: Final = (
    Case("720p60", Scene(fps=60), sustained=True),
    Case("720p30", Scene(fps=30)),
    Case("1080p30", Scene(1920, 1080, 30)),
    Case("four faces", Scene(fps=15, face_px=150, tiles=2)),
)


def targets(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip of one face to make the clips of.")] = DEMO,
    models: Annotated[str, typer.Option(metavar="FOLDER", help="Models in place of the embedded ones.")] = "",
    seconds: Annotated[float, typer.Option(min=1.0, max=3600.0, metavar="S", help="Of the sustained run.")] = 60.0,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """What is wanted of two cores, each beside what they do: met, or missed by how much."""
    flags = {"source": str(source), "models": models or None, "threads": threads}
    runs, found = measure(flags, seconds)
    Console().print(table(found))
    if out:
        rows = [{**asdict(one), "met": one.met} for one in found]
        command = shlex.join(["liveswap-bench", *sys.argv[1:]])
        write(out, with_origin({"seconds": seconds, "targets": rows, "runs": runs}, command))


def measure(flags: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], list[Target]]:
    """The report of each run, and what is wanted beside what was seen. Raises LiveswapError."""
    settings = load(None, {**flags, "session_log": False})
    source = Path(settings.source)
    footage = Footage.read(source, Tracker.load(settings.tracking, settings.session))
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=len(CASES) + 3)
        for case in CASES:
            progress.update(task, description=case.name)
            lasts = seconds if case.sustained else min(seconds, BRIEFLY)
            clip = write_clip(Path(folder) / "clip.mp4", footage, case.scene, lasts + SPARE_S)
            runs[case.name] = played(clip, flags, lasts)
            if case.name == "720p30":
                runs["beside inference"] = beside_inference(settings, clip, min(ALONE, int(lasts * case.scene.fps)))
            progress.advance(task)
        steps: Mapping[str, Callable[[], Any]] = {
            "start": lambda: starts(source, settings.models),
            "switch": lambda: bench_switch.measure(load(None, {**flags, "duration": min(seconds, BRIEFLY)}), 8, 1),
        }
        for name, step in steps.items():
            progress.update(task, description=name)
            runs[name] = step()
            progress.advance(task)
        progress.update(task, completed=len(CASES) + 3)
    return runs, judged(runs, seconds)


def played(clip: Path, flags: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The report of a live run of so many seconds, with the processor's time and the memory. Raises LiveswapError."""
    asked = {**flags, "source": str(clip), "live": True, "sink": ["null"], "duration": seconds, "session_log": False}
    numbers: dict[str, Any] = told("a run", PROGRAM, json.dumps(asked), seconds=seconds + LIMIT_S)
    return numbers


def beside_inference(settings: Settings, clip: Path, frames: int) -> dict[str, float]:
    """Milliseconds of a frame's work from the picture to the marked one that are no inference, on one core.

    Everything is done by one thread, whose processor time counts, so that others on the machine do not.
    """
    alone = load(None, {"models": settings.models or None, "source": settings.source, "threads": 1})
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        models = Models.load(alone)
        swapper = Swapper(models.tracker, models.shelf, models.identity, alone.fallback)
        composer, marks = Composer(alone.fallback, alone.composing), Marks()
        taken = []
        with inferring() as inferred:
            for frame in frames_of(clip, SETTLING + frames):
                inferred.clear()
                began = time.thread_time()
                marks(composer(swapper(frame)))
                taken.append(1000 * (time.thread_time() - began - sum(inferred)))
    finally:
        cv2.setNumThreads(threads)
    counted = taken[SETTLING:] or taken
    if not counted:
        raise SourceMissing(f"{clip} holds no frames")
    p50, p95 = np.percentile(counted, (50, 95)).tolist()
    return {"p50": round(p50, 3), "p95": round(p95, 3), "mean": round(statistics.fmean(counted), 3)}


@contextmanager
def inferring() -> Iterator[list[float]]:
    """Until the end, the seconds of this thread's processor time of each inference."""
    taken: list[float] = []

    def timing(run: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*words: Any, **more: Any) -> Any:
            began = time.thread_time()
            answers = run(*words, **more)
            taken.append(time.thread_time() - began)
            return answers

        return timed

    with through(timing):
        yield taken


def starts(source: Path, models: str) -> dict[str, float]:
    """Seconds to the first swapped frame, warm and cold: medians."""
    startup.once(source, models, cold=False)  # so that what is warm is warm
    return {
        name: statistics.median(startup.once(source, models, cold=name == "cold")["swapped"] for _ in range(STARTS))
        for name, _ in startup.TARGETS
    }


def judged(runs: Mapping[str, Any], seconds: float) -> list[Target]:
    """What is wanted beside what was seen in the runs."""
    sixty, thirty, large, four = (runs[case.name] for case in CASES)
    peaks = [runs[case.name]["peak_mb"] for case in CASES]
    switch = runs["switch"]
    faces = f"{four['faces_per_frame']:.1f} faces followed"
    return [
        Target(f"720p at 60 fps for {seconds:g} s: dropped", 1, "%", dropped(sixty), f"{sixty['fps']:.1f} fps"),
        Target("720p at 60 fps: age p95", 33, "ms", sixty["age_ms"]["p95"]),
        Target("720p at 30 fps: age p95", 25, "ms", thirty["age_ms"]["p95"]),
        Target("720p at 30 fps: processor", 100, "% of a core", busy(thirty)),
        Target("1080p at 30 fps: dropped", 1, "%", dropped(large), f"{large['fps']:.1f} fps"),
        Target("720p, four faces, at 15 fps: dropped", 1, "%", dropped(four), f"{four['fps']:.1f} fps, {faces}"),
        Target("start to the first swapped frame, warm", 1.5, "s", runs["start"]["warm"]),
        Target("start to the first swapped frame, cold", 3.0, "s", runs["start"]["cold"]),
        Target("memory", 600, "MB", max(peaks) if None not in peaks else None),
        Target("a switch holds up a frame by", round(switch["frame_interval_ms"], 1), "ms", switch["longer_ms"]),
        Target("all but inference, one core, 300 px", 4, "ms", runs["beside inference"]["p50"]),
    ]


def dropped(run: Mapping[str, Any]) -> float | None:
    """Percent of the frames; None where there were none."""
    return 100 * run["dropped"] / run["frames_in"] if run["frames_in"] else None


def busy(run: Mapping[str, Any]) -> float:
    """Percent of one core, of the whole process from the first frame to the last, reading the file included."""
    return float(100 * run["processor_s"] / run["duration_s"])


def table(found: Sequence[Target]) -> Table:
    """A row for each."""
    drawn = Table("target")
    for title in ("at most", "seen"):
        drawn.add_column(title, justify="right")
    for title in ("", "besides"):
        drawn.add_column(title)
    for one in found:
        seen = f"{said(one.seen, ',.2f')} {one.unit}" if one.seen is not None else "-"
        drawn.add_row(one.name, f"{one.most:g} {one.unit}", seen, one.verdict, one.note)
    return drawn
