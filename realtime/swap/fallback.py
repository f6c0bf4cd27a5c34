"""What is shown when there is no swapped face to show: a privacy decision, made in one place."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from realtime.errors import SettingsError
from realtime.face.face import Face
from realtime.face.geometry import Image, covered

NO_FACE: Final = ("pass", "hold", "blank", "blur")
ON_ERROR: Final = ("raise", "hold", "blank", "blur", "pass")
_CELLS: Final = 8  # a blurred region keeps this many cells along its longer side: nobody can be recognised


@dataclass(frozen=True, slots=True)
class Fallback:
    """What leaves when a frame has no face, and when a model fails on a frame.

    pass: the frame as it came; hold: the last swapped frame (blank before the first); blank: black; blur: no detail.
    On an error, blank and blur cover the faces alone while their places are known, and the whole frame otherwise;
    raise ends the run. The default never lets a real face through because of an error.
    """

    no_face: str = "pass"
    on_error: str = "blur"

    def __post_init__(self) -> None:
        _one_of("no_face", self.no_face, NO_FACE)
        _one_of("on_error", self.on_error, ON_ERROR)


@dataclass(frozen=True, slots=True)
class Fault:
    """A frame on which a model failed."""

    faces: tuple[Face, ...]  # found but not swapped; empty when it is not even known whether there are any


def hidden(image: Image, how: str, held: Image | None, faces: tuple[Face, ...] = ()) -> Image:
    """image as it may be shown under one of NO_FACE; faces limits blank and blur to their rectangles.

    held is the last swapped picture, or None when there is none yet. image itself is never written to.
    """
    if how == "pass":
        return image
    if how == "hold":
        return np.zeros_like(image) if held is None else _of_size(held, image)
    height, width = image.shape[:2]
    rectangles = [_rectangle(face, width, height) for face in faces] or [(0, 0, width, height)]
    out = image.copy()
    for x0, y0, x1, y1 in rectangles:
        if x0 < x1 and y0 < y1:
            part = out[y0:y1, x0:x1]
            part[:] = _blurred(part) if how == "blur" else 0
    return out


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}, wanted one of {', '.join(allowed)}")


def _of_size(held: Image, image: Image) -> Image:
    """The held picture, at the size of the present one (a source may change its size)."""
    if held.shape == image.shape:
        return held
    return np.asarray(cv2.resize(held, (image.shape[1], image.shape[0])), np.uint8)


def _rectangle(face: Face, width: int, height: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 around everything that shows who it is: the whole crop and the detector's box, within the frame."""
    unit_crop = face.to_template.copy()
    unit_crop[:, 2] -= 0.5  # one pixel spans -0.5 to 0.5
    x0, y0, x1, y1 = covered(unit_crop, 1, width, height)
    left, top, right, bottom = (int(value) for value in np.round(face.box))
    return max(0, min(x0, left)), max(0, min(y0, top)), min(width, max(x1, right)), min(height, max(y1, bottom))


def _blurred(part: Image) -> Image:
    """part without detail: averaged over a few large cells, then smooth between them."""
    height, width = part.shape[:2]
    cell = max(1.0, max(height, width) / _CELLS)
    few = cv2.resize(part, (max(1, round(width / cell)), max(1, round(height / cell))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
