"""What a frame costs in things that can be counted, the same on every machine: for a guard that cannot be noisy."""

import shlex
import statistics
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import av
import numpy as np
import onnxruntime as ort
import typer
from rich.console import Console
from rich.table import Table

from bench.arrays import Tally, tallied
from bench.inferences import through
from bench.report import with_origin, write
from realtime.__main__ import DEMO
from realtime.carrying import Models
from realtime.egress.marks import Marks
from realtime.errors import SourceMissing
from realtime.frame import Frame
from realtime.options import ModelFolder
from realtime.settings import Settings, load
from realtime.swap.compose import Composer
from realtime.swap.swapper import Swapper

SETTLING: Final = 30  # frames until everything is found and every buffer is made
ROLES: Final = ("detector", "landmarks", "encoder", "decoder")

Item = TypeVar("Item")
Out = TypeVar("Out")


def counts(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    models: ModelFolder = None,
    frames: Annotated[int, typer.Option(min=10, max=100_000, help="Of the clip, after the first second.")] = 100,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """Inferences for each frame, and the memory that each step takes beyond what it gives back or hands on."""
    numbers = measure(load(None, {"models": models}), source, frames)
    console = Console()
    console.print(table(numbers))
    if out:
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def measure(settings: Settings, source: Path, frames: int) -> dict[str, Any]:
    """The counts over so many frames after SETTLING. Raises LiveswapError."""
    models = Models.load(settings)
    swapper = Swapper(models.tracker, models.shelf, models.identity, settings.fallback)
    composer, marks = Composer(settings.fallback, settings.composing), Marks()
    taken: dict[str, list[Cost]] = {"swap": [], "compose": [], "marks": []}
    number, last = 0, None
    with counted() as inferences, traced(), tallied() as tally:
        for number, frame in enumerate(frames_of(source, SETTLING + frames), 1):
            if number == SETTLING + 1:
                inferences.clear()
                taken = {name: [] for name in taken}
            swapped = weighed(swapper, frame, tally, taken["swap"])
            composed = weighed(composer, swapped, tally, taken["compose"])
            weighed(marks, composed, tally, taken["marks"])
            last = frame
    if last is None or number < SETTLING + frames:
        raise SourceMissing(f"{source} has {number} frames, wanted {SETTLING + frames}")
    with counted() as again:
        for late in range(SETTLING + frames):
            if late == SETTLING:
                again.clear()
            at = last.captured_at + (late + 1) / 30
            swapper(replace(last, image=last.image.copy(), index=last.index + late + 1, captured_at=at, at=at))
    return {
        "frames": frames,
        "inferences_per_100_frames": {role: round(100 * inferences[role] / frames, 1) for role in ROLES},
        "inferences_per_100_still_frames": round(100 * sum(again.values()) / frames, 1),
        "peak_kib": {name: median(row.peak for row in rows) for name, rows in taken.items()},
        "kept_kib": {name: median(row.kept for row in rows) for name, rows in taken.items()},
        "large_arrays": {name: sum(row.large for row in rows) for name, rows in taken.items()},
        "frame_kib": round(frame.image.nbytes / 1024),
    }


def frames_of(source: Path, count: int) -> Iterator[Frame]:
    """The first frames of a clip. Raises SourceMissing."""
    if not source.is_file():
        raise SourceMissing(f"there is no file {source}")
    with av.open(str(source)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index == count:
                return
            at = index / 30
            yield Frame(np.asarray(picture.to_ndarray(format="bgr24"), np.uint8), index, at, at)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Until the end, how often models of each of ROLES were run."""
    seen: Counter[str] = Counter()

    def noting(run: Callable[..., Any]) -> Callable[..., Any]:
        def noted(session: ort.InferenceSession, *words: Any, **more: Any) -> Any:
            said = session.get_modelmeta().custom_metadata_map
            seen[said.get("liveswap.role", "detector")] += 1
            return run(session, *words, **more)

        return noted

    with through(noting):
        yield seen


@contextmanager
def traced() -> Iterator[None]:
    """Until the end, Python and NumPy count their memory."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame takes of a step."""

    peak: int  # bytes beyond what was there before
    kept: int  # bytes of them that are kept or handed on
    large: int  # arrays made of more than bench.arrays.LARGE


def weighed(work: Callable[[Item], Out], item: Item, tally: Tally, rows: list[Cost]) -> Out:
    """What work makes of the item; notes its cost."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    large = tally.large
    made = work(item)
    after, peak = tracemalloc.get_traced_memory()
    rows.append(Cost(peak - before, after - before, tally.large - large))
    return made


def median(sizes: Iterator[int]) -> int:
    """In KiB."""
    return round(statistics.median(sizes) / 1024)


def table(numbers: dict[str, Any]) -> Table:
    """For people."""
    made = Table("for each frame", "")
    for role, often in numbers["inferences_per_100_frames"].items():
        made.add_row(f"{role}, inferences", f"{often / 100:.2f}")
    made.add_row("a frame like the one before, inferences", f"{numbers['inferences_per_100_still_frames'] / 100:.2f}")
    made.add_row("a frame's picture", f"{numbers['frame_kib']} KiB")
    for name in numbers["peak_kib"]:
        said = f"{numbers['peak_kib'][name]} KiB at most, {numbers['kept_kib'][name]} KiB of them kept or handed on"
        made.add_row(f"{name}, new memory", said)
    large = ", ".join(f"{name} {count}" for name, count in numbers["large_arrays"].items())
    made.add_row(f"arrays of more than 64 KiB, in {numbers['frames']} frames", large)
    return made
