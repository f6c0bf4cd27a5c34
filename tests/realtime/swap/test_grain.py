"""Noise and softness of the camera are measured, and given to the face."""

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.face.geometry import Image
from realtime.swap.grain import BLUR_SAMPLE, ROWS, Grain, noise_of, softened, softening
from realtime.swap.views import crop_of
from tests.models import drawn_face
from tests.realtime.swap.helpers import face_at

FACE = face_at(200, 180, 300)
SHOWN = np.full((160, 160), 255, np.uint8)


def measured(image: Image, shown: Image = SHOWN) -> NDArray[np.float64] | None:
    return noise_of(image, FACE.to_template, shown, crop_of(FACE, 160))


def noisy(level: float, deviation: float, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(0, deviation, (360, 400, 1))
    return np.clip(np.full((360, 400, 3), level) + noise + 0.5, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deviation", [1.0, 2.5, 6.0, 10.0])
def test_white_noise_is_measured(deviation: float) -> None:
    found = measured(noisy(130, deviation))
    assert found is not None
    assert found[0] == pytest.approx(deviation, rel=0.15)
    assert found[1] == pytest.approx(deviation / 2, rel=0.3)


def test_edges_and_slopes_are_no_noise() -> None:
    ramp = np.linspace(60, 200, 400)[None, :, None].repeat(360, 0).repeat(3, 2).astype(np.uint8)
    ramp[::24] = 40
    found = measured(ramp)
    assert found is not None
    assert found[0] < 0.5


def test_one_hairy_patch_among_bare_skin_is_no_noise() -> None:
    image = noisy(130, 2.0)
    image[240:] = noisy(90, 25.0)[240:]  # the chin
    found = measured(image)
    assert found is not None
    assert found[0] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("level", [0, 255])
def test_where_the_picture_is_clipped_nothing_is_known_of_noise(level: int) -> None:
    assert measured(np.full((360, 400, 3), level, np.uint8)) is None


def test_where_the_face_is_covered_or_out_of_view_nothing_is_known_of_noise() -> None:
    assert measured(noisy(130, 3), np.zeros_like(SHOWN)) is None
    away = face_at(-900, 180, 300)
    assert noise_of(noisy(130, 3), away.to_template, SHOWN, crop_of(away, 160)) is None


@pytest.mark.parametrize("wanted", [(2.0, 1.0), (4.0, 2.0), (1.0, 1.5), (0.5, 2.0), (3.0, 0.2)])
def test_the_grain_that_is_added_measures_as_the_cameras(wanted: tuple[float, float]) -> None:
    grain = Grain()
    amounts = grain.amounts(np.array(wanted))
    image = np.full((360, 400, 3), 130, np.uint8)
    for top in range(0, 360, ROWS):
        image[top : top + ROWS] = grain.onto(image[top : top + ROWS], amounts, 0, top)
    found = measured(image)
    assert found is not None
    assert found[0] == pytest.approx(wanted[0], rel=0.35, abs=0.3)
    assert found[1] > 0.4 * min(
        wanted
    )  # white noise has half its deviation at half the resolution, and cannot have less


def test_grain_is_fresh_in_every_frame_and_the_same_when_repeated() -> None:
    plain = np.full((ROWS, 300, 3), 130, np.uint8)
    one, other = (Grain().onto(plain, (4.0, 2.0), frame, 7) for frame in (5, 6))
    assert np.array_equal(one, Grain().onto(plain, (4.0, 2.0), 5, 7))
    alike = np.corrcoef(one[..., 0].ravel(), other[..., 0].ravel())[0, 1]
    assert abs(alike) < 0.05


def test_frames_next_to_each_other_never_show_the_same_noise_shifted_a_little() -> None:
    plain = np.full((64, 64, 3), 130, np.uint8)
    grain = Grain()
    shown = [grain.onto(plain, (6.0, 0.0), frame, 1)[..., 0].copy() for frame in range(30)]
    found = [
        float(cv2.matchTemplate(a, b[16:48, 16:48], cv2.TM_CCOEFF_NORMED).max()) for a, b in itertools.pairwise(shown)
    ]
    assert max(found) < 0.5


def test_grain_is_grey_and_as_bright_as_the_face() -> None:
    plain = np.full((ROWS, 1500, 3), 130, np.uint8)  # wider than the bank
    out = Grain().onto(plain, (6.0, 3.0), 0, 0).astype(int)
    assert np.ptp(out, axis=2).max() == 0
    assert out.mean() == pytest.approx(130, abs=0.5)
    assert out.std() == pytest.approx(np.hypot(6, 3), rel=0.1)


def test_a_silent_camera_adds_nothing() -> None:
    plain = np.full((20, 30, 3), 130, np.uint8)
    assert np.array_equal(Grain().onto(plain, Grain().amounts(np.zeros(2)), 0, 0), plain)
    assert Grain().amounts(None) == (0, 0)


def picture(blur: float) -> Image:
    image, _ = drawn_face((120, 130, 140), 4 * BLUR_SAMPLE)
    grey = cv2.cvtColor((image * 255).astype(np.uint8), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(cv2.GaussianBlur(grey, (0, 0), 4 * blur), (BLUR_SAMPLE, BLUR_SAMPLE)), np.uint8)


WEIGHT = np.zeros((BLUR_SAMPLE, BLUR_SAMPLE), np.uint8)
WEIGHT[20:80, 20:76] = 255


@pytest.mark.parametrize(("camera", "drawn"), [(2.0, 1.0), (1.5, 0.7), (2.5, 1.5)])
def test_a_camera_that_is_softer_than_the_drawn_face_is_noticed(camera: float, drawn: float) -> None:
    found = softening(picture(camera), picture(drawn), WEIGHT, 0.5)
    assert found is not None
    assert found[0] * BLUR_SAMPLE == pytest.approx(np.sqrt(camera**2 - drawn**2), rel=0.35)


def test_noise_does_not_pass_for_sharpness() -> None:
    noise = np.random.default_rng(0).normal(0, 4, (BLUR_SAMPLE, BLUR_SAMPLE))
    seen = np.clip(picture(2.0) + noise, 0, 255).astype(np.uint8)
    found = softening(seen, picture(1.0), WEIGHT, 0.5)
    assert found is not None
    assert found[0] * BLUR_SAMPLE == pytest.approx(np.sqrt(3), rel=0.35)


def test_a_sharp_camera_never_sharpens_the_face() -> None:
    found = softening(picture(0.7), picture(1.5), WEIGHT, 0.5)
    assert found is not None
    assert found[0] == 0
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    assert softened(image, float(found[0])) is image


def test_a_small_sharp_face_is_not_taken_for_a_soft_one() -> None:
    """Drawn into 36 px of a frame and read back, a face is soft because the frame has so few pixels."""
    sharp = picture(0.5)
    scale = BLUR_SAMPLE / 36
    few = cv2.resize(sharp, (36, 36), interpolation=cv2.INTER_AREA)
    seen = cv2.resize(few, (BLUR_SAMPLE, BLUR_SAMPLE), interpolation=cv2.INTER_LINEAR)
    found = softening(seen, sharp, WEIGHT, scale)
    assert found is not None
    assert found[0] * BLUR_SAMPLE < 0.6 * scale


def test_flat_pictures_have_no_blur_to_be_told() -> None:
    flat = np.full((BLUR_SAMPLE, BLUR_SAMPLE), 128, np.uint8)
    assert softening(flat, picture(1.0), WEIGHT, 1.0) is None
    assert softening(picture(1.0), picture(1.0), np.zeros_like(WEIGHT), 1.0) is None


def test_softening_takes_detail_and_leaves_brightness() -> None:
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3)).astype(np.uint8)
    out = softened(image, 0.02)
    assert out.std() < 0.3 * image.std()
    assert out.mean() == pytest.approx(image.mean(), abs=1)
