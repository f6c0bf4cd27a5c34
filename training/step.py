"""One step's way from a batch to its losses, as a module, so that engines for many processes can wrap it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realtime.errors import SettingsError
from training.batches import PairBatch, to_input
from training.losses import Features, Mean, auxiliary_loss, dssim, focus, itself, toned
from training.model import SwapNet

PRECISIONS: Final = ("fp32", "bf16")  # of convolutions and matrix products; weights and losses are always in fp32
AUTO: Final = "auto"  # whichever is faster; see precision.decided


def known(precision: str, *more: str) -> str:
    """That precision. Raises SettingsError where it is neither one of PRECISIONS nor one of these others."""
    if precision not in (wanted := (*more, *PRECISIONS)):
        raise SettingsError(f"the precision {precision!r} is unknown, wanted one of {', '.join(wanted)}")
    return precision


def cast(device: torch.device, precision: str) -> torch.autocast:
    """Within it, convolutions and matrix products have this precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the loss counts."""

    l1: float = 6.0
    dssim: float = 4.0
    mask: float = 0.5
    auxiliary: float = 6.0
    features: float = 0.4  # where a landmark net lends its eyes


class Drawn(NamedTuple):
    """What a step drew, for whoever judges it further."""

    face: Tensor  # (n, 3, S, S) 0..1
    truth: Tensor  # (n, 3, S, S) toned
    mask: Tensor  # (n, 1, S, S)


class Step(nn.Module):
    """Draws a batch, whose equal parts belong to `names` in order, and says how far that is from the truth."""

    ways: Tensor | None

    def __init__(
        self,
        net: SwapNet,
        names: Sequence[str],
        weights: Weights,
        features: Features | None = None,
        precision: str = "bf16",
        mean: Mean = itself,
        centres: Tensor | None = None,
    ) -> None:
        """centres: (people, z), the mean code of each, where codes are to be moved between them."""
        super().__init__()
        ways = None
        if centres is not None and len(centres) > 1:
            ways = (centres.sum(0) - centres) / (len(centres) - 1) - centres
        self.register_buffer("ways", ways, persistent=False)  # (people, z), from each to the middle of the others
        self.net, self.features = net, features
        self.precision = known(precision)
        self._names, self._weights, self._mean = tuple(names), weights, mean

    def forward(self, batch: PairBatch) -> tuple[dict[str, Tensor], Drawn]:
        """The weighted parts of the loss, and what was drawn."""
        net, device = self.net, next(self.net.parameters()).device
        with cast(device, self.precision):
            code = net.encoder(to_input(batch.pictures, device))
            if self.ways is not None and batch.moved is not None:
                ways = self.ways.repeat_interleave(len(code) // len(self.ways), 0)
                code = code + torch.from_numpy(batch.moved).to(device)[:, None] * ways
            codes = list(zip(self._names, code.chunk(len(self._names)), strict=True))
            logits = torch.cat([net.decoders[name](part) for name, part in codes]).float()
        points = torch.from_numpy(batch.points).to(device)
        losses, drawn = self._of_drawing(logits, batch, points)
        if batch.blend is not None and code.requires_grad:
            told = [net.auxiliary(part.float(), name) for name, part in codes]
            read, blend = (torch.cat(column) for column in zip(*told, strict=True))
            truth = torch.from_numpy(batch.blend).to(device)
            losses["auxiliary"] = self._weights.auxiliary * auxiliary_loss(read, blend, points, truth)
        return losses, drawn

    def _of_drawing(self, logits: Tensor, batch: PairBatch, points: Tensor) -> tuple[dict[str, Tensor], Drawn]:
        """How far logits (n, 4, S, S) are from the batch's targets."""
        weights, mean = self._weights, self._mean
        target = to_input(batch.targets, logits.device).contiguous()  # mixed memory layouts are slow
        mask = target[:, 3:]
        seen = mask * (1 - to_input(batch.occluded[..., None], logits.device))
        truth, face = toned(target[:, :3], mask), torch.sigmoid(logits[:, :3].contiguous())
        # What is hidden behind a hand is drawn too, and counts a little: the mask's soft edge shows some of it.
        weight = 0.25 * mask + 0.75 * seen * focus(points, target.shape[-1])
        everywhere = weight + 0.01
        far = F.smooth_l1_loss(face, truth, reduction="none", beta=0.01)
        # What is divided by is that of the whole batch, so that parts of it add up to the same loss.
        losses = {
            "l1": weights.l1 * (far * everywhere).sum() / (3 * mean(everywhere.sum())),
            "dssim": weights.dssim * dssim(face * mask, truth * mask, weight, mean),
            "mask": weights.mask * F.binary_cross_entropy_with_logits(logits[:, 3:], seen),
        }
        if self.features is not None:
            with cast(logits.device, self.precision):
                losses["features"] = weights.features * self.features(face, truth, weight, mean)
        return losses, Drawn(face, truth, mask)
