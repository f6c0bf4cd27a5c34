"""Aligned crops of faces, to calibrate and to measure with: from a dataset of rendered pairs or from arrays."""

import json
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from training.extract.folder import DESCRIPTION
from training.faceset import Faceset

Crops = NDArray[np.uint8]  # (n, s, s, 3) BGR
SPLITS: Final = ("shard-*", "test-*")


def read_crops(place: Path, size: int, coverage: float, count: int, split: str = "shard-*") -> Crops:
    """count crops of size x size px and this coverage, spread evenly over what there is (or all, where fewer).

    place is a folder that `liveswap-train heads` wrote (its dataset.json says the coverage of its crops), one that
    `liveswap-train extract` wrote, or an .npy file (n, S, S, 3) whose crops have the coverage already.
    Raises LiveswapError.
    """
    if (place / DESCRIPTION).is_file():
        return _of_faceset(Faceset.open(str(place)), size, coverage, count)
    if place.is_dir():
        stored, arrays = _coverage_of(place), [_array(path / "x.npy") for path in sorted(place.glob(split))]
    else:
        stored, arrays = coverage, [_array(place)]
    total = sum(len(array) for array in arrays)
    if not total:
        raise LiveswapError(f"{place} has no crops in {split}")
    if stored < coverage - 1e-6:
        raise LiveswapError(f"{place} has crops of coverage {stored}, wanted at least {coverage}")
    rows = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    ends = np.cumsum([len(array) for array in arrays])
    which = np.searchsorted(ends, rows, side="right")
    picked = (arrays[w][row - (ends[w - 1] if w else 0)] for w, row in zip(which, rows, strict=True))
    return np.stack([_cut(crop, coverage / stored, size) for crop in picked])


def _of_faceset(faceset: Faceset, size: int, coverage: float, count: int) -> Crops:
    if faceset.coverage < coverage - 1e-6:
        raise LiveswapError(f"{faceset.name} has crops of coverage {faceset.coverage}, wanted at least {coverage}")
    rows = np.unique(np.linspace(0, len(faceset) - 1, min(count, len(faceset))).round().astype(int))
    share = coverage / faceset.coverage
    return np.stack([_cut(np.ascontiguousarray(faceset[int(row)][..., :3]), share, size) for row in rows])


def has_split(place: Path, split: str) -> bool:
    """Whether the dataset in place has shards of that kind."""
    return place.is_dir() and any(place.glob(split))


def _coverage_of(folder: Path) -> float:
    try:
        return float(json.loads((folder / "dataset.json").read_text())["coverage"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LiveswapError(
            f"{folder} is no dataset: its dataset.json does not say the coverage ({error!r})"
        ) from error


def _array(path: Path) -> Crops:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LiveswapError(f"{path} cannot be read as an array: {error}") from error
    if array.ndim != 4 or array.shape[1] != array.shape[2] or array.shape[3] != 3 or array.dtype != np.uint8:
        raise LiveswapError(f"{path} holds {array.dtype} of shape {array.shape}, wanted crops (n, s, s, 3) of uint8")
    return np.asarray(array) if not isinstance(array, np.memmap) else array


def _cut(crop: Crops, share: float, size: int) -> Crops:
    """The middle of a crop, share of its side, scaled to size x size."""
    side = crop.shape[0]
    scale = size / (share * side)
    shift = (size - 1) / 2 - scale * (side - 1) / 2
    matrix = np.array([[scale, 0, shift], [0, scale, shift]], np.float32)
    if scale > 0.75:
        out = cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    else:
        first = round((side - share * side) / 2)
        middle = crop[first : side - first, first : side - first]
        out = cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.uint8)
