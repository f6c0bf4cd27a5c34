"""Reads rendered people whose landmarks are known, and measures how far the landmark network is off."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from bench.ruler import points_of
from realtime.face.geometry import Matrix
from realtime.face.landmarks import Landmarker, Reading
from training.augment import jittered, recrop
from training.dataset import Dataset, Item
from training.evaluate import BLENDS, correlations
from training.landmarks import TEST_JITTER, Crops, LandmarkSettings, face_size
from training.model import LandmarkShape

NEGATIVES: Final = 5  # frames for each crop without a face
SEED: Final = 7
PRESENT: Final = 0.5  # as realtime.face.track.TrackingSettings has it
EYES: Final = (slice(36, 42), slice(42, 48))
SHUT: Final = 0.5  # of a lid's weight, from which on the gaze behind it is anybody's guess
COVERED: Final = 0.1  # of an eye's box, from which on it counts as covered
# The parts of the 70 points that stand in the report.
PARTS: Final = (("all 68", slice(0, 68)), ("inner", slice(17, 68)), ("irises", slice(68, 70)))
SAID: Final[Mapping[str, tuple[int, ...]]] = {**BLENDS, "smile": (3,), "brow_down": (4,), "brow_up": (5,)}


def measure(folder: Path, landmarker: Landmarker, frames: int) -> dict[str, Any]:
    """The numbers on so many frames of held-out people, as JSON takes them. Raises LiveswapError."""
    data = Dataset.open(folder, "test")
    readings, truths, milliseconds = [], [], []
    for number in progress(range(frames), "rendered frames"):
        item = data[number % len(data)]
        to_crop = crop_of(item, number, data, landmarker)
        began = time.perf_counter()
        readings.append(landmarker(item.x, to_crop))
        milliseconds.append(1000 * (time.perf_counter() - began))
        truths.append(item)
    absent = [negative.presence for negative in negatives(data, landmarker, frames // NEGATIVES)]
    present = [reading.presence for reading in readings]
    return {
        "frames": frames,
        "items": min(frames, len(data)),
        "people": data.people(),
        "error_percent": errors_of(readings, truths),
        "correlation": told(readings, truths),
        "in_view": in_view(readings, truths),
        "presence": {
            "negatives": len(absent),
            "taken_for_a_face_percent": _share(np.array(absent) >= PRESENT),
            "faces_missed_percent": _share(np.array(present) < PRESENT),
        },
        "ms": {"p50": float(np.percentile(milliseconds, 50)), "p95": float(np.percentile(milliseconds, 95))},
    }


def crop_of(item: Item, number: int, data: Dataset, landmarker: Landmarker) -> Matrix:
    """Stored px to crop px, moved as training's test moves them: the same for a number every time."""
    said, contract = data.description, landmarker.contract
    change = jittered(np.random.default_rng((SEED, number)), TEST_JITTER)
    return recrop(change, said.size, contract.size, contract.coverage / said.coverage)


def negatives(data: Dataset, landmarker: Landmarker, count: int) -> list[Reading]:
    """Readings of crops as training makes them without a face: patterns, faces far aside, far too small or near."""
    size = landmarker.contract.size
    crops = Crops(data, LandmarkShape(size=size, coverage=landmarker.contract.coverage), LandmarkSettings())
    rows = ((number, np.random.default_rng((SEED, 1, number))) for number in range(count))
    pictures = (crops.negative(data[number % len(data)], rng)[0] for number, rng in rows)
    return [landmarker(picture, np.eye(2, 3, dtype=np.float32)) for picture in pictures]


def errors_of(readings: list[Reading], items: list[Item]) -> dict[str, dict[str, float]]:
    """Mean and 95th percentile over the frames of each frame's mean error, % of the face's size, by part."""
    truth = np.stack([item.x_points for item in items])
    away = np.linalg.norm(np.stack([points_of(reading) for reading in readings]) - truth, axis=2)
    error: NDArray[np.float64] = 100 * away / face_size(torch.from_numpy(truth)).numpy()[:, None]
    rows = {name: error[:, part].mean(1) for name, part in PARTS}
    return {name: {"mean": float(row.mean()), "p95": float(np.percentile(row, 95))} for name, row in rows.items()}


def told(readings: list[Reading], items: list[Item]) -> dict[str, float]:
    """How what the network says of lids, jaw, mouth, brows and gaze goes with the truth."""
    said = torch.from_numpy(np.stack([reading.blend for reading in readings]))
    return correlations(said, torch.from_numpy(np.stack([item.blend for item in items])), SAID)


def in_view(readings: list[Reading], items: list[Item]) -> dict[str, Any]:
    """The same for the frames in which nothing covers an eye; gaze also where no lid does."""
    seen = [not any(_covered(item, eye) for eye in EYES) for item in items]
    open_too = [clear and float(item.blend[:2].max()) < SHUT for clear, item in zip(seen, items, strict=True)]

    def kept(which: list[bool]) -> dict[str, float]:
        pairs = [pair for pair, keep in zip(zip(readings, items, strict=True), which, strict=True) if keep]
        return told(*map(list, zip(*pairs, strict=True))) if len(pairs) > 1 else {}

    lids, gaze = kept(seen), kept(open_too)
    said = {name: value for name, value in lids.items() if name == "blink_r"}
    said |= {name: value for name, value in gaze.items() if name.startswith("gaze")}
    return {"frames": sum(seen), "frames_open": sum(open_too), "correlation": said}


def _covered(item: Item, eye: slice) -> bool:
    """Whether a tenth or more of the box about an eye lies behind hair, a hand or glasses' rims."""
    low, high = item.x_points[eye].min(0), item.x_points[eye].max(0)
    left, top = np.maximum(np.floor(low).astype(int), 0)
    right, bottom = np.ceil(high).astype(int) + 1
    box = item.x_occluded[top:bottom, left:right]
    return box.size == 0 or float((box > 127).mean()) >= COVERED


def _share(which: NDArray[np.bool_]) -> float | None:
    return 100 * float(which.mean()) if len(which) else None
