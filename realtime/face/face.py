"""A face in a frame, and the crop cut out around it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image, Matrix, Points


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector says: a box and five points, in frame pixels."""

    box: NDArray[np.float32]  # (4,) x1 y1 x2 y2
    points: Points  # (5, 2): the eye on the picture's left, the other eye, nose tip, left and right mouth corner
    score: float  # 0..1


@dataclass(frozen=True, slots=True)
class Face:
    """A followed face, in frame pixels."""

    box: NDArray[np.float32]  # (4,) x1 y1 x2 y2
    landmarks: Points  # (68, 2) Multi-PIE order
    score: float  # 0..1
    track: int  # the same number for the same person from frame to frame
    to_template: Matrix  # (2, 3) frame px to the template's unit square (steady); scale by the crop size to align
    blend: NDArray[np.float32] | None = None  # (10,) landmarks.BLEND, what the network says of lids, jaw, gaze
    irises: Points | None = None  # (2, 2) centres, the picture's left first


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A face that the detector saw when it looked last and that nobody follows, in frame pixels."""

    box: NDArray[np.float32]  # (4,) x1 y1 x2 y2
    entering: bool  # True: the landmarks do not confirm it (yet). False: it is one too many, or too small.


@dataclass(frozen=True, slots=True)
class Crop:
    """A face cut out of its frame."""

    image: Image  # (s, s, 3) uint8 BGR
    to_crop: Matrix  # (2, 3) frame px to crop px
    face: Face
