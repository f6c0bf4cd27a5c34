"""Puts the swapped faces into their frame: mask, colour, paste."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Image, Matrix, invert, scale_of, transform
from realtime.frame import Frame
from realtime.swap.fallback import Box, Fallback, Unsure, hidden, veiled

Picture = NDArray[np.float32]  # (S, S, 3) BGR 0..255
Mask = NDArray[np.float32]  # (S, S) 0..1

_SAMPLE: Final = 64  # px: colour statistics need no more
_GAIN: Final = (0.12, 2.5)  # per channel: how far light and skin of the scene may pull the identity's colours
_SPREAD: Final = (0.75, 1.33)  # of the contrast, alike in all channels, so that colours never turn grey
_FADE: Final = 0.06  # of the crop's side, where the mask fades to nothing towards the border
_LUMA: Final = (0.114, 0.587, 0.299)  # of brightness, BGR
_FAINT: Final = 0.08  # a scene with less colour than this share of its brightness takes the identity's colour away
_BAND: Final = 64  # rows blended at a time: what is in between stays in the processor's cache


@dataclass(frozen=True, slots=True)
class SwappedFace:
    """A face redrawn as an identity, not yet in its frame."""

    face: Face
    identity: str
    image: Picture  # (S, S, 3) BGR 0..255, its tone normalised
    mask: Mask  # (S, S) 0..1, where the identity shows
    to_crop: Matrix  # (2, 3) frame px to px of image


@dataclass(frozen=True, slots=True)
class Swapped:
    """A frame and what is to be put into it."""

    frame: Frame
    faces: tuple[SwappedFace, ...] = ()
    others: tuple[Box, ...] = ()  # where faces are that no identity was chosen for
    unsure: Unsure | None = None  # where a real face may be all the same; a model that failed on the frame included


class Composer:
    """Composes frame after frame and remembers the last swapped one, to hold it where the settings say so."""

    def __init__(self, fallback: Fallback | None = None) -> None:
        self._fallback = fallback or Fallback()
        self._last: Image | None = None

    def __call__(self, swapped: Swapped) -> Frame:
        """The frame as it may be shown, with the number and the time of the frame that came in."""
        frame, unsure, how = swapped.frame, swapped.unsure, self._fallback.unsure
        if unsure is not None and (unsure.anywhere or how == "hold"):
            return replace(frame, image=hidden(frame.image, how, self._last))
        if not swapped.faces and not swapped.others and unsure is None:
            return replace(frame, image=hidden(frame.image, self._fallback.no_face, self._last))
        image = veiled(frame.image, self._fallback.others, swapped.others)
        image = veiled(image, how, unsure.places if unsure is not None else ())
        composed = compose(replace(swapped, frame=replace(frame, image=image)))  # over what is hidden, never under it
        if swapped.faces and unsure is None:
            self._last = composed.image
        return composed


def compose(swapped: Swapped) -> Frame:
    """The frame with every swapped face in its place; a new picture, equal to the old one outside the faces."""
    image = swapped.frame.image.copy()
    for face in swapped.faces:
        _put(image, face)
    return replace(swapped.frame, image=image)


def soft_mask(mask: Mask, scale: float) -> Mask:
    """The mask with an edge that is soft in the frame and nothing at the crop's border, so that no box can show.

    scale is crop pixels for one frame pixel: a small face's edge is softened over at least two pixels of the frame.
    """
    size = mask.shape[0]
    sigma = max(0.015 * size, scale)
    smooth = cv2.GaussianBlur(mask, (0, 0), sigma)
    # The blur reaches outwards by about one sigma; take that back, or background of the render shows around the face.
    smooth = np.clip((smooth - 0.12) * (1 / 0.8), 0, 1)
    return np.asarray(smooth * _border(size), np.float32)


def match_colour(image: Picture, mask: Mask, scene: Image) -> Picture:
    """image in the light of the scene: a gain for each channel, then one contrast for all, both inside the mask.

    scene is the input's face in the same crop, of any size. Gains are clamped, so that a face that is almost black,
    or covered, cannot tear the colours apart. In a grey scene the face is grey as well. Where the mask is empty, image
    comes back as it is.
    """
    small = cv2.resize(image, (_SAMPLE, _SAMPLE), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    weight = cv2.resize(mask, (_SAMPLE, _SAMPLE), interpolation=cv2.INTER_AREA).reshape(-1).astype(np.float64)
    there = cv2.resize(scene, (_SAMPLE, _SAMPLE), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    total = float(weight.sum())
    if total < 1:
        return image
    weight /= total
    mean, wanted = weight @ small, weight @ there
    gain = np.clip(wanted / np.maximum(mean, 1), *_GAIN)
    spread = _luma_spread(there, weight) / max(_luma_spread(small * gain, weight), 1)
    contrast = float(np.clip(np.sqrt(spread), *_SPREAD))  # the decoder has seen the light already: go half the way
    middle = mean * gain
    change = np.hstack([np.diag(gain * contrast), (middle * (1 - contrast))[:, None]])
    change = _colour_kept(there, weight) @ change
    return np.asarray(cv2.transform(image, change), np.float32)


def _put(image: Image, face: SwappedFace) -> None:
    """Blend one face into image, in place, within the rectangle that its mask covers."""
    scale = scale_of(face.to_crop)
    mask = soft_mask(face.mask, scale)
    inside = cv2.boundingRect((mask > 1 / 512).astype(np.uint8))
    x0, y0, x1, y1 = _rectangle(inside, face.to_crop, image.shape[1], image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    scene = _sample(image, face.to_crop, mask.shape[0])
    layers, to_crop = _shrunk(_layers(match_colour(face.image, mask, scene), mask), face.to_crop, scale)
    for top in range(y0, y1, _BAND):
        _blend(image[top : min(top + _BAND, y1), x0:x1], layers, to_crop, x0, top)


def _blend(part: Image, layers: Image, to_crop: Matrix, x0: int, y0: int) -> None:
    """Blend the layers into part, in place; part's upper-left pixel is (x0, y0) of the frame."""
    shifted = to_crop.copy()
    shifted[:, 2] += to_crop[:, :2] @ np.array([x0, y0], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(layers, shifted, (part.shape[1], part.shape[0]), flags=flags)
    # Measured on one core, a rectangle of 330 x 380: blendLinear 0.5 ms, float32 in numpy 1.1 ms, uint16 1.6 ms.
    alpha = cv2.extractChannel(patch, 3) * np.float32(1 / 255)
    part[:] = cv2.blendLinear(cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR), part, alpha, 1 - alpha)


