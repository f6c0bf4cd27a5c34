"""What identities draw from: the faces of one frame as codes, and as crops of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Matrix, align


@dataclass(frozen=True, slots=True)
class Views:
    """The faces of one frame."""

    image: Image
    faces: Sequence[Face]
    codes: NDArray[np.float32]  # (n, z), one for each face; (0, 0) where no identity takes codes

    def crops(self, places: Sequence[int], size: int, coverage: float) -> list[Image]:
        """The faces at these places of the sequence, each (size, size, 3)."""
        return [align(self.image, crop_of(self.faces[place], size, coverage), size) for place in places]


def crop_of(face: Face, size: int, coverage: float = 1.0) -> Matrix:
    """Frame pixels to pixels of a crop of size x size that shows coverage times the template's square, (2, 3)."""
    matrix = face.to_template / coverage
    matrix[:, 2] += 0.5 - 0.5 / coverage
    matrix *= size
    matrix[:, 2] -= 0.5
    return np.asarray(matrix, np.float32)
