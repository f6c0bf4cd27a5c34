"""Trains the landmark net: points, blend weights, gaze and presence of a face from one crop."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from realtime.errors import SettingsError
from realtime.face.geometry import transform
from training import checkpoint
from training.augment import (
    BORDERS,
    Jitter,
    Webcam,
    chance,
    jittered,
    mirrored_blend,
    mirrored_points,
    patch,
    recrop,
    texture,
    warp,
)
from training.batches import correlation, to_input
from training.dataset import Dataset, Item
from training.loop import Average, Course, Plan, State, fit, warm_cosine
from training.losses import blend_loss, point_weights, points_loss
from training.model import BLEND, POINTS, LandmarkNet, LandmarkShape
from training.origin import landmark_net
from training.precision import decided
from training.step import AUTO, cast, known

logger = logging.getLogger(__name__)

JITTER: Final = Jitter(scale=0.16, degrees=18, shift=0.08)  # of a crop by a detector's points
FOLLOWING: Final = Jitter(scale=0.07, degrees=8, shift=0.035)  # of a crop by the last frame's landmarks
TEST_JITTER: Final = Jitter(scale=0.10, degrees=10, shift=0.05)
FILE: Final = "landmarks.pt"


@dataclass(frozen=True, slots=True)
class LandmarkSettings:
    """How to train."""

    batch: int = 32
    rate: float = 1.5e-3
    decay: float = 1e-4  # of the weights
    average: float = 0.998  # of the moving average, each step
    negatives: float = 0.12  # share of crops without a face
    precision: str = "bf16"  # or AUTO
    seed: int = 0
    workers: int = 1  # threads that make batches
    log_steps: int = 100
    test_steps: int = 200
    save_seconds: float = 90.0
    test_items: int = 256

    def __post_init__(self) -> None:
        if self.batch < 2 or not 0 <= self.negatives < 1 or not self.rate > 0:
            raise SettingsError(
                f"a batch of {self.batch}, a share of {self.negatives} negatives and a rate of {self.rate} "
                "were given, wanted at least 2, 0 to 1 and above 0"
            )
        known(self.precision, AUTO)


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops and what is true of them."""

    pictures: NDArray[np.uint8]  # (n, s, s, 3) BGR
    points: NDArray[np.float32]  # (n, 70, 2) unit coordinates; zeros where there is no face
    blend: NDArray[np.float32]  # (n, 10)
    present: NDArray[np.float32]  # (n,) 1 or 0


