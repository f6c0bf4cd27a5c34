"""What training minimises, and the tone that decoders are trained to."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.layers import Trunk

# Mean colour inside the mask, BGR, that every target is brought to; pasting matches colour anyway.
TONE: Final = (0.45, 0.52, 0.66)

# Distances that carry expression: lids, lips, brow to eye, mouth width, chin to lip; irises within their eyes.
SPANS: Final = (
    (37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65), (19, 37), (24, 44), (48, 54), (21, 22),
    (51, 33), (57, 8), (51, 57), (68, 36), (68, 39), (69, 42), (69, 45), (68, 37), (69, 44),
)  # fmt: skip
BLEND_WEIGHTS: Final = (2.0, 2.0, 1.5, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.5)
GAZE_OF_EYE: Final = ((6, 0), (7, 0), (8, 1), (9, 1))  # gaze value, blink of the same eye


def point_weights() -> Tensor:
    """How much each of the 70 points counts, (70,), mean 1: the jaw little, eyes and mouth more, irises most."""
    weights = torch.ones(70)
    weights[:17] = 0.5
    weights[36:68] = 1.5
    weights[68:] = 3.0
    return weights / weights.mean()


def wing(difference: Tensor, width: float = 0.03, sharpness: float = 0.006) -> Tensor:
    """Elementwise: logarithmic below width, linear above (Feng et al. 2018). Small errors keep a strong gradient."""
    size = difference.abs()
    offset = width - width * math.log(1 + width / sharpness)
    return torch.where(size < width, width * torch.log(1 + size / sharpness), size - offset)


def spans(points: Tensor) -> Tensor:
    """The vectors along SPANS, (n, len(SPANS), 2), of points (n, 70, 2)."""
    start, end = zip(*SPANS, strict=True)
    return points[:, list(start)] - points[:, list(end)]


def points_loss(points: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Of points and truth (n, 70, 2) in unit coordinates, for each item (n,)."""
    places = (wing(points - truth).mean(2) * weights).mean(1)
    return places + 0.7 * wing(spans(points) - spans(truth), 0.03, 0.003).mean((1, 2))


def blend_loss(blend: Tensor, truth: Tensor) -> Tensor:
    """Of blend weights (n, 10), for each item (n,). The gaze of a shut eye cannot be seen and hardly counts.

    Quadratic up to 0.3: a loss like L1 asks for the median, and most weights are 0 in most frames.
    """
    counts = torch.tensor(BLEND_WEIGHTS, device=blend.device).repeat(len(blend), 1)
    for gaze, blink in GAZE_OF_EYE:
        counts[:, gaze] *= 1 - 0.9 * truth[:, blink].clamp(0, 1)
    return 2 * (F.smooth_l1_loss(blend, truth, reduction="none", beta=0.3) * counts).mean(1)


def tone_factor(face: Tensor, mask: Tensor, tone: Sequence[float] = TONE) -> Tensor:
    """What to multiply face (n, 3, h, w) by so that its mean colour inside mask (n, 1, h, w) is tone, (n, 3, 1, 1)."""
    mean = (face * mask).sum((2, 3), keepdim=True) / (mask.sum((2, 3), keepdim=True) + 1)
    return torch.tensor(tuple(tone), device=face.device)[None, :, None, None] / (mean + 0.03)


def toned(face: Tensor, mask: Tensor, tone: Sequence[float] = TONE) -> Tensor:
    """face with its mean colour inside mask brought to tone, 0..1."""
    return (face * tone_factor(face, mask, tone)).clamp(0, 1)


WINDOW: Final = 9  # pixels along SSIM's Gaussian window of standard deviation 1.5


def windows(size: int, stride: int) -> Tensor:
    """Gaussian windows over `size` pixels, one in each column, each sum 1: (size, (size - WINDOW) // stride + 1).

    Smoothing a picture is then two matrix products, on CPUs many times faster than a depthwise convolution.
    """
    steps = torch.arange(WINDOW, dtype=torch.float32) - WINDOW // 2
    kernel = torch.exp(-(steps**2) / (2 * 1.5**2))
    starts = range(0, size - WINDOW + 1, stride)
    result = torch.zeros(size, len(starts))
    for column, start in enumerate(starts):
        result[start : start + WINDOW, column] = kernel / kernel.sum()
    return result


