"""Where a frame's time goes: each step in place, in a live run, and alone, beside the floor that nothing goes below."""

import asyncio
import inspect
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

import cv2
import numpy as np
import onnxruntime as ort
from rich.table import Table

from bench.arrays import Tally, tallied
from bench.report import said
from realtime.carrying import Models, carry
from realtime.egress.label import Label
from realtime.egress.marks import Marks
from realtime.egress.watermark import Watermark
from realtime.errors import EndOfStream, LiveswapError
from realtime.face import landmarks
from realtime.face.detect import CenterFace, InsightFaceDetector
from realtime.face.track import Tracker
from realtime.flow.meters import Meters
from realtime.settings import Settings
from realtime.sinks.null import Null
from realtime.sources.video_file import Film
from realtime.swap import swapper, views
from realtime.swap.compose import Composer
from realtime.swap.identity import Encoder
from realtime.swap.session import probe

INFERENCE: Final = "inference"
ROUNDS: Final = 5  # of the steps alone, so that a machine that slows down slows all of them

Trail = tuple[str, ...]  # of names of steps, each within the one before


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a frame's journey, and where the code has it: its owners and their attribute."""

    name: str
    places: tuple[tuple[Any, str], ...]
    alone: bool = True  # whether it can be done again and again with what it was given last


STEPS: Final = (
    Step("read", ((Film, "next"),), alone=False),
    Step("convert", ((Film, "picture"),)),
    Step("detect", ((CenterFace, "detect"), (InsightFaceDetector, "detect"))),
    Step("find", ((swapper.Swapper, "find"),), alone=False),
    Step("swap", ((swapper.Swapper, "draw"),), alone=False),
    Step("track", ((Tracker, "__call__"),), alone=False),
    Step("landmarks", ((landmarks.Landmarker, "__call__"),)),
    Step("align", ((landmarks, "align"), (views, "align"))),
    Step("encode", ((Encoder, "__call__"),)),
    Step("decode", ((swapper, "decoded"),)),
    Step("compose", ((Composer, "__call__"),)),
    Step("marks", ((Marks, "__call__"),), alone=False),
    Step("mark", ((Watermark, "__call__"),)),
    Step("label", ((Label, "__call__"),)),
    Step("sink", ((Null, "write"),), alone=False),
    Step(INFERENCE, ((ort.InferenceSession, "run"), (ort.InferenceSession, "run_with_iobinding")), alone=False),
)
# What a camera's driver does, or its cable; a file takes its place here.
CAPTURE: Final = ("read", "convert")
# What is left of these when the steps within them are taken out.
RESTS: Final = ("find", "swap", "track", "marks")


@dataclass(slots=True)
class Cost:
    """Of one call, the steps within it included."""

    seconds: float = 0.0
    written: int = 0  # bytes
    large: int = 0  # arrays of more than bench.arrays.LARGE

    def add(self, other: "Cost", sign: int = 1) -> None:
        """Adds another one, or takes it away."""
        self.seconds += sign * other.seconds
        self.written += sign * other.written
        self.large += sign * other.large


Pass = Mapping[Trail, Cost]  # one call of an outermost step, and of all those within it