class Crops:
    """Cuts batches for the landmark net; batch number k is always the same."""

    def __init__(self, data: Dataset, shape: LandmarkShape, settings: LandmarkSettings) -> None:
        self._data, self._shape, self._settings = data, shape, settings
        self._zoom = shape.coverage / data.description.coverage  # the share of the stored crop that a crop shows
        self._bad, self._good = Webcam(settings.seed, 0.8), Webcam(settings.seed, 0.3)

    def __call__(self, number: int) -> Batch:
        """A training batch."""
        rng = np.random.default_rng((self._settings.seed, number))
        rows = [self._one(self._data[int(rng.integers(len(self._data)))], rng) for _ in range(self._settings.batch)]
        return _stack(rows)

    def test(self) -> Batch:
        """Items spread over the whole dataset, clean, in mildly inexact crops."""
        count = min(len(self._data), self._settings.test_items)
        rng = np.random.default_rng(7)
        return _stack([self._face(self._data[k * len(self._data) // count], rng, TEST_JITTER) for k in range(count)])

    def _one(self, item: Item, rng: Generator) -> tuple[Any, ...]:
        if chance(rng, self._settings.negatives):
            return self.negative(item, rng)
        jitter = JITTER if chance(rng, 0.4) else FOLLOWING
        row = self._face(item, rng, jitter, patched=chance(rng, 0.15), mirrored=chance(rng, 0.5))
        return self._filmed(row[0], rng), *row[1:]

    def _filmed(self, picture: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
        """By a bad webcam or by a good one."""
        return (self._bad if chance(rng, 0.6) else self._good)(picture, rng)

    def _face(
        self, item: Item, rng: Generator, jitter: Jitter, patched: bool = False, mirrored: bool = False
    ) -> tuple[Any, ...]:
        size = self._shape.size
        matrix = recrop(jittered(rng, jitter), self._data.description.size, size, self._zoom, mirrored)
        image = patch(item.x, item.x_occluded, rng)[0] if patched else item.x
        points, blend = transform(matrix, item.x_points), item.blend
        if mirrored:
            points, blend = mirrored_points(points), mirrored_blend(blend)
        picture = warp(image, matrix, size, BORDERS[int(rng.integers(len(BORDERS)))])
        return picture, (points + 0.5) / size, blend, 1.0

    def negative(self, item: Item, rng: Generator) -> tuple[Any, ...]:
        """No face, less than half a face, or a face so far off or so near that the crop is of no use."""
        stored, size = self._data.description.size, self._shape.size
        kind = float(rng.random())
        if kind < 0.2:
            picture = texture(size, rng)
        elif kind < 0.7:  # aside
            change = jittered(rng, Jitter(0.3, 40, 0))
            turn = float(rng.uniform(0, 2 * np.pi))
            change[:2, 2] = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.62, 0.9)
            picture = warp(item.x, recrop(change, stored, size, self._zoom), size, cv2.BORDER_REFLECT_101)
        else:  # far too small, or far too near
            factor = rng.uniform(0.2, 0.4) if chance(rng, 0.5) else rng.uniform(3, 6)
            change = jittered(rng, Jitter(0.1, 60, 0.2)) @ np.diag([factor, factor, 1])
            picture = warp(item.x, recrop(change, stored, size, self._zoom), size, cv2.BORDER_REPLICATE)
        nothing = np.zeros((POINTS, 2), np.float32), np.zeros(BLEND, np.float32)
        return self._filmed(picture, rng), *nothing, 0.0


def _stack(rows: list[tuple[Any, ...]]) -> Batch:
    pictures, points, blend, present = zip(*rows, strict=True)
    return Batch(
        np.stack(pictures),
        np.stack(points).astype(np.float32),
        np.stack(blend).astype(np.float32),
        np.array(present, np.float32),
    )


def face_size(points: Tensor) -> Tensor:
    """The outer-eye distance, or 0.8 of bridge to chin where that is more (a profile); (n,) of points (n, 70, 2)."""
    return torch.maximum((points[:, 36] - points[:, 45]).norm(dim=1), 0.8 * (points[:, 8] - points[:, 27]).norm(dim=1))


@torch.no_grad()
def measure(net: LandmarkNet, batch: Batch, device: torch.device) -> dict[str, float]:
    """Errors (of the face's size) and correlations on a batch; net in eval mode."""
    results = [net(to_input(part, device)) for part in np.array_split(batch.pictures, -(-len(batch.pictures) // 64))]
    points, blend = (torch.cat([result[k] for result in results]).float().cpu() for k in (0, 1))
    presence = torch.cat([result[2] for result in results]).cpu()
    truth, wanted = torch.from_numpy(batch.points), torch.from_numpy(batch.blend)
    error = (points - truth).norm(dim=2) / face_size(truth)[:, None]
    return {
        "nme": float(error[:, :68].mean()),
        "nme_inner": float(error[:, 17:68].mean()),
        "nme_iris": float(error[:, 68:].mean()),
        "blink_r": (correlation(blend[:, 0], wanted[:, 0]) + correlation(blend[:, 1], wanted[:, 1])) / 2,
        "jaw_r": correlation(blend[:, 2], wanted[:, 2]),
        "smile_r": correlation(blend[:, 3], wanted[:, 3]),
        "gaze_yaw_r": (correlation(blend[:, 6], wanted[:, 6]) + correlation(blend[:, 8], wanted[:, 8])) / 2,
        "gaze_pitch_r": (correlation(blend[:, 7], wanted[:, 7]) + correlation(blend[:, 9], wanted[:, 9])) / 2,
        "present": float((presence > 0).float().mean()),
    }


class LandmarkStep(nn.Module):
    """One step's way from a batch to its losses; convolutions have its precision, coordinates float32."""

    def __init__(self, net: LandmarkNet, precision: str = "bf16") -> None:
        """Raises SettingsError for an unknown precision."""
        super().__init__()
        self.net, self.precision = net, known(precision)
        self._weights = point_weights()

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], None]:
        """The weighted parts of the loss."""
        net, device = self.net, next(self.net.parameters()).device
        points, blend, present = (torch.from_numpy(a).to(device) for a in (batch.points, batch.blend, batch.present))
        picture, weights = to_input(batch.pictures, device), self._weights.to(device)
        with cast(device, self.precision):
            features, shallow = net.features(picture)
        guess = net.guess(features.float())
        with cast(device, self.precision):
            seen = net.closer(picture, shallow, guess)
        told = net.refined(guess, seen.float())
        faces = present.sum() + 1e-6
        losses = {
            "guess": 5 * (points_loss(guess.points, points, weights) * present).sum() / faces,
            "points": 10 * (points_loss(told.points, points, weights) * present).sum() / faces,
            "blend": 4 * (blend_loss(told.blend, blend) * present).sum() / faces,
            "presence": 0.2 * F.binary_cross_entropy_with_logits(told.presence, present),
        }
        return losses, None


def _started(shape: LandmarkShape, start: Path | None, out: Path, resume: bool) -> tuple[LandmarkNet, dict[str, Any]]:
    """The net to train, and what to remember of where it comes from. Raises LiveswapError."""
    if resume:
        record = checkpoint.load(out / FILE, checkpoint.LANDMARKS)["record"]
        return LandmarkNet(shape, record.get("normalised", True)), record.get("start", {})
    if start is None:
        return LandmarkNet(shape), {}
    net, record = landmark_net(start)
    if net.shape != shape:
        raise SettingsError(f"{start} has the shape {net.shape.record()}, wanted {shape.record()}")
    return net, {key: record[key] for key in ("data", "steps", "seconds", "test") if key in record}


def train_landmarks(
    folder: Path,
    out: Path,
    plan: Plan,
    resume: bool = False,
    settings: LandmarkSettings | None = None,
    shape: LandmarkShape | None = None,
    device: str = "cpu",
    start: Path | None = None,
    more: Sequence[Path] = (),
    ended: Callable[[], bool] = lambda: False,
) -> State:
    """Trains on the dataset in folder and writes out/landmarks.pt; how far it came.

    People are learned from in the folders `more` as well; only those of the first one test. `ended` says after each
    step whether somebody wants the training to end.
    Weights start from `start`, an exported landmarks.onnx, where it is given; it has no batch normalisation any more.
    Raises LiveswapError for a dataset or checkpoint that cannot be used.
    """
    settings, shape, where = settings or LandmarkSettings(), shape or LandmarkShape(), torch.device(device)
    torch.manual_seed(settings.seed)
    data, held_out = Dataset.open(folder, "train", settings.batch), Dataset.open(folder, "test")
    data = data.joined([Dataset.open(other, "train") for other in more])
    test = Crops(held_out, shape, settings).test()
    net, origin = _started(shape, start, out, resume)
    net = net.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, step = Average(net, settings.average), LandmarkStep(net)
    parameters = [{"params": list(net.parameters()), "initial_lr": settings.rate}]
    optimiser = torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.decay, fused=True)
    state = State()
    if resume:
        wanted = {"shape": shape.record()}
        before = checkpoint.resume(out / FILE, checkpoint.LANDMARKS, wanted, net, average.net, optimiser)
        state = State(*before)
    logger.info("landmarks: %d items of %d people, from step %d", len(data), data.people(), state.step)

    def keep(state: State) -> None:
        record = {
            "shape": shape.record(), "data": "+".join(path.name for path in (folder, *more)),
            "items": len(data), "people": data.people(),
            "identities": list(data.description.identities), "blend": list(data.description.blend),
            "steps": state.step, "seconds": round(state.seconds, 1), "settings": asdict(settings),
            "normalised": net.trunk.normalised, "start": origin, "test": state.numbers,
            "precision": step.precision,
        }  # fmt: skip
        checkpoint.save(out / FILE, checkpoint.LANDMARKS, checkpoint.contents(record, net, average.net, optimiser))

    batches = Crops(data, shape, settings)
    said = checkpoint.load(out / FILE, checkpoint.LANDMARKS)["record"].get("precision", "bf16") if resume else None
    step.precision = decided(said or settings.precision, step, batches(0))
    course = Course(
        batches=batches,
        losses=lambda batch: step(batch)[0],
        factor=lambda progress, step: warm_cosine(progress, step, warm=100, hold=0.0, floor=0.01),
        test=lambda: measure(average.net, test, where),
        keep=keep,
        ended=ended,
        clip=5.0,
        workers=settings.workers,
        log_steps=settings.log_steps,
        test_steps=settings.test_steps,
        save_seconds=settings.save_seconds,
    )
    return fit(course, plan, optimiser, average, state)
