"""Aligned crops of faces, to calibrate and to measure with: from a dataset of rendered pairs or from arrays."""

import json
from collections.abc import Sequence
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
FEW: Final = 12  # held-out faces, below which they are too few to compare on
STORED: Final = Path(__file__).with_name("crops.jpg")  # ROWS rows of ROWS crops
STORED_COVERAGE: Final = 1.25
ROWS: Final = 8


def read_crops(place: Path, size: int, coverage: float, count: int, split: str = "shard-*") -> Crops:
    """count crops of size x size px and this coverage, spread evenly over what there is (or all, where fewer).

    place is a folder that `liveswap-train heads` wrote (its dataset.json says the coverage of its crops), one that
    `liveswap-train extract` wrote, or an .npy file (n, S, S, 3) whose crops have the coverage already.
    Raises LiveswapError.
    """
    if is_faceset(place):
        faceset = Faceset.open(str(place))
        return _of_faceset(faceset, _spread(len(faceset), count), size, coverage)
    if place.is_dir():
        stored, arrays = _coverage_of(place), [_array(path / "x.npy") for path in sorted(place.glob(split))]
    else:
        stored, arrays = coverage, [_array(place)]
    total = sum(len(array) for array in arrays)
    if not total:
        raise LiveswapError(f"{place} has no crops in {split}")
    if stored < coverage - 1e-6:
        raise LiveswapError(f"{place} has crops of coverage {stored}, wanted at least {coverage}")
    rows = _spread(total, count)
    ends = np.cumsum([len(array) for array in arrays])
    which = np.searchsorted(ends, rows, side="right")
    picked = (arrays[w][row - (ends[w - 1] if w else 0)] for w, row in zip(which, rows, strict=True))
    return np.stack([_cut(crop, coverage / stored, size) for crop in picked])


def faceset_crops(sources: Sequence[str], size: int, coverage: float, count: int, checked: int) -> tuple[Crops, Crops]:
    """Crops to calibrate with (count) and others to compare on (checked), as read_crops gives them, of all facesets.

    The first are faces that training sees, the second those that it does not; where these are FEW, every other face
    is of the one kind and of the other. Raises LiveswapError.
    """
    parts: tuple[list[Crops], list[Crops]] = [], []
    for source in sources:
        faceset = Faceset.open(source)
        rows = faceset.learned, faceset.held_out
        if len(rows[1]) < FEW:
            everything = np.arange(len(faceset))
            rows = everything[::2], everything[1::2]
        for part, own, most in zip(parts, rows, (count, checked), strict=True):
            chosen = own[_spread(len(own), -(-most // len(sources)))]
            part.append(_of_faceset(faceset, chosen, size, coverage))
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def stored_crops(size: int, coverage: float) -> Crops:
    """The crops that come with the export, as read_crops gives them: 64 rendered people, one each."""
    sheet = cv2.imread(str(STORED), cv2.IMREAD_COLOR)
    if sheet is None:
        raise LiveswapError(f"the stored crops {STORED} are missing or broken, install liveswap again")
    if coverage > STORED_COVERAGE:
        raise LiveswapError(f"the stored crops have a coverage of {STORED_COVERAGE}, wanted --data with {coverage}")
    side = sheet.shape[0] // ROWS
    crops = np.asarray(sheet, np.uint8).reshape(ROWS, side, ROWS, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return np.stack([_cut(crop, coverage / STORED_COVERAGE, size) for crop in crops])


def is_faceset(place: Path) -> bool:
    """Whether `liveswap-train extract` wrote the folder in place."""
    return (place / DESCRIPTION).is_file()


def _of_faceset(faceset: Faceset, rows: NDArray[np.int64], size: int, coverage: float) -> Crops:
    if faceset.coverage < coverage - 1e-6:
        raise LiveswapError(f"{faceset.name} has crops of coverage {faceset.coverage}, wanted at least {coverage}")
    share = coverage / faceset.coverage
    return np.stack([_cut(np.ascontiguousarray(faceset[int(row)][..., :3]), share, size) for row in rows])


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of count rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))


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