class Watch:
    """Notes what each step costs; any thread may be watched, a tally belongs to one."""

    def __init__(self) -> None:
        self.tally: Tally | None = None
        self.again: dict[str, Callable[[], Any]] = {}  # by step: the last call once more
        self.runs: dict[str, Callable[[], Any]] = {}  # by the model's role: its last inference once more, not noted
        self.inferences: Counter[str] = Counter()  # by role
        self._run = ort.InferenceSession.run
        self._passes: list[Pass] = []
        self._roles: dict[int, str] = {}  # by the session's id; they live as long as the watch
        self._lock = threading.Lock()
        self._here = threading.local()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Until the end, every call of a step is noted."""
        with ExitStack() as patches:
            for step in STEPS:
                for owner, name in step.places:
                    work = getattr(owner, name)
                    noted = self._noted_async if inspect.iscoroutinefunction(work) else self._noted
                    patches.enter_context(mock.patch.object(owner, name, noted(step.name, work)))
            yield

    def taken(self) -> list[Pass]:
        """What was noted since this was asked last."""
        with self._lock:
            passes, self._passes = self._passes, []
            return passes

    def _noted(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **more: Any) -> Any:
            if name != INFERENCE:
                self.again[name] = partial(noted, *args, **more)
            elif not getattr(self._here, "path", ()):  # a model that is warmed up belongs to no frame
                return work(*args, **more)
            else:
                self._note_inference(work, args, more)
            with self._within(name):
                return work(*args, **more)

        return noted

    def _noted_async(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        async def noted(*args: Any, **more: Any) -> Any:
            with self._within(name):
                return await work(*args, **more)

        return noted

    def _note_inference(self, run: Callable[..., Any], args: tuple[Any, ...], more: Mapping[str, Any]) -> None:
        session = args[0]
        with self._lock:
            if id(session) not in self._roles:
                told = session.get_modelmeta().custom_metadata_map
                self._roles[id(session)] = told.get("liveswap.role", "detector")
            role = self._roles[id(session)]
            self.inferences[role] += 1
            if len(args) > 2:
                self.runs[role] = partial(run, *args, **more)
            elif role not in self.runs:  # a binding's memory may be gone by then: noise takes as long
                self.runs[role] = partial(self._run, session, None, probe(session, ()))

    @contextmanager
    def _within(self, name: str) -> Iterator[None]:
        outer: Trail = getattr(self._here, "path", ())
        if not outer:
            self._here.costs = defaultdict(Cost)
        self._here.path = path = (*outer, name)
        before, began = self._tallied(), time.perf_counter()
        try:
            yield
        finally:
            seconds, after = time.perf_counter() - began, self._tallied()
            self._here.costs[path].add(Cost(seconds, after[0] - before[0], after[1] - before[1]))
            self._here.path = outer
            if not outer:
                with self._lock:
                    self._passes.append(self._here.costs)

    def _tallied(self) -> tuple[int, int]:
        return (self.tally.written, self.tally.large) if self.tally is not None else (0, 0)


def measure(settings: Settings, repeats: int) -> dict[str, Any]:
    """What each step costs in a live run and alone, and the floor; times in ms. Raises LiveswapError."""
    cv2.setNumThreads(settings.threads)
    watch = Watch()
    with watch.watching():
        models = Models.load(settings)
        live = replace(settings, live=True, sink=("null",), preview=False, session_log=False)
        watch.taken()
        watch.inferences.clear()
        if asyncio.run(carry(live, models, Meters())):
            raise KeyboardInterrupt
        placed, often = watch.taken(), Counter(watch.inferences)
        frames = sum(("swap",) in one for one in placed)
        if "decode" not in watch.again or not frames:
            raise LiveswapError(f"{settings.source} shows no face, so that there is nothing to measure")
        image = watch.again["mark"].args[1]  # type: ignore[attr-defined]
        alone, counted = again(watch, Path(settings.source), repeats)
    floor = floor_of(watch, often, frames, image, repeats)
    rows = {step.name: _row(step.name, placed, alone, counted, frames) for step in STEPS if step.name != INFERENCE}
    whole = sum(row["mean"] for row in rows.values())
    for row in rows.values():
        row["share_percent"] = round(100 * row["mean"] / whole, 1)
    inference = sum(row["inference_mean"] for row in rows.values())
    capture = sum(rows[name]["mean"] for name in CAPTURE)
    return {
        "frames": frames,
        "size": f"{image.shape[1]}x{image.shape[0]}",
        "steps": rows,
        "frame_ms": {
            "all": round(whole, 3),
            "capture": round(capture, 3),
            "inference": round(inference, 3),
            "not_inference": round(whole - inference - capture, 3),
        },
        "floor_ms": floor,
        "flame": [{"path": list(path), "ms": round(mean, 4)} for path, mean in _means(placed, frames).items()],
    }


def again(watch: Watch, source: Path, repeats: int) -> tuple[list[Pass], list[Pass]]:
    """The steps that can be done again, each so often on its own, and once more with a tally."""
    calls = [watch.again[step.name] for step in STEPS if step.alone and step.name in watch.again]
    film = Film(source)
    for _ in range(repeats):
        try:
            film.next()
        except EndOfStream:
            break
    film.close()
    for _ in range(ROUNDS):
        for call in calls:
            for _ in range(max(1, repeats // ROUNDS)):
                call()
    alone = watch.taken()
    with tallied() as watch.tally:
        for call in calls:
            call()
    watch.tally = None
    return alone, watch.taken()


def floor_of(
    watch: Watch, often: Mapping[str, int], frames: int, image: np.ndarray[Any, Any], repeats: int
) -> dict[str, float]:
    """Milliseconds of a frame: each model's bare inferences, and one read and one write of the picture's pixels."""
    floor = {role: often[role] / frames * _median(watch.runs[role], repeats) for role in sorted(often)}
    into = np.empty_like(image)
    floor["read and write"] = _median(partial(np.copyto, into, image), repeats)
    return {name: round(taken, 3) for name, taken in {**floor, "all": sum(floor.values())}.items()}


def _median(call: Callable[[], Any], repeats: int) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(max(1, repeats)):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return float(np.median(taken))


def own(passed: Pass, name: str) -> Cost | None:
    """What a step cost in one pass without the steps within it, inference not taken out; None where it was not in it.

    The same step in several places of the pass, or several times, is one.
    """
    paths = [path for path in passed if path[-1] == name]
    if not paths:
        return None
    cost = Cost()
    for path in paths:
        cost.add(passed[path])
        for inner, other in passed.items():
            if inner[:-1] == path and inner[-1] != INFERENCE:
                cost.add(other, -1)
    return cost


def inference_in(passed: Pass, name: str) -> float:
    """Seconds that a step's models ran in one pass, those of the steps within it left out."""
    return sum(cost.seconds for path, cost in passed.items() if path[-2:] == (name, INFERENCE))


