"""Two rendered people who talk, small: filmed by `liveswap-train heads talks`, since tests have no assets.

Taken at 320 x 240 px, 6 frames a second, 3 takes of 8 s and --size 96; compressed anew, with half of the truth.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import TEMPLATE_NAME
from training.heads.expression import BLEND

KEPT: Final = Path(__file__).parent / "ann_and_bob"
NAMES: Final = ("ann", "bob")
SHOTS: Final = 12


def write_nobody(out: Path) -> Path:
    """As the command leaves it: out/NAME with videos, out/NAME.toml, and out/truth."""
    for name in NAMES:
        (out / name).mkdir(parents=True)
        for video in sorted(KEPT.glob(f"{name}-*.mp4")):
            shutil.copy(video, out / name)
        (out / f"{name}.toml").write_text(f'name = "{name}"\nkind = "rendered"\n', "utf-8")
    shard = out / "truth" / "test-0000"
    shard.mkdir(parents=True)
    arrays = _arrays()
    for key, array in arrays.items():
        np.save(shard / f"{key}.npy", array)
    said = {
        "identities": list(NAMES), "size": arrays["x"].shape[1], "coverage": 1.25, "template": TEMPLATE_NAME,
        "blend": list(BLEND),
    }  # fmt: skip
    (out / "truth" / "dataset.json").write_text(json.dumps(said))
    return out


def _arrays() -> dict[str, NDArray[Any]]:
    faces, masks = _tiles(cv2.imread(str(KEPT / "faces.jpg"))), _tiles(cv2.imread(str(KEPT / "masks.png"), 0))
    drawn = {name: np.concatenate([faces[k], masks[k][..., None]], -1) for k, name in enumerate(NAMES)}
    with np.load(KEPT / "numbers.npz", allow_pickle=False) as kept:
        numbers = {key: kept[key].astype(np.float32) for key in kept.files}
    turns = np.arange(2 * SHOTS)  # each person in each shot, in turn
    return {
        "x": np.stack([faces[k % 2][k // 2] for k in turns]),
        "x_occluded": np.stack([masks[2 + k % 2][k // 2] for k in turns]),
        "person": (turns % 2).astype(np.int32), "shot": (turns // 2).astype(np.int32), **drawn, **numbers,
    }  # fmt: skip


def _tiles(sheet: Any) -> list[NDArray[np.uint8]]:
    """The rows of a sheet of square pictures, each (SHOTS, s, s, ...)."""
    side = sheet.shape[1] // SHOTS
    return [np.stack(np.split(sheet[top : top + side], SHOTS, axis=1)) for top in range(0, len(sheet), side)]
