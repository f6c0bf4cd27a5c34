"""Cuts batches of pairs: what the encoder sees, and what each identity looks like under the same expression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from realtime.face.geometry import transform
from training.augment import (
    Jitter,
    Webcam,
    chained,
    chance,
    elastic,
    jittered,
    mirrored_blend,
    mirrored_points,
    patch,
    recrop,
    warp,
)
from training.dataset import Dataset, Item
from training.model import DecoderShape, EncoderShape

JITTER: Final = Jitter(scale=0.06, degrees=6, shift=0.03)
FOLLOWING: Final = Jitter(scale=0.03, degrees=3, shift=0.015)  # what a tracker leaves
STILL: Final = Jitter(scale=0, degrees=0, shift=0)
WARP: Final = 0.004  # of the crop's width: more would move lids and lips away from where the target has them


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Crops of anybody and of the identities, in equal parts and in their order."""

    pictures: NDArray[np.uint8]  # (n, s, s, 3) BGR, what the encoder sees
    targets: NDArray[np.uint8]  # (n, S, S, 4) BGR and mask of the identity
    occluded: NDArray[np.uint8]  # (n, S, S) what is in front of the face
    points: NDArray[np.float32]  # (n, 70, 2) the identity's, unit coordinates of the crop
    blend: NDArray[np.float32] | None  # (n, 10), where it is known
    moved: NDArray[np.float32] | None = None  # (n,) 0..1, how far the code is moved to where other people's are


class Pairs:
    """Cuts batches for the swap net; batch number k is always the same."""

    def __init__(
        self,
        data: Dataset,
        encoder: EncoderShape,
        decoder: DecoderShape,
        batch: int,
        seed: int,
        strength: float = 0.8,
        names: Sequence[str] = (),
        mirrored: float = 0.0,
    ) -> None:
        """names: which identities, and in which order; all of the data's when there are none.

        mirrored: how many of the crops, 0..1, are seen in a mirror, together with what is to be drawn.
        """
        self._data, self._sizes = data, (encoder.size, decoder.size)
        self._coverage = encoder.coverage / data.description.coverage  # of the stored crop
        self._names = tuple(names) or data.description.identities
        self._each, self._seed = batch // len(self._names), seed
        self._mirrored = mirrored
        self._bad, self._good = Webcam(seed, strength), Webcam(seed, 0.4 * strength)

    def __call__(self, number: int) -> PairBatch:
        """A training batch: for each identity other items, jittered, warped and filmed, half of them badly."""
        rng = np.random.default_rng((self._seed, number))
        rows = [self._unclean(name, rng) for name in self._names for _ in range(self._each)]
        return _stack(rows)

    def clean(self, identity: str, items: NDArray[np.int64], mirrored: bool = False) -> PairBatch:
        """These items as they are, or as a mirror shows them, with one identity."""
        rng = np.random.default_rng(0)
        return _stack([self._cut(self._data[int(k)], identity, rng, STILL, 0.0, mirrored=mirrored) for k in items])

    def _unclean(self, identity: str, rng: Generator) -> tuple[NDArray[np.generic], ...]:
        item = self._data[int(rng.integers(len(self._data)))]
        jitter, webcam = (JITTER, self._bad) if chance(rng, 0.5) else (FOLLOWING, self._good)
        mirrored = self._mirrored > 0 and chance(rng, self._mirrored)  # without mirrors, the batches of before
        return self._cut(item, identity, rng, jitter, WARP, webcam, mirrored)

    def _cut(
        self,
        item: Item,
        identity: str,
        rng: Generator,
        jitter: Jitter,
        amount: float,
        webcam: Webcam | None = None,
        mirrored: bool = False,
    ) -> tuple[NDArray[np.generic], ...]:
        stored, (small, large) = self._data.description.size, self._sizes
        change = jittered(rng, jitter)
        to_picture, to_target = (recrop(change, stored, size, self._coverage, mirrored) for size in (small, large))
        x, occluded = item.x, item.x_occluded
        if webcam and chance(rng, 0.1):
            x, occluded = patch(x, occluded, rng)
        picture = elastic(x, to_picture, small, rng, amount) if amount else warp(x, to_picture, small)
        if webcam:
            picture = webcam(picture, rng)
        from_own = chained(item.onto[identity], to_target)
        points = ((transform(from_own, item.points[identity]) + 0.5) / large).astype(np.float32)
        blend = item.blend
        if mirrored:
            points, blend = mirrored_points(points), mirrored_blend(blend)
        target = warp(item.identities[identity], from_own, large)
        return picture, target, warp(occluded, to_target, large, cv2.BORDER_CONSTANT), points, blend


def _stack(rows: list[tuple[NDArray[np.generic], ...]]) -> PairBatch:
    pictures, targets, occluded, points, blend = (np.stack(column) for column in zip(*rows, strict=True))
    return PairBatch(
        pictures.astype(np.uint8, copy=False),
        targets.astype(np.uint8, copy=False),
        occluded.astype(np.uint8, copy=False),
        points.astype(np.float32, copy=False),
        blend.astype(np.float32, copy=False),
    )


def to_input(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, s, s, 3) bytes to (n, 3, s, s) floats 0..1, channels last in memory."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float().div_(255)


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, of two vectors; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(a.norm() * b.norm())
    return float((a * b).sum()) / scale if scale > 1e-9 else 0.0
