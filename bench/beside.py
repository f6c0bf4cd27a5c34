"""`liveswap-bench policies`: our loop beside those of others, in turns, on the same frames and models."""

import math
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import cv2
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.glass_numbers import Run, numbers
from bench.policies import Bench, Head, Watched
from bench.report import said, with_origin, write
from bench.tracking import pictures_of
from realtime.__main__ import DEMO
from realtime.errors import MissingExtra, SettingsError, SinkError
from realtime.face.track import Tracker
from realtime.options import ModelFolder, Threads
from realtime.settings import load

Policy = Callable[[Bench, Watched], None]
POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "ours": Bench.ours,
        "sequential": Bench.sequential,
        "stale landmarks": Bench.stale,
        "pool": Bench.pool,
        "thread each": Bench.thread_each,
        "in recv": Bench.in_recv,
    }
)
SETTLING_S: Final = 1.0  # at the beginning of a run that do not count
COLOURS: Final = ("#1e8a4c", "#2a78c2", "#8a5fbf", "#c8452c", "#d98e04", "#5b6770")


def policies(
    source: Annotated[Path, typer.Option(metavar="FILE", help="A clip whose first picture shows the head.")] = DEMO,
    models: ModelFolder = None,
    seconds: Annotated[float, typer.Option(min=2.0, max=600.0, metavar="S", help="Of each run.")] = 20.0,
    fps: Annotated[float, typer.Option(min=1.0, max=240.0, metavar="RATE", help="Of the camera.")] = 60.0,
    threads: Threads = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the age over time.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """Our loop beside those of others: fps, age, order, and how far the drawn face is behind the head."""
    if plot is not None and plot.suffix != ".png":
        raise SettingsError(f"--plot is {plot.name!r}, wanted a name that ends in .png")
    settings = load(None, {"models": models, "threads": threads})
    cv2.setNumThreads(settings.threads)
    head = Head.of(pictures_of(source, 1)[0], Tracker.load(settings.tracking, settings.session), fps)
    bench = Bench(settings, head, seconds + SETTLING_S)
    seen: dict[str, Watched] = {}
    for name in track(POLICIES, "measuring", console=Console(stderr=True)):
        seen[name] = Watched()
        POLICIES[name](bench, seen[name])
    results = {name: in_numbers(watched, head, round(seconds * fps)) for name, watched in seen.items()}
    Console().print(table(results))
    if plot:
        draw(seen, plot)
    if out:
        write(out, with_origin({"fps": fps, "policies": results}, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def in_numbers(watched: Watched, head: Head, captured: int) -> dict[str, Any]:
    """One policy, as glass to glass has it, without the first second, after which so many frames were captured.

    lag_px is how far the drawn face is behind the head; not_shown_percent counts frames that were left out and those
    that still waited at the end.
    """
    first = round(SETTLING_S * head.fps)
    counted = tuple(one for one in watched.arrivals if one.number >= first)
    lag = head.lag({number: x for number, x in watched.drawn.items() if number >= first})
    shown = 100 * len({one.number for one in counted}) / captured
    return {
        **numbers(Run(counted)),
        "not_shown_percent": round(100 - shown, 2),
        "lag_px": None if math.isnan(lag) else round(lag, 2),
    }


def table(results: Mapping[str, dict[str, Any]]) -> Table:
    """One row for each policy."""
    shown = Table("loop")
    for title in (
        "fps",
        "age p50, ms",
        "p95",
        "grows, ms a minute",
        "not shown",
        "out of order",
        "behind the head, px",
    ):
        shown.add_column(title, justify="right")
    for name, one in results.items():
        shown.add_row(
            name,
            said(one["fps"], ".1f"),
            said(one["age_ms"]["p50"], ".1f"),
            said(one["age_ms"]["p95"], ".1f"),
            said(one["slope_ms_a_minute"], "+.0f"),
            f"{one['not_shown_percent']:.1f} %",
            str(one["reordered"]),
            said(one["lag_px"], ".1f"),
        )
    return shown


def draw(seen: Mapping[str, Watched], path: Path) -> None:
    """The age of every frame over the time of its arrival. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, watched), colour in zip(seen.items(), COLOURS, strict=True):
        begin = min((one.captured_at for one in watched.arrivals), default=0.0)
        times = [one.seen_at - begin for one in watched.arrivals]
        axes.plot(times, [one.age_ms for one in watched.arrivals], ".", markersize=2.5, label=name, color=colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("seconds")
    axes.set_ylabel("age of the frame when it is out, ms")
    axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=6, frameon=False, markerscale=4)
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
