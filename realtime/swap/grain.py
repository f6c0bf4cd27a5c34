"""Gives a drawn face the noise and the softness of the camera that sees the scene around it."""

import math
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Image, Matrix, invert, transform
from realtime.pool import Scratch
from realtime.swap.blur import blurred
from realtime.swap.steady import Values

Grey = NDArray[Any]  # (h, w) uint8, as OpenCV types what it returns

# Where skin is mostly bare and even: both cheeks, forehead, chin; in unit coordinates of the template.
_SKIN: Final = ((0.33, 0.6), (0.67, 0.6), (0.5, 0.22), (0.5, 0.79))
_WINDOW: Final = 0.05  # of the template's side: half a window of skin
_WINDOWS: Final = range(4, 21)  # px of the frame, likewise
_CLIPPED: Final = (8, 247)  # a mean outside: noise is cut off there and cannot be measured
_LOUDEST: Final = 12.0  # of 255; more is texture, not noise
_FAINTEST: Final = 0.4  # of 255; less does not show

# Immerkaer, Fast Noise Variance Estimation (1996): the difference of two Laplacians, blind to edges and slopes. Its
# answer to white noise of deviation 1 has deviation 6; the median of the magnitude, instead of his mean, is robust.
_LAPLACIANS: Final = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))
_TO_DEVIATION: Final = 1 / (6 * 0.6745)

BLUR_SAMPLE: Final = 96  # px: side of the pictures whose blur is compared
AGAIN: Final = 2.0  # px of them: how far they are blurred again
INSIDE: Final = 250  # of 255: the mask's own edge is no edge of the face
EDGES: Final = 6.0  # least gradient (Sobel's, root mean square) of a picture whose blur can be told
SOFTEST: Final = 0.03  # of the crop's side: a face is softened no further
SURELY: Final = 0.96  # of the camera's blur: two people's features are not alike, and too sharp looks better than dull
HARDLY: Final = 0.3  # px of the crop; less is not worth the time
INTERPOLATED: Final = 0.25  # px² of the frame: variance of the blur that reading a frame between its pixels adds

ROWS: Final = 128  # that get their noise at a time, at most
_BANK: Final = (ROWS + 256, 1024)  # px of noise kept
_DEVIATION: Final = 32  # of the noise in the bank


