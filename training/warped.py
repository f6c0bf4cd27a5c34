"""Cuts batches in which each person's warped, relit and badly filmed faces are to become that person's faces."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from realtime.face.geometry import Image, transform
from training.augment import Jitter, Webcam, chance, elastic, jittered, recrop, warp
from training.batches import PairBatch
from training.faceset import Faceset
from training.model import DecoderShape, EncoderShape, template_points
from training.processes import ALONE, Processes

JITTER: Final = Jitter(scale=0.08, degrees=8, shift=0.04)
STILL: Final = Jitter(scale=0, degrees=0, shift=0)


@dataclass(frozen=True, slots=True)
class Shown:
    """How unlike the person's face is what the encoder sees of it."""

    warp: float  # of the crop's width, the standard deviation of a smooth displacement
    relit: float = 0.5  # of the faces get the mean and spread of another one's colours, and are to be drawn without
    moved: float = 0.0  # how far a code is moved at most to where the other people's are: 1 is all of the way

    def record(self) -> dict[str, float]:
        """As a checkpoint keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Shown":
        """What a training was shown, from its checkpoint's record; those of before it was kept all saw the same."""
        return cls(**record["shown"]) if "shown" in record else FAR


FAR: Final = Shown(0.022)  # far enough that a decoder must know its person, whatever an encoder leaves of the other one
# An encoder that has learned to leave the person out needs little help, and what was warped is drawn blurred. What it
# does not leave out, a decoder must not listen to: it never hears it of its own person.
NEAR: Final = Shown(0.004, moved=1.0)

Row = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]  # picture, target, points


class Warped:
    """Batch number k is always the same, and shows each person equally often."""

    def __init__(
        self,
        facesets: Sequence[Faceset],
        encoder: EncoderShape,
        decoder: DecoderShape,
        batch: int,
        seed: int,
        processes: Processes = ALONE,
        shown: Shown = FAR,
    ) -> None:
        """batch: faces in all processes together. Raises SettingsError where they cannot be shared out evenly."""
        self._facesets, self._encoder, self._size, self._shown = tuple(facesets), encoder, decoder.size, shown
        self._seed, self._webcam = seed, Webcam(seed, 0.5)
        self._template = template_points(1.0).numpy()
        each = max(1, batch // len(facesets))
        own = processes.share(each)
        self._places = [(one, k * each + place) for k, one in enumerate(facesets) for place in own]

    def __call__(self, number: int) -> PairBatch:
        """This process's part of a training batch. Chance is each place's own, however many processes share them."""
        chances = [np.random.default_rng((self._seed, number, place)) for _, place in self._places]
        chosen = [(one, int(rng.choice(one.learned))) for (one, _), rng in zip(self._places, chances, strict=True)]
        rows = [self._cut(one, index, rng) for (one, index), rng in zip(chosen, chances, strict=True)]
        batch = self._batch(chosen, rows)
        if not self._shown.moved:
            return batch
        return replace(batch, moved=np.array([rng.uniform(0, self._shown.moved) for rng in chances], np.float32))

    def clean(self, faceset: Faceset, count: int | None = None) -> PairBatch:
        """Faces that training never sees, as they are: all of them, or count of them from all over."""
        rows = faceset.held_out
        if count is not None:
            rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
        return self.as_they_are(faceset, rows)

    def some(self, faceset: Faceset, count: int) -> PairBatch:
        """count of the faces that training may see, from all over, as they are."""
        rows = faceset.learned
        return self.as_they_are(faceset, rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)])

    def as_they_are(self, faceset: Faceset, rows: NDArray[np.int64]) -> PairBatch:
        """These faces, neither moved nor warped."""
        chosen = [(faceset, int(row)) for row in rows]
        return self._batch(chosen, [self._cut(one, index, None) for one, index in chosen])

    def _cut(self, faceset: Faceset, index: int, rng: Generator | None) -> Row:
        face, small = faceset[index], self._encoder.size
        change = jittered(rng, JITTER) if rng else np.eye(3)
        coverage = self._encoder.coverage / faceset.coverage
        to_picture, to_target = (recrop(change, faceset.size, size, coverage) for size in (small, self._size))
        target, points = warp(face, to_target, self._size), self._template
        if faceset.points is not None:
            stored = faceset.points[index] * np.float32(faceset.size) - np.float32(0.5)
            points = ((transform(to_target, stored) + 0.5) / self._size).astype(np.float32)
        picture = np.ascontiguousarray(face[..., :3])
        if rng is None:
            return warp(picture, to_picture, small), target, points
        if chance(rng, self._shown.relit):
            picture = self._relit(picture, face[..., 3], rng)
        return self._webcam(elastic(picture, to_picture, small, rng, self._shown.warp), rng), target, points

    def _relit(self, picture: Image, mask: NDArray[np.uint8], rng: Generator) -> Image:
        """In the light of a random face of anybody, by a random amount."""
        other = self._facesets[int(rng.integers(len(self._facesets)))]
        lamp = other[int(rng.choice(other.learned))]
        amount = float(rng.uniform(0.3, 1.0))
        return relit(picture, mask, np.ascontiguousarray(lamp[..., :3]), lamp[..., 3], amount)

    def _batch(self, chosen: Sequence[tuple[Faceset, int]], rows: Sequence[Row]) -> PairBatch:
        pictures, targets, points = (np.stack(column) for column in zip(*rows, strict=True))
        known = [one.blend[index] for one, index in chosen if one.blend is not None]
        blend = np.stack(known) if len(known) == len(rows) else None
        return PairBatch(
            pictures.astype(np.uint8, copy=False),
            targets.astype(np.uint8, copy=False),
            np.zeros(targets.shape[:3], np.uint8),
            points.astype(np.float32, copy=False),
            blend,
        )


def relit(picture: Image, mask: NDArray[np.uint8], lamp: Image, lit: NDArray[np.uint8], amount: float) -> Image:
    """picture with the mean and spread of lamp's colours (CIE Lab, each inside its face's mask), amount of the way."""
    own, its = (cv2.cvtColor(one, cv2.COLOR_BGR2LAB).astype(np.float32) for one in (picture, lamp))
    if not (mask > 127).any() or not (lit > 127).any():
        return picture
    inside, shown = own[mask > 127], its[lit > 127]
    gain = np.clip((shown.std(0) + 2) / (inside.std(0) + 2), 0.5, 2.0)
    wanted = (own - inside.mean(0)) * gain + shown.mean(0)
    mixed = np.clip(own + (wanted - own) * np.float32(amount), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_LAB2BGR), np.uint8)
