"""The networks: a trunk of plain convolutions, the landmark net, the shared encoder, its auxiliary head, the decoders.

Pictures are (n, 3, s, s) float BGR in 0..1. Points are in unit coordinates of the crop (0..1 from border to border).
Sizes are multiples of 16. Depthwise convolutions would have fewer weights, but on CPUs plain ones train five times
faster, and the layers at full resolution cost most: the decoder therefore ends at half resolution with a pixel shuffle.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from realtime.errors import SettingsError
from realtime.face.geometry import template

POINTS: Final = 70  # the 68 Multi-PIE points, then the irises, the picture's left one first
BLEND: Final = 10  # blend weights and gaze
UPSAMPLING: Final = ("nearest", "shuffle", "transposed")
ACTIVATIONS: Final = ("relu", "leaky")
TRUNK: Final = ((32, 5, 2), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1), (192, 3, 2), (192, 3, 1))


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

    size: int = 160  # crop pixels
    coverage: float = 1.25  # of the crop
    squeeze: int = 56  # channels that enter the dense layer
    hidden: int = 256
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.size, self.activation)


@dataclass(frozen=True, slots=True)
class EncoderShape(_Shape):
    """The shared encoder."""

    size: int = 160  # crop pixels; less loses the lids
    coverage: float = 1.0  # of the crop
    squeeze: int = 64  # channels that enter the dense layer
    code: int = 256  # numbers that describe the face
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.size, self.activation)


@dataclass(frozen=True, slots=True)
class DecoderShape(_Shape):
    """One identity's decoder."""

    size: int = 160  # pixels of the face that comes out, coverage 1.0
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


def _activation(name: str) -> nn.Module:
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(0.1)


def _start(*networks: nn.Module) -> None:
    """He's initial weights (2015), so that a signal keeps its size through all layers; biases 0."""
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


class Trunk(nn.Sequential):
    """Seven convolutions, (n, 3, s, s) to (n, 192, s/16, s/16); with or without batch normalisation."""

    def __init__(self, activation: str, normalised: bool) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for width, kernel, stride in TRUNK:
            layers.append(nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=not normalised))
            if normalised:
                layers.append(nn.BatchNorm2d(width))
            layers.append(_activation(activation))
            channels = width
        super().__init__(*layers)
        self.activation = activation
        self.normalised = normalised
        _start(self)

    def folded(self) -> "Trunk":
        """The same function (as in eval mode) without batch normalisation."""
        plain = Trunk(self.activation, normalised=False)
        if not self.normalised:
            plain.load_state_dict(self.state_dict())
            return plain
        norms = [layer for layer in self if isinstance(layer, nn.BatchNorm2d)]
        for source, norm, target in zip(_convolutions(self), norms, _convolutions(plain), strict=True):
            _fold(source, norm, target)
        return plain


def _convolutions(layers: Iterable[nn.Module]) -> list[nn.Conv2d]:
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _fold(source: nn.Conv2d, norm: nn.BatchNorm2d, target: nn.Conv2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or target.bias is None:
        raise ValueError("folding needs running statistics and a bias to fold them into")
    with torch.no_grad():
        factor = norm.weight / torch.sqrt(variance + norm.eps)
        target.weight.copy_(source.weight * factor[:, None, None, None])
        target.bias.copy_(norm.bias - mean * factor)


class LandmarkNet(nn.Module):
    """Points, blend weights and presence of the face in a crop.

    Training runs `features` in bfloat16 and `read` in float32: eight bits are too few for a coordinate.
    """

    def __init__(self, shape: LandmarkShape, normalised: bool = True) -> None:
        super().__init__()
        self.shape = shape
        base = shape.size // 16
        self.trunk = Trunk(shape.activation, normalised)
        self.dense = nn.Sequential(
            nn.Conv2d(TRUNK[-1][0], shape.squeeze, 1),
            _activation(shape.activation),
            nn.Flatten(),
            nn.Linear(shape.squeeze * base * base, shape.hidden),
            _activation(shape.activation),
        )
        _start(self.dense)
        self.points = nn.Linear(shape.hidden, POINTS * 2)
        self.blend = nn.Linear(shape.hidden, BLEND)
        self.presence = nn.Linear(shape.hidden, 1)
        with torch.no_grad():  # start at the template
            self.points.weight.mul_(0.1)
            self.points.bias.copy_(template_points(shape.coverage).flatten())

    def features(self, picture: Tensor) -> Tensor:
        """(n, 3, s, s) to (n, hidden)."""
        result: Tensor = self.dense(self.trunk(picture * 2 - 1))
        return result

    def read(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, hidden) to points (n, 70, 2), blend (n, 10), presence logit (n,)."""
        points: Tensor = self.points(features)
        return points.view(-1, POINTS, 2), self.blend(features), self.presence(features)[:, 0]

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, s, s) to points (n, 70, 2) in unit coordinates, blend (n, 10), presence logit (n,)."""
        return self.read(self.features(picture))

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
            _activation(shape.activation),
            nn.Flatten(),
            nn.Linear(shape.squeeze * base * base, shape.code),
        )
        _start(self.dense)

    def forward(self, picture: Tensor) -> Tensor:
        """(n, 3, s, s) to the code (n, z)."""
        result: Tensor = self.dense(self.trunk(picture * 2 - 1))
        return result


class Residual(nn.Module):
    """Two convolutions and a way round them."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        self.activation = _activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        result: Tensor = self.activation(x + self.second(self.activation(self.first(x))))
        return result


class Up(nn.Sequential):
    """Twice the width and height, by the way that `up` names.

    "nearest" repeats pixels and convolves; "shuffle" convolves to four times the channels (more weights, the same
    speed); "transposed" is fast in float32 and has no int8 form in onnxruntime.
    """

    def __init__(self, before: int, after: int, up: str, activation: str) -> None:
        layers: list[nn.Module]
        if up == "nearest":
            layers = [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1), _activation(activation)]
        elif up == "shuffle":
            layers = [nn.Conv2d(before, after * 4, 3, 1, 1), _activation(activation), nn.PixelShuffle(2)]
        else:
            layers = [nn.ConvTranspose2d(before, after, 4, 2, 1), _activation(activation)]
        super().__init__(*layers)


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
            _activation(act),
            Residual(low, act),
            Up(low, eighth, up, act),
            Up(eighth, quarter, up, act),
            Residual(quarter, act),
            Up(quarter, half, up, act),
            nn.Conv2d(half, 16, 3, 1, 1),
            nn.PixelShuffle(2),
        )
        _start(self)
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
