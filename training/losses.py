"""What training minimises, and the tone that decoders are trained to."""

import math
from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

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
    """Of blend weights (n, 10), for each item (n,). The gaze of a shut eye cannot be seen and hardly counts."""
    counts = torch.tensor(BLEND_WEIGHTS, device=blend.device).repeat(len(blend), 1)
    for gaze, blink in GAZE_OF_EYE:
        counts[:, gaze] *= 1 - 0.9 * truth[:, blink].clamp(0, 1)
    return (F.smooth_l1_loss(blend, truth, reduction="none", beta=0.05) * counts).mean(1)


def tone_factor(face: Tensor, mask: Tensor, tone: Sequence[float] = TONE) -> Tensor:
    """What to multiply face (n, 3, h, w) by so that its mean colour inside mask (n, 1, h, w) is tone, (n, 3, 1, 1)."""
    mean = (face * mask).sum((2, 3), keepdim=True) / (mask.sum((2, 3), keepdim=True) + 1)
    return torch.tensor(tuple(tone), device=face.device)[None, :, None, None] / (mean + 0.03)


def toned(face: Tensor, mask: Tensor, tone: Sequence[float] = TONE) -> Tensor:
    """face with its mean colour inside mask brought to tone, 0..1."""
    return (face * tone_factor(face, mask, tone)).clamp(0, 1)


def _blur(picture: Tensor, kernel: Tensor) -> Tensor:
    """Along both axes, each channel by itself, borders not padded."""
    channels, length = picture.shape[1], len(kernel)
    rows = F.conv2d(picture, kernel.view(1, 1, length, 1).expand(channels, 1, length, 1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, length).expand(channels, 1, 1, length), groups=channels)


def gaussian(sigma: float = 1.5, radius: int = 4) -> Tensor:
    """The usual window of SSIM as one axis, (2 radius + 1,), sum 1."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) at each pixel, mean of the channels, (n, 1, h, w); pictures in 0..1."""
    kernel = gaussian().to(a.device)
    edge = len(kernel) // 2
    a, b = F.pad(a, (edge,) * 4, "replicate"), F.pad(b, (edge,) * 4, "replicate")
    return _similarity(*(_blur(x, kernel) for x in (a, b, a * a + b * b, a * b))).mean(1, keepdim=True)


def dssim(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """(1 - SSIM) / 2 with a box window of 7 pixels, weighted by weight (n, 1, h, w): the cheap one for training."""
    pooled = (F.avg_pool2d(x, 7, 1) for x in (a, b, a * a + b * b, a * b))
    unlike = (1 - _similarity(*pooled).mean(1, keepdim=True)) / 2
    inner = weight[:, :, 3:-3, 3:-3]
    return (unlike * inner).sum() / (inner.sum() + 1e-6)


def _similarity(mean_a: Tensor, mean_b: Tensor, squares: Tensor, product: Tensor) -> Tensor:
    both, sum_of_squares = mean_a * mean_b, mean_a**2 + mean_b**2
    light = (2 * both + 1e-4) / (sum_of_squares + 1e-4)
    return light * (2 * (product - both) + 9e-4) / (squares - sum_of_squares + 9e-4)


def edges(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Mean difference of the slopes of two pictures, weighted: what keeps lashes and lips sharp."""
    difference = a - b
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean(1, keepdim=True) * weight[..., :, 1:]
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean(1, keepdim=True) * weight[..., 1:, :]
    return (across.sum() + down.sum()) / (weight.sum() + 1e-6)
