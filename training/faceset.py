"""Aligned pictures of one person: what `liveswap-train extract` wrote, or one identity of a rendered dataset."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import LiveswapError
from realtime.face.geometry import TEMPLATE_NAME
from realtime.swap.card import ModelCard
from training.dataset import Dataset
from training.extract import table
from training.extract.folder import DESCRIPTION, TABLE, VERSION
from training.model import BLEND, POINTS

HELD_OUT: Final = 0.1  # of each video's time, or of the pictures: the end, which training never sees
COVERED: Final = 0.4  # of a face, from which on there is too little left to learn from

Faces = NDArray[np.uint8]  # (S, S, 4) BGR and face mask
Floats = NDArray[np.float32]


class Part(Protocol):
    """Some of a person's faces."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Faces: ...


@dataclass(frozen=True, slots=True)
class Files:
    """The faces in a folder, read when they are asked for."""

    folder: Path
    names: tuple[str, ...]  # without their endings

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Faces:
        """Raises LiveswapError for a file that is missing or broken."""
        name = self.names[index]
        face = cv2.imread(str(self.folder / "faces" / f"{name}.jpg"), cv2.IMREAD_COLOR)
        mask = cv2.imread(str(self.folder / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        if face is None or mask is None:
            raise LiveswapError(f"face {name} of {self.folder} is missing or broken: extract it again")
        mask = np.asarray(cv2.resize(mask, face.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        return np.dstack([np.asarray(face, np.uint8), mask])


@dataclass(frozen=True, slots=True)
class Faceset:
    """One person's crops, mapped, not loaded, and what is known of them."""

    name: str
    size: int  # stored crop px
    coverage: float  # of the stored crop
    parts: tuple[Part, ...]
    learned: NDArray[np.int64]  # the faces that training may see
    held_out: NDArray[np.int64]  # those that it may not
    digest: str  # of all faces, 64 hex digits
    points: Floats | None = None  # (n, 70, 2) unit coordinates of the stored crop
    blend: Floats | None = None  # (n, 10)
    card: ModelCard | None = None  # what the person agreed to

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


def _of_folder(folder: Path) -> Faceset:
    file = folder / DESCRIPTION
    if not file.is_file():
        raise LiveswapError(f"{folder} is no faceset: it has no {DESCRIPTION}, which `liveswap-train extract` writes")
    try:
        said: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
        name, size, coverage = str(said["name"]), int(said["size"]), float(said["coverage"])
        version, template, digest = said["version"], said["template"], str(said["digest"])
        consent = said["consent"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, ValueError, TypeError) as error:
        raise LiveswapError(f"{folder} cannot be read as a faceset: {error!r}") from error
    if version != VERSION:
        raise LiveswapError(f"{folder} is a faceset of version {version}, this liveswap reads version {VERSION}")
    if template != TEMPLATE_NAME:
        raise LiveswapError(f"{folder} was cut with the template {template}, wanted {TEMPLATE_NAME}")
    rows = table.read(folder / TABLE)
    try:
        names = tuple(Path(face).stem for face in rows["face"])
        points = rows["landmarks"].reshape(len(names), POINTS, 2).astype(np.float32)
        blend = rows["blend"].reshape(len(names), BLEND).astype(np.float32)
        learned, held_out = by_time(rows["source"], rows["time"])
        learned = learned[rows["covered"][learned] < COVERED]
    except (KeyError, ValueError) as error:
        raise LiveswapError(f"{folder / TABLE} does not hold what a faceset's table does: {error}") from error
    card = ModelCard.of_record(consent, str(file))
    return Faceset(name, size, coverage, (Files(folder, names),), learned, held_out, digest, points, blend, card)


def _of_pairs(folder: Path, identity: str) -> Faceset:
    data = Dataset.open(folder)
    known: Sequence[str] = data.description.identities
    if identity not in known:
        raise LiveswapError(f"{folder} has no identity '{identity}', it has {', '.join(known)}")
    parts = data.column(identity)
    count = sum(len(part) for part in parts)
    learned, held_out = by_time([""] * count, np.arange(count))
    card = ModelCard(name=identity, kind="rendered")
    return Faceset(
        identity, data.description.size, data.description.coverage, parts, learned, held_out, data.digest(), card=card
    )


def by_time(source: Sequence[str], time: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which faces are learned from, and which are held out: the last tenth of each source's time, at least one."""
    late = np.zeros(len(time), bool)
    names = np.array(source)
    for one in np.unique(names):
        rows = np.flatnonzero(names == one)
        first, last = float(time[rows].min()), float(time[rows].max())
        late[rows] = time[rows] > last - HELD_OUT * (last - first)
    if len(late) and not late.any():
        late[int(np.argmax(time))] = True
    return np.flatnonzero(~late), np.flatnonzero(late)
