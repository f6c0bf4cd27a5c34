"""What drawn faces do, as the landmark network reads it, and whether two forms of an identity do the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from export.parity import Agreement, Bounds, Likeness, Masks, Pictures, Running, likeness
from realtime.face.landmarks import Landmarker
from realtime.swap.session import SessionSettings
from training.directions import doing, read_over_plain

# The least standard deviation of what is read, below which it says more of the reading than of the face: degrees,
# shares of the nose's length, weights. With r .99, a seventh of it is noise.
LEAST: Final[Mapping[str, float]] = MappingProxyType(
    {"yaw": 3.0, "mouth": 0.04, "jaw": 0.05, "blink": 0.05, "smile": 0.05, "gaze": 0.04}
)
FEWEST: Final = 12  # faces, below which a correlation says nothing
STILL: Final = 1e-9  # standard deviation of what does not move at all
SURE: Final = 0.5  # presence, from which on a face counts as seen


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of n faces."""

    doing: NDArray[np.float64]  # (n, len(LEAST))
    seen: NDArray[np.bool_]  # (n,) whether there was a face to read


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads drawn faces over a plain ground, so that nothing but the face helps."""

    landmarker: Landmarker

    @classmethod
    def load(cls, threads: int = 2) -> Self:
        """With the embedded landmark network. Raises ModelError."""
        return cls(Landmarker.load(settings=SessionSettings(provider="cpu", threads=threads)))

    def __call__(self, faces: Pictures, masks: Masks) -> Read:
        """What the faces do."""
        rows, seen = [], []
        for face, mask in zip(faces, masks, strict=True):
            picture = np.asarray(np.clip(np.nan_to_num(face), 0, 1) * 255 + 0.5, np.uint8)
            reading = read_over_plain(picture, mask, self.landmarker)
            rows.append(doing(np.concatenate([reading.landmarks, reading.irises]), reading.blend))
            seen.append(reading.presence >= SURE)
        return Read(np.array(rows).reshape(-1, len(LEAST)), np.array(seen, bool))


def together(read: Read, reference: Read) -> dict[str, float]:
    """Pearson's correlation of each expression, over the faces that were seen in the reference.

    Left out are expressions that hardly change in the reference (LEAST), and all where there are too few faces.
    """
    one, other = read.doing[reference.seen], reference.doing[reference.seen]
    if len(other) < FEWEST:
        return {}
    return {
        name: float(np.corrcoef(one[:, k], other[:, k])[0, 1]) if one[:, k].std() > STILL else 0.0
        for k, (name, least) in enumerate(LEAST.items())
        if other[:, k].std() >= least
    }


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a network draws in fp32, by which its other forms are judged."""

    faces: Pictures
    masks: Masks
    read: Read
    reader: Reader

    @classmethod
    def by(cls, answers: Mapping[str, NDArray[np.float32]], reader: Reader) -> Self:
        """Of a decoder's answers."""
        faces, masks = answers["face"], answers["mask"]
        return cls(faces, masks, reader(faces, masks), reader)

    def likeness(self, running: Running, items: NDArray[Any]) -> Likeness:
        """How near what another form draws of its items (n, ...) is."""
        drawn = running(items)
        r = together(self.reader(drawn["face"], drawn["mask"]), self.read)
        return likeness(drawn["face"], drawn["mask"], self.faces, self.masks, r)

    def __call__(self, candidate: Path, items: NDArray[Any], bounds: Bounds) -> Agreement:
        """The same of a file, and whether that is within bounds. Raises ModelError."""
        return self.likeness(Running.open(candidate), items).against(bounds)
