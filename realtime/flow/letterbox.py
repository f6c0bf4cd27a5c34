"""Fits a picture of any size into another size, with black bars where the shapes differ."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (h, w, 3) BGR


def letterbox(image: Image, width: int, height: int) -> Image:
    """The whole picture, as large as it fits and centred, on black; the picture itself where the size is right."""
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    scale = min(width / w, height / h)
    inner = max(1, round(w * scale)), max(1, round(h * scale))
    shrunk = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    fitted = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    fitted[top : top + inner[1], left : left + inner[0]] = shrunk
    return fitted


def pad_to_even(image: Image) -> Image:
    """The picture with its last column and row repeated where their number is odd, as half-size colour needs it."""
    h, w = image.shape[:2]
    if h % 2 == 0 and w % 2 == 0:
        return image
    return np.pad(image, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")


def cover(image: Image, width: int, height: int) -> Image:
    """The middle of the picture, filling the whole size; the picture itself where the size is right."""
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    scale = max(width / w, height / h)
    shown = min(w, max(1, round(width / scale))), min(h, max(1, round(height / scale)))
    left, top = (w - shown[0]) // 2, (h - shown[1]) // 2
    middle = image[top : top + shown[1], left : left + shown[0]]
    resized = cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
