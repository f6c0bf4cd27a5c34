"""How good trainings on footage became over the minutes that their processors worked, against the truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from realtime.errors import LiveswapError, MissingExtra, SinkError

COLOURS: Final = ("#1e8a4c", "#c8452c", "#2a78c2", "#8a5cc2", "#c98a1b", "#5b6770")
WANTED: Final[Mapping[str, float]] = {"face_ssim": 0.85, "face_l1": 0.5}  # L1 as a share of the better baseline's


@dataclass(frozen=True, slots=True)
class Curve:
    """One run: a value for each snapshot; means over the directions in which somebody becomes somebody else."""

    name: str
    minutes: tuple[float, ...]  # of processors
    steps: tuple[int, ...]
    ssim: tuple[float, ...]
    l1: tuple[float, ...]  # 255ths
    untrained: Mapping[str, tuple[float, float]]  # SSIM and L1 of "input" and "mean"
    best: float  # L1 of the better of the two, 255ths

    @classmethod
    def read(cls, run: Path) -> "Curve":
        """Of what `liveswap-train evaluate RUN --truth` wrote. Raises LiveswapError."""
        from training.paired import better, crossing  # brings torch along, which the other commands do not need

        try:
            truth: dict[str, Any] = json.loads((run / "evaluation.json").read_text("utf-8"))["truth"]
            taken, ways = truth["snapshots"], truth["directions"]
            return cls(
                run.name,
                tuple(float(one["core_minutes"]) for one in taken),
                tuple(int(one["steps"]) for one in taken),
                tuple(crossing(one["directions"], "swapped", "face_ssim") for one in taken),
                tuple(crossing(one["directions"], "swapped", "face_l1") for one in taken),
                {
                    name: (crossing(ways, name, "face_ssim"), crossing(ways, name, "face_l1"))
                    for name in ("input", "mean")
                },
                better(ways, "face_l1"),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LiveswapError(
                f"{run} has no curve, wanted `liveswap-train train --snapshots` and then "
                "`liveswap-train evaluate --truth`"
            ) from error


def curves(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trainings with snapshots that were evaluated.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw it as well.")] = None,
) -> None:
    """Quality over minutes of processor time of trainings on footage, beside what needs no training."""
    found = [Curve.read(run) for run in runs]
    for one in found:
        Console().print(table(one))
    if out is not None:
        plot(found, out)


def table(curve: Curve) -> Table:
    """A row for each snapshot."""
    shown = Table("core minutes", "steps", "SSIM", "L1, 255ths", "of the better baseline", title=curve.name)
    for minutes, step, ssim, l1 in zip(curve.minutes, curve.steps, curve.ssim, curve.l1, strict=True):
        shown.add_row(f"{minutes:.1f}", str(step), f"{ssim:.3f}", f"{l1:.2f}", f"{l1 / curve.best:.2f}")
    for name, (ssim, l1) in curve.untrained.items():
        shown.add_row(name, "", f"{ssim:.3f}", f"{l1:.2f}", f"{l1 / curve.best:.2f}")
    return shown


def plot(found: Sequence[Curve], path: Path) -> None:
    """SSIM and the share of the better baseline's error over the minutes. Raises MissingExtra, SinkError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("the plot needs the package matplotlib, wanted: pip install matplotlib") from None
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, one in enumerate(found):
        colour = COLOURS[k % len(COLOURS)]
        left.plot(one.minutes, one.ssim, "o-", color=colour, markersize=4, label=one.name)
        right.plot(one.minutes, [value / one.best for value in one.l1], "o-", color=colour, markersize=4)
    for dashes, (name, (ssim, l1)) in zip(("--", "-."), found[0].untrained.items(), strict=True):
        title = {"input": "the input, unchanged", "mean": "the mean picture"}[name]
        left.axhline(ssim, linestyle=dashes, color="#5b6770", linewidth=1.2, label=title)
        right.axhline(l1 / found[0].best, linestyle=dashes, color="#5b6770", linewidth=1.2)
    left.axhline(WANTED["face_ssim"], linestyle=":", color="black", linewidth=1.2, label="wanted")
    right.axhline(WANTED["face_l1"], linestyle=":", color="black", linewidth=1.2)
    left.set_ylabel("SSIM inside the mask, against the truth")
    right.set_ylabel("L1 as a share of the better baseline's")
    for axes in (left, right):
        axes.set_xlabel("minutes of one core")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
