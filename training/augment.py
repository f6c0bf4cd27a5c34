"""Makes one clean rendered crop into many unclean ones: affine jitter, elastic warps, lenses, sensors and codecs.

Everything works on 8-bit pictures with OpenCV, so that a batch costs less than the network's step on two cores.
"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from realtime.face.geometry import MIRROR, Image, Matrix, Points

Mask = NDArray[np.uint8]  # (h, w)
Floats = NDArray[np.float32]

# Where the 70 points and the ten blend values land when the picture is mirrored, and gaze yaw's change of sign.
MIRROR_POINTS: Final = (*MIRROR, 69, 68)
MIRROR_BLEND: Final = (1, 0, 2, 3, 4, 5, 8, 9, 6, 7)
MIRROR_SIGNS: Final = (1, 1, 1, 1, 1, 1, -1, 1, -1, 1)
BORDERS: Final = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far a crop may stray, each evenly to both sides."""

    scale: float  # 0.2: from 1 / 1.2 to 1.2 times
    degrees: float
    shift: float  # of the crop's width


def chance(rng: Generator, probability: float) -> bool:
    """True with this probability."""
    return float(rng.random()) < probability


def jittered(rng: Generator, jitter: Jitter) -> NDArray[np.float64]:
    """A random similarity about the origin, (3, 3), to be applied in units of the crop's width."""
    scale = math.exp(float(rng.uniform(-1, 1)) * math.log(1 + jitter.scale))
    angle = math.radians(float(rng.uniform(-1, 1)) * jitter.degrees)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y = rng.uniform(-1, 1, 2) * jitter.shift
    return np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]])


def recrop(change: NDArray[np.float64], stored: int, size: int, coverage: float, mirrored: bool = False) -> Matrix:
    """Stored-crop px to px of a new crop of the same centre, (2, 3).

    coverage: how much of the stored crop's width the new one shows before `change` (jittered) is applied.
    """
    to_unit = np.array([[1 / stored, 0, 0.5 / stored - 0.5], [0, 1 / stored, 0.5 / stored - 0.5], [0, 0, 1]])
    cut = np.diag([(-1 if mirrored else 1) / coverage, 1 / coverage, 1])
    to_pixels = np.array([[size, 0, size / 2 - 0.5], [0, size, size / 2 - 0.5], [0, 0, 1]])
    return np.asarray((to_pixels @ change @ cut @ to_unit)[:2], np.float32)


def chained(first: Matrix, then: Matrix) -> Matrix:
    """One affine map, (2, 3), that does what two do after each other."""
    linear = then[:, :2] @ first[:, :2]
    return np.asarray(np.hstack([linear, then[:, :2] @ first[:, 2:] + then[:, 2:]]), np.float32)


def mirrored_points(points: Points) -> Points:
    """The 70 points in the order that they have in the mirrored picture; places are unchanged."""
    return points[list(MIRROR_POINTS)]


def mirrored_blend(blend: Floats) -> Floats:
    """The blend weights of the mirrored picture: left and right change places, gaze yaw its sign."""
    return np.asarray(blend[list(MIRROR_BLEND)] * np.array(MIRROR_SIGNS, np.float32), np.float32)


