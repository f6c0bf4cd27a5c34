"""Whether two forms of one network say the same: torch against onnxruntime, fp32 against int8."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from realtime.errors import ModelError
from realtime.swap.session import SessionSettings, open_session

TORCH_BOUND: Final = 1e-3  # largest difference of any output, of the larger of 1 and the output's largest value
PSNR_BOUND: Final = 36.0  # dB inside the mask: a picture 28.5 dB from the truth loses at most 0.7 dB more
SSIM_BOUND: Final = 0.97  # inside the mask, on brightness
MASK_BOUND: Final = 0.02  # mean absolute difference of the masks
POINTS_BOUND: Final = 0.25  # px of the crop, mean: an eighth of what the prototype was off on real faces
POINTS_WORST: Final = 1.0  # px of the crop, 99 % of the points
BLEND_BOUND: Final = 0.02  # mean absolute difference of blend weights, gaze and presence
_INSIDE: Final = 0.5
_BATCH: Final = 16

Pictures = NDArray[np.float32]  # (n, S, S, 3) in 0..1
Masks = NDArray[np.float32]  # (n, S, S) in 0..1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near one form of a model is to its reference, in numbers, and whether that is near enough."""

    passed: bool
    words: str  # the numbers with their units


@dataclass(frozen=True, slots=True)
class Running:
    """A model file that is run for measuring: one input, arrays out."""

    session: ort.InferenceSession
    input: str
    outputs: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, threads: int = 2) -> "Running":
        """The file's model on the CPU. Raises ModelError."""
        session = open_session(path, SessionSettings(provider="cpu", threads=threads))
        outputs = tuple(entry.name for entry in session.get_outputs())
        return cls(session, session.get_inputs()[0].name, outputs)

    def __call__(self, items: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """The outputs by name for items (n, ...), a few at a time."""
        parts = [
            self.session.run(list(self.outputs), {self.input: items[first : first + _BATCH]})
            for first in range(0, len(items), _BATCH)
        ]
        joined = [np.concatenate([np.asarray(part[place]) for part in parts]) for place in range(len(self.outputs))]
        return dict(zip(self.outputs, joined, strict=True))


def torch_parity(graph: nn.Module, path: Path, items: NDArray[Any]) -> float:
    """The largest difference between torch and onnxruntime on items, as TORCH_BOUND counts it.

    Raises ModelError when it is above the bound.
    """
    with torch.inference_mode():
        answer = graph.eval()(torch.from_numpy(items))
    wanted = [value.numpy() for value in (answer if isinstance(answer, tuple) else (answer,))]
    seen = Running.open(path)(items)
    worst = 0.0
    for said, reference in zip(seen.values(), wanted, strict=True):
        worst = max(worst, float(np.abs(said - reference).max() / max(1.0, float(np.abs(reference).max()))))
    if not worst <= TORCH_BOUND:
        raise ModelError(f"{path.name} differs from torch by {worst:.2g}, allowed are {TORCH_BOUND:.2g}")
    return worst


def picture_agreement(faces: Pictures, masks: Masks, reference_faces: Pictures, reference_masks: Masks) -> Agreement:
    """Decoded pictures against the reference's, inside the reference's mask."""
    noise = psnr(faces, reference_faces, reference_masks)
    likeness = float(np.mean([
        ssim(face, wanted, mask) for face, wanted, mask in zip(faces, reference_faces, reference_masks, strict=True)
    ]))  # fmt: skip
    off = float(np.abs(masks - reference_masks).mean())
    passed = noise >= PSNR_BOUND and likeness >= SSIM_BOUND and off <= MASK_BOUND
    return Agreement(passed, f"PSNR {noise:.1f} dB, SSIM {likeness:.4f}, mask off by {off:.4f}")


def reading_agreement(
    reading: Mapping[str, NDArray[np.float32]], reference: Mapping[str, NDArray[np.float32]], size: int
) -> Agreement:
    """What the landmark network reads (points, blend, presence by name) against the reference's; size in crop px."""
    distance = np.linalg.norm(reading["points"] - reference["points"], axis=2) * size
    mean, worst = float(distance.mean()), float(np.percentile(distance, 99))
    off = max(float(np.abs(reading[name] - reference[name]).mean()) for name in ("blend", "presence"))
    passed = mean <= POINTS_BOUND and worst <= POINTS_WORST and off <= BLEND_BOUND
    return Agreement(passed, f"points off by {mean:.2f} px, 99 % within {worst:.2f} px, blend off by {off:.4f}")


def psnr(pictures: Pictures, reference: Pictures, masks: Masks) -> float:
    """Decibels inside the masks over all pictures; inf when they are equal, nan without any mask."""
    inside = masks > _INSIDE
    error = float(np.mean((pictures[inside] - reference[inside]) ** 2)) if inside.any() else float("nan")
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(picture: NDArray[np.float32], reference: NDArray[np.float32], mask: NDArray[np.float32]) -> float:
    """Structural similarity of brightness inside the mask (Wang et al. 2004, a Gaussian window of sigma 1.5)."""
    one, other = (cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2GRAY) for image in (picture, reference))

    def mean(image: Any) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5), np.float32)

    m1, m2 = mean(one), mean(other)
    v1, v2, both = mean(one * one) - m1 * m1, mean(other * other) - m2 * m2, mean(one * other) - m1 * m2
    c1, c2 = 0.01**2, 0.03**2
    likeness = ((2 * m1 * m2 + c1) * (2 * both + c2)) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))
    inside = mask > _INSIDE
    return float(likeness[inside].mean()) if inside.any() else float("nan")


def milliseconds(paths: Sequence[Path], item: NDArray[Any], threads: int, rounds: int = 40) -> list[float]:
    """The median time of one item (1, ...) through each model; the models take turns, so that load hits all alike."""
    models = [Running.open(path, threads) for path in paths]
    taken: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for model, times in zip(models, taken, strict=True):
            began = time.perf_counter()
            model.session.run(None, {model.input: item})
            times.append((time.perf_counter() - began) * 1000)
    return [float(np.median(times)) for times in taken]
