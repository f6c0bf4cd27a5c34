"""Remembers how each followed face looked lately, so that what is measured anew in every frame changes smoothly."""

import math
from collections.abc import Hashable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

FORGET: Final = 1.0  # seconds unseen after which a face is met as if for the first time
SECONDS: Final = 0.18  # in which 63 % of a small change are followed, and 94 % in half a second
COLOUR_UNIT: Final = 6.0  # of Lab
BLUR_UNIT: Final = 0.02  # of the crop's side


class Steady:
    """A low-pass filter of several values at once, slow with small changes (noise) and quicker with large ones."""

    def __init__(self, unit: float) -> None:
        """unit is the size of a change that is followed twice as fast as the smallest ones."""
        self._unit = unit
        self.value: Values | None = None  # what to use; None while nothing is known
        self._at = -math.inf

    def __call__(self, value: Values | None, at: float, trust: float = 1.0) -> Values | None:
        """What to use at the time at in seconds, when value (n,) was measured there; None while nothing is known.

        trust 0..1 says how much the measurement is worth; without one, what was known stays. A time that goes back, or
        FORGET forward, starts anew.
        """
        elapsed = at - self._at
        if not 0 <= elapsed <= FORGET:
            self.value, elapsed = None, 0.0
        if value is None:
            return self.value
        if self.value is None:
            self.value = value
        else:
            apart = value - self.value
            speed = (1 + float(np.abs(apart).max()) / self._unit) / SECONDS
            self.value = self.value + apart * (1 - math.exp(-elapsed * speed * trust))
        self._at = at
        return self.value

    def age(self, at: float) -> float | None:
        """Seconds since it was measured, for whoever filters elsewhere; None when nothing is known any more."""
        elapsed = at - self._at
        return elapsed if self.value is not None and 0 <= elapsed <= FORGET else None

    def keep(self, value: Values, at: float) -> None:
        """Takes what was measured at the time at, and filtered elsewhere already."""
        self.value, self._at = value, at


class Look:
    """What is remembered of one face."""

    def __init__(self) -> None:
        self.seen_at = -math.inf
        self.frames = 0  # in which it was seen
        self.colour = Steady(COLOUR_UNIT)
        self.noise = Steady(unit=2.0)  # of 255
        self.blur = Steady(BLUR_UNIT)
        self.outline = Steady(unit=0.05)  # of the crop's side


class Looks:
    """The looks of all faces in view; those not seen for FORGET seconds are forgotten."""

    def __init__(self) -> None:
        self._looks: dict[Hashable, Look] = {}

    def of(self, who: Hashable, at: float) -> Look:
        """The look of that face, in a frame of the time at in seconds."""
        self._looks = {key: look for key, look in self._looks.items() if 0 <= at - look.seen_at <= FORGET}
        look = self._looks.setdefault(who, Look())
        look.seen_at = at
        look.frames += 1
        return look
