"""What a graphics card makes of fused models: one stream as fast as it goes, many at camera speed in common calls."""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import av
import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench.report import said, with_origin, write
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError, ModelError, SettingsError
from realtime.face.track import Tracker
from realtime.frame import Frame
from realtime.options import ModelFolder, Threads
from realtime.settings import Settings, load
from realtime.status import speak
from realtime.swap.compose import ComposeSettings, Fit, Swapped
from realtime.swap.fused.batcher import Batcher
from realtime.swap.fused.fit import FusedFit
from realtime.swap.fused.identity import Fusing
from realtime.swap.identity import Shelf
from realtime.swap.swapper import Swapper

PARTS: Final = ("upload", "draw", "download")
MOMENTS: Final = 30  # pictures of the clip that go round
FPS: Final = 30.0  # of each session
AGE_S: Final = 0.033  # that 95 % of a session's frames may have at most
KEPT: Final = 0.95  # of a session's frames, for it to count as carried
WARMING: Final = 4  # calls before the clock starts
TARGETS: Final = (
    "at least 500 fps, draw p95 at most 3 ms, draw share at least 80 %; 60 sessions with age p95 at most 33 ms"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured."""

    seconds: float  # of each part
    sessions: tuple[int, ...]  # at once
    wait_s: float  # that a frame waits for those of others at most


def gpu(
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    identity: Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx")] = None,
    models: ModelFolder = None,
    provider: Annotated[str | None, typer.Option(metavar="auto|cpu|cuda|tensorrt|...")] = None,
    cuda_graphs: Annotated[bool, typer.Option("--cuda-graphs", help="Have NVIDIA's cards record runs.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, metavar="S", help="Of each part.")] = 10.0,
    sessions: Annotated[str, typer.Option(metavar="N,N,...", help="How many at once.")] = "1,8,30,60",
    wait_ms: Annotated[float, typer.Option(min=0, max=1000, metavar="MS", help="For the frames of others.")] = 3.0,
    width: Annotated[int, typer.Option(min=64, max=8192, metavar="PIXELS", help="Of the frames.")] = 1280,
    height: Annotated[int, typer.Option(min=64, max=8192, metavar="PIXELS", help="Likewise.")] = 720,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """Fused models on a card: frames a second of one stream, the shares of copies, and how many sessions it carries."""
    speak(0)
    flags: dict[str, object] = {"identity": identity, "models": models, "provider": provider, "threads": threads}
    settings = load(None, {**flags, "source": str(source), "fused": True, "cuda_graphs": cuda_graphs})
    asked = Asked(seconds, counts(sessions), wait_ms / 1000)
    numbers = measure(settings, asked, width, height)
    console = Console()
    for each in tables(numbers):
        console.print(each)
    console.print(f"grey levels from the usual path: {said_near(numbers['near'])}")
    console.print(f"wanted of a data-centre GPU at 1280x720: {TARGETS}")
    if numbers["provider"] == "cpu":
        console.print("this was the processor: it shows that the code runs, and nothing of what a card does")
    if out is not None:
        write(out, with_origin(numbers, "liveswap-bench gpu"))


def counts(text: str) -> tuple[int, ...]:
    """Numbers of sessions written with commas. Raises SettingsError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 1000 for part in parts):
        raise SettingsError(f"sessions is {text!r}, wanted numbers from 1 to 1000 with commas, as in 1,8,60")
    return tuple(int(part) for part in parts)


def measure(settings: Settings, asked: Asked, width: int, height: int) -> dict[str, Any]:
    """The numbers of one stream and of sessions. Raises LiveswapError."""
    shelf = shelf_of(settings, Fusing(settings.session, settings.cuda_graphs))
    found = moments(settings, shelf, width, height)
    return {
        "frame": f"{width}x{height}",
        "provider": shelf.encoder.provider,
        "cuda_graphs": settings.cuda_graphs,
        "wait_ms": 1000 * asked.wait_s,
        "near": near(found, settings, width, height),
        "stream": {
            "without noise": stream(found, ComposeSettings(grain=False), asked.seconds),
            "with noise": stream(found, ComposeSettings(), asked.seconds),
        },
        "sessions": [together(found, number, asked) for number in asked.sessions],
    }


def shelf_of(settings: Settings, opening: Fusing | None = None) -> Shelf:
    """The identities of the settings, fused by opening. Raises LiveswapError."""
    names = [name for name in settings.casting.names if not name.endswith(".onnx")]
    return Shelf.load(settings.folder, settings.session, names, settings.consent, opening)


def near(found: Sequence[Swapped], settings: Settings, width: int, height: int) -> dict[str, list[float]] | None:
    """How far fused models are from the usual path on the same pictures, in grey levels, without noise.

    Over the pixels that the usual path changes: the mean and the largest difference of a picture, each as least and
    most of all pictures. None where the identity is a file that has no usual form. Raises LiveswapError.
    """
    try:
        usual = {swapped.frame.index: swapped for swapped in moments(settings, shelf_of(settings), width, height)}
    except ModelError:
        return None
    fused, plain = FusedFit(ComposeSettings(grain=False)), Fit(ComposeSettings(grain=False))
    apart = []
    for swapped in found:
        other = usual.get(swapped.frame.index)
        if other is not None:
            wanted = plain(other).image
            difference = np.abs(fused(swapped).image.astype(int) - wanted)[(wanted != other.frame.image).any(2)]
            apart.append((float(difference.mean()), float(difference.max())))
    means, most = zip(*apart, strict=True)
    return {"mean": [round(min(means), 2), round(max(means), 2)], "most": [min(most), max(most)]}


