"""What is shown where there is no swapped face to show: privacy decisions, made in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.errors import SettingsError
from realtime.face.face import Face
from realtime.face.geometry import Image, invert, transform

NO_FACE: Final = ("pass", "hold", "blank", "blur")
UNSURE: Final = ("blur", "hold", "blank", "pass", "raise")
OTHERS: Final = ("blur", "pass")
LONGEST_TAIL: Final = 60.0  # seconds
_CELLS: Final = 8  # a blurred region keeps this many cells along its longer side: nobody can be recognised
_EDGE: Final = 0.1  # of a place's longer side, over which its blur fades out around it
_CORNERS: Final = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)  # of the template's unit square

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2 in frame px


@dataclass(frozen=True, slots=True)
class Fallback:
    """What leaves in place of a swapped face: three questions, each with an answer that is safe for its case.

    no_face, when really nobody is in view. pass: the frame as it came; hold: the last swapped frame (blank before the
    first); blank: black; blur: no detail. The default passes: an empty room harms nobody.

    unsure, where a real face may be in view that is not covered by another one: it has just entered and the landmarks
    do not confirm it yet, it was followed until a moment ago (its last place, growing, for tail seconds), the picture
    was cut and nobody has looked yet, or a model failed on the frame. blur and blank hide the places, and the whole
    frame where places are unknown; hold repeats the last frame that was sure; pass hides nothing; raise blurs as well,
    but ends the run when a model fails. The default never shows a real face.

    others, for faces that no identity was chosen for. Passing them harms who wants to be hidden and was not named:
    whoever comes in later, sits where no place was given, or is one more than the limit, is shown to everybody, and
    nobody asks them. Blurring them harms who wanted to be seen: an interviewer without a face. That can be mended with
    one word, a face that was shown cannot be taken back; so the default is blur.
    """

    no_face: str = "pass"
    unsure: str = "blur"
    others: str = "blur"
    tail: float = 1.0  # seconds

    def __post_init__(self) -> None:
        _one_of("no_face", self.no_face, NO_FACE)
        _one_of("unsure", self.unsure, UNSURE)
        _one_of("others", self.others, OTHERS)
        if not 0 <= self.tail <= LONGEST_TAIL:
            raise SettingsError(f"tail is {self.tail:g}, wanted 0 to {LONGEST_TAIL:g} seconds")


@dataclass(frozen=True, slots=True)
class Unsure:
    """Where a frame may show a real face."""

    places: tuple[Box, ...] = ()
    anywhere: bool = False  # nobody knows where


def hidden(image: Image, how: str, held: Image | None) -> Image:
    """The whole image as it may be shown under one of NO_FACE or UNSURE; it is never written to itself.

    held is the last swapped picture, or None when there is none yet.
    """
    if how == "pass":
        return image
    if how == "hold":
        return np.zeros_like(image) if held is None else _of_size(held, image)
    return np.zeros_like(image) if how == "blank" else _blurred(image)


def veiled(image: Image, how: str, places: Sequence[Box]) -> Image:
    """The image with these places hidden under one of OTHERS or UNSURE; a copy unless there is nothing to hide.

    A blur is whole within the place and fades out around it, so that it does not stand in the picture like a box.
    """
    if how == "pass" or not places:
        return image
    out = image.copy()
    for box in places:
        inner = _within(box, image)
        if inner is None:
            continue
        if how == "blank":
            out[inner] = 0
            continue
        edge = max(1.0, _EDGE * float((box[2:] - box[:2]).max()))
        outer = _within(np.concatenate([box[:2] - edge, box[2:] + edge]), image)
        assert outer is not None  # it holds the inner one
        part = out[outer]
        part[:] = _mixed(_blurred(part), part, _fading(outer, inner, edge))
    return out


def place_of(face: Face) -> Box:
    """The rectangle around everything that shows who it is: the whole crop and the detector's box."""
    points = transform(invert(face.to_template), _CORNERS)
    low = np.minimum(points.min(0) - 1, face.box[:2])
    high = np.maximum(points.max(0) + 1, face.box[2:])
    return np.concatenate([low, high]).astype(np.float32)


def grown(box: Box, factor: float) -> Box:
    """The box, so many times as wide and high about the same centre."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}, wanted one of {', '.join(allowed)}")


def _of_size(held: Image, image: Image) -> Image:
    """The held picture, at the size of the present one (a source may change its size)."""
    if held.shape == image.shape:
        return held
    return np.asarray(cv2.resize(held, (image.shape[1], image.shape[0])), np.uint8)


Region = tuple[slice, slice]  # rows and columns of a picture


def _within(box: Box, image: Image) -> Region | None:
    """The pixels of image that box touches; None where there are none."""
    height, width = image.shape[:2]
    (x0, y0), (x1, y1) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    rows, columns = slice(max(0, y0), min(y1, height)), slice(max(0, x0), min(x1, width))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _fading(outer: Region, inner: Region, edge: float) -> NDArray[np.float32]:
    """How much the blur shows in outer (h, w): 1 within inner, 0 from edge px around it on, with round corners."""
    away = [
        np.maximum(np.maximum(near.start - at, at - (near.stop - 1)), 0).astype(np.float32)
        for at, near in ((np.arange(far.start, far.stop), near) for far, near in zip(outer, inner, strict=True))
    ]
    distance = np.hypot(away[0][:, None], away[1][None])
    return np.asarray(np.clip(1 - distance / edge, 0, 1), np.float32)


def _mixed(over: Image, under: Image, share: NDArray[np.float32]) -> Image:
    """over where share (h, w) is 1, under where it is 0."""
    return np.asarray(cv2.blendLinear(over, np.ascontiguousarray(under), share, 1 - share), np.uint8)


def _blurred(part: Image) -> Image:
    """part without detail: averaged over a few large cells, then smooth between them."""
    height, width = part.shape[:2]
    cell = max(1.0, max(height, width) / _CELLS)
    few = cv2.resize(part, (max(1, round(width / cell)), max(1, round(height / cell))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
