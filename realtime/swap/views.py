"""What identities draw from: the faces of one frame as codes, and as crops of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Matrix, align, within_crop
from realtime.pool import Scratch


@dataclass(frozen=True, slots=True)
class Views:
    """The faces of one frame."""

    image: Image
    faces: Sequence[Face]
    codes: NDArray[np.float32]  # (n, z), one for each face; (0, 0) where no identity takes codes

    def crops(self, places: Sequence[int], size: int, coverage: float, scratch: Scratch) -> NDArray[np.uint8]:
        """The faces at these places of the sequence, (n, size, size, 3), in scratch."""
        return crops_of(self.image, [self.faces[place] for place in places], size, coverage, scratch)


def crops_of(image: Image, faces: Sequence[Face], size: int, coverage: float, scratch: Scratch) -> NDArray[np.uint8]:
    """The faces as crops, (n, size, size, 3), in scratch."""
    crops = scratch("crops", (len(faces), size, size, 3))
    for face, crop in zip(faces, crops, strict=True):
        align(image, crop_of(face, size, coverage), size, crop, scratch)
    return crops


def crop_of(face: Face, size: int, coverage: float = 1.0) -> Matrix:
    """Frame pixels to pixels of a crop of size x size that shows coverage times the template's square, (2, 3)."""
    return within_crop(face.to_template, size, coverage)
