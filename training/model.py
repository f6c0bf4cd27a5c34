"""The networks: the landmark net, the shared encoder, its auxiliary head, the decoders.

Pictures are (n, 3, s, s) float BGR in 0..1. Points are in unit coordinates of the crop (0..1 from border to border).
Sizes are multiples of 16. Depthwise convolutions would have fewer weights, but on CPUs plain ones train five times
faster, and the layers at full resolution cost most: the decoder therefore ends at half resolution with a pixel shuffle.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor, nn

from realtime.errors import SettingsError
from realtime.face.geometry import template
from training.closer import Around, FixedEyes, FixedMouth, FoundEyes, axes_of
from training.layers import ACTIVATIONS, SHALLOW, TRUNK, UPSAMPLING, Residual, Trunk, Up, activation_of, start

POINTS: Final = 70  # the 68 Multi-PIE points, then the irises, the picture's left one first
BLEND: Final = 10  # blend weights and gaze
OPEN: Final = 0.025  # of the crop's side, by which the mouth's window lies below a shut mouth's middle


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is common to the three shapes: to and from the JSON of a training record."""

    def record(self) -> dict[str, Any]:
        """The shape as a JSON-able dict."""
        return asdict(self)

    @classmethod
    def read(cls, record: dict[str, Any]) -> Self:
        """The shape that record() wrote. Raises TypeError for keys of another version."""
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in record.items()})


@dataclass(frozen=True, slots=True)
class LandmarkShape(_Shape):
    """The landmark net: what goes in and how wide it is."""

    size: int = 192  # crop pixels
    coverage: float = 1.25  # of the crop
    squeeze: int = 28  # channels that enter the dense layer
    hidden: int = 256
    eyes: int = 64  # numbers from the closer look at each eye
    around: int = 8  # and at each point
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.size, self.activation)


@dataclass(frozen=True, slots=True)
class EncoderShape(_Shape):
    """The shared encoder."""

    size: int = 192  # crop pixels
    coverage: float = 1.0  # of the crop
    squeeze: int = 64  # channels that enter the dense layer
    eyes: int = 64  # numbers for each eye that enter it besides
    mouth: int = 96  # and for the mouth; 0: no window on it
    code: int = 256  # numbers that describe the face
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.size, self.activation)


@dataclass(frozen=True, slots=True)
class DecoderShape(_Shape):
    """One identity's decoder."""

    size: int = 192  # pixels of the face that comes out, coverage 1.0
    code: int = 256  # as the encoder's
    widths: tuple[int, int, int, int, int] = (64, 192, 192, 96, 48)  # channels at 1/16 (dense, conv), 1/8, 1/4, 1/2
    up: str = "shuffle"
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.size, self.activation)
        if self.up not in UPSAMPLING:
            raise SettingsError(f"upsampling is one of {', '.join(UPSAMPLING)}, not '{self.up}'")


def _check(size: int, activation: str) -> None:
    if size < 32 or size % 16:
        raise SettingsError(f"a network's size is a multiple of 16 from 32 upwards, not {size}")
    if activation not in ACTIVATIONS:
        raise SettingsError(f"an activation is one of {', '.join(ACTIVATIONS)}, not '{activation}'")


class Told(NamedTuple):
    """What the landmark net says of each of n crops."""

    points: Tensor  # (n, 70, 2) unit coordinates
    blend: Tensor  # (n, 10)
    presence: Tensor  # (n,) logit


