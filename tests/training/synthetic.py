"""Writes a tiny dataset of the renderer's format: egg-shaped faces that blink, gape, look about and turn."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from realtime.face.geometry import TEMPLATE_NAME, template, to_pixels

SIZE: Final = 200
COVERAGE: Final = 1.25
BLEND: Final = (
    "eyeBlink_left", "eyeBlink_right", "jawOpen", "mouthSmile", "browDown", "browInnerUp",
    "gazeYaw_left", "gazePitch_left", "gazeYaw_right", "gazePitch_right",
)  # fmt: skip
MARKS: Final = {"aster": "beard", "cedar": "fringe"}
COLOURS: Final = {"aster": (150, 180, 230), "cedar": (70, 100, 150)}


def write_dataset(folder: Path, train: int = 48, test: int = 8, size: int = SIZE, **changes: Any) -> Path:
    """Two shards of training and one of test items; changes go into dataset.json."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "identities": list(COLOURS), "size": size, "coverage": COVERAGE, "template": TEMPLATE_NAME,
        "blend": list(BLEND), **changes,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(said))
    for name, count, seed in (
        ("shard-0000", train // 2, 1),
        ("shard-0001", train - train // 2, 2),
        ("test-0000", test, 3),
    ):
        write_shard(folder / name, count, seed, size)
    return folder


def write_shard(path: Path, count: int, seed: int, size: int = SIZE) -> None:
    """One shard of count items."""
    path.mkdir()
    rng = np.random.default_rng(seed)
    rows = [_item(rng, size, seed * 1000 + number // 4, number) for number in range(count)]
    for name in rows[0]:
        np.save(path / f"{name}.npy", np.stack([row[name] for row in rows]))


def _item(rng: Generator, size: int, person: int, number: int) -> dict[str, NDArray[Any]]:
    blend = np.concatenate([rng.uniform(0, 1, 4), rng.uniform(0, 0.5, 2), rng.uniform(-0.6, 0.6, 4)]).astype(np.float32)
    blend[8:] = blend[6:8]
    shift = rng.normal(0, 0.012, 2)
    colour = tuple(float(v) for v in rng.uniform(60, 230, 3))
    background = np.asarray(cv2.resize(rng.integers(0, 256, (5, 5, 3)).astype(np.uint8), (size, size)), np.uint8)
    x, _, points = draw(background, colour, blend, shift)
    occluded = np.zeros((size, size), np.uint8)
    if rng.random() < 0.3:
        centre = tuple(int(v) for v in rng.uniform(0.2, 0.8, 2) * size)
        cv2.circle(occluded, centre, size // 8, 255, -1)
        x[occluded > 0] = (20, 200, 20)
    row: dict[str, NDArray[Any]] = {
        "x": x, "x_occluded": occluded, "x_points": points, "blend": blend,
        "pose": np.concatenate([shift * 1000, [0]]).astype(np.float32), "person": np.array(person, np.int32),
        "shot": np.array(number, np.int32),
    }  # fmt: skip
    for name, own in COLOURS.items():
        face, mask, points = draw(np.full((size, size, 3), 90, np.uint8), own, blend, shift, MARKS[name])
        row[name], row[f"{name}_points"] = np.dstack([face, mask]), points
        row[f"{name}_onto"] = np.eye(2, 3, dtype=np.float32)
    return row


def draw(
    background: NDArray[np.uint8],
    colour: tuple[float, ...],
    blend: NDArray[np.float32],
    shift: NDArray[np.float64],
    mark: str = "",
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """An egg with eyes, irises and a mouth: the picture, its mask and its 70 points in px."""
    size = background.shape[0]
    unit = (template() - 0.5) / COVERAGE + 0.5 + shift.astype(np.float32)
    jaw = 0.06 * float(blend[2])
    unit[[6, 7, 8, 9, 10, 55, 56, 57, 58, 59, 65, 66, 67], 1] += jaw
    for eye, blink in ((slice(36, 42), blend[0]), (slice(42, 48), blend[1])):
        middle = unit[eye].mean(0)
        unit[eye, 1] = middle[1] + (unit[eye, 1] - middle[1]) * 2.5 * (1.05 - blink)
    irises = np.stack([unit[36:42].mean(0), unit[42:48].mean(0)])
    irises[:, 0] += 0.03 * blend[[6, 8]]
    irises[:, 1] -= 0.015 * blend[[7, 9]]
    points = to_pixels(np.concatenate([unit, irises]).astype(np.float32), size)
    image, mask = background.copy(), np.zeros((size, size), np.uint8)
    outline = np.concatenate([points[:17], points[26:16:-1] - [0, 0.04 * size]])
    cv2.fillPoly(mask, [cv2.convexHull(outline.astype(np.int32))], 255, cv2.LINE_AA)
    skin = np.broadcast_to(np.array(colour), image.shape)
    image = (image + (skin - image) * (mask[..., None] / 255)).astype(np.uint8)
    dark = tuple(c * 0.4 for c in colour)
    if mark == "beard":
        cv2.fillPoly(image, [np.concatenate([points[4:13], points[54:47:-1]]).astype(np.int32)], dark, cv2.LINE_AA)
    elif mark == "fringe":
        cv2.fillPoly(
            image, [np.concatenate([points[17:27], points[26:16:-1] - [0, 0.035 * size]]).astype(np.int32)], dark
        )
    for corners, iris in ((points[36:42], points[68]), (points[42:48], points[69])):
        hole = np.zeros((size, size), np.uint8)
        cv2.fillPoly(hole, [corners.astype(np.int32)], 255)
        eyeball = np.full_like(image, 240)
        cv2.circle(eyeball, tuple(int(v) for v in iris.round()), max(2, size // 45), (60, 40, 20), -1, cv2.LINE_AA)
        image[hole > 0] = eyeball[hole > 0]
    cv2.fillPoly(image, [points[48:60].astype(np.int32)], (80, 80, 190), cv2.LINE_AA)
    cv2.fillPoly(image, [points[60:68].astype(np.int32)], dark, cv2.LINE_AA)
    cv2.polylines(image, [points[17:22].astype(np.int32), points[22:27].astype(np.int32)], False, dark, 3)
    return image, mask, points


def items_of(folder: Path) -> Mapping[str, int]:
    """How many items each shard of a written dataset has."""
    return {path.name: len(np.load(path / "x.npy")) for path in sorted(folder.glob("*-*"))}
