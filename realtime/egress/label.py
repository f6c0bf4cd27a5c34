"""The visible notice: writes "AI-generated" into a corner of every picture that leaves."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.egress.about import About
from realtime.errors import SettingsError, SinkError
from realtime.face.geometry import Image

TEXT: Final = "AI-generated"
CORNERS: Final = ("bottom-left", "bottom-right", "top-left", "top-right")
STYLES: Final = ("text", "icon", "badge")  # the words; a spark before them; a spark and "AI" alone
_BADGE: Final = "AI"
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_FINE: Final = 4  # drawn this many times larger, then averaged: smooth at small sizes
_SHARE: Final = 1 / 22  # of the frame's shorter side: the plate's height
_SMALLEST: Final = 18  # px: a lower plate cannot be read
_LEAST_WIDTH: Final = 48  # px: a narrower frame cannot carry the words at all
_PLATE: Final = (24, 24, 24)  # BGR
_INK: Final = (255, 255, 255)
_PLATE_OPACITY: Final = 0.62


@dataclass(frozen=True, slots=True)
class Plate:
    """The notice for frames of one size, ready to blend."""

    x: int  # of its upper left pixel in the frame
    y: int
    colour: NDArray[np.uint16]  # (h, w, 3) what it adds, x 256
    keep: NDArray[np.uint16]  # (h, w, 3) how much of the frame shows through, x 256

    @classmethod
    def made(cls, width: int, height: int, corner: str = CORNERS[0], style: str = STYLES[0]) -> "Plate":
        """The plate for frames of width x height px. Raises SinkError when they are too small to carry it."""
        margin = min(width, height) // 60
        fine = _drawn(max(_SMALLEST, round(min(width, height) * _SHARE)) * _FINE, style)
        wide = min(fine.shape[1] // _FINE, width - 2 * margin)
        high = max(1, round(fine.shape[0] / fine.shape[1] * wide))
        if width - 2 * margin < _LEAST_WIDTH or high + 2 * margin > height:
            raise SinkError(f"a frame of {width} x {height} px is too small to carry the label")
        ink = cv2.resize(fine, (wide, high), interpolation=cv2.INTER_AREA)[..., None].astype(np.float32) / 255
        keep = (1 - _PLATE_OPACITY) * (1 - ink)
        colour = ink * np.array(_INK, np.float32) + (1 - ink) * _PLATE_OPACITY * np.array(_PLATE, np.float32)
        shown = np.repeat((keep * 256).astype(np.uint16), 3, axis=2)
        x = margin if corner.endswith("left") else width - margin - wide
        y = margin if corner.startswith("top") else height - margin - high
        return cls(x, y, (colour * 256).astype(np.uint16), shown)


class Label:
    """Writes the notice onto pictures; keeps the plate of the size, corner and style used last."""

    def __init__(self, corner: str = CORNERS[0], style: str = STYLES[0]) -> None:
        """Raises SettingsError for a corner that is none of CORNERS, or a style that is none of STYLES."""
        self.corner = corner
        self.style = style
        self._made_for = (0, 0, "", "")
        self._plate = Plate(0, 0, *(np.zeros((0, 0, 3), np.uint16) for _ in range(2)))

    @property
    def corner(self) -> str:
        """Where the notice is, one of CORNERS; any thread may change it, between two pictures. Raises SettingsError."""
        return self._corner

    @corner.setter
    def corner(self, corner: str) -> None:
        if corner not in CORNERS:
            raise SettingsError(f"the label's corner {corner!r} is unknown, wanted {', '.join(CORNERS)}")
        self._corner = corner

    @property
    def style(self) -> str:
        """How the notice looks, one of STYLES; changed as the corner is. Raises SettingsError."""
        return self._style

    @style.setter
    def style(self, style: str) -> None:
        if style not in STYLES:
            raise SettingsError(f"the label's style {style!r} is unknown, wanted {', '.join(STYLES)}")
        self._style = style

    def __call__(self, image: Image, about: About | None = None) -> Image:
        """A copy of image (h, w, 3) with the notice in its corner.

        Raises SinkError for a picture that is too small to carry it, or that is no BGR picture of 8 bits.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise SinkError(f"the label goes onto BGR pictures of 8 bits, seen {image.dtype} of shape {image.shape}")
        plate = self._plate_for(image.shape[1], image.shape[0])
        out = image.copy()
        part = out[plate.y : plate.y + plate.colour.shape[0], plate.x : plate.x + plate.colour.shape[1]]
        part[:] = (plate.colour + part * plate.keep) >> 8
        return out

    def _plate_for(self, width: int, height: int) -> Plate:
        wanted = width, height, self._corner, self._style
        if self._made_for != wanted:
            self._plate, self._made_for = Plate.made(*wanted), wanted
        return self._plate


def _drawn(height: int, style: str) -> NDArray[np.uint8]:
    """The notice in white on a black plate of this height, (height, w)."""
    words, spark = (_BADGE if style == "badge" else TEXT), style != "text"
    thickness = max(1, round(height / 11))
    scale = cv2.getFontScaleFromHeight(_FONT, round(height * 0.5), thickness)
    (wide, high), _ = cv2.getTextSize(words, _FONT, scale, thickness)
    left = height if spark else height // 4
    canvas = np.zeros((height, left + wide + height // 4), np.uint8)
    if spark:
        cv2.fillPoly(canvas, [_spark(height / 2, height / 2, height * 0.34)], 255, cv2.LINE_AA)
    cv2.putText(canvas, words, (left, (height + high) // 2), _FONT, scale, 255, thickness, cv2.LINE_AA)
    return canvas


def _spark(x: float, y: float, radius: float) -> NDArray[np.int32]:
    """A star of four points, by which many programs say "made by AI": corners in px, (n, 2), an astroid's outline."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.stack([np.cos(turn) ** 3, np.sin(turn) ** 3], 1) * radius + (x, y)
    return np.asarray(np.round(outline), np.int32)
