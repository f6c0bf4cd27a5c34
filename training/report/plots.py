"""The curves of a report, as SVG: what a training lost, and how like the held-out faces became."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from training.curves import Point

COLOURS: Final = ("#0b6e99", "#c8553d", "#3a7d44", "#7b4fa3", "#b58900", "#5c6670")
WIDTH: Final = 5.2  # inches
HEIGHT: Final = 3.4


def losses(points: Sequence[Point]) -> str:
    """The weighted losses and their sum, logarithmic, over minutes."""
    seen = [point for point in points if point.losses]
    lines = {name: [point.losses.get(name) for point in seen] for name in sorted({n for p in seen for n in p.losses})}
    total = [sum(point.losses.values()) for point in seen]
    figure, axes = _sheet("weighted loss")
    minutes = [point.minutes for point in seen]
    axes.plot(minutes, total, color="#111", linewidth=1.8, label="sum")
    _draw(axes, minutes, lines)
    if any(value > 0 for value in total):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    return _svg(figure)


def measures(points: Sequence[Point], score: str, unit: str) -> str:
    """A score ("ssim") of each person's held-out faces over minutes."""
    seen = [point for point in points if any(name.endswith(f"_{score}") for name in point.measures)]
    names = sorted({name for point in seen for name in point.measures if name.endswith(f"_{score}")})
    lines = {name.removesuffix(f"_{score}"): [point.measures.get(name) for point in seen] for name in names}
    figure, axes = _sheet(unit)
    _draw(axes, [point.minutes for point in seen], lines, marker=".")
    return _svg(figure)


def _sheet(what: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("minutes")
    axes.set_ylabel(what)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw(axes: Axes, minutes: Sequence[float], lines: Mapping[str, Sequence[float | None]], marker: str = "") -> None:
    for number, (name, values) in enumerate(lines.items()):
        known = [(minute, value) for minute, value in zip(minutes, values, strict=True) if value is not None]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*known, strict=True), marker=marker, linewidth=1.2, color=colour, label=name)


def _svg(figure: Figure) -> str:
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize="small")
    data = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "liveswap"}):  # the same curves, the same file
        figure.savefig(data, format="svg", metadata={"Date": None, "Creator": None})
    return data.getvalue()
