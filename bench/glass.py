"""Glass to glass: how old a picture is when the far end sees it, through each path that it can take."""

import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.glass_numbers import Run, first_arrivals, measured, numbers, per_second, settling
from bench.glass_paths import Paths
from bench.glass_plot import plot, tables
from bench.report import with_origin, write
from realtime.__main__ import DEMO
from realtime.errors import LiveswapError, SettingsError
from realtime.options import ModelFolder, NetworkSize, Provider, Revoked, Threads
from realtime.settings import load
from realtime.sinks.writable import check_writable
from realtime.status import speak

PATHS: Final = ("inprocess", "echo", "swap", "naive", "browser")
BROWSER: Final = ("browser echo", "browser swap", "browser naive")  # what "browser" stands for
PAIRS: Final = (("swap", "echo"), ("browser swap", "browser echo"))  # a path, and the same one without the swap
ABOVE_ECHO_MS: Final = 45.0  # target: p95 of swap's age beyond that of echo
SLOPE: Final = 1.0  # target: ms a minute
LONGEST_S: Final = 1800.0  # of one path: longer, and the strip's numbers come round unseen


def glass(
    seconds: Annotated[float, typer.Option(min=1, max=LONGEST_S, metavar="S", help="Of each path.")] = 120.0,
    paths: Annotated[str, typer.Option(metavar="NAME,...", help="Which ones, in turn.")] = ",".join(PATHS),
    source: Annotated[Path, typer.Option(metavar="FILE", help="Another clip than the bundled one.")] = DEMO,
    identity: Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx")] = None,
    models: ModelFolder = None,
    revoked: Revoked = None,
    size: NetworkSize = None,
    threads: Threads = None,
    provider: Provider = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw the age of all paths over time.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--json", "--out", metavar="FILE.json", help="Write the numbers as JSON as well.")
    ] = None,
) -> None:
    """How old the picture is when the far end sees it, and whether it gets older: in-process, aiortc and Chromium."""
    speak(0)
    flags = {"identity": identity, "models": models, "size": size, "threads": threads, "provider": provider}
    settings = load(None, {**flags, "revoked": revoked})
    names = chosen(paths)
    for path in (picture, out):
        if path is not None:
            check_writable(path)
    cv2.setNumThreads(settings.threads)
    runs, failed = asyncio.run(travel(Paths(settings, source, seconds), names))
    found = {name: numbers(run) for name, run in runs.items()}
    if found:
        Console().print(*tables(found))
    for sentence in verdicts(found):
        typer.echo(sentence)
    if picture is not None:
        plot(runs, picture)
    if out is not None:
        kept = {"seconds": seconds, "paths": found, "over_time": over_time(runs), "failed": failed}
        write(out, with_origin(kept, shlex.join(["liveswap-bench", *sys.argv[1:]])))
    if failed:
        raise LiveswapError("; ".join(f"{name}: {sentence}" for name, sentence in failed.items()))


def chosen(text: str) -> tuple[str, ...]:
    """The paths that a text such as "echo,swap" names, with those of the browser in place of "browser".

    Raises SettingsError.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in (*PATHS, *BROWSER):
            raise SettingsError(f"the path {name!r} is unknown: wanted some of {', '.join((*PATHS, *BROWSER))}")
    whole = [one for name in names for one in (BROWSER if name == "browser" else (name,))]
    return tuple(dict.fromkeys(whole))


async def travel(paths: Paths, names: Sequence[str]) -> tuple[dict[str, Run], dict[str, str]]:
    """What counts of each path, in turn, and of those that failed the reason; one that fails does not stop others."""
    runs: dict[str, Run] = {}
    failed: dict[str, str] = {}
    bar = Progress(
        TextColumn("{task.description:14}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    with bar:
        for name in names:
            async with moving(bar, name, settling(paths.seconds) + paths.seconds):
                try:
                    runs[name] = measured(await paths.named(name)(), paths.seconds)
                except LiveswapError as error:
                    failed[name] = str(error)
                except ImportError as error:
                    failed[name] = f"{error.name or error} is not installed, wanted: pip install 'liveswap[webrtc]'"
    return runs, failed


@asynccontextmanager
async def moving(bar: Progress, name: str, seconds: float) -> AsyncIterator[None]:
    """A bar that moves with the clock."""
    task = bar.add_task(name, total=seconds)

    async def advance() -> None:
        began = time.perf_counter()
        while True:
            await asyncio.sleep(0.5)
            bar.update(task, completed=min(seconds, time.perf_counter() - began))

    advancing = asyncio.create_task(advance())
    try:
        yield
    finally:
        advancing.cancel()
        bar.update(task, completed=seconds)


def verdicts(found: Mapping[str, dict[str, Any]]) -> list[str]:
    """A sentence about each path that has its echo beside it, with the targets of aiortc to aiortc."""
    sentences = []
    for name, echo in PAIRS:
        if not {name, echo} <= set(found):
            continue
        ages = [found[one]["age_ms"]["p95"] for one in (name, echo)]
        if None in ages:
            continue
        target = f" (wanted: at most {ABOVE_ECHO_MS:g})" if name == "swap" else ""
        sentences.append(f"{name}: p95 of the age {ages[0] - ages[1]:+.1f} ms beyond {echo}{target}")
    if "swap" in found and found["swap"]["slope_ms_a_minute"] is not None:
        swap = found["swap"]
        grows, error = swap["slope_ms_a_minute"], swap["slope_error_ms_a_minute"]
        sentences.append(f"swap: grows by {grows:+.2f} ± {error:.2f} ms a minute (wanted: under {SLOPE:g})")
        sentences.append(f"swap: {swap['reordered']} frames out of order (wanted: 0)")
    return sentences


def over_time(runs: Mapping[str, Run]) -> dict[str, dict[str, list[float]]]:
    """For each path the median and the largest age of each second, ms: what the plot shows."""
    kept = {}
    for name, run in runs.items():
        if new := first_arrivals(run.arrivals)[0]:
            seconds, medians, largest = per_second(new)
            series = {"second": seconds, "age_p50_ms": medians, "age_max_ms": largest}
            kept[name] = {key: [round(float(value), 1) for value in values] for key, values in series.items()}
    return kept
