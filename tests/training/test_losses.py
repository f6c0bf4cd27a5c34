"""Losses are nothing where there is nothing to learn, and grow with what is wrong."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from training.layers import Trunk
from training.losses import (
    TONE,
    WINDOW,
    Features,
    auxiliary_loss,
    blend_loss,
    dssim,
    focus,
    point_weights,
    points_loss,
    ssim,
    toned,
    wing,
)
from training.model import template_points


def test_similarity_is_what_scikit_image_says() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((40, 40)).astype(np.float32)
    b = (0.7 * a + 0.3 * rng.random((40, 40))).astype(np.float32)
    # truncate=8/3 gives the same nine pixels; its covariance is the biased one with use_sample_covariance off.
    _, theirs = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, data_range=1.0, gaussian_weights=True, use_sample_covariance=False, truncate=8 / 3, full=True
    )
    ours = ssim(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None])[0, 0].numpy()
    edge = WINDOW // 2
    np.testing.assert_allclose(ours, theirs[edge:-edge, edge:-edge], atol=2e-3)


def test_dissimilarity_is_zero_for_the_same_and_weighs_where_it_is_told() -> None:
    a = torch.rand(2, 3, 32, 32)
    b = a.clone()
    b[:, :, :, 16:] = torch.rand(2, 3, 32, 16)
    left, right = torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32)
    left[..., :10], right[..., 22:] = 1, 1
    assert float(dssim(a, a, torch.ones(2, 1, 32, 32))) == pytest.approx(0, abs=1e-5)
    assert float(dssim(a, b, left)) == pytest.approx(0, abs=1e-5)
    assert float(dssim(a, b, right)) > 0.2


def test_tone_brings_the_mean_inside_the_mask_to_the_constant() -> None:
    face = torch.rand(2, 3, 64, 64) * 0.3 + 0.1
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    mean = (toned(face, mask) * mask).sum((2, 3)) / mask.sum((2, 3))
    assert float((mean - torch.tensor(TONE)).abs().max()) < 0.08


def test_small_errors_keep_a_strong_gradient() -> None:
    difference = torch.tensor([0.0, 0.001, 0.03, 0.3], requires_grad=True)
    values = wing(difference)
    values.sum().backward()  # type: ignore[no-untyped-call]
    values = values.detach()
    gradient = difference.grad
    assert gradient is not None
    assert float(values[0]) == 0
    assert bool((values[1:] > values[:-1]).all())
    assert float(gradient[1]) > 3 * float(gradient[3])


def test_points_cost_by_their_weight_and_nothing_where_they_are_right() -> None:
    truth = template_points(1.0)[None]
    assert float(points_loss(truth, truth, point_weights())) == 0
    jaw, iris = truth.clone(), truth.clone()
    jaw[0, 3] += 0.02
    iris[0, 68] += 0.02
    assert float(points_loss(iris, truth, point_weights())) > 3 * float(points_loss(jaw, truth, point_weights()))


def test_the_gaze_of_a_shut_eye_hardly_counts() -> None:
    opened, shut = torch.zeros(1, 10), torch.zeros(1, 10)
    shut[0, 0] = 1
    wrong = torch.zeros(1, 10)
    wrong[0, 6] = 0.5
    assert float(blend_loss(shut + wrong, shut)) < 0.2 * float(blend_loss(opened + wrong, opened))


def test_focus_is_on_eyes_and_mouth() -> None:
    points = template_points(1.0)[None]
    weight = focus(points, 100)[0, 0]
    eye, mouth = (points[0, part].mean(0) * 100 for part in (slice(36, 42), slice(48, 68)))
    assert float(weight[int(eye[1]), int(eye[0])]) > 3.5
    assert float(weight[int(mouth[1]), int(mouth[0])]) > 2.5
    assert float(weight[2, 2]) < 1.05


def test_the_auxiliary_loss_sees_points_and_blend() -> None:
    points, blend = template_points(1.0)[None], torch.zeros(1, 10)
    assert float(auxiliary_loss(points, blend, points, blend)) == 0
    assert float(auxiliary_loss(points + 0.01, blend, points, blend)) > 0.01
    assert float(auxiliary_loss(points, blend + 0.1, points, blend)) > 0.01


def test_features_tell_a_blurred_picture_from_a_sharp_one_and_not_outside_the_weight() -> None:
    torch.manual_seed(0)
    eyes = Features(Trunk("relu", normalised=False))
    sharp = torch.rand(2, 3, 32, 32)
    blurred = F.avg_pool2d(sharp, 3, 1, 1)
    everywhere = torch.ones(2, 1, 32, 32)
    assert float(eyes(sharp, sharp, everywhere)) == 0
    assert float(eyes(blurred, sharp, everywhere)) > 0.2
    half = everywhere.clone()
    half[..., 14:] = 0
    changed = sharp.clone()
    changed[..., 30:] = 0  # further from the weighted half than the layers see
    assert float(eyes(changed, sharp, half)) == 0


def test_features_learn_the_picture_and_never_their_own_weights() -> None:
    torch.manual_seed(0)
    eyes = Features(Trunk("relu", normalised=False))
    drawn = torch.rand(1, 3, 32, 32, requires_grad=True)
    eyes(drawn, torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).backward()
    assert drawn.grad is not None
    assert float(drawn.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in eyes.parameters())