def _row(
    name: str, placed: Sequence[Pass], alone: Sequence[Pass], counted: Sequence[Pass], frames: int
) -> dict[str, Any]:
    """One step: ms in place and alone for each pass that it is in, and for each frame; bytes and arrays of one call."""
    costs = [cost for one in placed if (cost := own(one, name)) is not None]
    single = [cost for one in alone if next(iter(one))[0] == name and (cost := own(one, name)) is not None]
    tally = next((own(one, name) for one in counted if (name,) in one), None)
    inference = sum(inference_in(one, name) for one in placed)
    return {
        "in_place": _percentiles(costs),
        "alone": _percentiles(single),
        "mean": 1000 * sum(cost.seconds for cost in costs) / frames,
        "inference_mean": 1000 * inference / frames,
        "passes_per_100_frames": round(100 * len(costs) / frames, 1),
        "written_kib": round(tally.written / 1024) if tally else None,
        "large_arrays": tally.large if tally else None,
    }


def _percentiles(costs: Sequence[Cost]) -> dict[str, float] | None:
    if not costs:
        return None
    p50, p95 = np.percentile([1000 * cost.seconds for cost in costs], (50, 95)).tolist()
    return {"p50": round(p50, 3), "p95": round(p95, 3)}


def _means(placed: Sequence[Pass], frames: int) -> dict[Trail, float]:
    """Milliseconds for each frame by path, the steps within each included."""
    sums: defaultdict[Trail, float] = defaultdict(float)
    for passed in placed:
        for path, cost in passed.items():
            sums[path] += 1000 * cost.seconds / frames
    return dict(sums)


def table(numbers: Mapping[str, Any]) -> Table:
    """A row for each step, then what they are together and the floor."""
    drawn = Table(f"a frame of {numbers['size']}")
    for title in ("in place p50", "p95", "alone p50", "p95", "a frame", "inference", "share", "written", "arrays"):
        drawn.add_column(title, justify="right")
    for name, row in numbers["steps"].items():
        if row["in_place"] is None:
            continue
        times = [
            said(row[where] and row[where][key], ".2f") for where in ("in_place", "alone") for key in ("p50", "p95")
        ]
        inference = f"{row['inference_mean']:.2f}" if row["inference_mean"] else ""
        written = "-" if row["written_kib"] is None else f"{row['written_kib']:,} KiB"
        share, arrays = f"{row['share_percent']:.1f} %", said(row["large_arrays"], "d")
        title = f"{name}, the rest" if name in RESTS else name
        drawn.add_row(title, *times, f"{row['mean']:.2f}", inference, share, written, arrays)
    whole, floor = numbers["frame_ms"], numbers["floor_ms"]
    drawn.add_section()
    for title, value in (
        ("all steps", whole["all"]),
        ("inference", whole["inference"]),
        ("neither that nor capture", whole["not_inference"]),
        ("floor: inference and one copy", floor["all"]),
    ):
        drawn.add_row(title, "", "", "", "", f"{value:.2f}")
    return drawn
