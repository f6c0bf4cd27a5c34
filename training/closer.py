"""A closer look: windows on eyes and mouth and samples around points, where the strides of a trunk lose too much."""

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realtime.face.geometry import STEADY, template
from training.layers import activation_of

WINDOW: Final = (32, 48)  # pixels of an eye's window, height and width
SPACING: Final = 0.03  # between the samples around a point, in units of the template
EYES: Final = (slice(36, 42), slice(42, 48))  # their points, the picture's left one first


class Window(nn.Sequential):
    """A window (n, 3, h, w) at full resolution to features (n, out); sides are multiples of 4."""

    def __init__(self, window: tuple[int, int], out: int, activation: str) -> None:
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 24, 1), (24, 48, 2), (48, 64, 2), (64, 32, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), activation_of(activation)]
        seen = (32, window[0] // 4, window[1] // 4)
        super().__init__(*layers, nn.Flatten(), nn.Linear(math.prod(seen), out), activation_of(activation))
        self.map = seen  # channels, height and width of what the dense layer reads


class FixedEyes(nn.Module):
    """Both eyes of an aligned crop, whose places the template knows: (n, 3, s, s) to (n, 2 out).

    The picture's right eye is mirrored, so that one set of weights serves both.
    """

    SHARE: Final = (0.2, 0.3)  # of the crop's side, wide enough for eyes that are not where the template has them

    def __init__(self, size: int, centres: Sequence[Sequence[float]], out: int, activation: str) -> None:
        """centres x y in unit coordinates of the crop, the picture's left one first."""
        super().__init__()
        self._height, self._width = (4 * round(share * size / 4) for share in self.SHARE)
        self._top = round(centres[0][1] * size - self._height / 2)
        self._columns = [round(x * size - self._width / 2) for x, *_ in centres]
        self.eye = Window((self._height, self._width), out, activation)

    def forward(self, picture: Tensor) -> Tensor:
        """(n, 3, s, s) to (n, 2 out)."""
        rows = picture[:, :, self._top : self._top + self._height]
        left, right = (rows[..., column : column + self._width] for column in self._columns)
        return torch.cat([self.eye(left), self.eye(right.flip(3))], 1)


class FixedMouth(nn.Module):
    """The mouth of an aligned crop, (n, 3, s, s) to (n, out): at full resolution, so that teeth and lips show."""

    SHARE: Final = (0.26, 0.36)  # of the crop's side: from below the nose to an open jaw, and a wide smile

    def __init__(self, size: int, centre: Sequence[float], out: int, activation: str) -> None:
        """centre x y in unit coordinates of the crop."""
        super().__init__()
        self._height, self._width = (4 * round(share * size / 4) for share in self.SHARE)
        self._top = round(centre[1] * size - self._height / 2)
        self._left = round(centre[0] * size - self._width / 2)
        self.lips = Window((self._height, self._width), out, activation)

    def forward(self, picture: Tensor) -> Tensor:
        """(n, 3, s, s) to (n, out)."""
        rows = picture[:, :, self._top : self._top + self._height]
        seen: Tensor = self.lips(rows[..., self._left : self._left + self._width])
        return seen


class FoundEyes(nn.Module):
    """Both eyes at the places that points say: (n, 3, s, s) to (n, 2 out). The right one is mirrored as above."""

    SHARE: Final = (0.14, 0.21)  # height and width in units of the template

    def __init__(self, out: int, activation: str) -> None:
        super().__init__()
        self.eye = Window(WINDOW, out, activation)
        down, across = (torch.linspace(-share / 2, share / 2, n) for share, n in zip(self.SHARE, WINDOW, strict=True))
        y, x = torch.meshgrid(down, across, indexing="ij")
        self.offsets: Tensor
        self.register_buffer(
            "offsets", torch.stack([torch.stack([x, y], 2), torch.stack([-x, y], 2)]), persistent=False
        )

    def forward(self, picture: Tensor, points: Tensor, axes: Tensor) -> Tensor:
        """Windows about the eyes of points (n, 70, 2), unit coordinates, turned and scaled by axes (n, 2, 2)."""
        centres = torch.stack([points[:, eye].mean(1) for eye in EYES], 1)[:, :, None, None]
        places = centres + torch.einsum("ehwk,njk->nehwj", self.offsets, axes)
        windows = sampled(picture, places.flatten(1, 2))
        left, right = windows[:, :, : WINDOW[0]], windows[:, :, WINDOW[0] :]
        return torch.cat([self.eye(left), self.eye(right)], 1)


class Around(nn.Module):
    """What a feature map shows at and around each point: (n, c, h, w) to (n, points * out)."""

    def __init__(self, channels: int, points: int, squeeze: int, out: int, activation: str) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(channels, squeeze, 1), activation_of(activation))
        self.weight = nn.Parameter(torch.randn(points, 9 * squeeze, out) * (2 / (9 * squeeze)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(points, 1, out))
        self.activation = activation_of(activation)
        steps = torch.tensor([-SPACING, 0.0, SPACING])
        self.offsets: Tensor
        self.register_buffer("offsets", torch.cartesian_prod(steps, steps), persistent=False)

    def forward(self, features: Tensor, points: Tensor, axes: Tensor) -> Tensor:
        """Nine samples about each of points (n, p, 2), unit coordinates, turned and scaled by axes (n, 2, 2)."""
        places = points[:, :, None] + torch.einsum("ok,njk->noj", self.offsets, axes)[:, None]
        seen = sampled(self.squeeze(features), places)  # (n, squeeze, p, 9)
        each = seen.permute(2, 0, 1, 3).flatten(2)  # (p, n, squeeze * 9)
        told: Tensor = self.activation(torch.matmul(each, self.weight) + self.bias)
        return told.permute(1, 0, 2).flatten(1)


def sampled(picture: Tensor, places: Tensor) -> Tensor:
    """picture (n, c, h, w) at places (n, a, b, 2), unit coordinates; (n, c, a, b), bilinear, borders repeated."""
    return F.grid_sample(picture.float(), places * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)


def axes_of(points: Tensor) -> Tensor:
    """How the template lies in the crop: the linear part (n, 2, 2) of its similarity to points (n, 70, 2).

    Least squares over the steady points, in closed form (Umeyama 1991, without reflection).
    """
    steady = list(STEADY)
    model = torch.from_numpy(template()[steady]).to(points.device)
    model = model - model.mean(0)
    seen = points[:, steady] - points[:, steady].mean(1, keepdim=True)
    scale = (model**2).sum()
    cosine = (seen * model).sum((1, 2)) / scale
    sine = (seen[..., 1] * model[:, 0] - seen[..., 0] * model[:, 1]).sum(1) / scale
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
