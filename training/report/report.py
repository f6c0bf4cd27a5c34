"""One file that tells of a training: curves, previews, measures, settings, versions, and what the people agreed to."""

import base64
import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.table import Table

from realtime.errors import LiveswapError
from training import checkpoint, directions, paired
from training.curves import CURVES, Point, read_curves
from training.display import by_person, clock
from training.own import PREVIEWS
from training.swap import FILE

REPORT: Final = "report.html"
TEMPLATE: Final = "report.html"  # beside this file
EVALUATION: Final = "evaluation.json"
EARLIER: Final = 5  # previews before the last one, from all over the training
EARLIER_SIDE: Final = 480  # px of their longer side
PACKAGES: Final = ("liveswap", "torch", "numpy", "opencv-python", "onnxruntime")
SETTINGS: Final = (
    "identities", "only", "start", "batch", "seed", "precision", "optimisation", "losses", "features",
    "shown", "encoder", "decoder",
)  # fmt: skip
AGREED: Final = ("kind", "who", "scope", "date", "until", "revocation")  # of a consent, what the report repeats

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(run: Path) -> Path:
    """Writes report.html into the folder of a training on footage; its path.

    Raises LiveswapError where the folder holds no such training, or cannot be written.
    """
    record = checkpoint.load(run / FILE, checkpoint.SWAP)["record"]
    if "training_sets" not in record:
        raise LiveswapError(f"{run} learned from pairs, wanted a training on footage")
    points = read_curves(run / CURVES)
    page = rendered(
        people=list(record["training_sets"]),
        identities=list(record["identities"]),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        summary=summary(record, points),
        plots=plots(points),
        previews=previews(run),
        evaluation=evaluation(run, record),
        settings=settings(record),
        consents={name: agreed(card) for name, card in record["consent"].items()},
        versions=versions(),
    )
    path = run / REPORT
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(page, "utf-8")
        beside.replace(path)
    except OSError as error:
        raise LiveswapError(f"the report {path} cannot be written: {error.strerror}") from error
    return path


def rendered(**said: Any) -> str:
    """The page, with everything escaped that is put into it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    shelf = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=shelf, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(TEMPLATE).render(**said)


def summary(record: Mapping[str, Any], points: Sequence[Point]) -> Rows:
    """What came out, in a few rows."""
    faces = ", ".join(f"{count:,} of {name}" for name, count in record["faces"].items())
    rows = [("trained", f"{record['steps']:,} steps in {clock(record['seconds'])}"), ("faces", faces)]
    if points:
        rows.append(("processors", f"{points[-1].core_minutes:.1f} core minutes"))
    for name, scores in by_person(record["test"]).items():
        rows.append((f"{name}, held out", f"SSIM {scores['ssim']:.3f}, PSNR {scores['psnr']:.1f} dB"))
    return rows


def settings(record: Mapping[str, Any]) -> Rows:
    """How it was trained, as the checkpoint says."""
    rows = [(key.replace("_", " "), in_words(record[key])) for key in SETTINGS if record.get(key) not in (None, [], {})]
    rows += [(f"digest of {name}'s faces", digest) for name, digest in record["training_sets"].items()]
    return rows


def agreed(card: Mapping[str, Any]) -> Rows:
    """What a person agreed to, in short; the whole of it is in the checkpoint and in the model's file."""
    return [(key, str(card[key])) for key in AGREED if key in card]


def versions() -> Rows:
    """What made this report; packages that are not installed as such are left out."""
    rows = [("Python", platform.python_version()), ("system", f"{platform.system()} on {platform.machine()}")]
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            rows.append((package, metadata.version(package)))
    return rows


def evaluation(run: Path, record: Mapping[str, Any]) -> tuple[list[Grid], str]:
    """The tables of `liveswap-train evaluate` where it was run, and a sentence about them."""
    path = run / EVALUATION
    if not path.is_file():
        return [], f"Not measured yet: liveswap-train evaluate {run.name}, then liveswap-train report {run.name}."
    try:
        found = json.loads(path.read_text("utf-8"))
        tables = [directions.table(found), *([paired.table(found["truth"])] if "truth" in found else [])]
        grids, step = [grid_of(table) for table in tables], int(found["record"]["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LiveswapError(f"{path} cannot be read: wanted what `liveswap-train evaluate` writes") from error
    older = "" if step == record["steps"] else f" The training has gone on since, to step {record['steps']:,}."
    return grids, f"On faces that training never saw, at step {step:,}.{older}"


def grid_of(table: Table) -> Grid:
    """What a table for a terminal says."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    title = str(table.title or "")
    return Grid(title, [str(column.header) for column in table.columns], list(zip(*columns, strict=True)))


def plots(points: Sequence[Point]) -> list[tuple[str, str]]:
    """Curves as (what they show, data URI); those of which nothing is known yet are left out."""
    from training.report import plots as draw  # matplotlib takes a second

    drawn = []
    if any(point.losses for point in points):
        drawn.append(("What training minimises", draw.losses(points)))
    for score, said in (("ssim", "SSIM"), ("psnr", "PSNR, dB")):
        if any(name.endswith(f"_{score}") for point in points for name in point.measures):
            title = f"{said.partition(',')[0]} of held-out faces, each person drawn as themselves"
            drawn.append((title, draw.measures(points, score, said)))
    return [(title, data_uri(svg.encode(), "image/svg+xml")) for title, svg in drawn]


def previews(run: Path) -> list[tuple[str, str]]:
    """The last preview whole and some earlier ones small, as (when, data URI), the newest first."""
    kept = sorted((run / PREVIEWS).glob("step-*.jpg"))
    last, earlier = (kept[-1:], kept[:-1]) if kept else ([], [])
    chosen = [earlier[k] for k in np.unique(np.linspace(0, len(earlier) - 1, EARLIER).round().astype(int)) if earlier]
    pictures = [(path, path.read_bytes()) for path in last] + [(path, smaller(path)) for path in reversed(chosen)]
    return [(f"step {int(path.stem[5:]):,}", data_uri(data, "image/jpeg")) for path, data in pictures]


def smaller(path: Path) -> bytes:
    """The picture as a JPEG of at most EARLIER_SIDE px. Raises LiveswapError for one that is none."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise LiveswapError(f"{path} cannot be read as a picture")
    factor = min(1.0, EARLIER_SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def data_uri(data: bytes, kind: str) -> str:
    """data within the page itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def in_words(value: Any) -> str:
    """A value of a record as a person reads it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {in_words(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return " ".join(in_words(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
