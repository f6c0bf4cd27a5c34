"""The visible notice: writes "AI-generated face" into a corner of every picture that leaves."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.egress.about import About
from realtime.egress.corner import CORNERS, Corner
from realtime.errors import SettingsError, SinkError
from realtime.face.geometry import Image
from realtime.frame import Drawn
from realtime.pool import Scratch

__all__ = ["CORNERS", "LANGUAGES", "SIZES", "STYLES", "Label", "LabelSettings", "Plate"]

STYLES: Final = ("text", "icon", "badge")  # the words; a spark before them; a spark and "AI" alone
LANGUAGES: Final = ("en", "de", "el", "es", "fr", "it", "pl", "uk")
SIZES: Final = ("medium", "small", "large")
_SHARES: Final = (1 / 20, 1 / 26, 1 / 14)  # of the frame's shorter side: the plate's height in these sizes
_SMALLEST: Final = (18, 16, 22)  # px: and it is not lower than this, or it could not be read
_WORDS: Final = Path(__file__).resolve().parent.parent / "assets" / "label"  # export/label_words.py draws them
_WHOLE, _SHORT, _BADGE = range(3)  # the rows of a language's picture
_LEAST_WIDTH: Final = 48  # px: a narrower frame cannot carry the words at all
_PLATE: Final = (24, 24, 24)  # BGR
_INK: Final = (255, 255, 255)
_PLATE_OPACITY: Final = 0.62


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How the notice looks, and where it is while no face stays there. A value that is none raises SettingsError."""

    corner: str = CORNERS[0]
    style: str = STYLES[0]
    language: str = LANGUAGES[0]
    size: str = SIZES[0]

    def __post_init__(self) -> None:
        for name, known in (("corner", CORNERS), ("style", STYLES), ("language", LANGUAGES), ("size", SIZES)):
            value = getattr(self, name)
            if value not in known:
                raise SettingsError(f"the label's {name} {value!r} is unknown, wanted {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Plate:
    """The notice for frames of one size, ready to blend."""

    x: int  # of its upper left pixel in the frame
    y: int
    colour: NDArray[np.uint16]  # (h, w, 3) what it adds, x 256
    keep: NDArray[np.uint16]  # (h, w, 3) how much of the frame shows through, x 256

    @classmethod
    def made(cls, width: int, height: int, settings: LabelSettings | None = None) -> "Plate":
        """The plate for frames of width x height px. Raises SinkError when they are too small to carry it."""
        settings = settings or LabelSettings()
        margin = min(width, height) // 60
        rank = SIZES.index(settings.size)
        high = max(_SMALLEST[rank], round(min(width, height) * _SHARES[rank]))
        room = width - 2 * margin
        fine = _drawn(settings, _WHOLE)
        if round(fine.shape[1] / fine.shape[0] * high) > room:
            fine = _drawn(settings, _SHORT)
        wide = min(round(fine.shape[1] / fine.shape[0] * high), room)
        high = max(1, round(fine.shape[0] / fine.shape[1] * wide))
        if room < _LEAST_WIDTH or high + 2 * margin > height:
            raise SinkError(f"a frame of {width} x {height} px is too small to carry the label")
        ink = cv2.resize(fine, (wide, high), interpolation=cv2.INTER_AREA)[..., None].astype(np.float32) / 255
        keep = (1 - _PLATE_OPACITY) * (1 - ink)
        colour = ink * np.array(_INK, np.float32) + (1 - ink) * _PLATE_OPACITY * np.array(_PLATE, np.float32)
        shown = np.repeat((keep * 256).astype(np.uint16), 3, axis=2)
        x = margin if settings.corner.endswith("left") else width - margin - wide
        y = margin if settings.corner.startswith("top") else height - margin - high
        return cls(x, y, (colour * 256).astype(np.uint16), shown)

    def meets(self, face: Drawn) -> bool:
        """Whether the plate lies over the face, or would."""
        left, top, right, bottom = face.box
        high, wide = self.colour.shape[:2]
        return left < self.x + wide and right > self.x and top < self.y + high and bottom > self.y

    def onto(self, picture: Image, scratch: Scratch) -> None:
        """Writes the notice onto the picture."""
        part = picture[self.y : self.y + self.colour.shape[0], self.x : self.x + self.colour.shape[1]]
        blended = scratch("blended", self.colour.shape, np.uint16)
        np.multiply(part, self.keep, blended)
        np.add(self.colour, blended, blended)
        np.right_shift(blended, 8, blended)
        np.copyto(part, blended, casting="unsafe")


class Label:
    """Writes the notice onto pictures; keeps the plates of the size and the settings used last.

    settings may be replaced at any time, by any thread; their corner is the one that was chosen, which a face may have
    driven the notice from.
    """

    def __init__(self, settings: LabelSettings | None = None) -> None:
        self.settings = settings or LabelSettings()
        self._corner = Corner()
        self._made_for: tuple[int, int, LabelSettings] | None = None
        self._plates: dict[str, Plate] = {}
        self._scratch = Scratch()

    def __call__(self, image: Image, about: About | None = None, out: Image | None = None) -> Image:
        """A copy of image (h, w, 3) with the notice in a corner, where there is one in a corner without a face.

        It is in out, a picture of that shape, where there is one; with image itself for out, nothing is copied.
        Raises SinkError for a picture that is too small to carry it, or that is no BGR picture of 8 bits.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise SinkError(f"the label goes onto BGR pictures of 8 bits, seen {image.dtype} of shape {image.shape}")
        about, settings = about or About(), self.settings
        plates = self._plates_for(image.shape[1], image.shape[0], settings)
        covered = [corner for corner, plate in plates.items() if any(plate.meets(face) for face in about.drawn)]
        plate = plates[self._corner(settings.corner, covered, about.at)]
        if out is None:
            out = image.copy()
        elif out is not image:
            np.copyto(out, image)
        plate.onto(out, self._scratch)
        return out

    def _plates_for(self, width: int, height: int, settings: LabelSettings) -> dict[str, Plate]:
        wanted = width, height, settings
        if self._made_for != wanted:
            self._plates = {at: Plate.made(width, height, replace(settings, corner=at)) for at in CORNERS}
            self._made_for = wanted
        return self._plates


def _drawn(settings: LabelSettings, row: int) -> NDArray[np.uint8]:
    """The notice in white on a black plate, (height, w): the words of this row, or the badge, in the style."""
    sheet = cv2.imdecode(np.fromfile(_WORDS / f"{settings.language}.png", np.uint8), cv2.IMREAD_GRAYSCALE)
    if sheet is None:
        raise SinkError(f"the label's words in {settings.language!r} are missing from this installation")
    height = sheet.shape[0] // 3
    row = _BADGE if settings.style == "badge" else row
    words = sheet[row * height : (row + 1) * height]
    words = words[:, : np.flatnonzero(words.any(0))[-1] + 1]
    left = height if settings.style != "text" else height // 3
    canvas = np.zeros((height, left + words.shape[1] + height // 3), np.uint8)
    canvas[:, left : left + words.shape[1]] = words
    if settings.style != "text":
        cv2.fillPoly(canvas, [_spark(height / 2, height / 2, height * 0.36)], 255, cv2.LINE_AA)
    return canvas


def _spark(x: float, y: float, radius: float) -> NDArray[np.int32]:
    """A star of four points, by which many programs say "made by AI": corners in px, (n, 2), an astroid's outline."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    outline = np.stack([np.cos(turn) ** 3, np.sin(turn) ** 3], 1) * radius + (x, y)
    return np.asarray(np.round(outline), np.int32)
