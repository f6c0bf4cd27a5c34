"""A number that travels in the picture itself: black and white cells at the top edge that survive a video codec.

Two rows of 16 cells lie in the middle of the top edge, clear of the four corners where the label may be: 4 cells whose
colour is known, 16 of the number, 12 of check bits. Two numbers differ in at least 6 cells, and a cell that is
neither dark nor light counts as unread, so a damaged strip is noticed rather than taken for another number.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # (h, w, 3) BGR, or (h, w) luma
Cells = NDArray[np.float64]  # (ROWS, COLUMNS) median brightness of each cell's middle, 0..255

NUMBERS: Final = 1 << 16  # numbers beyond start again at 0
ROWS: Final = 2
COLUMNS: Final = 16
LEFT: Final = 3 / 10  # where the strip begins, of the picture's width
WIDE: Final = 4 / 10  # of the picture's width: at 640 px, a cell is one macroblock of the codec
HIGH: Final = 1 / 15  # of its height; the strip begins at the top
DARK: Final = 32  # brightness; full contrast would cost the codec more and read no better
LIGHT: Final = 224
MIDDLE: Final = 0.5  # share of a cell, in each direction, that is read: its edges blur into its neighbours

_CHECK_BITS: Final = 12
_POLYNOMIAL: Final = 0x1F37  # of all of 12 bits, one that keeps any two numbers 6 cells apart
_LEAST_CONTRAST: Final = 60.0  # between the known dark and light cells
_UNCLEAR: Final = 0.2  # of the contrast, to either side of its middle: a cell within is neither dark nor light
_KNOWN: Final = ((0, 0, True), (0, COLUMNS - 1, False), (1, 0, False), (1, COLUMNS - 1, True))  # row, column, light


@dataclass(frozen=True, slots=True)
class Place:
    """Where the strip lies in pictures of one size."""

    columns: tuple[int, ...]  # COLUMNS + 1 edges, px
    rows: tuple[int, ...]  # ROWS + 1 edges, px

    @classmethod
    def of(cls, width: int, height: int) -> "Place":
        """In pictures of width x height px; of use from about 160 x 120 px."""
        columns = tuple(round(width * (LEFT + WIDE * column / COLUMNS)) for column in range(COLUMNS + 1))
        return cls(columns, tuple(round(height * HIGH * row / ROWS) for row in range(ROWS + 1)))


def write(picture: Picture, number: int) -> None:
    """Draws the strip of number (of which NUMBERS are told apart) into the picture."""
    height, width = picture.shape[:2]
    place = Place.of(width, height)
    cells = np.where(pattern(number), np.uint8(LIGHT), np.uint8(DARK))
    rows = np.repeat(cells, np.diff(place.rows), axis=0)
    strip = np.repeat(rows, np.diff(place.columns), axis=1)
    part = picture[: place.rows[-1], place.columns[0] : place.columns[-1]]
    part[:] = strip if picture.ndim == 2 else strip[..., None]


def read(picture: Picture) -> int | None:
    """The number that the picture carries, in range(NUMBERS), or None where it cannot be told for certain."""
    return number_of(cells_of(picture))


def pattern(number: int) -> NDArray[np.bool_]:
    """Which cells (ROWS, COLUMNS) are light."""
    word = _with_check(number % NUMBERS)
    bits = iter([bool(word >> bit & 1) for bit in reversed(range(ROWS * COLUMNS - len(_KNOWN)))])
    known = {(row, column): light for row, column, light in _KNOWN}
    return np.array(
        [[known[row, c] if (row, c) in known else next(bits) for c in range(COLUMNS)] for row in range(ROWS)]
    )


def cells_of(picture: Picture) -> Cells:
    """How bright the middle of each cell is; the median, because a codec may leave a small part as it was."""
    height, width = picture.shape[:2]
    place = Place.of(width, height)
    strip = picture[: place.rows[-1], place.columns[0] : place.columns[-1]]
    luma = strip if strip.ndim == 2 else cv2.cvtColor(strip, cv2.COLOR_BGR2GRAY)
    across = [_middle(*edges) for edges in zip(place.columns, place.columns[1:], strict=False)]
    down = [_middle(*edges) for edges in zip(place.rows, place.rows[1:], strict=False)]
    left = place.columns[0]
    return np.array(
        [[np.median(luma[top:bottom, x - left : end - left]) for x, end in across] for top, bottom in down], np.float64
    )


def number_of(cells: Cells) -> int | None:
    """The number in cells (ROWS, COLUMNS), or None where one is unclear, or known or check bits are wrong."""
    light = np.mean([cells[row, column] for row, column, is_light in _KNOWN if is_light])
    dark = np.mean([cells[row, column] for row, column, is_light in _KNOWN if not is_light])
    contrast = light - dark
    if contrast < _LEAST_CONTRAST:
        return None
    relative = (cells - dark) / contrast - 0.5
    if np.abs(relative).min() < _UNCLEAR:
        return None
    seen = relative > 0
    known = {(row, column) for row, column, _ in _KNOWN}
    bits = [seen[row, c] for row in range(ROWS) for c in range(COLUMNS) if (row, c) not in known]
    number = sum(1 << place for place, bit in enumerate(reversed(bits[:-_CHECK_BITS])) if bit)
    return number if (pattern(number) == seen).all() else None


def _with_check(number: int) -> int:
    """The number with the remainder of its polynomial division behind it, 28 bits."""
    rest = number << _CHECK_BITS
    for bit in reversed(range(_CHECK_BITS, _CHECK_BITS + 16)):
        if rest >> bit & 1:
            rest ^= _POLYNOMIAL << (bit - _CHECK_BITS)
    return number << _CHECK_BITS | rest


def _middle(start: int, end: int) -> tuple[int, int]:
    margin = int((end - start) * (1 - MIDDLE) / 2)
    return start + margin, max(start + margin + 1, end - margin)
