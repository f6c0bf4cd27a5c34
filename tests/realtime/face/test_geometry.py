"""The template, similarities, cutting out and putting back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from realtime.face.geometry import (
    MIRROR,
    STEADY,
    Image,
    Matrix,
    align,
    averaged,
    covered,
    crop_matrix,
    invert,
    paste,
    scale_of,
    similarity,
    template,
    to_pixels,
    to_unit,
    transform,
)
from realtime.pool import Scratch


def similar(scale: float, angle: float, x: float, y: float) -> Matrix:
    """Scale, then turn by angle (radians), then shift."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]], np.float32)


def smooth_picture(width: int = 640, height: int = 360) -> Image:
    """A colourful picture without fine detail, so that resampling loses next to nothing."""
    rough = np.random.default_rng(3).integers(0, 256, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def noisy_picture(width: int, height: int) -> Image:
    """A smooth one with a camera's noise."""
    noise = np.random.default_rng(1).normal(0, 6, (height, width, 3))
    return np.clip(smooth_picture(width, height) * 0.8 + 25 + noise, 0, 255).astype(np.uint8)


def psnr(one: Image, other: Image) -> float:
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-9)))


def face_at(x: float, y: float, side: float, angle: float = 0.0) -> Matrix:
    """Frame px to px of a 160 px crop, for a face whose template is side px wide and centred on (x, y)."""
    middle = similar(side, angle, 0, 0)
    middle[:, 2] = np.array([x, y]) - middle[:, :2] @ np.array([0.5, 0.5])
    return crop_matrix(transform(middle, template()), 160)


@settings(deadline=None)
@given(
    some.floats(0.01, 100),
    some.floats(-3.1, 3.1),
    some.floats(-2000, 2000),
    some.floats(-2000, 2000),
    some.integers(0, 2**32 - 1),
    some.integers(2, 68),
)
def test_similarity_recovers_a_known_one(scale: float, angle: float, x: float, y: float, seed: int, count: int) -> None:
    known = similar(scale, angle, x, y)
    source = np.random.default_rng(seed).uniform(0, 100, (count, 2)).astype(np.float32)
    source[0], source[1] = (0, 0), (100, 50)  # never all in one place
    found = similarity(source, transform(known, source))
    assert transform(found, source) == pytest.approx(transform(known, source), abs=0.003 + 1e-4 * scale * 100)


def test_similarity_is_the_best_in_least_squares() -> None:
    random = np.random.default_rng(0)
    source = random.uniform(0, 100, (20, 2)).astype(np.float32)
    target = transform(similar(1.3, 0.4, 5, -9), source) + random.normal(0, 3, (20, 2)).astype(np.float32)
    best = similarity(source, target)
    least = ((transform(best, source) - target) ** 2).sum()
    nudges = ([0.01, 0, 0, 0], [-0.01, 0, 0, 0], [0, 0.01, 0, 0], [0, -0.01, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, -0.5])
    for a, b, x, y in nudges:
        other = best + np.array([[a, -b, x], [b, a, y]], np.float32)
        assert ((transform(other, source) - target) ** 2).sum() > least


def test_similarity_never_mirrors() -> None:
    source = template()
    mirrored = source * np.array([-1, 1], np.float32)
    assert np.linalg.det(similarity(source, mirrored)[:, :2]) > 0


def test_similarity_of_coincident_points_raises() -> None:
    with pytest.raises(ValueError, match="all 5 lie on"):
        similarity(np.full((5, 2), 7, np.float32), np.zeros((5, 2), np.float32))


@given(some.integers(1, 4096), some.integers(0, 2**32 - 1))
def test_units_and_pixels_of_a_crop_undo_each_other(size: int, seed: int) -> None:
    unit = np.random.default_rng(seed).uniform(-1, 2, (10, 2)).astype(np.float32)
    assert to_unit(to_pixels(unit, size), size) == pytest.approx(unit, abs=1e-5)


def test_an_inverse_undoes_a_map() -> None:
    matrix = similar(0.2, 2.0, 300, -40)
    points = np.random.default_rng(0).uniform(0, 1000, (30, 2)).astype(np.float32)
    assert transform(invert(matrix), transform(matrix, points)) == pytest.approx(points, abs=0.01)
    assert scale_of(matrix) == pytest.approx(0.2)


def test_the_mirror_table_pairs_the_template_with_its_mirror_image() -> None:
    points = template()
    mirrored = (points * np.array([-1, 1]) + np.array([1, 0]))[list(MIRROR)]
    assert mirrored == pytest.approx(points, abs=2e-4)
    assert [MIRROR[MIRROR[index]] for index in range(68)] == list(range(68))


def test_steady_points_stay_steady_when_mirrored() -> None:
    assert sorted(MIRROR[index] for index in STEADY) == sorted(STEADY)


@pytest.mark.parametrize("coverage", [1.0, 1.25, 2.0])
@pytest.mark.parametrize("size", [64, 160, 224])
def test_a_crop_shows_the_template_where_it_belongs(size: int, coverage: float) -> None:
    landmarks = transform(similar(200, 0.3, 120, 80), template())
    seen = to_unit(transform(crop_matrix(landmarks, size, coverage), landmarks), size)
    assert (seen - 0.5) * coverage + 0.5 == pytest.approx(template(), abs=1e-4)


def test_a_crop_of_the_frame_itself_is_the_frame() -> None:
    image = smooth_picture(160, 160)
    assert np.array_equal(align(image, np.eye(2, 3, dtype=np.float32), 160), image)


