"""The closer look sees what is there: turned, moved and mirrored as the face is."""

import math

import pytest
import torch
from torch import Tensor

from training.closer import Around, FixedEyes, FoundEyes, axes_of, sampled
from training.model import template_points


def turned(points: Tensor, degrees: float, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """points (n, 2) turned about (0.5, 0.5), and by which matrix."""
    angle = math.radians(degrees)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    matrix = torch.tensor([[cosine, -sine], [sine, cosine]])
    return (points - 0.5) @ matrix.T + 0.5, matrix


@pytest.mark.parametrize("degrees", [-70.0, 0.0, 25.0])
def test_axes_are_the_turn_and_the_size_of_the_face(degrees: float) -> None:
    points, matrix = turned(template_points(1.0), degrees, 0.8)
    torch.testing.assert_close(axes_of(points[None])[0], matrix, atol=1e-5, rtol=0)


def test_samples_are_taken_at_unit_coordinates() -> None:
    ramp = ((torch.arange(40) + 0.5) / 40).expand(1, 1, 40, 40)  # at x it shows x
    seen = sampled(ramp, torch.tensor([[[[0.25, 0.1], [0.75, 0.9]]]]))
    torch.testing.assert_close(seen[0, 0, 0], torch.tensor([0.25, 0.75]), atol=1e-5, rtol=0)


def test_an_eye_shows_the_same_however_the_head_is_tilted() -> None:
    """A picture that is a smooth function of place, and the same one turned with its points."""
    torch.manual_seed(0)
    size = 256
    across = (torch.arange(size) + 0.5) / size
    places = torch.stack(torch.meshgrid(across, across, indexing="xy"), 2)

    def picture(where: Tensor) -> Tensor:
        x, y = where[..., 0], where[..., 1]
        return torch.stack([torch.sin(17 * x), torch.cos(23 * y), torch.sin(11 * (x + y))])[None]

    points = template_points(1.25)
    tilted, matrix = turned(points, 30)
    back = (places - 0.5) @ torch.linalg.inv(matrix).T + 0.5
    eyes = FoundEyes(16, "relu").eval()
    straight = eyes(picture(places), points[None], axes_of(points[None]))
    aslant = eyes(picture(back), tilted[None], axes_of(tilted[None]))
    torch.testing.assert_close(aslant, straight, atol=0.02, rtol=0.02)


def test_the_right_eye_is_looked_at_in_the_mirror() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 96, 96)
    centres = template_points(1.0)[68:].tolist()
    eyes = FixedEyes(96, centres, 8, "relu").eval()
    left, right = eyes(picture).chunk(2, 1)
    mirrored_left, mirrored_right = eyes(picture.flip(3)).chunk(2, 1)
    torch.testing.assert_close(mirrored_left, right)
    torch.testing.assert_close(mirrored_right, left)


def test_each_point_has_weights_of_its_own_and_sees_its_own_surroundings() -> None:
    torch.manual_seed(0)
    around = Around(4, 70, 3, 2, "leaky").eval()
    features, points = torch.rand(1, 4, 48, 48), template_points(1.25)[None]
    before = around(features, points, axes_of(points)).view(70, 2)
    features[:, :, :10] += 1  # above the brows, where no point has samples
    untouched = around(features, points, axes_of(points)).view(70, 2)
    torch.testing.assert_close(untouched, before)
    features[:, :, 38:] += 1  # round the chin
    after = around(features, points, axes_of(points)).view(70, 2)
    changed = (after - before).abs().sum(1) > 1e-6
    assert changed[8]
    assert not changed[36:48].any()
