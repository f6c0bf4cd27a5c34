"""The rulers measure what they say."""

from pathlib import Path

import numpy as np
import pytest

from export.forms import choice, handy
from export.parity import FP16, INT8, Bounds, Likeness, Running, likeness, milliseconds, psnr, reading_agreement, ssim
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


def alike(faces: np.ndarray, masks: np.ndarray = MASK, **r: float) -> Likeness:
    return likeness(faces[None], masks[None], FACE[None], MASK[None], r)


@pytest.mark.parametrize(
    ("sigma", "bounds", "passed"),
    [(0.001, FP16, True), (0.005, FP16, False), (0.005, INT8, True), (0.05, INT8, False)],
)
def test_pictures_agree_within_the_bounds(sigma: float, bounds: Bounds, passed: bool) -> None:
    assert alike(noisy(sigma)).within(bounds) is passed


def test_a_mask_that_is_off_is_out_of_bounds() -> None:
    assert not alike(FACE, MASK * 0.8).within(INT8)


def test_numbers_that_are_none_are_out_of_bounds() -> None:
    assert not alike(FACE * np.nan).within(INT8)
    assert not alike(FACE, blink=np.nan).within(INT8)


def test_an_expression_that_is_lost_is_out_of_bounds_and_named() -> None:
    assert alike(FACE, yaw=0.995, blink=0.991).within(INT8)
    lost = alike(FACE, yaw=0.995, blink=0.985)
    assert not lost.within(INT8)
    assert lost.words.endswith("least r 0.9850 (blink)")


def test_one_black_square_is_out_of_bounds_though_the_mean_hardly_changes() -> None:
    spoilt = FACE.copy()
    spoilt[32:36, 32:36] = 0
    told = alike(spoilt)
    assert told.tile == pytest.approx(FACE[33, 33].mean(), abs=1e-3)
    assert told.mean < 0.01
    assert not told.within(FP16)


def test_the_largest_and_the_mean_difference_count_inside_the_mask() -> None:
    other = FACE.copy()
    other[32, 32, 0] += 0.3
    other[0, 0] = 1
    told = alike(other)
    assert told.largest == pytest.approx(0.3, abs=1e-5)
    assert told.mean == pytest.approx(0.3 / (3 * (MASK > 0.5).sum()), rel=1e-3)


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


@pytest.mark.parametrize(
    ("sizes", "passed", "left"),
    [
        ((17, 11, 4), (True, True, True), [True, False, True]),  # a dense head in fp32, which int8 does as well
        ((17, 11, 4), (True, True, False), [True, True, False]),
        ((21, 5, 5), (True, True, True), [True, True, True]),
        ((21, 5, 4), (True, False, False), [True, False, False]),
        ((21,), (True,), [True]),
    ],
)
def test_int8_forms_that_are_twice_as_large_as_they_must_be_are_left_out(
    sizes: tuple[int, ...], passed: tuple[bool, ...], left: list[bool]
) -> None:
    assert handy(sizes, passed) == left


def test_models_are_run_a_few_items_at_a_time_and_timed(tmp_path: Path) -> None:
    path = write_decoder(tmp_path / "aster.onnx", "aster", size=32)
    codes = np.zeros((37, 8), np.float32)
    assert Running.open(path)(codes)["face"].shape == (37, 32, 32, 3)
    assert all(taken > 0 for taken in milliseconds([path, path], codes[:1], 1, rounds=3))
