"""What a fused model makes of frames, and what the pipeline makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, transform
from realtime.swap.compose import ComposeSettings, Fit, Swapped, SwappedFace
from realtime.swap.fused.asked import asked, feed
from realtime.swap.fused.model import MEMORY
from realtime.swap.grain import Grain
from realtime.swap.mask import outline_of
from realtime.swap.views import crop_of
from tests.models import drawn_face
from tests.realtime.swap.helpers import frame_of

SIZE = 160
COLOUR = (110, 130, 150)  # of the face that the fixture `small` draws
NOBODY = np.zeros(MEMORY, np.float32)  # nothing is remembered


@dataclass(frozen=True)
class Answer:
    """What a fused model gave."""

    frames: NDArray[np.uint8]
    look: NDArray[np.float32]
    mask: NDArray[np.uint8]


def by_graph(
    session: ort.InferenceSession,
    frames: Sequence[Image],
    faces: Sequence[tuple[Face, int]],
    memory: NDArray[np.float32] = NOBODY,
    colour: bool = True,
    soft: bool = False,
    crop: int = 128,
) -> Answer:
    """Frames of one size with faces put in, each into the frame of that number; the encoder reads crop px."""
    height, width = frames[0].shape[:2]
    wanted = [asked(face, outline(face), memory, width, height) for face, _ in faces]
    told = feed([one for one in wanted if one is not None], [number for _, number in faces], width, height, crop, 1.0)
    pictures, fittings = np.stack(frames), np.array([colour, soft], np.float32)
    return Answer(*session.run(None, {**told, "seen": pictures, "shown": pictures, "fittings": fittings}))


def by_pipeline(
    frame: Image, faces: Sequence[Face], colour: bool = True, soft: bool = False, fit: Fit | None = None, index: int = 0
) -> Image:
    """The frame with the same faces put in by Fit, without noise."""
    image, mask = drawn_face(COLOUR, SIZE)
    drawn = tuple(SwappedFace(face, "aster", image * np.float32(255), mask, crop_of(face, SIZE)) for face in faces)
    fit = fit or Fit(ComposeSettings(colour=colour, grain=soft))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Grain, "amounts", lambda self, noise: (0.0, 0.0))
        return fit(Swapped(frame_of(frame, index), drawn)).image


def outline(face: Face) -> NDArray[np.float32]:
    """As the composer has it: in units of the crop's side, its first pixel's middle at 0."""
    return outline_of((transform(face.to_template, face.landmarks) - np.float32(0.5 / SIZE)).astype(np.float32))


def apart(one: Image, other: Image, background: Image) -> tuple[float, int, int]:
    """Grey levels between two pictures: the mean where either differs from the background, the most, and outside."""
    difference = np.abs(one.astype(int) - other)
    changed = (other != background).any(2)
    return float(difference[changed].mean()), int(difference.max()), int(difference[~changed].max(initial=0))
