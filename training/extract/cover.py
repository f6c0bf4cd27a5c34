"""Where a face is in its crop, and what covers it: landmarks say the one, an embedded identity's mask the other."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image, Points, to_pixels
from realtime.swap.contract import read_contract
from realtime.swap.identity import MODELS
from realtime.swap.session import SessionSettings, open_session
from training.augment import recrop

SIDE: Final = 128  # px of a mask
WITNESS: Final = "small/aster.onnx"  # its decoder leaves out of the mask what is in front of a face
FOREHEAD: Final = 0.35  # how far above the brows a face goes, in heights from brows to nose
SEEN: Final = 0.5  # of the witness's mask, below which something is in front
SURE: Final = 0.8  # of the face's width and height within which the witness is asked

Mask = NDArray[np.uint8]  # (SIDE, SIDE)


class Cover:
    """The witness, loaded."""

    def __init__(self, settings: SessionSettings) -> None:
        """Raises ModelError."""
        small = MODELS / "small"
        self._encoder = open_session(small / "encoder.onnx", settings)
        self._decoder = open_session(MODELS / WITNESS, settings)
        self._contract = read_contract(self._encoder, "encoder.onnx")

    def __call__(self, crop: Image, landmarks: Points, coverage: float) -> tuple[Mask, float]:
        """The face in a crop (S, S, 3) with landmarks (70, 2) in its unit coordinates, without what covers it.

        The mask (SIDE, SIDE) belongs to the whole crop; the number is how much of the face is covered, 0..1.
        """
        size, known = self._contract.size, self._contract.coverage
        matrix = recrop(np.eye(3), crop.shape[0], size, known / coverage)
        picture = cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        code = self._encoder.run(["code"], {"crop": np.asarray(picture, np.uint8)[None]})[0]
        witness = np.asarray(self._decoder.run(["mask"], {"code": code})[0][0], np.float32)
        back = recrop(np.eye(3), witness.shape[0], SIDE, coverage)
        seen = cv2.warpAffine(witness, back, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=0.0)
        face, core = outline(landmarks, 1.0), outline(landmarks, SURE)
        covered = ((seen < SEEN) & (core > 127)).astype(np.uint8)
        covered = np.asarray(cv2.morphologyEx(covered, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.uint8)
        share = float(covered.sum() / max(1, int((core > 127).sum())))
        if share > 0.01:
            wide = np.asarray(cv2.dilate(covered, np.ones((9, 9), np.uint8)), np.uint8)
            face = np.where(wide > 0, 0, face).astype(np.uint8)
        return np.asarray(cv2.GaussianBlur(face, (0, 0), 1.5), np.uint8), share


def outline(landmarks: Points, scale: float) -> Mask:
    """255 inside the face that landmarks (70, 2) in unit coordinates outline, forehead included, times scale."""
    up = FOREHEAD * (landmarks[17:27].mean(0) - landmarks[33])
    points = np.concatenate([landmarks[:17], landmarks[17:27], landmarks[18:26] + up]).astype(np.float32)
    middle = points.mean(0)
    pixels = to_pixels(middle + (points - middle) * np.float32(scale), SIDE)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(pixels).astype(np.int32)), 255)
    return mask
