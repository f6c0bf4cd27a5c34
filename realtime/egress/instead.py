"""What is shown instead of a picture that could not be marked: a dark card that says so."""

from typing import Final

import cv2
import numpy as np

from realtime.face.geometry import Image

WORDS: Final = ("This picture is not shown:", "it could not be marked as AI-generated.")
_GROUND: Final = (40, 32, 28)  # BGR
_INK: Final = (235, 235, 235)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_LEAST_WIDTH: Final = 96  # px: words are not readable on a narrower card


def card(width: int, height: int) -> Image:
    """The card (height, width, 3) BGR; without words where they could not be read."""
    out = np.full((height, width, 3), _GROUND, np.uint8)
    widest = max(cv2.getTextSize(line, _FONT, 1.0, 1)[0][0] for line in WORDS)
    scale = min(0.8 * width / widest, height / 120)
    if width < _LEAST_WIDTH or scale < 0.15:
        return out
    thickness, step = max(1, round(scale * 1.6)), round(44 * scale)
    for number, line in enumerate(WORDS):
        wide = cv2.getTextSize(line, _FONT, scale, thickness)[0][0]
        at = (width - wide) // 2, height // 2 - step // 3 + number * step
        cv2.putText(out, line, at, _FONT, scale, _INK, thickness, cv2.LINE_AA)
    return out
