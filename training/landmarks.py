"""Trains the landmark net: points, blend weights, gaze and presence of a face from one crop."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from realtime.errors import LiveswapError, SettingsError
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
from training.loop import Average, Clock, Guard, Plan, prepared, warm_cosine
from training.losses import blend_loss, point_weights, points_loss
from training.model import BLEND, POINTS, LandmarkNet, LandmarkShape

logger = logging.getLogger(__name__)

JITTER: Final = Jitter(scale=0.22, degrees=25, shift=0.11)
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
    seed: int = 0
    log_steps: int = 100
    save_seconds: float = 90.0
    test_items: int = 256

    def __post_init__(self) -> None:
        if self.batch < 2 or not 0 <= self.negatives < 1 or not self.rate > 0:
            raise SettingsError(
                f"a batch of {self.batch}, a share of {self.negatives} negatives and a rate of {self.rate} "
                "were given, wanted at least 2, 0 to 1 and above 0"
            )


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
        self._webcam = Webcam(settings.seed)

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
            return self._negative(item, rng)
        row = self._face(item, rng, JITTER, patched=chance(rng, 0.15), mirrored=chance(rng, 0.5))
        return self._webcam(row[0], rng), *row[1:]

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

    def _negative(self, item: Item, rng: Generator) -> tuple[Any, ...]:
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
        return self._webcam(picture, rng), *nothing, 0.0


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


def loss_of(net: LandmarkNet, batch: Batch, weights: Tensor, device: torch.device) -> Tensor:
    """The whole loss of a training batch."""
    points, blend, present = (torch.from_numpy(a).to(device) for a in (batch.points, batch.blend, batch.present))
    with torch.autocast(device.type, torch.bfloat16):
        features = net.features(to_input(batch.pictures, device))
    read_points, read_blend, presence = net.read(features.float())
    faces = present.sum() + 1e-6
    where = (points_loss(read_points, points, weights) * present).sum() / faces
    what = (blend_loss(read_blend, blend) * present).sum() / faces
    return 10 * where + what + 0.2 * F.binary_cross_entropy_with_logits(presence, present)


def train_landmarks(
    folder: Path,
    out: Path,
    plan: Plan,
    resume: bool = False,
    settings: LandmarkSettings | None = None,
    shape: LandmarkShape | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """Trains on the dataset in folder, writes out/landmarks.pt, gives back the last test.

    Raises LiveswapError for a dataset or checkpoint that cannot be used.
    """
    settings, shape, where = settings or LandmarkSettings(), shape or LandmarkShape(), torch.device(device)
    torch.manual_seed(settings.seed)
    data, held_out = Dataset.open(folder, "train", settings.batch), Dataset.open(folder, "test")
    crops, test = Crops(data, shape, settings), Crops(held_out, shape, settings).test()
    net = LandmarkNet(shape).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(net, settings.average)
    optimiser = torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=settings.decay, fused=True)
    step, before = _resume(out / FILE, shape, net, average, optimiser) if resume else (0, 0.0)
    clock, guard, weights = Clock(before), Guard(), point_weights().to(where)
    saved, running, numbers = clock.seconds(), 0.0, dict[str, float]()
    logger.info("landmarks: %d items of %d people, from step %d", len(data), data.people(), step)

    def keep() -> None:
        record = {
            "shape": shape.record(), "data": folder.name, "items": len(data), "people": data.people(),
            "identities": list(data.description.identities), "blend": list(data.description.blend),
            "steps": step, "seconds": round(clock.seconds(), 1), "settings": asdict(settings), "test": numbers,
        }  # fmt: skip
        checkpoint.save(out / FILE, checkpoint.LANDMARKS, {
            "record": record, "net": net.state_dict(), "average": average.net.state_dict(),
            "optimiser": optimiser.state_dict(),
        })  # fmt: skip

    with prepared(crops, step) as batches:
        try:
            while (progress := plan.progress(clock.seconds(), step)) < 1:
                for group in optimiser.param_groups:
                    group["lr"] = settings.rate * warm_cosine(progress, step, 100, 0.0, 0.01)
                loss = loss_of(net, next(batches), weights, where)
                optimiser.zero_grad(set_to_none=True)
                if guard.fine(loss, step):
                    loss.backward()  # type: ignore[no-untyped-call]
                    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                    optimiser.step()
                    running = loss.item() if running == 0 else 0.98 * running + 0.02 * loss.item()
                step += 1
                average.update(step)
                if step % settings.log_steps == 0:
                    numbers = measure(average.net, test, where)
                    logger.info("%s", _line(step, clock.seconds(), before, running, numbers))
                if clock.seconds() - saved > settings.save_seconds:
                    keep()
                    saved = clock.seconds()
        except KeyboardInterrupt:
            logger.info("interrupted at step %d, the checkpoint is kept", step)
        numbers = measure(average.net, test, where)
        keep()
    logger.info("%s", _line(step, clock.seconds(), before, running, numbers))
    return numbers


def _line(step: int, seconds: float, before: float, loss: float, numbers: dict[str, float]) -> str:
    said = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
    return f"step {step} {seconds:.0f} s loss {loss:.4f} | {said}"


def _resume(
    path: Path, shape: LandmarkShape, net: LandmarkNet, average: Average[LandmarkNet], optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """Fills net, average and optimiser from the checkpoint; the step and the seconds to go on from."""
    content = checkpoint.load(path, checkpoint.LANDMARKS)
    record = content["record"]
    if record["shape"] != shape.record():
        raise LiveswapError(f"{path} was trained with the shape {record['shape']}, wanted {shape.record()}")
    try:
        net.load_state_dict(content["net"])
        average.net.load_state_dict(content["average"])
        optimiser.load_state_dict(content["optimiser"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise LiveswapError(f"{path} does not hold what a landmark training needs to go on") from error
    return int(record["steps"]), float(record["seconds"])
