"""A picture of where a frame's time goes: bars over bars, each as wide as it takes, beside the floor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.steps import Trail
from realtime.errors import MissingExtra, SettingsError, SinkError

COLOURS: Final[Mapping[str, str]] = {
    "inference": "#c8452c",
    "read": "#9aa5ad",
    "convert": "#9aa5ad",
    "compose": "#1e8a4c",
    "marks": "#8a5fbf",
    "mark": "#8a5fbf",
    "label": "#b79be0",
    "align": "#2a78c2",
    "read and write": "#d98e04",
}
OTHER: Final = "#e3d5b8"
NARROWEST: Final = 0.03  # of the picture's width: a narrower bar has no room for its name


def check_plot(plot: Path | None) -> None:
    """Raises SettingsError for a picture that is not called .png."""
    if plot is not None and plot.suffix != ".png":
        raise SettingsError(f"--plot is {plot.name!r}, wanted a name that ends in .png")


def draw(numbers: Mapping[str, Any], path: Path) -> None:
    """The steps of a frame over those that they are part of, and the floor's. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    means: dict[Trail, float] = {tuple(one["path"]): float(one["ms"]) for one in numbers["flame"]}
    floor: dict[Trail, float] = {(name,): float(taken) for name, taken in numbers["floor_ms"].items() if name != "all"}
    widest = sum(taken for trail, taken in means.items() if len(trail) == 1)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    steps, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    models = {**dict.fromkeys(numbers["floor_ms"], COLOURS["inference"]), "read and write": COLOURS["read and write"]}
    for axes, bars, colours in ((steps, placed(means), COLOURS), (below, placed(floor), models)):
        for (trail, left), taken in bars.items():
            _bar(axes, trail, left, taken, widest, colours)
        axes.set_yticks([])
        axes.spines[["left", "right", "top"]].set_visible(False)
    steps.set_title(f"a frame of {numbers['size']} in a live run, ms of each step", loc="left", fontsize=10)
    below.set_title("the floor: the models alone, and one copy of the picture", loc="left", fontsize=10)
    below.set_xlabel("ms for each frame, the threads' work one after the other")
    below.set_xlim(0, widest)
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def placed(means: Mapping[Trail, float]) -> dict[tuple[Trail, float], float]:
    """Where each bar begins, and how wide it is: steps in their order, parts from where the whole begins."""
    bars: dict[tuple[Trail, float], float] = {}
    ends: dict[Trail, float] = {}  # by what they are part of: where its next part begins
    for trail in sorted(means, key=len):
        outer = trail[:-1]
        left = ends.get(outer, 0.0)
        bars[trail, left] = means[trail]
        ends[outer], ends[trail] = left + means[trail], left
    return bars


def _bar(axes: Any, trail: Trail, left: float, taken: float, widest: float, colours: Mapping[str, str]) -> None:
    name, row = trail[-1], len(trail) - 1
    colour = colours.get(name, OTHER)
    axes.barh(row, taken, left=left, height=0.94, color=colour, edgecolor="white", linewidth=0.8)
    if taken > NARROWEST * widest:
        text = f"{name}\n{taken:.1f}" if taken < 3 * NARROWEST * widest else f"{name} {taken:.1f}"
        ink = "black" if colour in (OTHER, COLOURS["read"]) else "white"
        axes.text(left + taken / 2, row, text, ha="center", va="center", fontsize=7, color=ink)
