"""The plot of the marks: chance and its fit beside what is found on the ways."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.marks_null import Null
from realtime.errors import MissingExtra, SinkError


def plot(null: Null, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws both. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    n = len(null.strengths)
    left.step(null.strengths, 1 - np.arange(n) / n, where="post", color="#2a78c2", label=f"{n:,} unmarked stretches")
    m = len(null.others)
    left.step(null.others, 1 - np.arange(m) / m, where="post", color="#9ab8d6", label=f"{m:,} with other keys")
    line = np.linspace(null.strengths[0], null.threshold + 2, 200)
    left.plot(line, null.expected(line), "--", color="#1e8a4c", label=f"1 - (1 - exp(-s))^{null.effective:.3g}")
    bound = np.minimum(1, null.looks * np.exp(-line))
    left.plot(line, bound, ":", color="#5b6770", label=f"bound: {null.looks} exp(-s)")
    left.axvline(null.threshold, color="#c8452c", linewidth=1.2, label=f"called marked from {null.threshold:.1f} on")
    left.set_yscale("log")
    left.set_ylim(1e-8, 2)
    left.set_xlabel("strength s of the best look")
    left.set_ylabel("share of stretches that reach it")
    left.legend(loc="lower left", fontsize=8)
    left.grid(alpha=0.3)
    names = [row["way"] for row in rows]
    places = np.arange(len(rows))
    colours = ["#1e8a4c" if row["target"] else "#2a78c2" for row in rows]
    right.barh(places, [row["median_strength"] for row in rows], color=colours, height=0.6)
    right.plot([row["weakest"] for row in rows], places, "|", color="black", markersize=9, label="weakest stretch")
    right.axvline(null.threshold, color="#c8452c", linewidth=1.2)
    right.set_xscale("log")
    right.set_xlim(left=10)
    right.set_yticks(places, names, fontsize=8)
    right.invert_yaxis()
    right.set_xlabel("median strength of 5 s; green: the targets")
    right.legend(loc="lower right", fontsize=8)
    right.grid(alpha=0.3, axis="x")
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
