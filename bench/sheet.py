"""Draws contact sheets: the input, the output and the mask of some swapped frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from realtime.egress.label import Label
from realtime.errors import SinkError
from realtime.face.geometry import Image, Matrix, Points, invert
from realtime.swap.compose import Swapped

CELL: Final = 160  # px of one picture
COLUMNS: Final = 4  # moments in a row, three pictures each


def rows(moments: Sequence[Image], count: int) -> list[Image]:
    """Evenly chosen moments (CELL, 3 * CELL, 3), COLUMNS in each row; one may come twice. Without moments no rows."""
    if not moments:
        return []
    chosen = [moments[k] for k in np.linspace(0, len(moments) - 1, count * COLUMNS).astype(int)]
    return [np.hstack(chosen[start : start + COLUMNS]) for start in range(0, len(chosen), COLUMNS)]


def moment(swapped: Swapped, output: Image, place: Matrix) -> Image:
    """Input, composed output and mask, (CELL, 3 * CELL, 3), of the part that place (frame px to cell px) shows."""
    shown = [_cut(image, place) for image in (swapped.frame.image, output)]
    mask = np.zeros((CELL, CELL), np.float32)
    for face in swapped.faces:
        square = np.vstack([invert(face.to_crop), [0, 0, 1]])
        drawn = cv2.warpAffine(face.mask, place @ square, (CELL, CELL), flags=cv2.INTER_LINEAR)
        mask = np.maximum(mask, drawn)
    grey = np.clip(mask * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.hstack([*shown, np.dstack([grey] * 3)])


def around(landmarks: Points) -> Matrix:
    """Frame px to px of a cell that shows the face of landmarks (n, 2) and some of what is round it."""
    low, high = landmarks.min(0), landmarks.max(0)
    half = float((high - low).max()) * 0.85
    x, y = (low + high) / 2 - [0, 0.12 * half]
    scale = CELL / (2 * half)
    return np.array([[scale, 0, CELL / 2 - scale * x], [0, scale, CELL / 2 - scale * y]], np.float32)


def write(path: Path, rows: Sequence[Image]) -> None:
    """The labelled sheet as a picture file. Raises SinkError."""
    try:
        written = cv2.imwrite(str(path), Label()(np.vstack(rows)))
    except cv2.error as error:
        raise SinkError(f"{path} cannot be written as a picture, wanted a name like sheet.png") from error
    if not written:
        raise SinkError(f"{path} cannot be written")


def _cut(image: Image, place: Matrix) -> Image:
    return np.asarray(cv2.warpAffine(image, place, (CELL, CELL), borderMode=cv2.BORDER_REPLICATE), np.uint8)
