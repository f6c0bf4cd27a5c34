"""A picture of what a swap net does: anybody, each identity as drawn and as it should be, and pasted."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches import PairBatch, to_input
from training.evaluate import Subject, as_bytes, unchanged
from training.losses import toned
from training.model import Decoder, SwapNet

COLUMNS: Final = 12


@torch.no_grad()
def grid(net: SwapNet, subject: Subject, device: torch.device, columns: int = COLUMNS) -> NDArray[np.uint8]:
    """(h, w, 3) BGR: a row of anybody, then for each identity a row drawn, one true, one pasted. net in eval mode."""
    first = subject.some(subject.identities[0], columns)
    strips = [unchanged(subject.size)(first)]
    for name in subject.identities:
        strips += rows(net, name, subject.some(name, columns), device)
    return np.concatenate([np.concatenate(list(as_bytes(strip)), 1) for strip in strips])


def rows(net: SwapNet, identity: str, batch: PairBatch, device: torch.device) -> list[Tensor]:
    """Drawn, true and pasted faces, (n, 3, S, S) each."""
    decoder = net.decoders[identity]
    assert isinstance(decoder, Decoder)
    face, mask = (part.cpu() for part in decoder.decode(net.encoder(to_input(batch.pictures, device))))
    target = to_input(batch.targets, torch.device("cpu"))
    true = toned(target[:, :3], target[:, 3:]) * target[:, 3:] + 0.5 * (1 - target[:, 3:])
    return [face, true, pasted(unchanged(face.shape[-1])(batch), face, mask)]


def pasted(pictures: Tensor, face: Tensor, mask: Tensor) -> Tensor:
    """face over pictures (n, 3, S, S) where mask (n, 1, S, S) says so, brought to the mean colour that it covers."""
    area = mask.sum((2, 3), keepdim=True) + 1
    below, above = ((p * mask).sum((2, 3), keepdim=True) / area for p in (pictures, face))
    return pictures * (1 - mask) + (face * below / (above + 0.03)).clamp(0, 1) * mask
