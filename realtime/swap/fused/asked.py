"""What a fused model is told of a face: where it lies, where its outline runs, what is remembered of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from realtime.face.face import Face
from realtime.face.geometry import Matrix, Points, averaged, invert, transform
from realtime.swap.fused.model import MEMORY
from realtime.swap.fused.steps import PLANES
from realtime.swap.views import crop_of

Feed = dict[str, NDArray[Any]]

_STEP: Final = 32  # px by which windows grow, so that few sizes of them come up
_MARGIN: Final = 0.015  # of the crop's side about the outline: what rounding may add
_MOST: Final = 32  # pixels read along a line for one place: enough for a face of 3000 px


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a frame that a face may touch, in px."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: "Window") -> bool:
        """Whether both share a pixel."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)


@dataclass(frozen=True, slots=True)
class Asked:
    """One face that is to be drawn into a frame."""

    face: Face
    outline: NDArray[np.float32]  # (PLANES, 3), see planes
    window: Window
    memory: NDArray[np.float32]  # (MEMORY,), see realtime.swap.fused.model


def asked(face: Face, outline: Points | None, memory: NDArray[np.float32], width: int, height: int) -> Asked | None:
    """A face in a frame of width x height; None where nothing of it lies in there.

    outline (m, 2) is the hull that it must not leave, in units of the drawn crop's side; None for no hull.
    """
    assert memory.shape == (MEMORY,)
    hull = None if outline is None else np.asarray(cv2.convexHull(outline.astype(np.float32))[:, 0], np.float32)
    there = window(face.to_template, hull, width, height)
    return None if there is None else Asked(face, planes(hull), there, memory)


def planes(hull: Points | None) -> NDArray[np.float32]:
    """The edges a b c of a convex hull (m, 2): a x + b y + c is how far inside a place lies. (PLANES, 3)

    Of a hull with more edges the shortest are left out, which makes it larger by next to nothing.
    """
    out = np.tile(np.array([0, 0, 1], np.float32), (PLANES, 1))
    if hull is None:
        return out
    ways = np.roll(hull, -1, 0) - hull
    lengths = np.hypot(ways[:, 0], ways[:, 1])
    kept = np.argsort(-lengths)[:PLANES]
    kept = kept[lengths[kept] > 1e-6]
    normals = np.stack([-ways[kept, 1], ways[kept, 0]], 1) / lengths[kept, None]
    inwards = np.sign(((hull.mean(0) - hull[kept]) * normals).sum(1, keepdims=True))
    normals = normals * inwards
    out[: len(kept)] = np.hstack([normals, -(normals * hull[kept]).sum(1, keepdims=True)])
    return out


def window(to_template: Matrix, hull: Points | None, width: int, height: int) -> Window | None:
    """The part of a frame of width x height under the hull and the crop; None where there is none."""
    low, high = np.zeros(2), np.ones(2)
    if hull is not None:
        low, high = np.maximum(low, hull.min(0) - _MARGIN), np.minimum(high, hull.max(0) + _MARGIN)
    if (low >= high).any():
        return None
    corners = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], np.float32)
    points = transform(invert(to_template), corners)
    left, top = np.floor(points.min(0)).astype(int).tolist()
    right, bottom = (np.ceil(points.max(0)).astype(int) + 1).tolist()
    clipped = Window(max(0, left), max(0, top), min(width, right), min(height, bottom))
    return clipped if clipped.left < clipped.right and clipped.top < clipped.bottom else None


def rounds(windows: Sequence[Window], frames: Sequence[int]) -> list[list[int]]:
    """Which faces can go in at once, in their order: in none of these lists do two of one frame share a pixel."""
    done: list[list[int]] = []
    for place, (one, frame) in enumerate(zip(windows, frames, strict=True)):
        above = [
            number
            for number, together in enumerate(done)
            if any(frames[other] == frame and windows[other].meets(one) for other in together)
        ]
        turn = above[-1] + 1 if above else 0
        done += [[]] * (turn == len(done))
        done[turn] = [*done[turn], place]
    return done


def feed(faces: Sequence[Asked], frames: Sequence[int], width: int, height: int, size: int, coverage: float) -> Feed:
    """What a fused model takes besides the frames and the fittings; frames says in which of them each face is.

    size and coverage are those of the crops that are read.
    """
    windows = [face.window for face in faces]
    wide = _grown(max(one.right - one.left for one in windows), width)
    high = _grown(max(one.bottom - one.top for one in windows), height)
    places = [
        (frame, min(one.top, height - high), min(one.left, width - wide))
        for one, frame in zip(windows, frames, strict=True)
    ]
    cells = [cells_of(face.face, width, height, size, coverage) for face in faces]
    return {
        "extent": np.array([height, width], np.int64),
        "to_template": np.stack([face.face.to_template for face in faces]).astype(np.float32),
        "outline": np.stack([face.outline for face in faces]),
        "places": np.array(places, np.int64),
        "memory": np.stack([face.memory for face in faces]),
        "cells": np.array(cells, np.float32),
        "taps": np.arange(min(_MOST, max(_taps(*cell[2:]) for cell in cells)), dtype=np.int64),
        "down": np.arange(high, dtype=np.int64),
        "across": np.arange(wide, dtype=np.int64),
    }


def cells_of(face: Face, width: int, height: int, size: int, coverage: float) -> tuple[float, ...]:
    """What is averaged for a face's crop, see realtime.swap.fused.reading.aligned."""
    cells = averaged(crop_of(face, size, coverage), size, width, height)
    return (0, 0, 1, 1, 1) if cells is None else (cells.left, cells.top, cells.wide, cells.high, 1 << cells.halvings)


def _taps(wide: float, high: float, block: float) -> int:
    """How many pixels lie under two cells along a line: two where the cells are the pixels, else up to four blocks."""
    return 2 if wide == high == block else int(4 * block)


def _grown(side: int, most: int) -> int:
    return min(most, -(-side // _STEP) * _STEP)
