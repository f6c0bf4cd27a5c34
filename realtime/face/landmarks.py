"""The 68 landmarks, irises, blend weights and presence of one face, from a small network on its crop."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from realtime.errors import ModelError
from realtime.face.geometry import (
    Image,
    Matrix,
    Points,
    align,
    invert,
    similarity,
    steady_of,
    template,
    to_pixels,
    to_template,
    transform,
    within_crop,
)
from realtime.pool import Scratch
from realtime.swap.contract import Contract, expect, read_contract
from realtime.swap.session import SessionSettings, open_session

# What the network says about the expression, in its order; left and right are the picture's. The first six are
# weights in 0..1, gaze is in units of GAZE_UNIT: + yaw looks towards the picture's right, + pitch up.
BLEND: Final = (
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "jawOpen",
    "mouthSmile",
    "browDown",
    "browInnerUp",
    "gazeYawLeft",
    "gazePitchLeft",
    "gazeYawRight",
    "gazePitchRight",
)
GAZE_UNIT: Final = 30.0  # degrees
LANDMARKS: Final = 68
IRISES: Final = 2
SMALLEST: Final = 6  # pixels from brow to mouth, below which there is nothing to redraw


@dataclass(frozen=True, slots=True)
class Reading:
    """What the network sees in one crop."""

    landmarks: Points  # (68, 2) Multi-PIE order, frame px, unsmoothed
    irises: Points  # (2, 2) centres, frame px, the picture's left first
    blend: NDArray[np.float32]  # (len(BLEND),)
    presence: float  # 0..1, how surely a face is there


class Landmarker:
    """The landmark network, loaded and warm."""

    def __init__(self, session: ort.InferenceSession, contract: Contract) -> None:
        expect(contract, role="landmarks")
        self.contract = contract
        self._session = session
        self._scratch = Scratch()

    @classmethod
    def load(cls, file: Path | None = None, settings: SessionSettings | None = None) -> "Landmarker":
        """The network of a file, by default the embedded one. Raises ModelError."""
        path = file or Path(str(resources.files("realtime") / "models" / "landmarks.onnx"))
        session = open_session(path, settings or SessionSettings())
        contract = read_contract(session, path.name)
        expect(contract, role="landmarks")
        names = [output.name for output in session.get_outputs()]
        if missing := {"points", "blend", "presence"} - set(names):
            raise ModelError(
                f"{path.name} has the outputs {', '.join(names)}, wanted also {', '.join(sorted(missing))}"
            )
        return cls(session, contract)

    def __call__(self, image: Image, to_crop: Matrix) -> Reading:
        """What is in the crop that to_crop (frame px to px of a crop of the contract's size) cuts out of image."""
        size = self.contract.size
        crop = self._scratch("crop", (1, size, size, 3))
        align(image, to_crop, size, crop[0], self._scratch)
        points, blend, presence = self._session.run(["points", "blend", "presence"], {"crop": crop})
        places = transform(invert(to_crop), to_pixels(np.asarray(points[0], np.float32), size))
        landmarks, irises = places[:LANDMARKS], places[LANDMARKS : LANDMARKS + IRISES]
        there = float(np.clip(presence.reshape(-1)[0], 0, 1)) if plausible(landmarks, image) else 0.0
        return Reading(landmarks, irises, np.asarray(blend[0]), there)

    def find(self, image: Image, five: Points) -> Reading:
        """A face from a detection's five points (5, 2): once with a rough crop, once with the one that this gives."""
        first = self(image, self.crop_of_five(five))
        return self.follow(image, first.landmarks) if first.presence > 0 else first

    def follow(self, image: Image, landmarks: Points) -> Reading:
        """A face from its landmarks (68, 2) a frame ago."""
        return self.expected(image, to_template(landmarks))

    def expected(self, image: Image, to_unit_square: Matrix) -> Reading:
        """A face from where it is expected: frame px to the template's unit square, (2, 3)."""
        return self(image, within_crop(to_unit_square, self.contract.size, self.contract.coverage))

    def crop_of_five(self, five: Points) -> Matrix:
        """Frame px to crop px, so that a detection's five points (5, 2) lie on the template's."""
        target = (template_five() - 0.5) / self.contract.coverage + 0.5
        return similarity(five, to_pixels(target.astype(np.float32), self.contract.size))


def plausible(landmarks: Points, image: Image) -> bool:
    """Whether landmarks (68, 2) could be a face in image: finite, not tiny, not enormous, with its middle in view."""
    if not np.isfinite(landmarks).all():
        return False
    steady = steady_of(landmarks)
    height, width = image.shape[:2]
    low, high = steady.min(0), steady.max(0)
    centre, extent = (low + high) / 2, high - low
    in_view = 0 <= centre[0] < width and 0 <= centre[1] < height
    return bool(in_view and SMALLEST <= extent.max() <= 2 * max(width, height))


def template_five() -> Points:
    """Where a detector's five points (eyes, nose tip, mouth corners) lie on the template, (5, 2) unit coordinates."""
    points = template()
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
