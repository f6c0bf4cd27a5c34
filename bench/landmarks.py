"""Measures the landmark network: on rendered people whose landmarks are known, on real footage against a mesh."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from bench.report import said, with_origin, write
from realtime.errors import SettingsError
from realtime.face.landmarks import Landmarker
from realtime.options import ModelFolder
from realtime.settings import load
from realtime.sinks.writable import check_writable

FRAMES: Final = 1000


def landmarks(
    pairs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Rendered people that `liveswap-train heads` wrote.")
    ] = None,
    mesh: Annotated[Path | None, typer.Option(metavar="FILE.npz", help="The meshes that bench/mesh.py wrote.")] = None,
    footage: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER|FILE", help="What the meshes are of; more than once for more.")
    ] = None,
    models: ModelFolder = None,
    frames: Annotated[int, typer.Option(min=5, help="Rendered frames; items come again in other places.")] = FRAMES,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Of the network on the CPU.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """How exact the landmarks are: on rendered people, on real footage, or both."""
    if (mesh is None) != (not footage):
        raise SettingsError("meshes and the footage that they are of belong together, wanted --mesh and --footage")
    if pairs is None and mesh is None:
        raise SettingsError("there is nothing to measure on, wanted --pairs FOLDER, or --mesh and --footage")
    if out:
        check_writable(out)
    settings = load(None, {"models": models, "threads": threads})
    console, numbers = Console(), dict[str, Any]()
    # The measuring brings torch along, which the other commands do not need.
    if pairs:
        from bench import rendered

        landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
        numbers["pairs"] = rendered.measure(pairs, landmarker, frames)
        console.print(pairs_table(numbers["pairs"]))
    if mesh:
        from bench import against_mesh

        numbers["footage"] = against_mesh.measure(mesh, footage or [], settings)
        console.print(footage_table(numbers["footage"]))
    if out:
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def pairs_table(numbers: Mapping[str, Any]) -> Table:
    """The numbers of rendered people for a terminal."""
    table = Table("measure", "value")
    table.title = (
        f"{numbers['frames']} frames: {numbers['items']} pictures of {numbers['people']} people never seen in "
        "training, each moved to other places in the crop"
    )
    for part, error in numbers["error_percent"].items():
        table.add_row(f"error, {part}", f"{error['mean']:.2f} %, p95 {error['p95']:.2f} %")
    for name, value in numbers["correlation"].items():
        table.add_row(name.replace("_", " "), f"{value:.3f}")
    view = numbers["in_view"]
    for name, value in view["correlation"].items():
        count = view["frames_open"] if name.startswith("gaze") else view["frames"]
        table.add_row(f"{name.replace('_', ' ')}, eyes in view", f"{value:.3f} ({count} frames)")
    presence, ms = numbers["presence"], numbers["ms"]
    table.add_row("faces missed", f"{said(presence['faces_missed_percent'], '.1f')} %")
    seen = f"{said(presence['taken_for_a_face_percent'], '.1f')} % of {presence['negatives']}"
    table.add_row("taken for a face without one", seen)
    table.add_row("cut out and read", f"{ms['p50']:.1f} ms, p95 {ms['p95']:.1f} ms")
    return table


def footage_table(numbers: Mapping[str, Any]) -> Table:
    """The numbers of real footage for a terminal."""
    columns = [numbers["as_defined"], numbers["without_offsets"] or {}]
    table = Table("measure", "as defined", "without constant offsets")
    table.title = (
        f"{numbers['compared']} of {numbers['meshes']} faces that the mesh finds in {numbers['files']} files, "
        f"{numbers['points']} points"
    )

    def add(title: str, *values: float | None) -> None:
        table.add_row(title, *(said(value, ".2f") for value in values))

    for title, key in (("mean", "mean"), ("p95 of frames", "p95"), ("p95 of points", "p95_points")):
        add(f"error, {title}, %", *(column.get(key) for column in columns))
    for part in numbers["as_defined"]["parts"]:
        add(f"error, {part}, %", *(column.get("parts", {}).get(part) for column in columns))
    for title, key in (("lids", "lids"), ("blink weights", "said")):
        add(f"eye opening by {title} r, pooled", numbers["eyes"][key]["pooled"])
        add(f"eye opening by {title} r, mean of clips", numbers["eyes"][key]["mean"])
    table.caption = f"eye opening: {len(numbers['eyes']['clips'])} clips that blink"
    return table