def ssim(a: Tensor, b: Tensor, stride: int = 1) -> Tensor:
    """Structural similarity (Wang et al. 2004), mean of the channels, (n, 1, k, k), where whole windows fit.

    Pictures (n, c, size, size) in 0..1. Element i along an axis belongs to pixel WINDOW // 2 + stride * i.
    """
    window = windows(a.shape[-1], stride).to(a.device)
    maps = [window.T @ (x.contiguous() @ window) for x in (a, b, a * a + b * b, a * b)]
    return _similarity(*maps).mean(1, keepdim=True)


Mean = Callable[[Tensor], Tensor]  # of a value over all processes; see Processes.mean


def itself(value: Tensor) -> Tensor:
    """The mean over all processes where there is one."""
    return value


def dssim(a: Tensor, b: Tensor, weight: Tensor, mean: Mean = itself) -> Tensor:
    """(1 - SSIM) / 2 at every other pixel, weighted by weight (n, 1, size, size)."""
    edge = WINDOW // 2
    like = ssim(a, b, stride=2)
    inner = weight[:, :, edge:-edge:2, edge:-edge:2]
    return ((1 - like) / 2 * inner).sum() / (mean(inner.sum()) + 1e-6)


def _similarity(mean_a: Tensor, mean_b: Tensor, squares: Tensor, product: Tensor) -> Tensor:
    both, sum_of_squares = mean_a * mean_b, mean_a**2 + mean_b**2
    light = (2 * both + 1e-4) / (sum_of_squares + 1e-4)
    return light * (2 * (product - both) + 9e-4) / (squares - sum_of_squares + 9e-4)


class Features(nn.Module):
    """How unlike two pictures look to the first layers of a landmark net: edges and textures count, not single pixels.

    A perceptual loss (Johnson et al. 2016) whose network is our own.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.layers = copy.deepcopy(trunk.shallow()).eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor, weight: Tensor, mean: Mean = itself) -> Tensor:
        """Mean difference as a share of b's features; pictures (n, 3, s, s) in 0..1, weight (n, 1, s, s)."""
        seen, wanted = (
            self.layers(picture.contiguous(memory_format=torch.channels_last) * 2 - 1) for picture in (a, b)
        )
        counts = F.adaptive_avg_pool2d(weight, seen.shape[-2:])
        unlike: Tensor = ((seen - wanted).abs() * counts).sum() / (mean((wanted.abs() * counts).sum()) + 1e-6)
        return unlike


def focus(points: Tensor, size: int) -> Tensor:
    """1, rising to 4 at each eye and 3 at the mouth, (n, 1, size, size); points (n, 70, 2) in unit coordinates."""
    pixels = (torch.arange(size, device=points.device) + 0.5) / size
    result = torch.ones(len(points), size, size, device=points.device)
    for part, sigma, height in ((slice(36, 42), 0.047, 3.0), (slice(42, 48), 0.047, 3.0), (slice(48, 68), 0.083, 2.0)):
        centre = points[:, part].mean(1)
        across = torch.exp(-0.6 * (pixels - centre[:, :1]) ** 2 / (2 * sigma**2))
        down = torch.exp(-((pixels - centre[:, 1:]) ** 2) / (2 * sigma**2))
        result += height * down[:, :, None] * across[:, None, :]
    return result[:, None]


def auxiliary_loss(points: Tensor, blend: Tensor, true_points: Tensor, true_blend: Tensor) -> Tensor:
    """What the code's plain numbers lack: L1 of points (in units of half the crop) and of blend weights."""
    weights = point_weights().to(points.device)
    where = 2 * ((points - true_points).abs().mean(2) * weights).mean()
    return where + 0.3 * blend_loss(blend, true_blend).mean()
