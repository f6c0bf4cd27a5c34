"""Makes small marked films and judges."""

from collections.abc import Sequence

import cv2
import numpy as np

from realtime.egress.about import About
from realtime.egress.evidence import Reader
from realtime.egress.payload import Payload
from realtime.egress.watermark import Watermark
from realtime.face.geometry import Image
from realtime.verify.judge import Judge

SESSION, MODEL = bytes(range(16)), bytes.fromhex("abcdef")
SAID = Payload.of(MODEL, SESSION)
FPS = 12
QUICK = Judge({"abcdef0123": "ann"}, Reader(periods=(1.0,)))  # knows uncropped pictures alone


def room(count: int, width: int = 256, height: int = 192) -> list[Image]:
    """A wall with noise before which something moves."""
    drawn = np.random.default_rng(5)
    pictures = []
    for number in range(count):
        image = np.full((height, width, 3), 120, np.float32) + drawn.normal(0, 2, (height, width, 1))
        image += np.linspace(-30, 30, width)[:, None]
        out = np.clip(image, 0, 255).astype(np.uint8)
        cv2.circle(out, (width // 3 + number % (width // 3), height // 2), height // 6, (40, 90, 160), -1)
        pictures.append(out)
    return pictures


def marked(pictures: Sequence[Image], fps: float = FPS, alone: bool = False) -> list[Image]:
    """The same with a mark."""
    mark = Watermark()
    return [mark(image, About(SESSION, MODEL, n, None if alone else n / fps)) for n, image in enumerate(pictures)]
