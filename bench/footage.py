"""Swaps the clips of a folder and measures how much of the person's expression arrives on the other face."""

import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from bench.detection import CLIPS, frames_of
from bench.report import with_origin, write
from realtime.egress.label import Label
from realtime.errors import SourceMissing
from realtime.face.geometry import Image, Points
from realtime.face.landmarks import BLEND, Landmarker, Reading
from realtime.face.track import Tracker
from realtime.frame import Frame
from realtime.settings import load
from realtime.sinks.writable import check_writable
from realtime.swap.compose import Swapped, compose
from realtime.swap.identity import Shelf
from realtime.swap.swapper import Swapper

logger = logging.getLogger(__name__)

FEWEST: Final = 12  # frames with a face, below which a correlation says nothing
CELL: Final = 200  # px of one picture on the sheet
FEATURES: Final = ("yaw", "pitch", "mouth", "eyes", "smile", "gaze")


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame: features of the person and of the face that was drawn, and both pictures cut to the face."""

    before: NDArray[np.float64]  # (len(FEATURES),)
    after: NDArray[np.float64]
    shift: float  # mean distance of the landmarks before and after, shares of the outer-eye distance
    pictures: Image  # (CELL, 2 * CELL, 3): the frame and the swapped frame


@dataclass(frozen=True, slots=True)
class ClipNumbers:
    """Correlations over time within one clip; None where the feature hardly moves or frames are too few."""

    name: str
    frames: int
    with_face: int
    correlation: dict[str, float | None]
    shift: float | None


def footage(
    folder: Annotated[Path, typer.Argument(help="Clips with one person in each.")],
    identity: Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx")] = None,
    models: Annotated[str | None, typer.Option(metavar="FOLDER", help="Models in place of the embedded ones.")] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.jpg", help="Draw frames before and after.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Write the numbers as JSON as well.")] = None,
) -> None:
    """How much of the expression in a folder's clips arrives: correlations, a contact sheet."""
    settings = load(None, {"identity": identity, "models": models})
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in CLIPS) if folder.is_dir() else []
    if not files:
        raise SourceMissing(f"{folder} is no folder with clips ({', '.join(CLIPS)})")
    shelf = Shelf.load(settings.folder, settings.session)
    landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
    clips, strips = [], []
    for path in progress(files, "clips"):
        swapper = Swapper(Tracker.load(settings.tracking, settings.session), shelf, settings.identity)
        moments, frames = [], 0
        for frame in frames_of(path):
            frames += 1
            moment = look(swapper, landmarker, frame)
            moments += [moment] if moment else []
        clips.append(numbers_of(path.name, frames, moments))
        if moments:
            chosen = np.linspace(0, len(moments) - 1, 5).astype(int)
            strips.append(np.hstack([moments[i].pictures for i in chosen]))
    pooled = pooled_of(clips)
    Console().print(table(clips, pooled))
    if sheet and strips:
        check_writable(sheet)
        cv2.imwrite(str(sheet), Label()(np.vstack(strips)))
    if out:
        numbers = {"identity": settings.identity, "pooled": pooled, "clips": [asdict(clip) for clip in clips]}
        write(out, with_origin(numbers, shlex.join(["liveswap-bench", *sys.argv[1:]])))


def look(swapper: Swapper, landmarker: Landmarker, frame: Frame) -> Moment | None:
    """Swaps one frame and reads both faces; None without a face.

    The face that is read is pasted over a picture so blurred that nothing of the person helps the reading.
    """
    swapped = swapper(frame)
    if not swapped.faces:
        return None
    face = swapped.faces[0].face
    side = float(np.linalg.norm(face.landmarks[45] - face.landmarks[36]))
    blurred = np.asarray(cv2.GaussianBlur(frame.image, (0, 0), max(1.0, side / 3)), np.uint8)
    alone = compose(replace(swapped, frame=replace(frame, image=blurred))).image
    before = landmarker.follow(frame.image, face.landmarks)
    after = landmarker.follow(alone, face.landmarks)
    apart = np.linalg.norm(before.landmarks - after.landmarks, axis=1).mean() / max(side, 1)
    return Moment(features(before), features(after), float(apart), _pair(frame.image, swapped, face.landmarks))


def features(reading: Reading) -> NDArray[np.float64]:
    """FEATURES of a reading: ratios of distances between landmarks, and what the network says of smile and gaze."""
    p = reading.landmarks.astype(np.float64)
    across = p[45] - p[36]
    level = across / max(float(np.linalg.norm(across)), 1e-6)
    upright = np.array([-level[1], level[0]])
    nose = max(float(np.linalg.norm(p[33] - p[27])), 1e-6)
    tip = p[30] - (p[36] + p[45]) / 2
    lids = ((37, 41), (38, 40), (43, 47), (44, 46))
    said = dict(zip(BLEND, reading.blend.tolist(), strict=True))
    return np.array(
        [
            float(tip @ level) / nose,
            float(tip @ upright) / max(float(np.linalg.norm(across)), 1e-6),
            float(np.linalg.norm(p[66] - p[62])) / nose,
            float(np.mean([np.linalg.norm(p[a] - p[b]) for a, b in lids])) / nose,
            said["mouthSmile"],
            (said["gazeYawLeft"] + said["gazeYawRight"]) / 2,
        ]
    )


def numbers_of(name: str, frames: int, moments: Sequence[Moment]) -> ClipNumbers:
    """A clip's correlations."""
    if len(moments) < FEWEST:
        return ClipNumbers(name, frames, len(moments), dict.fromkeys(FEATURES), None)
    before = np.array([moment.before for moment in moments])
    after = np.array([moment.after for moment in moments])
    found = {feature: _correlation(before[:, k], after[:, k]) for k, feature in enumerate(FEATURES)}
    return ClipNumbers(name, frames, len(moments), found, float(np.mean([moment.shift for moment in moments])))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def pooled_of(clips: Sequence[ClipNumbers]) -> dict[str, float | None]:
    """Each feature's correlation within clips, averaged over clips by their frames with a face."""
    out: dict[str, float | None] = {}
    for feature in FEATURES:
        pairs = [(clip.correlation[feature], clip.with_face) for clip in clips]
        known = [(value, weight) for value, weight in pairs if value is not None]
        total = sum(weight for _, weight in known)
        out[feature] = sum(value * weight for value, weight in known) / total if total else None
    return out


def table(clips: Sequence[ClipNumbers], pooled: dict[str, float | None]) -> Table:
    """The numbers for a terminal."""
    drawn = Table("clip", "frames", "with a face", *FEATURES, "landmark shift")
    for clip in clips:
        cells = [_said(clip.correlation[feature]) for feature in FEATURES]
        drawn.add_row(clip.name, str(clip.frames), str(clip.with_face), *cells, _said(clip.shift))
    drawn.add_row("mean", "", "", *[_said(pooled[feature]) for feature in FEATURES], "", style="bold")
    return drawn


def _said(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _pair(image: Image, swapped: Swapped, landmarks: Points) -> Image:
    """The face before and after, side by side."""
    low, high = landmarks.min(0), landmarks.max(0)
    half = float((high - low).max()) * 0.85
    x, y = (low + high) / 2 - [0, 0.12 * half]
    place = np.array([[CELL / (2 * half), 0, 0], [0, CELL / (2 * half), 0]], np.float32)
    place[:, 2] = CELL / 2 - place[:, :2] @ np.array([x, y], np.float32)
    both = (image, compose(swapped).image)
    cut = [cv2.warpAffine(one, place, (CELL, CELL), borderMode=cv2.BORDER_REPLICATE) for one in both]
    return np.asarray(np.hstack(cut), np.uint8)
