"""A dark picture with a sentence, for when there is no other to show."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from realtime.flow.letterbox import Image

_GROUND: Final = (40, 32, 28)  # BGR
_INK: Final = (235, 235, 235)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_LEAST_WIDTH: Final = 96  # px: words are not readable on a narrower card


def card(width: int, height: int, lines: Sequence[str]) -> Image:
    """The lines (ASCII) in the middle of a card, (height, width, 3) BGR; no words where they could not be read."""
    out = np.full((height, width, 3), _GROUND, np.uint8)
    widest = max(cv2.getTextSize(line, _FONT, 1.0, 1)[0][0] for line in lines)
    scale = min(0.8 * width / widest, height / 360)
    if width < _LEAST_WIDTH or scale < 0.15:
        return out
    thickness, step = max(1, round(scale * 1.6)), round(44 * scale)
    for number, line in enumerate(lines):
        wide = cv2.getTextSize(line, _FONT, scale, thickness)[0][0]
        above = round((len(lines) - 1.33) * step / 2)
        at = (width - wide) // 2, height // 2 - above + number * step
        cv2.putText(out, line, at, _FONT, scale, _INK, thickness, cv2.LINE_AA)
    return out