def _rectangle(inside: Sequence[int], to_crop: Matrix, width: int, height: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the frame's part under inside (x y w h in crop px); empty when it lies outside the frame."""
    x, y, wide, high = inside
    if not wide or not high:
        return 0, 0, 0, 0
    corners = np.array([(x - 1, y - 1), (x + wide, y - 1), (x + wide, y + high), (x - 1, y + high)], np.float32)
    points = transform(invert(to_crop), corners)
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int) + 1
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))


def _sample(image: Image, to_crop: Matrix, size: int) -> Image:
    """The frame under the crop, a few pixels wide: enough for colours."""
    factor = _SAMPLE / size
    small = to_crop * np.float32(factor)
    small[:, 2] += 0.5 * factor - 0.5
    out = cv2.warpAffine(image, small, (_SAMPLE, _SAMPLE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def _layers(image: Picture, mask: Mask) -> NDArray[np.uint8]:
    """Picture and mask as one picture of four channels 0..255, so that one warp carries both."""
    layers = np.empty((*mask.shape, 4), np.float32)
    layers[..., :3], layers[..., 3] = image, mask * 255
    return np.clip(layers + 0.5, 0, 255).astype(np.uint8)


def _shrunk(layers: Image, to_crop: Matrix, scale: float) -> tuple[Image, Matrix]:
    """The layers no more than twice as fine as the frame needs, or thin lines would flicker; with their matrix."""
    if scale <= 2:
        return layers, to_crop
    size = layers.shape[0]
    smaller = max(2, round(size / scale))
    factor = smaller / size
    matrix = to_crop * np.float32(factor)
    matrix[:, 2] += 0.5 * factor - 0.5
    return np.asarray(cv2.resize(layers, (smaller, smaller), interpolation=cv2.INTER_AREA), np.uint8), matrix


def _colour_kept(colours: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """What keeps BGR as it is where colours (n, 3) have any, and turns it into its brightness where they are grey."""
    colourful = float(weight @ np.ptp(colours, axis=1)) / max(float(weight @ colours.max(1)), 1.0)
    kept = min(colourful / _FAINT, 1.0)
    return kept * np.eye(3) + (1 - kept) * np.tile(_LUMA, (3, 1))


def _luma_spread(colours: NDArray[Any], weight: NDArray[np.float64]) -> float:
    """Weighted standard deviation of the brightness of colours (n, 3) BGR."""
    luma = colours @ np.array(_LUMA)
    mean = float(weight @ luma)
    return float(np.sqrt(max(float(weight @ (luma - mean) ** 2), 0.0)))


def _border(size: int) -> Mask:
    """1 inside the crop, falling smoothly to 0 at its border, (size, size)."""
    depth = (np.minimum(np.arange(size), np.arange(size)[::-1]) / max(1.0, _FADE * size)).astype(np.float32)
    line = np.clip(depth, 0, 1)
    line = line * line * (3 - 2 * line)
    return np.asarray(np.outer(line, line), np.float32)
