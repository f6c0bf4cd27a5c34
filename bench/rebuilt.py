"""The networks of others, rebuilt from their layer sizes: DeepFaceLab's `df` and faceswap's `original`.

Only what is drawn through them differs from ours; they are trained by our loop. Pictures are as in training.model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

SLOPE: Final = 0.1  # of their leaky activations


@dataclass(frozen=True, slots=True)
class DfShape:
    """DeepFaceLab's SAEHD with the architecture `df` and its default sizes."""

    size: int = 128
    inner: int = 256  # ae_dims
    encoder: int = 64  # e_dims
    decoder: int = 64  # d_dims
    mask: int = 22  # d_mask_dims


@dataclass(frozen=True, slots=True)
class OriginalShape:
    """faceswap's `original`, the first of its models; with a mask, which there is an option."""

    size: int = 64
    encoder: tuple[int, int, int, int] = (128, 256, 512, 1024)
    dense: int = 1024
    inner: int = 1024  # channels of what the second dense layer makes, 4 by 4
    between: int = 512
    decoder: tuple[int, int, int] = (256, 128, 64)


class Rebuilt(nn.Module):
    """A shared encoder and a decoder for each identity, as training.step.Step wants them."""

    def __init__(self, shape: DfShape | OriginalShape, identities: Iterable[str]) -> None:
        super().__init__()
        self.encoder = _df_encoder(shape) if isinstance(shape, DfShape) else _original_encoder(shape)
        self.decoders = nn.ModuleDict(
            {name: DfDecoder(shape) if isinstance(shape, DfShape) else _original_decoder(shape) for name in identities}
        )

    def draw(self, picture: Tensor, identity: str) -> Tensor:
        """(n, 3, s, s) to faces (n, 3, S, S) BGR in 0..1."""
        return torch.sigmoid(self.decoders[identity](self.encoder(picture)).float())[:, :3]


def _down(before: int, after: int) -> nn.Sequential:
    """Half the size, by a convolution of five by five."""
    return nn.Sequential(nn.Conv2d(before, after, 5, 2, 2), nn.LeakyReLU(SLOPE))


def _up(before: int, after: int) -> nn.Sequential:
    """Twice the size, by a convolution whose channels become places."""
    return nn.Sequential(nn.Conv2d(before, 4 * after, 3, 1, 1), nn.LeakyReLU(SLOPE), nn.PixelShuffle(2))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(channels, channels, 3, 1, 1)
        )
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        result: Tensor = self.activation(x + self.layers(x))
        return result


def _df_encoder(shape: DfShape) -> nn.Sequential:
    """Four halvings, a narrow dense layer, and out of it a picture of an eighth of the size."""
    e, inner, base = shape.encoder, shape.inner, shape.size // 16
    return nn.Sequential(
        _down(3, e), _down(e, 2 * e), _down(2 * e, 4 * e), _down(4 * e, 8 * e), nn.Flatten(),
        nn.Linear(8 * e * base * base, inner), nn.Linear(inner, inner * base * base),
        nn.Unflatten(1, (inner, base, base)), _up(inner, inner),
    )  # fmt: skip


class DfDecoder(nn.Module):
    """From an eighth of the size to logits (n, 4, S, S); the mask has a decoder of its own."""

    def __init__(self, shape: DfShape) -> None:
        super().__init__()
        d, m, inner = shape.decoder, shape.mask, shape.inner
        self.face = nn.Sequential(
            _up(inner, 8 * d), _Residual(8 * d), _up(8 * d, 4 * d), _Residual(4 * d), _up(4 * d, 2 * d),
            _Residual(2 * d), nn.Conv2d(2 * d, 3, 1),
        )  # fmt: skip
        self.mask = nn.Sequential(_up(inner, 8 * m), _up(8 * m, 4 * m), _up(4 * m, 2 * m), nn.Conv2d(2 * m, 1, 1))

    def forward(self, code: Tensor) -> Tensor:
        """(n, inner, S/8, S/8) to (n, 4, S, S)."""
        return torch.cat([self.face(code), self.mask(code)], 1)


def _original_encoder(shape: OriginalShape) -> nn.Sequential:
    """Four halvings, two dense layers, one doubling."""
    widths, base = (3, *shape.encoder), shape.size // 16
    flat = shape.encoder[-1] * base * base
    downs = [_down(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(
        *downs, nn.Flatten(), nn.Linear(flat, shape.dense), nn.Linear(shape.dense, shape.inner * base * base),
        nn.Unflatten(1, (shape.inner, base, base)), _up(shape.inner, shape.between),
    )  # fmt: skip


def _original_decoder(shape: OriginalShape) -> nn.Sequential:
    """Three doublings, and the picture."""
    widths = (shape.between, *shape.decoder)
    ups = [_up(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(*ups, nn.Conv2d(shape.decoder[-1], 4, 5, 1, 2))
