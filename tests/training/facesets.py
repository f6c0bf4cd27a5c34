"""Small facesets of egg-shaped people, in the form that `liveswap-train extract` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from realtime.face.geometry import TEMPLATE_NAME
from tests.training.synthetic import COLOURS, COVERAGE, MARKS, draw
from training.extract import table

RECORD: Final = 'name = "{name}"\nkind = "rendered"\n'


def write_faceset(
    folder: Path, name: str, count: int = 40, size: int = 80, seed: int = 0, consent: str = RECORD, **changes: object
) -> Path:
    """One of synthetic's people, as often as count says; changes go into faceset.toml."""
    rng, points, blends = np.random.default_rng(seed), [], []
    for kind in ("faces", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        blend = np.concatenate([rng.uniform(0, 1, 6), rng.uniform(-0.6, 0.6, 4)]).astype(np.float32)
        ground = np.full((size, size, 3), 90, np.uint8)
        face, mask, places = draw(ground, COLOURS[name], blend, rng.normal(0, 0.012, 2), MARKS[name])
        cv2.imwrite(str(folder / "faces" / f"{number:06d}.jpg"), face, [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(folder / "masks" / f"{number:06d}.png"), mask)
        points.append((places + 0.5) / size)
        blends.append(blend)
    write_table(folder, points, blends)
    said = {
        "version": 1, "name": f'"{name}"', "size": size, "coverage": COVERAGE, "template": f'"{TEMPLATE_NAME}"',
        "faces": count, "covered": 0, "digest": f'"{seed:064d}"', **changes,
    }  # fmt: skip
    lines = [f"{key} = {value}" for key, value in said.items()]
    (folder / "faceset.toml").write_text("\n".join(lines) + "\n[consent]\n" + consent.format(name=name), "utf-8")
    return folder


def write_table(folder: Path, points: Sequence[np.ndarray], blends: Sequence[np.ndarray]) -> None:
    """faces.parquet, a second between two faces."""
    columns: dict[str, Any] = {
        "face": [f"faces/{number:06d}.jpg" for number in range(len(points))],
        "source": ["a.mp4"] * len(points),
        "time": np.arange(len(points), dtype=np.float64),
        "covered": np.zeros(len(points), np.float32),
        "landmarks": np.array(points, np.float32),
        "blend": np.array(blends, np.float32),
    }
    table.write(folder / "faces.parquet", columns)
