"""The rulers measure what they say."""

from pathlib import Path

import numpy as np
import pytest

from export.__main__ import choice
from export.parity import Running, milliseconds, picture_agreement, psnr, reading_agreement, ssim
from tests.models import drawn_face, write_decoder

FACE, MASK = drawn_face((90, 120, 200), 64)


def noisy(sigma: float) -> np.ndarray:
    return (FACE + np.random.default_rng(0).normal(0, sigma, FACE.shape)).astype(np.float32)


def test_psnr_of_known_noise() -> None:
    assert psnr(noisy(0.01)[None], FACE[None], MASK[None]) == pytest.approx(40, abs=0.2)
    assert psnr(FACE[None], FACE[None], MASK[None]) == float("inf")


def test_only_what_is_inside_the_mask_counts() -> None:
    other = FACE.copy()
    other[MASK <= 0.5] = 0
    assert psnr(other[None], FACE[None], MASK[None]) == float("inf")


def test_ssim_is_1_for_equal_pictures_and_falls_with_noise() -> None:
    assert ssim(FACE, FACE, MASK) == pytest.approx(1, abs=1e-5)
    assert 1 > ssim(noisy(0.02), FACE, MASK) > ssim(noisy(0.1), FACE, MASK)


@pytest.mark.parametrize(("sigma", "passed"), [(0.001, True), (0.05, False)])
def test_pictures_agree_within_the_bound(sigma: float, passed: bool) -> None:
    assert picture_agreement(noisy(sigma)[None], MASK[None], FACE[None], MASK[None]).passed is passed


def test_a_mask_that_is_off_is_out_of_bounds() -> None:
    assert not picture_agreement(FACE[None], MASK[None] * 0.8, FACE[None], MASK[None]).passed


def test_numbers_that_are_none_are_out_of_bounds() -> None:
    assert not picture_agreement(FACE[None] * np.nan, MASK[None], FACE[None], MASK[None]).passed


@pytest.mark.parametrize(("off", "passed"), [(0.1, True), (0.5, False)])
def test_points_agree_within_a_quarter_of_a_pixel(off: float, passed: bool) -> None:
    points = np.random.default_rng(0).uniform(0, 1, (3, 70, 2)).astype(np.float32)
    rest = {"blend": np.zeros((3, 10), np.float32), "presence": np.ones(3, np.float32)}
    moved = points + np.array([off / 160, 0], np.float32)
    assert reading_agreement({"points": moved, **rest}, {"points": points, **rest}, 160).passed is passed


def test_blend_weights_must_agree_too() -> None:
    rest = {"points": np.zeros((3, 70, 2), np.float32), "presence": np.ones(3, np.float32)}
    weights = np.zeros((3, 10), np.float32)
    assert not reading_agreement({"blend": weights + 0.1, **rest}, {"blend": weights, **rest}, 160).passed


@pytest.mark.parametrize(
    ("times", "passed", "kept"),
    [
        ((6, 3, 3), (True, True, True), 1),  # as fast: the more exact one
        ((6, 3, 2), (True, True, True), 2),  # clearly faster
        ((6, 3, 2), (True, True, False), 1),  # out of bounds
        ((6, 3, 2), (True, False, False), 0),
        ((6, 5.8, 7), (True, True, True), 0),  # not worth it
    ],
)
def test_the_choice_between_forms(times: tuple[float, ...], passed: tuple[bool, ...], kept: int) -> None:
    assert choice(times, passed) == kept


def test_models_are_run_a_few_items_at_a_time_and_timed(tmp_path: Path) -> None:
    path = write_decoder(tmp_path / "aster.onnx", "aster", size=32)
    codes = np.zeros((37, 8), np.float32)
    assert Running.open(path)(codes)["face"].shape == (37, 32, 32, 3)
    assert all(taken > 0 for taken in milliseconds([path, path], codes[:1], 1, rounds=3))
