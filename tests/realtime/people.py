"""A clip of a real face, small and made on the spot: scikit-image's astronaut.

She keeps still, because the small landmark model of tests/models.py cannot follow; her surroundings do not.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from tests.realtime.clips import write_clip

WIDTH, HEIGHT, RATE = 640, 360, 30


def astronaut(count: int) -> list[NDArray[np.uint8]]:
    """So many pictures of WIDTH x HEIGHT px, BGR, before a wall that slowly becomes lighter."""
    rgb: NDArray[np.uint8] = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    portrait = cv2.resize(rgb[..., ::-1], (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA)
    pictures = []
    for number in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 80 + number % 40, np.uint8)
        picture[:, 140 : 140 + HEIGHT] = portrait
        pictures.append(picture)
    return pictures


def astronaut_clip(path: Path, count: int) -> Path:
    """The same as a video file."""
    return write_clip(path, astronaut(count), RATE)
