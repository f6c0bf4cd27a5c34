"""Measures how good the swap is: against the truth of rendered people, and on real footage against the person."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from bench import footage as real
from bench import sheet as sheets
from bench.report import said, with_origin, write
from bench.ruler import FEATURES
from realtime.errors import SettingsError
from realtime.face.landmarks import Landmarker
from realtime.options import ModelFolder, NetworkSize, Revoked
from realtime.settings import load
from realtime.sinks.writable import check_writable
from realtime.swap.identity import Shelf

PAIRS: Final = 500

# The rows of the table: what a measure is called, its key, and how it is written.
ROWS: Final = (
    ("face PSNR, dB", "face_psnr", ".1f"),
    ("face SSIM", "face_ssim", ".3f"),
    ("eyes PSNR, dB", "eyes_psnr", ".1f"),
    ("eyes SSIM", "eyes_ssim", ".3f"),
    ("mouth PSNR, dB", "mouth_psnr", ".1f"),
    ("mouth SSIM", "mouth_ssim", ".3f"),
    ("composed face PSNR, dB", "composed_face_psnr", ".1f"),
    ("composed face SSIM", "composed_face_ssim", ".3f"),
    ("composed eyes PSNR, dB", "composed_eyes_psnr", ".1f"),
    ("composed eyes SSIM", "composed_eyes_ssim", ".3f"),
    ("composed mouth PSNR, dB", "composed_mouth_psnr", ".1f"),
    ("composed mouth SSIM", "composed_mouth_ssim", ".3f"),
    ("mask IoU", "mask_iou", ".3f"),
    ("occluder IoU", "occluder_iou", ".3f"),
    ("landmark error, %", "landmarks_percent", ".2f"),
    ("blink r", "blink_r", ".2f"),
    ("jaw r", "jaw_r", ".2f"),
    ("gaze yaw r", "gaze_yaw_r", ".2f"),
    ("gaze pitch r", "gaze_pitch_r", ".2f"),
)
COLUMNS: Final = (("swapped", "swapped"), ("input", "input"), ("mean picture", "mean"), ("truth (ruler)", "truth"))


def quality(
    pairs: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Rendered pairs that `liveswap-train heads` wrote.")
    ] = None,
    footage: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Clips of real people, one in each.")] = None,
    identity: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE.onnx", help="More than once for several; all by default.")
    ] = None,
    models: ModelFolder = None,
    revoked: Revoked = None,
    size: NetworkSize = None,
    items: Annotated[int, typer.Option(min=1, help="Held-out pairs, or as many as there are.")] = PAIRS,
    at: Annotated[
        int | None,
        typer.Option(min=32, help="Compare pictures of so many px, whatever the decoder draws; its own by default."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw input, output and mask of some frames.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """How good the swap is: on rendered pairs, on real footage, or both."""
    if pairs is None and footage is None:
        raise SettingsError("there is nothing to measure on, wanted --pairs FOLDER, --footage FOLDER or both")
    for path in (sheet, out):
        if path:
            check_writable(path)
    settings = load(None, {"models": models, "size": size, "revoked": revoked})
    shelf = Shelf.load(settings.folder, settings.session, None, settings.consent)
    names = [shelf.add(Path(name)) if name.endswith(".onnx") else shelf[name].name for name in identity or shelf.names]
    console, numbers, rows = Console(), {}, []
    if pairs:
        from bench import pairs as rendered  # brings torch along, which real footage does not need

        landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
        numbers["pairs"], strips = rendered.measure(pairs, shelf, names, landmarker, items, at)
        rows += strips
        console.print(pairs_table(numbers["pairs"]))
    if footage:
        numbers["footage"], strips = real.measure(footage, shelf, names, settings)
        rows += strips
        console.print(footage_table(numbers["footage"]))
    if sheet:
        sheets.write(sheet, rows)
    if out:
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def pairs_table(numbers: Mapping[str, Any]) -> Table:
    """The numbers of rendered pairs for a terminal; a line between identities."""
    table = Table("identity", "measure", *(title for title, _ in COLUMNS))
    table.title = f"{numbers['items']} held-out pairs of {numbers['people']} people never seen in training"
    if numbers.get("side"):
        table.title += f", compared at {numbers['side']} px"
    for name, answers in numbers["identities"].items():
        for title, key, form in ROWS:
            table.add_row(name, title, *(said(answers[answer].get(key), form) for _, answer in COLUMNS))
        table.add_section()
    return table


def footage_table(numbers: Mapping[str, Any]) -> Table:
    """The numbers of real footage for a terminal: a column for each identity.

    Under "input (ruler)" stands what the person's own face gives, shown through the same mask as the identity's, and
    under "still" what one face gives that never moves: as much as the ruler can read, and what nothing reads as.
    """
    columns = [numbers["input"], numbers["still"], *numbers["identities"].values()]
    table = Table("measure", "input (ruler)", "still", *numbers["identities"])
    table.title = f"{numbers['clips']} clips of real people, correlations over time within each clip"

    def add(title: str, values: Sequence[float | None]) -> None:
        table.add_row(title, *(said(value, ".2f") for value in values))

    for feature in FEATURES:
        add(f"{feature} r, pooled", [one["pooled"][feature] for one in columns])
        add(f"{feature} r, mean of clips", [one["mean"][feature] for one in columns])
    for title, key in (("frames of a clip", "frames"), ("drivers", "drivers"), ("other identities", "others")):
        add(f"alike: {title}", [one["alike"][key] for one in columns])
    add("change per frame, of 255", [one["flicker"]["output"] for one in columns])
    add("flicker beyond the input's", [one["flicker"]["beyond"] for one in columns])
    return table