def warp(image: NDArray[np.uint8], matrix: Matrix, size: int, border: int = cv2.BORDER_REPLICATE) -> NDArray[np.uint8]:
    """The crop of size x size that matrix cuts out."""
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def elastic(image: NDArray[np.uint8], matrix: Matrix, size: int, rng: Generator, amount: float) -> NDArray[np.uint8]:
    """As warp, with a smooth random displacement of `amount` times the crop's width (at 5 x 5 knots)."""
    back = cv2.invertAffineTransform(matrix).astype(np.float32)
    shift = rng.normal(0, amount * size, (5, 5, 2)).astype(np.float32)
    grid = np.asarray(cv2.resize(shift, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    steps = np.arange(size, dtype=np.float32)
    grid[..., 0] += steps[None]
    grid[..., 1] += steps[:, None]
    x, y = cv2.split(cv2.transform(grid, back))
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def patch(image: Image, occluded: Mask, rng: Generator) -> tuple[Image, Mask]:
    """A copy with a flat or striped shape drawn over it somewhere, and where it lies."""
    size = image.shape[0]
    centre, radius = rng.uniform(0, size, 2), rng.uniform(0.06, 0.28, 2) * size
    shape = np.zeros((size, size), np.uint8)
    if chance(rng, 0.5):
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(shape, (centre.tolist(), (radius * 2).tolist(), angle), 255, -1, cv2.LINE_AA)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        corners = centre + radius * np.stack([np.cos(turns), np.sin(turns)], 1)
        cv2.fillPoly(shape, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    colours = rng.integers(0, 256, (int(rng.integers(1, 6)), int(rng.integers(1, 6)), 3)).astype(np.uint8)
    paint = cv2.resize(colours, (size, size), interpolation=cv2.INTER_NEAREST if chance(rng, 0.5) else cv2.INTER_LINEAR)
    alpha = (shape[..., None] / np.float32(255)).astype(np.float32)
    drawn = (image + (paint.astype(np.float32) - image) * alpha).astype(np.uint8)
    return drawn, np.maximum(occluded, shape)


class Webcam:
    """A random bad camera for every picture: light, colour, focus, motion, sharpening, noise and JPEG."""

    def __init__(self, seed: int, strength: float = 1.0, bank: int = 768) -> None:
        rng = np.random.default_rng(seed)
        fine = rng.normal(0, 32, (bank, bank, 3)).astype(np.float32)
        grey = fine.mean(2, keepdims=True) * np.float32(1.7)
        coarse = cv2.resize(fine[: bank // 2, : bank // 2], (bank, bank), interpolation=cv2.INTER_LINEAR) * 1.4
        banks = (fine * 0.5 + grey * 0.8, grey.repeat(3, 2), coarse)
        self._banks = [np.clip(b, -127, 127).astype(np.int8) for b in banks]  # standard deviation about 32
        self._strength = strength

    def __call__(self, image: Image, rng: Generator) -> Image:
        """A new picture of the same size."""
        strength = self._strength
        image = _photo(image, rng)
        if chance(rng, 0.3 * strength):
            image = _shade(image, rng)
        if chance(rng, 0.06):
            image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
        image = _defocus(image, rng, strength)
        if chance(rng, 0.6 * strength):
            image = self._noise(image, rng)
        if chance(rng, 0.15 * strength):
            image = _sharpen(image, rng)
        if chance(rng, 0.3 * strength):
            image = _jpeg(image, rng)
        return image

    def _noise(self, image: Image, rng: Generator) -> Image:
        bank, size = self._banks[int(rng.integers(len(self._banks)))], image.shape[0]
        y, x = rng.integers(0, bank.shape[0] - size, 2)
        deviation = 14 * float(rng.random()) ** 2  # of 255
        noise = bank[y : y + size, x : x + size]
        return np.asarray(cv2.addWeighted(image, 1, noise, deviation / 32, 0, dtype=cv2.CV_8U), np.uint8)


def _photo(image: Image, rng: Generator) -> Image:
    """Exposure, gamma, contrast and white balance, as one table for each channel."""
    normal = rng.normal(0, 1, 6)
    gain = np.exp(normal[:3] * 0.07 + normal[3] * 0.16)
    gamma, contrast = math.exp(normal[4] * 0.18), math.exp(normal[5] * 0.14)
    value = np.linspace(0, 1, 256) ** gamma
    table = (value[:, None] * gain - 0.45) * contrast + 0.45
    return np.asarray(cv2.LUT(image, np.clip(table * 255 + 0.5, 0, 255).astype(np.uint8)[None]), np.uint8)


def _shade(image: Image, rng: Generator) -> Image:
    """Uneven light: a smooth factor of about 0.6 to 1.4."""
    knots = np.exp(rng.normal(0, 0.18, (3, 3))).astype(np.float32)
    factor = cv2.resize(knots, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(image * factor[..., None], 0, 255), np.uint8)


def _defocus(image: Image, rng: Generator, strength: float) -> Image:
    """A low resolution, a blur or a motion, or nothing."""
    which, size = float(rng.random()) / strength, image.shape[0]
    if which < 0.3:
        small = max(24, round(size * float(rng.uniform(0.28, 0.8))))
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    if which < 0.4:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    if which < 0.52:
        length = 2 * int(rng.integers(1, 5)) + 1
        kernel = np.zeros((length, length), np.float32)
        turn, half = float(rng.uniform(0, math.pi)), length // 2
        dx, dy = round(half * math.cos(turn)), round(half * math.sin(turn))
        cv2.line(kernel, (half - dx, half - dy), (half + dx, half + dy), 1.0)
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)
    return image


def _sharpen(image: Image, rng: Generator) -> Image:
    """The halo that webcams draw round edges."""
    soft = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 2.0)))
    amount = float(rng.uniform(0.3, 1.5))
    return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), np.uint8)


def _jpeg(image: Image, rng: Generator) -> Image:
    _, written = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))))
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)


def texture(size: int, rng: Generator) -> Image:
    """A picture without a face: smooth colours, stripes or speckle."""
    cells = int(rng.integers(1, 12))
    colours = rng.integers(0, 256, (cells, int(rng.integers(1, 12)), 3)).astype(np.uint8)
    how = cv2.INTER_NEAREST if chance(rng, 0.3) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(colours, (size, size), interpolation=how), np.uint8)
