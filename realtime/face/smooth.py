"""Keeps an alignment still while the head is still, without lagging behind when it moves: the One-Euro filter."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Matrix, invert, scale_of

Values = NDArray[np.float64]

RESTS: Final = 0.0005  # template sides (or radians, or units of log scale) from a reading: 0.2 px of a large face
GAP: Final = 0.5  # seconds without a value after which the past says nothing any more
_CENTRE: Final = np.array([0.5, 0.5])  # of the template, in unit coordinates


@dataclass(frozen=True, slots=True)
class SmoothSettings:
    """The parameters of the filter in Casiez, Roussel and Vogel: 1€ Filter (CHI 2012).

    The cutoff frequency is least_cutoff + speed_gain * |speed|. A still head is averaged over about a tenth of a
    second, which leaves 37 % of the noise at 30 frames a second; one that crosses its own width in a second is
    followed with a cutoff of 11 Hz, and so 14 ms late at most: less than half a frame. `liveswap-bench tracking`.
    """

    least_cutoff: float = 1.5  # Hz; smaller is calmer at rest
    speed_gain: float = 16.0  # Hz for each template side (or radian, or unit of log scale) a second; larger lags less
    speed_cutoff: float = 3.0  # Hz, of the speed itself; larger notices sooner that a head sets off


class OneEuro:
    """A low-pass filter of several values at once, whose cutoff rises with their speed."""

    def __init__(self, settings: SmoothSettings) -> None:
        self._settings = settings
        self._at = -math.inf
        self._value: Values = np.zeros(0)
        self._speed: Values = np.zeros(0)

    def __call__(self, value: Values, at: float, unit: Values) -> Values:
        """value (n,) at the time at in seconds, smoothed. unit (n,) is the length that speeds are counted in.

        Times that go back, or GAP forward, start anew.
        """
        elapsed = at - self._at
        if not 0 <= elapsed <= GAP:
            self._value, self._speed = value.copy(), np.zeros_like(value)
        elif elapsed > 0:
            speed = (value - self._value) / unit / elapsed
            self._speed = self._speed + _share(self._settings.speed_cutoff, elapsed) * (speed - self._speed)
            cutoff = self._settings.least_cutoff + self._settings.speed_gain * np.abs(self._speed)
            self._value = self._value + _share(cutoff, elapsed) * (value - self._value)
        self._at = at
        return self._value.copy()

    def ahead(self, at: float, unit: Values) -> Values:
        """Where the value is expected at the time at in seconds if it goes on as it does; after GAP, where it was."""
        elapsed = at - self._at
        return self._value + self._speed * unit * (elapsed if 0 <= elapsed <= GAP else 0.0)


class SteadyAlignment:
    """Smooths one face's similarity as a whole (place, size, angle), so that no single point can wobble it."""

    def __init__(self, settings: SmoothSettings | None, to_template: Matrix, at: float) -> None:
        """Begins with to_template at the time at in seconds. None smooths nothing, for comparison."""
        self._filter = OneEuro(settings or SmoothSettings())
        self._smooths = settings is not None
        self._values = _values_of(to_template, 0.0)
        self.matrix = to_template  # (2, 3) frame px to the template's unit square, smoothed
        self.rests = True  # whether the smoothed alignment has come as near to the latest reading as anybody sees
        self(to_template, at)

    def __call__(self, to_template: Matrix, at: float) -> Matrix:
        """to_template (frame pixels to the template's unit square) at the time at in seconds, smoothed."""
        value = _values_of(to_template, float(self._values[3]))
        smoothed = self._filter(value, at, _unit(value))
        self._values = smoothed if self._smooths else value
        self.rests = bool((np.abs(value - self._values) < RESTS * _unit(value)).all())
        self.matrix = _to_template(self._values)
        return self.matrix

    def still(self, at: float) -> None:
        """Notes that the face is at the time at in seconds where it was: the alignment stays, its speed fades."""
        self._filter(self._values, at, _unit(self._values))

    def ahead(self, at: float) -> Matrix:
        """Where the face is expected at the time at in seconds, from its speed; unsmoothed, where it was."""
        if not self._smooths:
            return self.matrix
        return _to_template(self._filter.ahead(at, _unit(self._values)))


def _values_of(to_template: Matrix, near: float) -> Values:
    """Centre x y (frame px), logarithm of the side (frame px) and angle (radians, at most half a turn from near)."""
    back = invert(to_template).astype(np.float64)
    x, y = back[:, :2] @ _CENTRE + back[:, 2]
    angle = math.atan2(back[1, 0], back[0, 0])
    return np.array([x, y, math.log(1 / scale_of(to_template)), near + math.remainder(angle - near, math.tau)])


def _unit(values: Values) -> Values:
    """The lengths that the values' speeds are counted in: the side, for the centre."""
    side = math.exp(values[2])
    return np.array([side, side, 1.0, 1.0])


def _to_template(values: Values) -> Matrix:
    """The similarity that carries the square of these values onto the unit square."""
    x, y, size, angle = values
    cosine, sine = math.cos(angle) / math.exp(size), math.sin(angle) / math.exp(size)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    shift = _CENTRE - linear @ np.array([x, y])
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def _share(cutoff: float | Values, elapsed: float) -> Values:
    """How much of a new value a low-pass filter of this cutoff (Hz) takes after elapsed seconds, 0..1."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * np.asarray(cutoff) * elapsed)))