def noise_of(image: Image, to_template: Matrix, mask: Grey, to_crop: Matrix) -> Values | None:
    """Deviation of the camera's noise on the face's bare skin, fine and coarse: (2,) of 255.

    The second is what is left at half the resolution: half the first for white noise, more for a codec's blotches.
    mask (S, S) 0..255 says where the face shows. None where no skin is in view, or it is over- or underexposed.
    """
    to_frame = invert(to_template)
    half = int(np.clip(_WINDOW * math.hypot(to_frame[0, 0], to_frame[1, 0]), _WINDOWS[0], _WINDOWS[-1]))
    middles = transform(to_frame, np.array(_SKIN, np.float32))
    windows = []
    for (x, y), (u, v) in zip(
        middles.round().astype(int), transform(to_crop, middles).round().astype(int), strict=True
    ):
        seen = 0 <= u < mask.shape[1] and 0 <= v < mask.shape[0] and mask[v, u] > 127
        if not seen or x < half or y < half or x + half > image.shape[1] or y + half > image.shape[0]:
            continue
        windows.append(cv2.cvtColor(image[y - half : y + half, x - half : x + half], cv2.COLOR_BGR2GRAY))
    if not windows:
        return None
    column = np.concatenate(windows)  # one below the other, so that each step is one call
    coarse = cv2.resize(column, (half, half * len(windows)), interpolation=cv2.INTER_AREA)
    light = np.array([cv2.mean(window)[0] for window in windows])
    found = np.stack([_deviations(column, len(windows)), _deviations(coarse, len(windows))], 1)
    found = found[(_CLIPPED[0] <= light) & (light <= _CLIPPED[1])]
    if not len(found):
        return None
    # The calmer half of the windows: a beard, hair or a strong shadow in one of them is no noise.
    return np.asarray(np.sort(found, 0)[(len(found) - 1) // 2])


def softening(scene: Grey, drawn: Grey, weight: Grey, scale: float, scratch: Scratch | None = None) -> Values | None:
    """How much softer than the drawn face the camera's picture of the face is: a Gaussian's sigma, (1,) of the side.

    Both (n, n) show the same crop, n = BLUR_SAMPLE; weight is 255 where the face shows; scale is their px for one of
    the frame. 0 where the camera is the sharper one. None where the face shows no edges.
    """
    scratch = scratch or Scratch()
    there, here = _blur(scene, weight, scratch), _blur(drawn, weight, scratch)
    if there is None or here is None:
        return None
    read = INTERPOLATED * scale**2  # the drawn face will be read between its pixels as well
    sigma = math.sqrt(max((SURELY * there) ** 2 - here**2 - read, 0.0)) / scene.shape[0]
    return np.array([min(sigma, SOFTEST)])


def softened(drawn: Image, sigma: float, out: Image | None = None) -> Image:
    """drawn (S, S, 3), blurred by sigma of its side, in out if there is one; itself where that is hardly anything."""
    pixels = sigma * drawn.shape[0]
    return drawn if pixels < HARDLY else blurred(drawn, pixels, out)


class Grain:
    """Fresh noise for every frame, cut from a bank; the same for the same frame's number, so that runs repeat."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        height, width = _BANK
        fine = random.standard_normal((height, width), np.float32)
        few = random.standard_normal((height // 2, width // 2), np.float32)
        coarse = cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)
        self._fine, self._coarse = (_stored(noise) for noise in (fine, coarse))
        # What noise_of says of either, at deviation 1.
        self._answers = np.array([_answers(self._fine), _answers(self._coarse)]).T / _DEVIATION
        self._scratch = Scratch()

    def amounts(self, noise: Values | None) -> tuple[float, float]:
        """The deviations of fine and coarse noise that together measure as noise (of noise_of) does; 0 for None."""
        if noise is None:
            return 0.0, 0.0
        wanted = np.minimum(noise, _LOUDEST) ** 2
        coarse = fine = 0.0
        power = np.linalg.solve(self._answers**2, wanted)
        if power[1] <= 0:
            fine = math.sqrt(wanted[0]) / self._answers[0, 0]
        elif power[0] <= 0:
            coarse = math.sqrt(wanted[1]) / self._answers[1, 1]
        else:
            fine, coarse = (float(part) for part in np.sqrt(power))
        return fine, min(coarse, _LOUDEST)

    def onto(self, face: NDArray[Any], amounts: tuple[float, float], frame: int, salt: int) -> Image:
        """face (h, w, 3) with noise of these amounts; frame's number and salt choose which. h at most ROWS.

        The next call overwrites what this one gives.
        """
        fine, coarse = amounts
        whole = math.hypot(fine, coarse)
        if whole < _FAINTEST:
            return np.asarray(face, np.uint8)
        top, left = _place(frame, salt)
        high, wide = face.shape[:2]
        part = slice(top, top + high), slice(left, left + wide)
        one, other = self._fine[part], self._coarse[part]
        shift = 128 * (1 - (fine + coarse) / whole)
        mixed = cv2.addWeighted(one, fine / whole, other, coarse / whole, shift, self._scratch("mixed", one.shape))
        if mixed.shape[1] < wide:
            mixed = np.tile(mixed, (1, -(-wide // mixed.shape[1])))[:, :wide]
        share = whole / _DEVIATION
        noise = cv2.cvtColor(mixed, cv2.COLOR_GRAY2BGR, self._scratch("noise", (high, wide, 3)))
        return np.asarray(cv2.addWeighted(face, 1.0, noise, share, -128 * share, noise), np.uint8)


def _deviations(column: Grey, count: int) -> Values:
    """Of so many windows of one size, one below the other, each: (count,)."""
    answer = cv2.filter2D(column, cv2.CV_16S, np.array(_LAPLACIANS, np.float32))
    np.abs(answer, answer)
    inner = answer.reshape(count, -1, column.shape[1])[:, 1:-1, 1:-1].reshape(count, -1)
    return np.asarray(np.median(inner, 1, overwrite_input=True) * _TO_DEVIATION)


def _answers(noise: Grey) -> tuple[float, float]:
    some = noise[:256, :256]
    half = cv2.resize(some, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return float(_deviations(some, 1)[0]), float(_deviations(half, 1)[0])


def _stored(noise: NDArray[Any]) -> Grey:
    """Noise about 128, of the bank's deviation."""
    return np.asarray(np.clip(np.round(noise / noise.std() * _DEVIATION) + 128, 0, 255), np.uint8)


def _blur(picture: Grey, weight: Grey, scratch: Scratch) -> float | None:
    """Sigma of the blur of a picture's edges, in px: Zhuo and Sim, Defocus map estimation (2011).

    An edge blurred by s has a gradient sqrt(s² + a²) / s times as steep as when it is blurred by a once more.
    """
    softer = blurred(picture, AGAIN, scratch("softer", picture.shape))
    steep, again = _steepness(picture, "steep", scratch), _steepness(softer, "again", scratch)
    trust = scratch("trust", again.shape, np.float32)
    inside = weight > INSIDE
    np.multiply(again, inside, trust)  # strong edges say it best, and noise has none
    known = float(np.vdot(trust, again))
    if float(trust.sum()) <= EDGES**2 * np.count_nonzero(inside):
        return None
    return AGAIN / math.sqrt(max(float(np.vdot(trust, steep)) / known - 1, 0.04))


def _steepness(picture: Grey, name: str, scratch: Scratch) -> NDArray[np.float32]:
    """The square of the gradient, by Sobel."""
    across, down = (scratch(one, picture.shape, np.float32) for one in (name, "down"))
    cv2.Sobel(picture, cv2.CV_32F, 1, 0, across)
    cv2.Sobel(picture, cv2.CV_32F, 0, 1, down)
    np.add(np.square(across, across), np.square(down, down), across)
    return across


def _place(frame: int, salt: int) -> tuple[int, int]:
    """Where in the bank a frame's noise begins: scattered by multiplicative hashing (Knuth), so that none is near."""
    number = ((frame & 0xFFFF) * 0x9E3779B1 + salt * 0x85EBCA6B) & 0xFFFFFFFF
    return number % (_BANK[0] - ROWS), (number >> 10) % (_BANK[1] // 2)
