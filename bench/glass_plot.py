"""What the paths of one run look like beside each other: a table, and the age of the picture over time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

from bench.glass_numbers import Run, first_arrivals, per_second
from bench.report import said
from realtime.errors import MissingExtra, SinkError

COLOURS: Final[Mapping[str, str]] = {"inprocess": "#5b6770", "echo": "#2a78c2", "swap": "#1e8a4c", "naive": "#c8452c"}
RUNS_AWAY: Final = 10.0  # times the least: from there on a plot of ages needs a logarithmic axis


def tables(paths: Mapping[str, dict[str, Any]]) -> tuple[Table, Table]:
    """How old pictures were, and what became of them; one row for each path."""
    ages = _headed("age, ms", "p50", "p95", "p99", "max", "grows, ms a minute")
    fates = _headed("frames", "fps", "dropped", "late", "twice", "unread", "freezes", "longest gap")
    for name, one in paths.items():
        ages.add_row(name, *(said(one["age_ms"][key], ".1f") for key in ("p50", "p95", "p99", "max")), _slope(one))
        counts = (str(one[key]) for key in ("reordered", "repeated", "unread", "freezes"))
        gap = f"{said(one['longest_gap_ms'], '.0f')} ms"
        fates.add_row(name, said(one["fps"], ".1f"), f"{one['dropped_percent']:.1f} %", *counts, gap)
    return ages, fates


def _headed(first: str, *others: str) -> Table:
    table = Table(first)
    for title in others:
        table.add_column(title, justify="right")
    return table


def plot(runs: Mapping[str, Run], path: Path) -> None:
    """Draws the median age of each second and, paler, up to its largest. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    lows, highs = [], []
    for name, run in runs.items():
        new, _, _ = first_arrivals(run.arrivals)
        if not new:
            continue
        seconds, medians, largest = per_second(new)
        browser, _, kind = name.rpartition(" ")
        colour, dashes = COLOURS.get(kind, "black"), "--" if browser else "-"
        axes.plot(seconds, medians, dashes, label=name, linewidth=1.6, color=colour)
        axes.fill_between(seconds, medians, largest, color=colour, alpha=0.12, linewidth=0)
        lows.append(float(np.median(medians)))
        highs.append(float(medians.max()))
    if lows and max(highs) > RUNS_AWAY * min(lows):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the first frame that counts")
    axes.set_ylabel("age at arrival, ms")
    axes.grid(alpha=0.3, which="both")
    if lows:
        figure.legend(loc="outside lower center", ncols=min(4, len(lows)), frameon=False)
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def _slope(one: dict[str, Any]) -> str:
    if one["slope_ms_a_minute"] is None:
        return "-"
    return f"{one['slope_ms_a_minute']:+.1f} ± {one['slope_error_ms_a_minute']:.1f}"
