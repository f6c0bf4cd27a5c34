"""Jitter moves pixels and points alike, mirrors know left from right, and cameras stay pictures."""

import cv2
import numpy as np
import pytest

from realtime.face.geometry import template, transform
from training.augment import (
    MIRROR_POINTS,
    Jitter,
    Webcam,
    elastic,
    jittered,
    mirrored_blend,
    mirrored_points,
    patch,
    recrop,
    texture,
    warp,
)
from training.model import template_points


def dot(x: int, y: int, size: int = 200) -> np.ndarray:
    image = np.zeros((size, size, 3), np.uint8)
    cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    return image


def centre_of(image: np.ndarray) -> np.ndarray:
    weights = image[..., 0].astype(float)
    ys, xs = np.indices(weights.shape)
    moments: np.ndarray = np.array([(xs * weights).sum(), (ys * weights).sum()])
    return np.asarray(moments / weights.sum())


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_go_where_pixels_go(mirrored: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        matrix = recrop(jittered(rng, Jitter(0.2, 20, 0.05)), 200, 160, 1.0, mirrored)
        seen = centre_of(warp(dot(120, 90), matrix, 160))
        told = transform(matrix, np.array([[120, 90]], np.float32))[0]
        assert np.abs(seen - told).max() < 0.3


def test_the_template_crop_lies_where_coverage_says() -> None:
    matrix = recrop(np.eye(3), 200, 128, 1 / 1.25)
    wide = (template() - 0.5) / 1.25 + 0.5
    np.testing.assert_allclose(transform(matrix, wide * 200 - 0.5), template() * 128 - 0.5, atol=1e-3)


def test_an_elastic_warp_of_nothing_is_the_plain_warp() -> None:
    rng = np.random.default_rng(0)
    image = texture(200, rng)
    matrix = recrop(jittered(rng, Jitter(0.1, 10, 0.05)), 200, 128, 0.8)
    difference = elastic(image, matrix, 128, rng, 1e-9).astype(int) - warp(image, matrix, 128)
    assert np.abs(difference).mean() < 1


def test_an_elastic_warp_moves_things_a_little() -> None:
    rng = np.random.default_rng(0)
    matrix = recrop(np.eye(3), 200, 200, 1.0)
    moved = [centre_of(elastic(dot(100, 100), matrix, 200, rng, 0.02)) - 100 for _ in range(20)]
    assert 1 < float(np.std(moved)) < 10


def test_mirroring_twice_changes_nothing_and_the_template_is_its_own_mirror() -> None:
    points = template_points(1.0).numpy()
    assert sorted(MIRROR_POINTS) == list(range(70))
    np.testing.assert_array_equal(mirrored_points(mirrored_points(points)), points)
    np.testing.assert_allclose(mirrored_points(points * [-1, 1] + [1, 0]), points, atol=2e-3)


def test_a_mirrored_wink_is_the_other_eye_and_the_gaze_goes_the_other_way() -> None:
    blend = np.array([1, 0, 0.3, 0.4, 0.5, 0.6, 0.2, 0.1, 0.25, 0.15], np.float32)
    mirrored = mirrored_blend(blend)
    np.testing.assert_allclose(mirrored, [0, 1, 0.3, 0.4, 0.5, 0.6, -0.25, 0.15, -0.2, 0.1])
    np.testing.assert_array_equal(mirrored_blend(mirrored), blend)


def test_a_patch_is_marked_where_it_covers_and_leaves_the_original_alone() -> None:
    rng = np.random.default_rng(3)
    image, nothing = np.full((100, 100, 3), 77, np.uint8), np.zeros((100, 100), np.uint8)
    for _ in range(10):
        drawn, occluded = patch(image, nothing, rng)
        assert (drawn[occluded == 0] == 77).all()
    assert (image == 77).all()
    assert (nothing == 0).all()


def test_a_webcam_is_bad_in_many_ways_but_the_same_for_the_same_seed() -> None:
    webcam, image = Webcam(0), texture(128, np.random.default_rng(0))
    seen = [webcam(image, np.random.default_rng(k)) for k in range(60)]
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in seen)
    assert len({one.tobytes() for one in seen}) == 60
    assert seen[7].tobytes() == webcam(image, np.random.default_rng(7)).tobytes()
    alike = [np.corrcoef(one.ravel(), image.ravel())[0, 1] for one in seen]
    assert float(np.median(alike)) > 0.8