class LandmarkNet(nn.Module):
    """Points, blend weights and presence of the face in a crop: a guess from all of it, then a closer look.

    The guess is a dense layer's. The closer look cuts out both eyes at full resolution where the guess has them, and
    samples sharp features around every point; it gives what to add to the guess. Training runs `features` and
    `closer` in bfloat16, `guess` and `refined` in float32: eight bits are too few for a coordinate.
    """

    def __init__(self, shape: LandmarkShape, normalised: bool = True) -> None:
        super().__init__()
        self.shape = shape
        base = shape.size // 16
        self.trunk = Trunk(shape.activation, normalised)
        self.dense = nn.Sequential(
            nn.Conv2d(TRUNK[-1][0], shape.squeeze, 1),
            activation_of(shape.activation),
            nn.Flatten(),
            nn.Linear(shape.squeeze * base * base, shape.hidden),
            activation_of(shape.activation),
        )
        self.points = nn.Linear(shape.hidden, POINTS * 2)
        self.blend = nn.Linear(shape.hidden, BLEND)
        self.presence = nn.Linear(shape.hidden, 1)
        self.eyes = FoundEyes(shape.eyes, shape.activation)
        self.around = Around(TRUNK[SHALLOW - 1][0], POINTS, 16, shape.around, shape.activation)
        self.more_points = nn.Linear(2 * shape.eyes + POINTS * shape.around, POINTS * 2)
        self.more_blend = nn.Linear(2 * shape.eyes + POINTS * shape.around, BLEND)
        start(self.dense, self.eyes, self.around)
        with torch.no_grad():  # start at the template, and with a guess that is left alone
            self.points.weight.mul_(0.1)
            self.points.bias.copy_(template_points(shape.coverage).flatten())
            for layer in (self.more_points, self.more_blend):
                layer.weight.zero_()
                layer.bias.zero_()

    def features(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, s, s) to what the guess is made of (n, hidden), and sharp features (n, 64, s/4, s/4)."""
        shallow, deep = self.trunk.both(picture * 2 - 1)
        return self.dense(deep), shallow

    def guess(self, features: Tensor) -> Told:
        """(n, hidden) to a first answer."""
        points: Tensor = self.points(features)
        return Told(points.view(-1, POINTS, 2), self.blend(features), self.presence(features)[:, 0])

    def closer(self, picture: Tensor, shallow: Tensor, guess: Told) -> Tensor:
        """What is seen where the guess has its points, (n, k)."""
        points = guess.points.detach()
        axes = axes_of(points)
        return torch.cat([self.eyes(picture * 2 - 1, points, axes), self.around(shallow, points, axes)], 1)

    def refined(self, guess: Told, seen: Tensor) -> Told:
        """The guess and what the closer look adds to it. Points move in the axes of the face."""
        points = guess.points.detach()
        moved = torch.einsum("npk,njk->npj", self.more_points(seen).view(-1, POINTS, 2), axes_of(points))
        return Told(points + moved, guess.blend + self.more_blend(seen), guess.presence)

    def forward(self, picture: Tensor) -> Told:
        """(n, 3, s, s) to points, blend weights and presence."""
        features, shallow = self.features(picture)
        guess = self.guess(features)
        return self.refined(guess, self.closer(picture, shallow, guess))

    def folded(self) -> "LandmarkNet":
        """The same function (as in eval mode) without batch normalisation, in eval mode."""
        plain = LandmarkNet(self.shape, normalised=False)
        plain.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("trunk.")}, strict=False)
        plain.trunk = self.trunk.folded()
        return plain.eval()


def template_points(coverage: float) -> Tensor:
    """The template with its irises, (70, 2), in unit coordinates of a crop of this coverage."""
    points = torch.from_numpy(template())
    irises = torch.stack([points[36:42].mean(0), points[42:48].mean(0)])
    return (torch.cat([points, irises]) - 0.5) / coverage + 0.5


class Encoder(nn.Module):
    """What a face does (expression, pose, gaze, light), as a short code. One for everybody."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        base = shape.size // 16
        self.trunk = Trunk(shape.activation, normalised=False)
        self.dense = nn.Sequential(
            nn.Conv2d(TRUNK[-1][0], shape.squeeze, 1),
            activation_of(shape.activation),
            nn.Flatten(),
        )
        self.eyes = FixedEyes(shape.size, template_points(shape.coverage)[68:].tolist(), shape.eyes, shape.activation)
        middle = template_points(shape.coverage)[48:68].mean(0) + torch.tensor([0.0, OPEN])
        windows: list[nn.Module] = [self.eyes]
        self.mouth: FixedMouth | None = None
        if shape.mouth:
            self.mouth = FixedMouth(shape.size, middle.tolist(), shape.mouth, shape.activation)
            windows.append(self.mouth)
        self.code = nn.Linear(shape.squeeze * base * base + 2 * shape.eyes + shape.mouth, shape.code)
        start(self.dense, *windows, self.code)

    def forward(self, picture: Tensor) -> Tensor:
        """(n, 3, s, s) to the code (n, z)."""
        centred = picture * 2 - 1
        seen = [self.dense(self.trunk(centred)), self.eyes(centred)]
        if self.mouth is not None:
            seen.append(self.mouth(centred))
        code: Tensor = self.code(torch.cat(seen, 1))
        return code


