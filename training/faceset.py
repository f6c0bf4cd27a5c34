"""Aligned pictures of one person: a folder with faces.npy and faceset.json, or one identity of a rendered dataset."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from realtime.face.geometry import TEMPLATE_NAME
from training.dataset import Dataset

Faces = NDArray[np.uint8]  # (n, S, S, 4) BGR and face mask


@dataclass(frozen=True, slots=True)
class Faceset:
    """One person's crops, mapped, not loaded."""

    name: str
    size: int  # stored crop px
    coverage: float  # of the stored crop
    parts: tuple[Faces, ...]

    @classmethod
    def open(cls, source: str, at_least: int = 2) -> "Faceset":
        """Of a folder, or of "FOLDER:IDENTITY" where FOLDER holds what `liveswap-train heads` wrote.

        Raises LiveswapError for one that is missing, broken, of another template, or of fewer than at_least faces.
        """
        folder, colon, identity = source.rpartition(":")
        rendered = bool(colon) and (Path(folder) / "dataset.json").is_file()
        faceset = _of_pairs(Path(folder), identity) if rendered else _of_folder(Path(source))
        if len(faceset) < at_least:
            raise LiveswapError(f"{source} has {len(faceset)} faces, wanted at least {at_least}")
        return faceset

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Faces:
        """One face, (S, S, 4)."""
        for part in self.parts:
            if index < len(part):
                return np.asarray(part[index])
            index -= len(part)
        raise IndexError(f"face {index + len(self)} of {len(self)}")


def write_faceset(folder: Path, name: str, faces: Faces, coverage: float) -> None:
    """Writes faces (n, S, S, 4) of one person, cut with the template at this coverage."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {"name": name, "size": faces.shape[1], "coverage": coverage, "template": TEMPLATE_NAME}
    np.save(folder / "faces.npy", faces)
    (folder / "faceset.json").write_text(json.dumps(said, indent=1))


def _of_folder(folder: Path) -> Faceset:
    file = folder / "faceset.json"
    if not file.is_file():
        raise LiveswapError(f"{folder} is no faceset: it has no faceset.json")
    try:
        said = json.loads(file.read_text())
        name, size, coverage, template = said["name"], int(said["size"]), float(said["coverage"]), said["template"]
        faces = np.load(folder / "faces.npy", mmap_mode="r", allow_pickle=False)
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise LiveswapError(f"{folder} cannot be read as a faceset: {error}") from error
    if template != TEMPLATE_NAME:
        raise LiveswapError(f"{folder} was cut with the template {template}, wanted {TEMPLATE_NAME}")
    if faces.ndim != 4 or faces.shape[1:] != (size, size, 4) or faces.dtype != np.uint8:
        raise LiveswapError(f"{folder}/faces.npy is {faces.dtype} {faces.shape}, wanted uint8 (n, {size}, {size}, 4)")
    return Faceset(str(name), size, coverage, (faces,))


def _of_pairs(folder: Path, identity: str) -> Faceset:
    data = Dataset.open(folder)
    known: Sequence[str] = data.description.identities
    if identity not in known:
        raise LiveswapError(f"{folder} has no identity '{identity}', it has {', '.join(known)}")
    return Faceset(identity, data.description.size, data.description.coverage, data.column(identity))
