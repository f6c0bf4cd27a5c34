"""Which face is which: places compared by position and size, the best match first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from realtime.face.geometry import Matrix, invert, scale_of

SAME: Final = 0.3  # apart() under which two readings are of one face; faces side by side are 0.6 apart or more
NEAR: Final = 0.5  # apart() up to which a detection may be a face that is followed


@dataclass(frozen=True, slots=True)
class Place:
    """Where a face is: the template's square, whichever way it is turned."""

    x: float  # its centre, frame px
    y: float
    side: float  # frame px

    def scaled(self, across: float, down: float) -> "Place":
        """The same place in a frame so many times as wide and as high."""
        return Place(self.x * across, self.y * down, self.side * math.sqrt(across * down))


def place_of(to_template: Matrix) -> Place:
    """The place that to_template (2, 3), frame px to the template's unit square, stands for."""
    x, y = invert(to_template).astype(np.float64) @ np.array([0.5, 0.5, 1.0])
    return Place(float(x), float(y), 1 / scale_of(to_template))


def apart(one: Place, other: Place) -> float:
    """How unlike two places are, 0 or more: 1 is the larger one's side between them, or four times the size."""
    distance = math.hypot(one.x - other.x, one.y - other.y) / max(one.side, other.side)
    return math.hypot(distance, math.log(one.side / other.side, 4))


def matched(
    known: Mapping[int, Place], seen: Sequence[Place], reach: Mapping[int, float] | None = None
) -> dict[int, int]:
    """For each number in known, which of seen it is, where it is one: the best match of all first.

    reach is how far apart a match may be, by number; NEAR where it says nothing. The order of seen means nothing.
    """
    allowed = reach or {}
    pairs = sorted(
        (off, number, index)
        for number, place in known.items()
        for index, other in enumerate(seen)
        if (off := apart(place, other)) <= allowed.get(number, NEAR)
    )
    found: dict[int, int] = {}
    for _, number, index in pairs:
        if number not in found and index not in found.values():
            found[number] = index
    return found
