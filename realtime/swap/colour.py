"""Brings a drawn face into the light and the colours of the scene that it is put into."""

import math
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image
from realtime.swap.steady import Values

Map = NDArray[np.float32]  # (3, 4) affine, BGR 0..255 to BGR 0..255
Skin = tuple[Values, float]  # its mean in Lab, and the spread of lightness
Bytes = NDArray[Any]  # (n, n) uint8, as OpenCV types what it returns

SAMPLE: Final = 48  # px: side of the pictures that are compared
FEWEST: Final = 12  # samples, below which nothing is said
ENOUGH: Final = 0.1  # of all samples: a face that shows less of itself is trusted less
GAIN: Final = (0.12, 2.5)  # per channel: how far light and skin of the scene may pull the identity's colours
SPREAD: Final = (0.75, 1.33)  # of the contrast, alike in all channels, so that colours never turn grey
TRIM: Final = 2.0  # robust standard deviations of lightness: beyond are eyes, brows, beards, highlights
LUMA: Final = (0.114, 0.587, 0.299)  # of brightness, BGR
FAINT: Final = 0.08  # of chroma to lightness (Lab); a scene with less takes the identity's colour away


def warm() -> None:
    """Has OpenCV build its tables for Lab now: the first conversion takes 80 ms that no frame should wait for."""
    pixel = np.zeros((1, 1, 3))
    skin_of(pixel.astype(np.uint8), np.full((1, 1), 255, np.uint8))
    _bgr(pixel[0])


def compare(drawn: Skin, scene: Image, weight: Bytes) -> tuple[Values | None, float]:
    """How the scene's skin differs from the drawn one, and how far that is to be trusted, 0..1.

    scene (n, n, 3) shows the place of the drawn face; weight (n, n) is not 0 where that shows and the scene is seen.
    The values: lightness and both colour axes of CIE Lab (scene less drawn), the logarithm of the ratio of contrasts,
    and how colourful the scene's skin is, 0 (grey) to 1. None where too little of the face shows.
    """
    count = cv2.countNonZero(weight)
    if count < FEWEST:
        return None, 0.0
    (mean, spread), (wanted, wanted_spread) = drawn, skin_of(scene, weight)
    contrast = 0.5 * math.log(
        max(wanted_spread, 1.0) / max(spread, 1.0)
    )  # half: the decoder has seen the light already
    colourful = math.hypot(wanted[1], wanted[2]) / max(wanted[0], 5.0) / FAINT
    return np.array([*(wanted - mean), contrast, min(colourful, 1.0)]), min(1.0, count / (ENOUGH * weight.size))


def colour_map(drawn: Skin, difference: Values) -> Map:
    """What brings the drawn face, whose skin is given, as far as the difference (of compare) says.

    A gain for each channel, as light and pigment act, so that black stays black and teeth take the light's colour; then
    one contrast for all. Gains are clamped, so that a scene almost without light cannot tear the colours apart.
    """
    mean, _ = drawn
    here, there = _bgr(np.stack([mean, mean + difference[:3]]))
    gain = np.clip(there / np.maximum(here, 1), *GAIN)
    # A contrast that is measured after a gain of lightness would count that gain twice.
    lightness = max(mean[0] + difference[0], 1.0) / max(mean[0], 1.0)
    contrast = float(np.clip(math.exp(difference[3]) / math.sqrt(lightness), *SPREAD))
    kept = float(difference[4])
    change = np.zeros((3, 4))
    change[[0, 1, 2], [0, 1, 2]], change[:, 3] = gain * contrast, here * gain * (1 - contrast)
    return np.asarray(kept * change + (1 - kept) * (np.array(LUMA) @ change), np.float32)


def skin_of(picture: Image, weight: Bytes) -> Skin:
    """Of a picture (n, n, 3) BGR where weight says so: the mean Lab colour of the skin there, its spread of lightness.

    Skin is what is about as light as most of it; the spread is that of everything.
    """
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)  # lightness 0..255, both axes about 128
    below = np.cumsum(cv2.calcHist([lab], [0], weight, [256], [0, 256]))
    low, middle, high = np.searchsorted(below, below[-1] * np.array([0.25, 0.5, 0.75]))
    reach = TRIM * max((high - low) / 1.349, 2.0)  # 1.349 standard deviations lie between a Gaussian's quartiles
    skin = cv2.inRange(lab, (middle - reach, 0, 0), (middle + reach, 255, 255))
    mean = cv2.mean(lab, cv2.bitwise_and(skin, weight))[:3]
    spread = cv2.meanStdDev(lab, mask=weight)[1][0, 0]
    return np.array([mean[0] / 2.55, mean[1] - 128, mean[2] - 128]), float(spread) / 2.55


def _bgr(lab: Values) -> Values:
    """Lab colours (n, 3) as BGR 0..255."""
    return np.asarray(cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2BGR)[0], np.float64) * 255
