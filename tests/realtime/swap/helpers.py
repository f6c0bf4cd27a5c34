"""Faces at chosen places, and a finder that finds exactly those."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image, Matrix, invert, template, transform
from realtime.frame import Frame


def face_at(x: float, y: float, side: float, track: int = 1, degrees: float = 0.0) -> Face:
    """A face whose crop is centred on (x, y), side frame pixels wide, turned by some degrees."""
    angle = np.radians(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / side
    shift = np.array([0.5, 0.5]) - linear @ np.array([x, y])
    to_template: Matrix = np.hstack([linear, shift[:, None]]).astype(np.float32)
    landmarks = transform(invert(to_template), template())
    box = np.concatenate([landmarks.min(0), landmarks.max(0)]).astype(np.float32)
    return Face(box, landmarks, 0.99, track, to_template)


def scene(width: int = 320, height: int = 240, seed: int = 0) -> Image:
    """A picture with something everywhere, none of it very dark or bright."""
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 200, (height // 8, width // 8, 3))
    return np.kron(coarse, np.ones((8, 8, 1), np.int64)).astype(np.uint8)


def frame_of(image: Image, index: int = 0) -> Frame:
    """A frame captured at second 1."""
    return Frame(image, index, 1.0)


class PlacedFaces:
    """A finder that finds the given faces in every frame, or raises the given error."""

    def __init__(self, faces: Sequence[Face] = (), error: Exception | None = None) -> None:
        self.faces = tuple(faces)
        self.glimpses: tuple[Glimpse, ...] = ()
        self.error = error
        self.detector_runs = 0

    def cut(self) -> None:
        """These faces stay where they are."""

    def holds(self, frame: Frame) -> bool:
        """Every frame is read."""
        return False

    def __call__(self, frame: Frame) -> tuple[Face, ...]:
        self.detector_runs += 1
        if self.error is not None:
            raise self.error
        return self.faces

    def looking_aside(self) -> AbstractContextManager[None]:
        return nullcontext()
