"""What the networks are built from: the trunk of plain convolutions, residual blocks, ways to enlarge."""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

UPSAMPLING: Final = ("nearest", "shuffle", "transposed")
ACTIVATIONS: Final = ("relu", "leaky")
TRUNK: Final = ((32, 5, 2), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1), (192, 3, 2), (192, 3, 1))
SHALLOW: Final = 3  # of these layers, after which the picture is a quarter as wide and still sharp


def activation_of(name: str) -> nn.Module:
    """The layer of one of ACTIVATIONS."""
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(0.1)


def start(*networks: nn.Module) -> None:
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
            layers.append(activation_of(activation))
            channels = width
        super().__init__(*layers)
        self.activation = activation
        self.normalised = normalised
        start(self)

    def both(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """What the first SHALLOW convolutions see, (n, 64, s/4, s/4), and what all of them see."""
        first = len(self.shallow())
        shallow = picture
        for layer in list(self)[:first]:
            shallow = layer(shallow)
        deep = shallow
        for layer in list(self)[first:]:
            deep = layer(deep)
        return shallow, deep

    def shallow(self) -> nn.Sequential:
        """The first SHALLOW convolutions, with what belongs to them."""
        return nn.Sequential(*list(self)[: (3 if self.normalised else 2) * SHALLOW])

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


class Residual(nn.Module):
    """Two convolutions and a way round them."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        self.activation = activation_of(activation)

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
            layers = [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1), activation_of(activation)]
        elif up == "shuffle":
            layers = [nn.Conv2d(before, after * 4, 3, 1, 1), activation_of(activation), nn.PixelShuffle(2)]
        else:
            layers = [nn.ConvTranspose2d(before, after, 4, 2, 1), activation_of(activation)]
        super().__init__(*layers)
