"""Where a drawn face shows: the identity's mask, within the person's outline, with an edge that is soft."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Points
from realtime.pool import Scratch
from realtime.swap.blur import blurred

Mask = NDArray[np.float32]  # (S, S) 0..1
Shown = NDArray[np.uint8]  # (S, S) 0..255

EDGE: Final = 0.015  # of the crop's side: sigma of the softening
LEAST: Final = 0.75  # px of the frame, likewise
_FADE: Final = 0.06  # of the crop's side, where the mask fades to nothing towards the border
BELOW: Final = 0.45  # of a softened mask: nothing shows where it is less
ABOVE: Final = 0.95  # of a softened mask: all shows where it is more
_FOREHEAD: Final = 0.4  # of the crop's side: the outline has no landmarks above the brows, so it is open there
_BROWS: Final = slice(17, 27)  # of the 68 points
_EARS: Final = (0, 16)  # the jaw's ends


class Edge:
    """Softens masks; keeps what does not change from face to face, and the memory of what it gives."""

    def __init__(self) -> None:
        # Half of a blurred edge lies outside, where the render's background would show as a ring: use the inner half.
        self._drawn_in = np.clip((np.arange(256) - BELOW * 255) / (ABOVE - BELOW), 0, 255).astype(np.uint8)
        self._border = border(1)
        self._scratch = Scratch()

    def __call__(self, mask: Mask, scale: float, outline: Points | None = None) -> Shown:
        """The mask with an edge that is soft in the frame and nothing at the crop's border, so that no box can show.

        scale is crop pixels for one frame pixel: a small face's edge is soft in the frame, not only in the crop.
        outline (n, 2), in crop px, is what the face must not reach far beyond: see outline_of. The next call overwrites
        what this one gives.
        """
        size = mask.shape[0]
        if self._border.shape[0] != size:
            self._border = border(size)
        whole, other = (self._scratch(name, mask.shape) for name in ("whole", "other"))
        cv2.convertScaleAbs(mask, whole, alpha=255)
        if outline is not None:
            cv2.min(whole, _within(outline, other), whole)
        # A blur wider than an eighth of the crop says nothing new: the face is then a few pixels wide.
        smooth = blurred(whole, min(max(EDGE * size, LEAST * scale), size / 8), other)
        cv2.LUT(smooth, self._drawn_in, whole)
        return np.asarray(cv2.multiply(whole, self._border, other, scale=1 / 255), np.uint8)


def outline_of(landmarks: Points) -> Points:
    """The 68 landmarks, in units of the crop's side, and as much above them as a forehead and hair may take."""
    above = landmarks[[*range(_BROWS.start, _BROWS.stop), *_EARS]] - np.array([0, _FOREHEAD], np.float32)
    return np.concatenate([landmarks, above])


def _within(outline: Points, picture: Shown) -> Shown:
    """picture, with 255 within the hull of the points (n, 2) in px, and 0 outside."""
    hull = cv2.convexHull(np.round(outline * 16).astype(np.int32))
    picture[:] = 0
    cv2.fillConvexPoly(picture, hull, 255, cv2.LINE_AA, 4)
    return picture


def border(size: int) -> Shown:
    """255 inside the crop, falling smoothly to 0 at its border, (size, size)."""
    depth = np.minimum(np.arange(size), np.arange(size)[::-1]) / max(1.0, _FADE * size)
    line = np.clip(depth, 0, 1)
    line = line * line * (3 - 2 * line)
    return np.round(255 * np.outer(line, line)).astype(np.uint8)
