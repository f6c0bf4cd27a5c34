"""The keyed pattern of the invisible mark: waves in a square tile, which writer and reader share."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from realtime.egress.payload import CODED_BITS, Payload

KEY: Final = b"liveswap invisible mark 1"  # public, so that everybody can verify
TILES: Final = 1  # on the shorter side of a picture
PERIOD_S: Final = 2.0  # in which each wave swings once
LOWEST: Final = 4.0  # cycles in a tile
HIGHEST: Final = 60.0
GRID: Final = 128  # samples on a side of the reader's tile: more than two for each cycle

Complex = NDArray[np.complex128]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Waves:
    """Each wave of a tile has a direction and a length; its phase is known to who knows the key.

    A quarter of a turn beside the known phase stands the sign that carries the message, so every wave helps to find
    the mark as well as to read it.
    """

    u: NDArray[np.int64]  # (n,) cycles in a tile to the right; negative ones travel the other way
    v: NDArray[np.int64]  # (n,) cycles in a tile downwards
    strength: Floats  # (n,) their squares add up to 1
    phase: Complex  # (n,) of magnitude 1, from the key
    bit: NDArray[np.int64]  # (n,) which of the coded bits it carries

    @classmethod
    def of(cls, key: bytes = KEY, alone: bool = False) -> "Waves":
        """The waves of a key, for moving pictures or for one that stands alone."""
        reach = np.arange(-int(HIGHEST), int(HIGHEST) + 1)
        u, v = (axis.ravel() for axis in np.meshgrid(reach, reach))
        radius = np.hypot(u, v)
        inside = (radius >= LOWEST) & (radius <= HIGHEST)
        u, v, radius = u[inside], v[inside], radius[inside]
        strength = shape(radius) if alone else profile(radius)
        drawn = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key).digest(), "big")))
        phase = np.exp(2j * np.pi * drawn.random(len(u)))
        bit = np.empty(len(u), np.int64)
        order = np.argsort(radius, kind="stable")  # neighbouring lengths carry different bits
        rounds = [drawn.permutation(CODED_BITS) for _ in range(len(u) // CODED_BITS + 1)]
        bit[order] = np.concatenate(rounds)[: len(u)]
        return cls(u, v, strength / np.sqrt((strength**2).sum()), phase, bit)

    def tile(self, payload: Payload, size: int) -> Complex:
        """The complex tile (size, size) that says so; its real part has a root mean square of 1."""
        spectrum = np.zeros((size, size), np.complex128)
        sign = payload.coded()[self.bit]
        spectrum[self.v % size, self.u % size] = self.strength * self.phase * (1 + 1j * sign)
        return np.asarray(np.fft.ifft2(spectrum) * size * size)


def profile(radius: Floats) -> Floats:
    """How strong waves of so many cycles in a tile are: the longest survive most."""
    return np.asarray(1 / (1 + (radius / 16) ** 2))


def shape(radius: Floats) -> Floats:
    """The same for single pictures, which hold still: what they show is loudest in long waves."""
    return radius / HIGHEST
