"""Reads the folder of rendered pairs that `liveswap-train heads` writes: shards of arrays, mapped, not loaded."""

import hashlib
import json
import logging
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from realtime.face.geometry import TEMPLATE_NAME
from training.model import BLEND, POINTS

logger = logging.getLogger(__name__)

COMMON: Final = ("x", "x_occluded", "x_points", "blend", "pose", "person", "shot")
SPLITS: Final[Mapping[str, str]] = {"train": "shard-*", "test": "test-*"}


@dataclass(frozen=True, slots=True)
class Description:
    """What dataset.json says."""

    identities: tuple[str, ...]
    size: int  # stored crop px
    coverage: float  # of the stored crop
    template: str
    blend: tuple[str, ...]  # names of the blend weights

    @classmethod
    def read(cls, folder: Path) -> "Description":
        """Of the dataset in folder. Raises LiveswapError when it is missing, broken or of another template."""
        file = folder / "dataset.json"
        if not folder.is_dir():
            raise LiveswapError(f"there is no folder {folder}, wanted a dataset that `liveswap-train heads` wrote")
        if not file.is_file():
            raise LiveswapError(f"{folder} is no dataset: it has no dataset.json")
        try:
            said = json.loads(file.read_text())
            read = cls(
                identities=tuple(str(name) for name in said["identities"]),
                size=int(said["size"]),
                coverage=float(said["coverage"]),
                template=str(said["template"]),
                blend=tuple(str(name) for name in said["blend"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise LiveswapError(f"{file} cannot be read as the description of a dataset: {error!r}") from error
        if read.template != TEMPLATE_NAME:
            raise LiveswapError(f"{folder} was cut with the template {read.template}, wanted {TEMPLATE_NAME}")
        if len(read.blend) != BLEND or not read.identities or read.size < 16 or not 1 <= read.coverage <= 3:
            raise LiveswapError(
                f"{file} names {len(read.identities)} identities, {len(read.blend)} blend weights, size {read.size} "
                f"and coverage {read.coverage}, wanted at least 1, {BLEND}, at least 16 and 1 to 3"
            )
        return read


@dataclass(frozen=True, slots=True)
class Item:
    """One moment: anybody and the identities under the same expression, pose, gaze and light. Read-only views."""

    x: NDArray[np.uint8]  # (S, S, 3) BGR
    x_occluded: NDArray[np.uint8]  # (S, S) 255 where something is in front of the face
    x_points: NDArray[np.float32]  # (70, 2) stored-crop px
    blend: NDArray[np.float32]  # (10,)
    pose: NDArray[np.float32]  # (3,) yaw, pitch, roll in degrees
    person: int
    identities: Mapping[str, NDArray[np.uint8]]  # (S, S, 4) BGR and face mask, each in a crop of its own
    points: Mapping[str, NDArray[np.float32]]  # (70, 2) px of that crop
    onto: Mapping[str, NDArray[np.float32]]  # (2, 3) from px of that crop to px of x, so that the landmarks meet


class Dataset:
    """The items of one split, by number."""

    def __init__(self, folder: Path, description: Description, shards: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        self.folder = folder
        self.description = description
        self._shards = shards
        self._ends = np.cumsum([len(shard["x"]) for shard in shards]).tolist()

    @classmethod
    def open(cls, folder: Path, split: str = "train", at_least: int = 1) -> "Dataset":
        """The "train" or "test" items of folder.

        Raises LiveswapError when there are fewer than at_least. A shard that is still being written is left out.
        """
        description = Description.read(folder)
        names = array_names(description.identities)
        shards = []
        for path in sorted(folder.glob(SPLITS[split])):
            missing = [name for name in names if not (path / f"{name}.npy").is_file()]
            if missing:
                logger.warning("%s lacks %s.npy and is left out", path, missing[0])
            else:
                shards.append(_open_shard(path, names, description))
        count = sum(len(shard["x"]) for shard in shards)
        if count < at_least:
            found = f"{count} items in {len(shards)} complete {SPLITS[split]} shards"
            raise LiveswapError(f"{folder} has {found}, wanted at least {at_least}")
        return cls(folder, description, shards)

    def joined(self, others: Sequence["Dataset"]) -> "Dataset":
        """Its items, then those of the others, with the identities that all of them have.

        Raises LiveswapError where one is cut or labelled in another way, or where no identity is in all of them.
        """
        mine, names = self.description, self.description.identities
        for other in others:
            theirs = other.description
            if replace(theirs, identities=mine.identities) != mine:
                raise LiveswapError(
                    f"{other.folder} has crops of {theirs.size} px and coverage {theirs.coverage}, wanted the "
                    f"{mine.size} px and {mine.coverage} of {self.folder}, with the same template and blend weights"
                )
            names = tuple(name for name in names if name in theirs.identities)
        if not names:
            raise LiveswapError(f"no identity of {self.folder} is in all of the other datasets")
        shards = [shard for data in (self, *others) for shard in data._shards]
        return Dataset(self.folder, replace(mine, identities=names), shards)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        which = bisect_right(self._ends, index)
        shard, row = self._shards[which], index - (self._ends[which - 1] if which else 0)
        identities, shot = self.description.identities, int(shard["shot"][row])
        return Item(
            **{name: shard[name][row] for name in COMMON[:-2]},
            person=int(shard["person"][row]),
            identities={name: shard[name][shot] for name in identities},
            points={name: shard[f"{name}_points"][shot] for name in identities},
            onto={name: shard[f"{name}_onto"][row] for name in identities},
        )

    def column(self, name: str) -> tuple[NDArray[Any], ...]:
        """One array of every shard."""
        return tuple(shard[name] for shard in self._shards)

    def people(self) -> int:
        """How many different people there are."""
        return len(np.unique(np.concatenate(self.column("person"))))

    def digest(self) -> str:
        """Hex SHA-256 over the description and every array, in order: which training set it is. Reads all of it."""
        said = hashlib.sha256(json.dumps(asdict(self.description), sort_keys=True).encode())
        for number, shard in enumerate(self._shards):
            for name, array in sorted(shard.items()):
                said.update(f"{number} {name} {array.dtype.str} {list(array.shape)}\n".encode())
                said.update(np.ascontiguousarray(array).data)
        return said.hexdigest()


def array_names(identities: Sequence[str]) -> tuple[str, ...]:
    """The arrays of a shard, without .npy. Several items share a shot, and so the identities' pictures of it."""
    return (*COMMON, *identities, *(f"{name}_{what}" for name in identities for what in ("points", "onto")))


def _open_shard(path: Path, names: Sequence[str], description: Description) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for name in names:
        try:
            arrays[name] = np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise LiveswapError(f"{path / name}.npy cannot be read as an array: {error}") from error
    _check_shapes(path, arrays, description)
    return arrays


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]], description: Description) -> None:
    """Raises LiveswapError where an array of the shard does not fit the others."""
    count, size = len(arrays["x"]), description.size
    shots = int(arrays["shot"].max(initial=-1)) + 1
    shapes: dict[str, tuple[int, ...]] = {
        "x": (count, size, size, 3),
        "x_occluded": (count, size, size),
        "x_points": (count, POINTS, 2),
        "blend": (count, BLEND),
        "pose": (count, 3),
        "person": (count,),
        "shot": (count,),
    }
    for name in description.identities:
        shapes |= {name: (shots, size, size, 4), f"{name}_points": (shots, POINTS, 2), f"{name}_onto": (count, 2, 3)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise LiveswapError(f"{path / name}.npy has the shape {arrays[name].shape}, wanted {shape}")
