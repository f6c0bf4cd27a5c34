"""Reads frames within a graph: where faces lie in them, crops of the faces, and what is under a drawn picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from realtime.swap.fused.values import INT64, Value

_NEARBY: Final = (0, 1)  # the pixels that are read about a place, where nothing has to be averaged


@dataclass(frozen=True, slots=True)
class Frames:
    """Pictures of one size, and the faces in them."""

    pixels: Value  # (b * h * w, 3) uint8
    of: Value  # (n, 1, 1) int64: which picture each face is in
    height: Value  # () int64
    width: Value  # () int64

    def rows(self, y: Value, x: Value) -> Value:
        """Which row of pixels lies at y x, int64 each with n first and two axes at least."""
        of = self.of
        return (of * self.height + y) * self.width + x


@dataclass(frozen=True, slots=True)
class Place:
    """Where the faces lie: the rows of the matrices from frame px to the template's unit square, (n, 1, 1) each."""

    a: Value
    b: Value
    x: Value
    c: Value
    d: Value
    y: Value

    @classmethod
    def of(cls, matrices: Value) -> "Place":
        """Of matrices (n, 2, 3)."""
        entries = [matrices.at(1, row).at(1, column).shaped(-1, 1, 1) for row in range(2) for column in range(3)]
        return cls(*entries)

    @property
    def area(self) -> Value:
        """The determinant, (n, 1, 1)."""
        return self.a * self.d - self.b * self.c

    def scale(self, size: int, coverage: float = 1.0) -> Value:
        """Pixels of a crop for one of the frame, (n, 1, 1)."""
        return self.area.abs().sqrt() * (size / coverage)

    def in_frame(self, size: int, coverage: float) -> tuple[Value, Value]:
        """Where in the frame the pixels of crops lie: x and y (n, size, size) in px."""
        unit = ((np.arange(size) + 0.5) / size - 0.5) * coverage + 0.5
        sheet = self.a.sheet
        u = sheet.constant(unit.astype(np.float32)[None, None]) - self.x
        v = sheet.constant(unit.astype(np.float32)[None, :, None]) - self.y
        return (self.d * u - self.b * v) / self.area, (self.a * v - self.c * u) / self.area

    def in_template(self, x: Value, y: Value) -> tuple[Value, Value]:
        """Where in the template's unit square the frame's pixels lie: x (n, 1, q) and y (n, p, 1) to (n, p, q) each."""
        return self.a * x + self.b * y + self.x, self.c * x + self.d * y + self.y


def aligned(frames: Frames, place: Place, cells: Value, taps: Value, size: int, coverage: float) -> Value:
    """Crops (n, size, size, 3) in float32 levels, borders repeated, read between the middles of cells of the frame.

    cells (n, 5): left and top of the first one, their width and height, and the side of the blocks of pixels that are
    averaged for them, in px, as realtime.face.geometry.averaged has it; 0, 0, 1, 1 and 1 where the cells are the
    pixels. taps (k,) int64 are 0 to k - 1: the pixels under two cells.
    """
    x, y = place.in_frame(size, coverage)
    left, top, wide, high, block = (cells.part(1, entry, entry + 1).with_axes(2) for entry in range(5))
    return _read(frames, _Line(x, Cells(left, wide, block, taps)), _Line(y, Cells(top, high, block, taps)))


def sampled(frames: Frames, place: Place, size: int) -> tuple[Value, Value]:
    """The frames under the drawn pictures, without averaging: (n, 3, size, size); and what is in view, 0 or 1."""
    x, y = place.in_frame(size, 1.0)
    right, bottom = frames.width.real() - 1, frames.height.real() - 1
    seen = (x >= 0) & (y >= 0) & (x <= right) & (y <= bottom)
    return _read(frames, _Line(x), _Line(y)).turned(0, 3, 1, 2), seen.real().with_axes(1)


@dataclass(frozen=True, slots=True)
class Cells:
    """What is averaged along one axis of a frame, (n, 1, 1) each in px; taps (k,) int64, see aligned."""

    first: Value
    side: Value
    block: Value
    taps: Value


class _Line:
    """Places along one axis of a frame: which pixels are read for each, and how much each counts."""

    def __init__(self, at: Value, cells: Cells | None = None) -> None:
        """at (n, s, s) in px; without cells the two pixels beside it are read."""
        if cells is None:
            start = at.floor()
            beyond = (at - start).with_axes(3)
            self.pixels = start.to(INT64).with_axes(3) + at.sheet.constant(np.array(_NEARBY, np.int64))
            self.weights = at.sheet.joined([1 - beyond, beyond], 3)
            return
        along = (at - cells.first + 0.5) / cells.side - 0.5
        which = along.floor()
        beyond = (along - which).with_axes(3)
        step = cells.side / cells.block  # from cell to cell, in blocks
        middle = (which + 0.5) * step - 0.5  # of the nearer cell, in blocks from the first one's middle
        nearest = middle.floor()
        ahead = (middle - nearest).with_axes(3)
        block = cells.block.with_axes(3)
        blocks = (cells.taps.real() / block).floor()  # in which each pixel lies, from the nearest on
        nearer = (1 - (ahead - blocks).abs()).at_least(0)
        further = (1 - (ahead + step.with_axes(3) - blocks).abs()).at_least(0)
        self.pixels = (cells.first + nearest * cells.block).to(INT64).with_axes(3) + cells.taps
        self.weights = (nearer * (1 - beyond) + further * beyond) / block


def _read(frames: Frames, across: _Line, down: _Line) -> Value:
    """The frames at places (n, s, s): (n, s, s, 3) in levels; what lies outside is as the nearest pixel."""
    first = across.pixels.sheet.constant(np.array(0, np.int64))
    one = across.pixels.sheet.constant(np.array(1, np.int64))
    columns = across.pixels.at_least(first).at_most(frames.width - one)  # (n, s, s, k)
    rows = down.pixels.at_least(first).at_most(frames.height - one)
    which = (frames.of.with_axes(3) * frames.height + rows) * frames.width
    seen = frames.pixels.picked(which.with_axes(4) + columns.with_axes(3))  # (n, s, s, k, k, 3)
    weights = (down.weights.with_axes(4) * across.weights.with_axes(3)).shaped(0, 0, 0, 1, -1)
    return (weights @ seen.shaped(0, 0, 0, -1, 3).real()).shaped(0, 0, 0, 3).level()