@pytest.mark.parametrize(
    ("side", "angle", "least"),
    [(160, 0.0, 45), (160, 0.5, 40), (120, -1.2, 40), (240, 2.8, 38), (300, 0.2, 36)],
)
def test_pasting_an_aligned_crop_gives_the_picture_back(side: float, angle: float, least: float) -> None:
    image = smooth_picture()
    matrix = face_at(320.3, 180.7, side, angle)
    crop = align(image, matrix, 160).astype(np.float32)
    back = paste(image, crop, np.ones((160, 160), np.float32), matrix)
    x0, y0, x1, y1 = covered(matrix, 160, 640, 360)
    assert psnr(back[y0:y1, x0:x1], image[y0:y1, x0:x1]) > least
    outside = np.ones(image.shape[:2], bool)
    outside[y0:y1, x0:x1] = False
    assert np.array_equal(back[outside], image[outside])


def test_a_face_much_larger_than_its_crop_is_sampled_by_area_and_comes_back() -> None:
    image = smooth_picture(1920, 1080)
    matrix = face_at(960, 540, 900, 0.3)
    assert scale_of(matrix) < 0.2
    crop = align(image, matrix, 160).astype(np.float32)
    back = paste(image, crop, np.ones((160, 160), np.float32), matrix)
    x0, y0, x1, y1 = covered(matrix, 160, 1920, 1080)
    assert psnr(back[y0:y1, x0:x1], image[y0:y1, x0:x1]) > 34


def test_thin_lines_do_not_alias_in_a_small_crop() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255  # grey from afar
    crop = align(stripes, face_at(400, 400, 640), 160)
    assert crop[8:-8, 8:-8].astype(float).std() < 20
    assert crop.mean() == pytest.approx(127.5, abs=4)


@pytest.mark.parametrize("side", [330, 430, 630, 650, 900, 1270, 1290])
def test_a_pixel_of_a_large_faces_crop_is_the_average_of_what_it_covers(side: float) -> None:
    image = noisy_picture(1920, 1080)
    matrix = face_at(960, 540, side, 0.2)
    finer = 8 * matrix
    finer[:, 2] += 3.5
    covered_by = cv2.warpAffine(image, finer, (1280, 1280), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    average = cv2.resize(covered_by, (160, 160), interpolation=cv2.INTER_AREA)
    assert psnr(align(image, matrix, 160), np.asarray(average, np.uint8)) > 31.5
    cells = averaged(matrix, 160, 1920, 1080)
    assert cells is not None
    assert (cells.wide, cells.high) == pytest.approx((side / 320, side / 320), rel=0.02)


def test_a_crop_in_given_memory_is_the_one_in_new_memory() -> None:
    image, scratch, out = noisy_picture(640, 360), Scratch(), np.empty((160, 160, 3), np.uint8)
    for side in (100, 900, 350, 700):
        matrix = face_at(300, 200, side, 0.4)
        assert align(image, matrix, 160, out, scratch) is out
        assert np.array_equal(out, align(image, matrix, 160))


@pytest.mark.parametrize("side", [320, 640, 1280])
def test_a_crop_changes_little_where_the_way_to_average_changes(side: float) -> None:
    image = noisy_picture(1920, 1080)
    below, above = (align(image, face_at(960, 540, side * by), 160) for by in (0.9999, 1.0001))
    assert psnr(below, above) > 41


@pytest.mark.parametrize("side", [3.0, 9.0, 40.0])
def test_a_face_much_smaller_than_its_crop_touches_only_its_place(side: float) -> None:
    image = smooth_picture()
    matrix = face_at(100, 100, side)
    red = np.full((160, 160, 3), (0, 0, 255), np.float32)
    back = paste(image, red, np.ones((160, 160), np.float32), matrix)
    changed = np.argwhere((back != image).any(2))
    assert len(changed)
    assert np.abs(changed - 100).max() <= side / 2 + 2


@pytest.mark.parametrize(("x", "y"), [(0, 0), (639, 180), (320, 359), (-60, 180), (690, 400)])
def test_a_crop_that_reaches_beyond_the_frame_comes_back_too(x: float, y: float) -> None:
    image = smooth_picture()
    matrix = face_at(x, y, 200, 0.2)
    crop = align(image, matrix, 160)
    assert crop.shape == (160, 160, 3)
    back = paste(image, crop.astype(np.float32), np.ones((160, 160), np.float32), matrix)
    assert back.shape == image.shape
    assert psnr(back, image) > 40


@pytest.mark.parametrize("side", [100.0, 900.0])
def test_a_face_outside_the_frame_changes_nothing(side: float) -> None:
    image = smooth_picture()
    matrix = face_at(-3000, 180, side)
    assert align(image, matrix, 160).shape == (160, 160, 3)
    back = paste(image, np.zeros((160, 160, 3), np.float32), np.ones((160, 160), np.float32), matrix)
    assert np.array_equal(back, image)
    assert back is not image


def test_pasting_leaves_the_frame_alone_and_blends_by_the_mask() -> None:
    image = np.full((200, 200, 3), 100, np.uint8)
    image.flags.writeable = False
    half = np.full((160, 160), 0.5, np.float32)
    back = paste(image, np.full((160, 160, 3), 200, np.float32), half, face_at(100, 100, 100))
    assert back[100, 100].tolist() == [150, 150, 150]
    assert back[5, 5].tolist() == [100, 100, 100]