class Decoder(nn.Module):
    """One identity: a code to its face and mask."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        base, (dense, low, eighth, quarter, half) = shape.size // 16, shape.widths
        up, act = shape.up, shape.activation
        self.dense = nn.Sequential(nn.Linear(shape.code, dense * base * base), nn.Unflatten(1, (dense, base, base)))
        self.layers = nn.Sequential(
            nn.Conv2d(dense, low, 3, 1, 1),
            activation_of(act),
            Residual(low, act),
            Up(low, eighth, up, act),
            Up(eighth, quarter, up, act),
            Residual(quarter, act),
            Up(quarter, half, up, act),
            nn.Conv2d(half, 16, 3, 1, 1),
            nn.PixelShuffle(2),
        )
        start(self)
        for layer in self.modules():
            if isinstance(layer, Residual):  # starts as the way round alone
                nn.init.zeros_(layer.second.weight)
        last = self.layers[-2]
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, std=0.01)  # starts at grey and half transparent

    def forward(self, code: Tensor) -> Tensor:
        """(n, z) to logits (n, 4, S, S): blue, green, red, mask."""
        result: Tensor = self.layers(self.dense(code))
        return result

    def decode(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """(n, z) to the face (n, 3, S, S) BGR and the mask (n, 1, S, S), both 0..1."""
        drawn = torch.sigmoid(self(code).float())
        return drawn[:, :3], drawn[:, 3:]


class Auxiliary(nn.Module):
    """What the code must know in plain numbers; used in training only.

    A linear layer for each identity gives that identity's aligned points, one for all the blend weights and gaze.
    """

    def __init__(self, code: int, identities: Iterable[str]) -> None:
        super().__init__()
        self.points = nn.ModuleDict({name: nn.Linear(code, POINTS * 2) for name in identities})
        self.blend = nn.Linear(code, BLEND)
        with torch.no_grad():
            for layer in self.points.values():
                assert isinstance(layer, nn.Linear)
                layer.bias.copy_(template_points(1.0).flatten())

    def forward(self, code: Tensor, identity: str) -> tuple[Tensor, Tensor]:
        """(n, z) to points (n, 70, 2) in unit coordinates of the crop with coverage 1, and blend (n, 10)."""
        points: Tensor = self.points[identity](code)
        return points.view(-1, POINTS, 2), self.blend(code)


class SwapNet(nn.Module):
    """The shared encoder, a decoder for each identity, and the auxiliary head."""

    def __init__(self, encoder: EncoderShape, decoder: DecoderShape, identities: Iterable[str]) -> None:
        super().__init__()
        names = tuple(identities)
        if encoder.code != decoder.code:
            raise SettingsError(
                f"the decoder expects codes of {decoder.code} numbers, the encoder gives {encoder.code}"
            )
        self.encoder = Encoder(encoder)
        self.decoders = nn.ModuleDict({name: Decoder(decoder) for name in names})
        self.auxiliary = Auxiliary(encoder.code, names)
