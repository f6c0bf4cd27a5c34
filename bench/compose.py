"""How long composing takes: one face of several sizes in a frame, on one core, with and without its fittings."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from rich.table import Table

from realtime.face.face import Face
from realtime.face.geometry import Image, Matrix, Points, invert, template, to_pixels, transform
from realtime.frame import Frame
from realtime.swap.compose import Composer, ComposeSettings, Swapped, SwappedFace
from realtime.swap.views import crop_of

SIZES: Final = (40, 150, 300, 600)  # px between the ears
FITTINGS: Final[Mapping[str, ComposeSettings]] = {  # by their names in the table
    "all": ComposeSettings(),
    "no grain": ComposeSettings(grain=False),
    "no colour, no grain": ComposeSettings(colour=False, grain=False),
}
_WARMING: Final = 5  # frames before the clock starts
_TURN: Final = 8.0  # degrees; a crop that is level is read faster than any real one


def measure(width: int, height: int, repeats: int, crop: int) -> dict[str, Any]:
    """Milliseconds for each size and fitting, p50 and p95 over so many frames; crop is the decoder's side in px.

    The fittings take turns frame by frame, so that a machine that slows down slows all of them. OpenCV has one thread.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rows = [{"face_px": size, **_of_size(size, width, height, repeats, crop)} for size in SIZES]
    finally:
        cv2.setNumThreads(threads)
    return {"frame": f"{width}x{height}", "crop_px": crop, "repeats": repeats, "faces": rows}


def table(numbers: dict[str, Any]) -> Table:
    """For people."""
    drawn = Table(f"a face in {numbers['frame']}", *FITTINGS)
    for row in numbers["faces"]:
        cells = (row["ms"][name] for name in FITTINGS)
        drawn.add_row(f"{row['face_px']} px", *(f"{cell['p50']:.2f} ms, p95 {cell['p95']:.2f}" for cell in cells))
    return drawn


def _of_size(size: int, width: int, height: int, repeats: int, crop: int) -> dict[str, Any]:
    face = _face(size, width, height)
    picture = _noisy(width, height)
    drawn = _drawn(face, crop)
    composers = {name: Composer(None, settings) for name, settings in FITTINGS.items()}
    taken: dict[str, list[float]] = {name: [] for name in FITTINGS}
    for index in range(_WARMING + repeats):
        swapped = Swapped(Frame(picture, index, index / 30), (replace(drawn, image=drawn.image.copy()),))
        for name, composer in composers.items():
            began = time.perf_counter()
            composer(swapped)
            taken[name].append(1000 * (time.perf_counter() - began))
    parts = {name: np.percentile(times[_WARMING:], (50, 95)).round(3).tolist() for name, times in taken.items()}
    return {"ms": {name: {"p50": p50, "p95": p95} for name, (p50, p95) in parts.items()}}


def _face(size: int, width: int, height: int) -> Face:
    """A face so wide between the ears, in the middle of the frame, a little turned."""
    points = template()
    side = size / float(np.ptp(points[:17, 0]))
    angle = np.radians(_TURN)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / side
    shift = np.array([0.5, 0.5]) - linear @ np.array([width / 2, height / 2])
    to_template: Matrix = np.hstack([linear, shift[:, None]]).astype(np.float32)
    landmarks: Points = transform(invert(to_template), points)
    return Face(np.concatenate([landmarks.min(0), landmarks.max(0)]), landmarks, 1.0, 1, to_template)


def _noisy(width: int, height: int) -> Image:
    """A scene of skin with slopes, edges and noise, so that there is something to be measured in it."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 14, (9, 16, 3)).astype(np.float32) + np.array([100, 120, 165], np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth + random.normal(0, 3, smooth.shape), 0, 255), np.uint8)


def _drawn(face: Face, size: int) -> SwappedFace:
    """A plain face with eyes, brows and a mouth, and its oval mask, as a decoder of that size would draw it."""
    image = np.full((size, size, 3), (110, 130, 170), np.float32)
    mask = np.zeros((size, size), np.float32)
    marks = to_pixels(template(), size)
    for part in (slice(17, 22), slice(22, 27), slice(36, 42), slice(42, 48), slice(48, 60)):
        cv2.fillConvexPoly(image, cv2.convexHull(marks[part].round().astype(np.int32)), (50, 50, 70))
    centre = round(size / 2), round(0.52 * size)
    cv2.ellipse(mask, centre, (round(0.31 * size), round(0.38 * size)), 0, 0, 360, 1.0, -1)
    image, mask = (cv2.GaussianBlur(layer, (0, 0), size / 100).astype(np.float32) for layer in (image, mask))
    return SwappedFace(face, "nobody", image, mask, crop_of(face, size))
