"""What the benchmarks say: JSON for machines, tables for people."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from realtime.errors import SinkError
from realtime.report import machine, versions


def with_origin(numbers: dict[str, Any], command: str) -> dict[str, Any]:
    """The numbers, with the command, the machine and the versions that made them."""
    return {"command": command, **numbers, "machine": machine(), "versions": versions()}


def write(path: Path, numbers: dict[str, Any]) -> None:
    """As a JSON file. Raises SinkError."""
    try:
        path.write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of several reports of `liveswap run`: all frames together, and the median over the runs of everything else.

    Ages and stages are None, or missing, where no run delivered a frame.
    """
    frames = sum(run["frames_in"] for run in runs)
    dropped = sum(run["dropped"] for run in runs)
    stages = runs[0]["stages"]
    return {
        "runs": len(runs),
        "frames_in": frames,
        "dropped_percent": round(100 * dropped / frames, 2) if frames else 0.0,
        "fps": _median([run["fps"] for run in runs]),
        "age_ms": {key: _median([run["age_ms"][key] for run in runs]) for key in runs[0]["age_ms"]},
        "stages": {
            name: {key: _median([run["stages"][name][key] for run in runs if name in run["stages"]]) for key in taken}
            for name, taken in stages.items()
        },
    }


def runs_table(title: str, columns: dict[str, dict[str, Any]]) -> Table:
    """One column for each summary, by name; the title stands above the names of the rows."""
    table = Table(title, *columns)
    shown = columns.values()
    table.add_row("fps", *(f"{one['fps']:.1f}" for one in shown))
    table.add_row("dropped", *(f"{one['dropped_percent']:.1f} % of {one['frames_in']}" for one in shown))
    for key in ("p50", "p95", "p99", "max"):
        table.add_row(f"age {key}", *(_milliseconds(one["age_ms"][key]) for one in shown))
    for name in dict.fromkeys(name for one in shown for name in one["stages"]):
        cells = (one["stages"].get(name, {}) for one in shown)
        table.add_row(
            name, *(f"{_milliseconds(c.get('p50'))}, p95 {_milliseconds(c.get('p95'))}" if c else "" for c in cells)
        )
    return table


def said(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def _median(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return round(statistics.median(there), 2) if there else None


def _milliseconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} ms"