def moments(settings: Settings, shelf: Shelf, width: int, height: int) -> list[Swapped]:
    """Pictures of the clip with their faces found. Raises LiveswapError where there is none."""
    swapper = Swapper(
        Tracker.load(settings.tracking, settings.session), shelf, str(settings.casting.renamed(shelf.name_of))
    )
    found = []
    with av.open(settings.source) as container:
        for index, picture in zip(range(MOMENTS), container.decode(video=0), strict=False):
            image = cv2.resize(picture.to_ndarray(format="bgr24"), (width, height), interpolation=cv2.INTER_AREA)
            swapped = swapper(Frame(np.asarray(image, np.uint8), index, index / FPS, index / FPS))
            if swapped.swaps:
                found.append(swapped)
    if not found:
        raise LiveswapError(f"no face was found in the first {MOMENTS} pictures of {settings.source}")
    return found


def stream(found: Sequence[Swapped], settings: ComposeSettings, seconds: float) -> dict[str, Any]:
    """One stream as fast as it goes; faces have been found before."""
    taken: dict[str, list[float]] = defaultdict(list)
    fit = FusedFit(settings, lambda name, spent: taken[name].append(1000 * spent))
    for index in range(WARMING):
        fit(found[index % len(found)])
    taken.clear()
    began, frames = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or not frames:
        before = time.perf_counter()
        fit(again(found, frames))
        taken["frame"].append(1000 * (time.perf_counter() - before))
        frames += 1
    elapsed = time.perf_counter() - began
    parts = {name: percentiles(taken[name]) for name in (*PARTS, "frame")}
    share = sum(taken["draw"]) / sum(taken["frame"])
    return {"frames": frames, "fps": round(frames / elapsed, 2), "ms": parts, "draw_share": round(share, 4)}


def again(found: Sequence[Swapped], number: int) -> Swapped:
    """A picture of those that go round, as the frame of that number."""
    swapped = found[number % len(found)]
    return replace(swapped, frame=replace(swapped.frame, index=number, at=number / FPS))


def together(found: Sequence[Swapped], number: int, asked: Asked) -> dict[str, Any]:
    """So many sessions at camera speed, each with a frame every 30th of a second, of which it takes the newest."""
    calls: dict[str, list[float]] = defaultdict(list)
    batcher = Batcher(asked.wait_s, clock=lambda name, spent: calls[name].append(1000 * spent))
    ages: list[list[float]] = [[] for _ in range(number)]
    failed: list[BaseException] = []
    begin = threading.Barrier(number + 1)

    def session(which: int) -> None:
        fit = FusedFit(ComposeSettings(), None, batcher)
        try:
            fit(found[which % len(found)])
        except BaseException as error:
            failed.append(error)
        begin.wait()
        start = time.perf_counter() + which / number / FPS  # cameras are not in step
        index = 0
        while not failed and index / FPS < asked.seconds:
            due = start + index / FPS
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                fit(again(found, index))
            except BaseException as error:
                failed.append(error)
            now = time.perf_counter()
            ages[which].append(now - due)
            index = max(index + 1, int((now - start) * FPS))  # older ones were replaced meanwhile

    threads = [threading.Thread(target=session, args=(which,)) for which in range(number)]
    for thread in threads:
        thread.start()
    begin.wait()
    calls.clear()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    everything = [age for one in ages for age in one]
    wanted = max(1, int(asked.seconds * FPS))
    shown = min(len(one) for one in ages) / wanted
    p95 = float(np.percentile(everything, 95))
    return {
        "sessions": number,
        "age_ms": percentiles([1000 * age for age in everything]),
        "frames": len(everything),
        "least_fps": round(min(len(one) for one in ages) / asked.seconds, 2),
        "frames_a_call": round(len(everything) / max(1, len(calls["upload"])), 2),
        "carried": p95 <= AGE_S and shown >= KEPT,
    }


def said_near(near: dict[str, list[float]] | None) -> str:
    """How near fused models are, in words."""
    if near is None:
        return "not measured, the identity has no usual form"
    (least, greatest), (fewest, most) = near["mean"], near["most"]
    return f"{least} to {greatest} on average of a picture's face, {fewest:.0f} to {most:.0f} at most"


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50 and p95; None where there is nothing."""
    if not values:
        return {"p50": None, "p95": None}
    p50, p95 = np.percentile(values, (50, 95)).round(3).tolist()
    return {"p50": p50, "p95": p95}


def tables(numbers: dict[str, Any]) -> list[Table]:
    """For people."""
    one = Table(f"one stream of {numbers['frame']} on {numbers['provider']}", *numbers["stream"])
    columns = numbers["stream"].values()
    one.add_row("fps", *(f"{column['fps']:.1f}" for column in columns))
    for name in (*PARTS, "frame"):
        cells = [column["ms"][name] for column in columns]
        one.add_row(name, *(f"{said(cell['p50'], '.2f')} ms, p95 {said(cell['p95'], '.2f')}" for cell in cells))
    one.add_row("draw share", *(f"{100 * column['draw_share']:.0f} %" for column in columns))
    many = Table("sessions of 30 fps", "age p50", "age p95", "least fps", "frames a call", "carried")
    for row in numbers["sessions"]:
        age = row["age_ms"]
        many.add_row(
            str(row["sessions"]),
            f"{said(age['p50'], '.1f')} ms",
            f"{said(age['p95'], '.1f')} ms",
            f"{row['least_fps']:.1f}",
            f"{row['frames_a_call']:.1f}",
            "yes" if row["carried"] else "no",
        )
    return [one, many]
