"""In which precision to train: bfloat16 where it is asked for or faster, and where it says what float32 says."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from training.processes import ALONE, Processes
from training.step import AUTO, PRECISIONS

logger = logging.getLogger(__name__)

LOSS: Final = 0.02  # by how much of itself the loss may differ
DIRECTION: Final = 0.95  # the least cosine of the angle between the gradients


class Graded(Protocol):
    """A step: a module that says the parts of the loss of a batch, in its precision."""

    precision: str

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    @property
    def __call__(self) -> Callable[[Any], tuple[dict[str, Tensor], Any]]: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """bfloat16 beside float32 on one batch, the same for all processes."""

    loss: float  # difference, as a share of float32's
    direction: float  # cosine of the angle between the gradients of all weights
    fp32: float  # seconds of a step
    bf16: float

    @property
    def trusted(self) -> bool:
        """Whether bfloat16 says what float32 says."""
        return self.loss <= LOSS and self.direction >= DIRECTION  # which nan is not


def decided(wanted: str, step: Graded, batch: Any, processes: Processes = ALONE) -> str:
    """The precision to train in: what is wanted, or float32, with a sentence, where bfloat16 differs too much.

    Nothing that step learns is changed.
    """
    if wanted == "fp32":
        return wanted
    found = compared(step, batch, processes)
    if not found.trusted:
        logger.warning(
            "trains in fp32: in bf16 the first loss differs by %.1f %%, wanted at most %.0f, and its gradient's cosine "
            "is %.3f, wanted at least %.2f", 100 * found.loss, 100 * LOSS, found.direction, DIRECTION,
        )  # fmt: skip
        return "fp32"
    chosen = "fp32" if wanted == AUTO and found.fp32 <= found.bf16 else "bf16"
    logger.info(
        "trains in %s: %.2f s a step in fp32, %.2f in bf16, whose first loss differs by %.2f %%, cosine %.4f",
        chosen, found.fp32, found.bf16, 100 * found.loss, found.direction,
    )  # fmt: skip
    return chosen


def compared(step: Graded, batch: Any, processes: Processes = ALONE) -> Compared:
    """One batch in both precisions, twice each, since a first pass is slow. step has its own precision afterwards."""
    before, found = step.precision, {}
    buffers = [(buffer, buffer.clone()) for buffer in step.buffers()]  # batch normalisation counts every pass
    try:
        for precision in PRECISIONS:
            step.precision = precision
            passes = [_passed(step, batch) for _ in range(2)]
            found[precision] = passes[-1][0], passes[-1][1], min(seconds for *_, seconds in passes)
    finally:
        step.precision = before
        for buffer, value in buffers:
            buffer.copy_(value)
    (loss, gradient, slow), (other, its, quick) = found["fp32"], found["bf16"]
    cosine = float(torch.nn.functional.cosine_similarity(gradient, its, dim=0))
    said = torch.tensor([abs(other - loss) / max(abs(loss), 1e-9), cosine, slow, quick], dtype=torch.float64)
    return Compared(*processes.mean(said).tolist())


def _passed(step: Graded, batch: Any) -> tuple[float, Tensor, float]:
    """The loss, the gradient of all that learns (n,), and the seconds that they took."""
    learning = [parameter for parameter in step.parameters() if parameter.requires_grad]
    start = time.perf_counter()
    losses, _ = step(batch)
    loss = torch.stack(list(losses.values())).sum()
    gradients = torch.autograd.grad(loss, learning, allow_unused=True)
    flat = torch.cat([gradient.float().flatten() for gradient in gradients if gradient is not None])
    value, size = float(loss.detach()), float(flat.norm())  # which waits for a GPU
    seconds = time.perf_counter() - start
    return value, flat / max(size, 1e-12), seconds
