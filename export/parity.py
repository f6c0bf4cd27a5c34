"""Whether two forms of one network say the same: torch against onnxruntime, fp32 against int8."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
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
TILE: Final = 16  # of a face's width are the squares in which black ones are looked for
POINTS_BOUND: Final = 0.25  # px of the crop, mean: an eighth of what the prototype was off on real faces
POINTS_WORST: Final = 1.0  # px of the crop, 99 % of the points
BLEND_BOUND: Final = 0.02  # mean absolute difference of blend weights, gaze and presence
_INSIDE: Final = 0.5  # of a mask, from where on a pixel counts
BATCH: Final = 16  # items that a model gets at once

Pictures = NDArray[np.float32]  # (n, S, S, 3) in 0..1
Masks = NDArray[np.float32]  # (n, S, S) in 0..1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near one form of a model is to its reference, in numbers, and whether that is near enough."""

    passed: bool
    words: str  # the numbers with their units


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the pictures of a form may be from those of the same network in fp32."""

    psnr: float  # dB inside the mask, at least
    ssim: float  # inside the mask, on brightness, at least
    mask: float  # mean absolute difference of the masks, at most
    tile: float  # largest mean difference of a square, of 1, at most: a black square on a dark face has 0.1
    r: float  # correlation of each expression that the landmark network reads, at least


# A picture 28.5 dB from the truth loses at most 0.7 dB more with 36 dB of noise.
EXACT: Final = Bounds(psnr=80, ssim=0.9999, mask=1e-4, tile=1e-3, r=0.999)  # the same numbers in another order
INT8: Final = Bounds(psnr=36, ssim=0.99, mask=0.02, tile=0.1, r=0.99)
FP16: Final = Bounds(psnr=50, ssim=0.999, mask=0.002, tile=0.02, r=0.99)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far pictures are from other ones, inside the masks of those."""

    largest: float  # difference of a colour, of 1
    mean: float
    psnr: float  # dB
    ssim: float
    mask: float  # mean absolute difference of the masks
    tile: float  # largest mean difference of a square
    r: Mapping[str, float]  # of each expression that moves, as the landmark network reads it; empty where unknown

    def within(self, bounds: Bounds) -> bool:
        """Whether nothing is out of bounds; numbers that are none are."""
        at_least = ((self.psnr, bounds.psnr), (self.ssim, bounds.ssim), *((r, bounds.r) for r in self.r.values()))
        at_most = ((self.mask, bounds.mask), (self.tile, bounds.tile))
        return all(value >= bound for value, bound in at_least) and all(value <= bound for value, bound in at_most)

    def against(self, bounds: Bounds) -> Agreement:
        """The numbers, and whether they are within bounds."""
        return Agreement(self.within(bounds), self.words)

    @property
    def words(self) -> str:
        """The numbers with their units."""
        said = f"PSNR {self.psnr:.1f} dB, SSIM {self.ssim:.4f}, mask off by {self.mask:.4f}"
        if not self.r:
            return said
        worst = min(self.r, key=lambda name: self.r[name])
        return f"{said}, least r {self.r[worst]:.4f} ({worst})"


@dataclass(frozen=True, slots=True)
class Running:
    """A model file that is run for measuring: one input, arrays out."""

    session: ort.InferenceSession
    input: str
    outputs: tuple[str, ...]

    @classmethod
    def open(cls, model: Path | bytes, threads: int = 2) -> "Running":
        """The model of a file, or at hand as bytes, on the CPU. Raises ModelError."""
        return cls.of(open_session(model, SessionSettings(provider="cpu", threads=threads)))

    @classmethod
    def of(cls, session: ort.InferenceSession) -> "Running":
        """A session that is open already."""
        outputs = tuple(entry.name for entry in session.get_outputs())
        return cls(session, session.get_inputs()[0].name, outputs)

    def __call__(self, items: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """The outputs by name for items (n, ...), a few at a time."""
        parts = [
            self.session.run(list(self.outputs), {self.input: items[first : first + BATCH]})
            for first in range(0, len(items), BATCH)
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


def likeness(
    faces: Pictures,
    masks: Masks,
    reference_faces: Pictures,
    reference_masks: Masks,
    r: Mapping[str, float] = MappingProxyType({}),
) -> Likeness:
    """Decoded pictures against the reference's, inside the reference's mask; r as in Likeness."""
    alike = [
        ssim(face, wanted, mask) for face, wanted, mask in zip(faces, reference_faces, reference_masks, strict=True)
    ]
    apart = np.abs(faces - reference_faces) * (reference_masks > _INSIDE)[..., None]
    inside = max(1, 3 * int((reference_masks > _INSIDE).sum()))
    return Likeness(
        largest=float(apart.max()),
        mean=float(apart.sum(dtype=np.float64) / inside),
        psnr=psnr(faces, reference_faces, reference_masks),
        ssim=float(np.mean(alike)),
        mask=float(np.abs(masks - reference_masks).mean()),
        tile=worst_tile(faces, reference_faces, reference_masks),
        r=r,
    )


def worst_tile(pictures: Pictures, reference: Pictures, masks: Masks) -> float:
    """The largest mean difference of brightness in a square, a TILE of the side wide, that lies inside the mask.

    Where fp16 overflows, squares of a picture turn black while its mean hardly changes.
    """
    count, size = len(pictures), pictures.shape[1]
    side = max(1, size // TILE)
    across = size // side
    cut = slice(0, across * side)

    def squares(values: NDArray[Any]) -> NDArray[np.float32]:
        square = values[:, cut, cut].reshape(count, across, side, across, side, -1).mean((2, 4, 5))
        return np.asarray(square, np.float32)

    apart = np.abs(squares(pictures) - squares(reference))[squares(masks > _INSIDE) == 1]
    return float(apart.max()) if apart.size else 0.0


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
