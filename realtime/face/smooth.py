"""Keeps an alignment still while the head is still, without lagging behind when it moves: the One-Euro filter."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.face.geometry import Matrix, invert, scale_of

Values = NDArray[np.float64]

GAP: Final = 0.5  # seconds without a value after which the past says nothing any more
_CENTRE: Final = np.array([0.5, 0.5])  # of the template, in unit coordinates


@dataclass(frozen=True, slots=True)
class SmoothSettings:
    """The parameters of the filter in Casiez, Roussel and Vogel: 1€ Filter (CHI 2012).

    The cutoff frequency is least_cutoff + speed_gain * |speed|. With these defaults a still head is averaged over
    about a tenth of a second, and one that crosses its own crop in a second is followed with 1 % of the crop's side.
    """

    least_cutoff: float = 1.5  # Hz; smaller is calmer at rest
    speed_gain: float = 12.0  # Hz for each template side (or radian, or unit of log scale) a second; larger lags less
    speed_cutoff: float = 1.5  # Hz, of the speed itself


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


class SteadyAlignment:
    """Smooths one face's similarity as a whole (place, size, angle), so that no single point can wobble it."""

    def __init__(self, settings: SmoothSettings) -> None:
        self._filter = OneEuro(settings)
        self._angle = 0.0

    def __call__(self, to_template: Matrix, at: float) -> Matrix:
        """to_template (frame pixels to the template's unit square) at the time at in seconds, smoothed."""
        back = invert(to_template).astype(np.float64)
        x, y = back[:, :2] @ _CENTRE + back[:, 2]  # the crop's centre in frame pixels
        side = 1 / scale_of(to_template)  # the crop's side in frame pixels
        angle = math.atan2(back[1, 0], back[0, 0])
        self._angle += math.remainder(angle - self._angle, math.tau)  # never jumps by a whole turn
        value = np.array([x, y, math.log(side), self._angle])
        x, y, size, angle = self._filter(value, at, np.array([side, side, 1.0, 1.0]))
        return _to_template(x, y, math.exp(size), angle)


def _to_template(x: float, y: float, side: float, angle: float) -> Matrix:
    """The similarity that carries a square of that side and angle about (x, y) onto the unit square."""
    cosine, sine = math.cos(angle) / side, math.sin(angle) / side
    linear = np.array([[cosine, sine], [-sine, cosine]])
    shift = _CENTRE - linear @ np.array([x, y])
    return np.hstack([linear, shift[:, None]]).astype(np.float32)


def _share(cutoff: float | Values, elapsed: float) -> Values:
    """How much of a new value a low-pass filter of this cutoff (Hz) takes after elapsed seconds, 0..1."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * np.asarray(cutoff) * elapsed)))
