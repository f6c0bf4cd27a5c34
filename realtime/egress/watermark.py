"""The invisible mark: slow, faint waves in every picture, stronger where texture hides them."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.egress.about import About
from realtime.egress.pattern import KEY, PERIOD_S, TILES, Waves
from realtime.egress.payload import Payload
from realtime.errors import SinkError
from realtime.face.geometry import Image
from realtime.pool import Scratch

SMALLEST: Final = 64  # px on a side: the waves of a smaller picture are too short to be read
CONTRASTS: Final = (0.05, 0.3, 1.0, 6.0)  # grey levels: of a clean wall, a wall on camera, cloth, hair
STRENGTHS: Final = (0.4, 0.7, 1.5, 3.4)  # grey levels, root mean square, that may be added there
ALONE: Final = 1.3  # times stronger in a picture that stands alone: there is no other one to tell more
BUDGET: Final = 1.4  # grey levels, root mean square, over the whole picture: 44 dB and a little more
_SIDE: Final = 256  # samples on the shorter side of the small picture in which the mark is made
_TEXTURE: Final = 90  # samples on the shorter side of the map of texture
_EVERY: Final = 5  # frames from one map of texture to the next
_FOLLOWS: Final = 0.3  # how far each map moves towards the new one: what changes does so in half a second
_FINE: Final = 28  # steps of a grey level
_MIDDLE: Final = 128
_LIMIT: Final = 3.5  # grey levels: the most that a pixel is changed
_BAND: Final = 65536  # pixels marked at a time: what is in between stays in the processor's cache
_ROWS: Final = 32  # of the map of texture, likewise

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What pictures of one size with one message need."""

    real: Floats  # (h, w) small: the waves, root mean square 1
    imaginary: Floats  # (h, w) the same waves a quarter of their time later
    dither: NDArray[np.uint8]  # (H, W) of 0 to _FINE - 1: rounds a part of a level to a share of the pixels

    @classmethod
    def made(cls, waves: Waves, payload: Payload, width: int, height: int) -> "Sheet":
        """For pictures of width x height px."""
        short = min(width, height)
        wide, high = round(width * _SIDE / short), round(height * _SIDE / short)
        tile = waves.tile(payload, _SIDE // TILES)
        times = (-(-high // len(tile)), -(-wide // len(tile)))
        small = np.tile(tile, times)[:high, :wide]
        dither = np.tile(_ordered(), (-(-height // 8), -(-width // 8)))[:height, :width]
        return cls(small.real.astype(np.float32), small.imag.astype(np.float32), np.ascontiguousarray(dither))


class Watermark:
    """Marks the pictures of one session, one after the other."""

    def __init__(self, key: bytes = KEY) -> None:
        self._waves = {alone: Waves.of(key, alone) for alone in (False, True)}
        self._made_for: tuple[Payload, int, int, bool] | None = None
        self._sheet: Sheet | None = None
        self._gain: Floats | None = None  # (h, w) small: grey levels
        self._count = 0
        self._scratch = Scratch()

    def __call__(self, image: Image, about: About, out: Image | None = None) -> Image:
        """A copy of image (h, w, 3) BGR with the mark; in out, another picture of that shape, where there is one.

        Raises SinkError for a picture that is too small to carry it, or that is no BGR picture of 8 bits.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise SinkError(f"the mark goes onto BGR pictures of 8 bits, seen {image.dtype} of shape {image.shape}")
        height, width = image.shape[:2]
        if min(width, height) < SMALLEST:
            raise SinkError(f"a picture of {width} x {height} px is too small to carry the mark, wanted {SMALLEST} px")
        sheet = self._sheet_for(about, width, height)
        gain = self._gain_for(image, sheet.real.shape, about.at is None)
        turn = 0.0 if about.at is None else 2 * np.pi * (about.at % PERIOD_S) / PERIOD_S
        grey = self._grey(sheet, gain, turn)
        return self._added(image, grey, np.empty(image.shape, np.uint8) if out is None else out)

    def _grey(self, sheet: Sheet, gain: Floats, turn: float) -> Image:
        """The mark at this turn of the waves, (H, W): steps of a grey level about _MIDDLE, dithered."""
        waves = self._scratch("waves", sheet.real.shape, np.float32)
        cv2.addWeighted(sheet.real, float(np.cos(turn)), sheet.imaginary, -float(np.sin(turn)), 0, waves)
        np.multiply(waves, gain, waves)
        np.clip(waves, -_LIMIT, _LIMIT, waves)
        np.multiply(waves, _FINE, waves)
        np.add(waves, _MIDDLE + 0.5, waves)
        fine = self._scratch("fine", waves.shape)
        np.copyto(fine, waves, casting="unsafe")
        height, width = sheet.dither.shape
        grey = self._scratch("grey", (height, width))
        cv2.resize(fine, (width, height), grey, interpolation=cv2.INTER_LINEAR)
        cv2.add(grey, sheet.dither, grey)
        return grey

    def _added(self, image: Image, grey: Image, out: Image) -> Image:
        """out, with image and the mark in it, a band at a time."""
        height, width = grey.shape
        rows = max(1, _BAND // width)
        offset = -(_MIDDLE + (_FINE - 1) / 2) / _FINE
        for top in range(0, height, rows):
            band = slice(top, min(top + rows, height))
            three = self._scratch("three", image[band].shape)
            cv2.cvtColor(grey[band], cv2.COLOR_GRAY2BGR, three)
            cv2.addWeighted(image[band], 1.0, three, 1 / _FINE, offset, out[band])
        return out

    def _sheet_for(self, about: About, width: int, height: int) -> Sheet:
        alone = about.at is None
        wanted = Payload.of(about.model, about.session), width, height, alone
        if self._sheet is None or self._made_for != wanted:
            if self._made_for is None or self._made_for[1:] != wanted[1:]:
                self._gain = None
            self._sheet, self._made_for = Sheet.made(self._waves[alone], *wanted[:3]), wanted
        return self._sheet

    def _gain_for(self, image: Image, shape: tuple[int, ...], alone: bool) -> Floats:
        """How strong the mark is where, in grey levels; it follows the picture slowly."""
        if alone:
            return strengths(image, shape) * np.float32(ALONE)
        if self._gain is None:
            self._gain, self._count = strengths(image, shape), 0
        elif self._count % _EVERY == 0:
            change = strengths(image, shape, self._scratch)
            np.subtract(change, self._gain, change)
            np.multiply(change, _FOLLOWS, change)
            np.add(self._gain, change, self._gain)
        self._count += 1
        return self._gain


def strengths(image: Image, shape: tuple[int, ...], scratch: Scratch | None = None) -> Floats:
    """How strong the mark may be, (h, w) of this shape in grey levels: little where the picture is flat.

    With scratch, the map is in its memory.
    """
    scratch = scratch or Scratch()
    height, width = image.shape[:2]
    scale = max(1.0, min(width, height) / _TEXTURE)
    wide, high = round(width / scale), round(height / scale)
    twice = scratch("twice", (2 * high, 2 * wide, 3))
    small = scratch("small", (high, wide, 3))
    cv2.resize(image, (2 * wide, 2 * high), twice, interpolation=cv2.INTER_LINEAR)
    cv2.resize(twice, (wide, high), small, interpolation=cv2.INTER_AREA)  # half of a camera's noise, which hides little
    grey, contrast, gain = (scratch(name, (high, wide), np.float32) for name in ("level", "contrast", "gain"))
    np.copyto(grey, cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, scratch("bytes", (high, wide))))
    np.abs(np.subtract(grey, cv2.blur(grey, (3, 3), contrast), contrast), contrast)
    cv2.erode(cv2.blur(contrast, (3, 3), grey), np.ones((5, 5), np.uint8), contrast)  # an edge is no texture
    cv2.blur(contrast, (5, 5), grey)
    for top in range(0, high, _ROWS):
        gain[top : top + _ROWS] = np.interp(grey[top : top + _ROWS], CONTRASTS, STRENGTHS)
    gain *= min(1.0, BUDGET / float(np.sqrt(np.square(gain, grey).mean())))
    out = scratch("strengths", shape, np.float32)
    return np.asarray(cv2.resize(gain, (shape[1], shape[0]), out, interpolation=cv2.INTER_LINEAR), np.float32)


def _ordered() -> NDArray[np.uint8]:
    """Thresholds (8, 8) of 0 to _FINE - 1 whose sums are even over every small area."""
    order = np.zeros((1, 1), np.int64)
    for _ in range(3):
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return (order * _FINE // order.size).astype(np.uint8)
