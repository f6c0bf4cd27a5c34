"""The networks of DeepFaceLab and faceswap beside ours: one loop, footage and time; quality against the truth."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.report import with_origin, write
from realtime.errors import SettingsError


def networks(
    facesets: Annotated[list[str], typer.Argument(help="What `liveswap-train extract` made of talks.")],
    truth: Annotated[Path, typer.Option(metavar="TALKS", help="What `liveswap-train heads talks` wrote.")],
    minutes: Annotated[float, typer.Option(min=0.001, help="Of the processor, for each network.")] = 10.0,
    batch: Annotated[int, typer.Option(min=2, help="Faces in a step.")] = 16,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    precision: Annotated[str, typer.Option(metavar="fp32|bf16", help="Of convolutions and matrix products.")] = "fp32",
    items: Annotated[int | None, typer.Option(min=1, help="Moments of the truth; all if not given.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="ours|df|original", help="Some of them.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """The networks of DeepFaceLab and faceswap in our loop, beside ours: steps, parameters, quality."""
    # The training brings torch along, which the other commands do not need.
    import torch

    from bench.contenders import contenders, trained
    from training.faceset import Faceset

    torch.set_num_threads(threads)
    chosen = [one for one in contenders() if not only or one.name in only]
    if not chosen:
        raise SettingsError(f"--only {', '.join(only or ())}: wanted ours, df or original")
    people = [Faceset.open(source, at_least=4) for source in facesets]
    results = [trained(one, people, truth, minutes, batch, items, precision) for one in chosen]
    numbers = {
        "minutes": minutes, "batch": batch, "threads": threads, "precision": precision, "networks": results,
    }  # fmt: skip
    Console().print(table(results, minutes))
    if out is not None:
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def table(results: Sequence[dict[str, Any]], minutes: float) -> Table:
    """A row for each network."""
    shown = Table(
        "network", "px", "parameters", "it/s", "steps", "SSIM", "L1", "PSNR", title=f"{minutes:g} core minutes"
    )
    for one in results:
        shown.add_row(
            one["name"], str(one["size"]), f"{one['parameters'] / 1e6:.1f} M", f"{one['steps_a_core_second']:.2f}",
            str(one["steps"]), f"{one['ssim']:.3f}", f"{one['l1']:.2f}", f"{one['psnr']:.1f}",
        )  # fmt: skip
    return shown
