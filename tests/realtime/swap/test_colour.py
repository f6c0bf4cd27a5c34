"""The drawn face takes the scene's light and skin, within limits."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.face.geometry import Image
from realtime.swap.colour import SAMPLE, colour_map, compare, skin_of
from tests.models import drawn_face

Colour = tuple[int, int, int]


def face(colour: Colour, features: bool = True) -> tuple[Image, Image]:
    """A drawn face of SAMPLE px and its weight."""
    image, mask = drawn_face(colour, SAMPLE, features)
    return (image * 255).round().astype(np.uint8), np.where(mask > 0.5, 255, 0).astype(np.uint8)


def plain(colour: Colour) -> Image:
    return np.full((SAMPLE, SAMPLE, 3), colour, np.uint8)


def matched(drawn: Image, weight: Image, scene: Image) -> NDArray[np.float32]:
    difference, _ = compare(skin_of(drawn, weight), scene, weight)
    assert difference is not None
    return np.asarray(cv2.transform(drawn.astype(np.float32), colour_map(skin_of(drawn, weight), difference)))


CHEEK, MOUTH = (28, 18), (33, 24)  # row, column


@pytest.mark.parametrize("scene", [(90, 110, 160), (60, 70, 110), (150, 170, 215), (40, 45, 60)])
def test_the_skin_becomes_the_scenes(scene: Colour) -> None:
    out = matched(*face((150, 130, 110)), plain(scene))
    assert out[CHEEK] == pytest.approx(scene, abs=4)


def test_a_beard_in_the_scene_does_not_darken_the_skin() -> None:
    drawn, weight = face((120, 130, 140))
    bearded = plain((90, 110, 160))
    bearded[34:] = (30, 30, 35)
    assert matched(drawn, weight, bearded)[CHEEK] == pytest.approx((90, 110, 160), abs=5)


@pytest.mark.parametrize("light", [(20, 20, 20), (235, 235, 235), (40, 60, 220), (0, 0, 0), (255, 255, 255)])
def test_in_extreme_light_colours_stay_finite_and_the_features_stay_visible(light: Colour) -> None:
    out = matched(*face((120, 130, 140)), plain(light))
    assert np.isfinite(out).all()
    assert (out[CHEEK] > out[MOUTH]).all()


def test_a_black_face_region_does_not_turn_the_identity_black() -> None:
    assert matched(*face((120, 130, 140)), plain((0, 0, 0)))[CHEEK].min() > 10


def test_saturated_colours_do_not_turn_grey() -> None:
    """A flat scene asks for no contrast at all; the identity's red lips keep most of their colour."""
    drawn, weight = face((120, 130, 140), features=False)
    drawn[32:35, 20:29] = (51, 51, 191)
    out = matched(drawn, weight, plain((120, 130, 140)))
    assert np.ptp(out[33, 24]) > 0.7 * np.ptp(drawn[33, 24].astype(float))


def test_in_a_grey_scene_the_face_is_grey() -> None:
    drawn, weight = face((90, 120, 170))
    ramp = np.linspace(60, 190, SAMPLE, dtype=np.uint8)[:, None, None].repeat(SAMPLE, axis=1).repeat(3, axis=2)
    assert np.ptp(drawn.astype(int), axis=2).max() > 60
    assert np.ptp(matched(drawn, weight, ramp), axis=2).max() < 1


def test_a_dark_skinned_scene_makes_a_dark_skinned_face_whose_eyes_stay_darker() -> None:
    out = matched(*face((120, 140, 200)), plain((35, 45, 75)))
    assert out[CHEEK] == pytest.approx((35, 45, 75), abs=3)
    assert out[MOUTH].max() < 35


def test_where_nothing_of_the_face_shows_nothing_is_said() -> None:
    drawn, weight = face((120, 130, 140))
    nothing = np.zeros_like(weight)
    assert compare(skin_of(drawn, nothing), plain((90, 90, 90)), nothing) == (None, 0.0)


def test_a_face_that_hardly_shows_is_trusted_less() -> None:
    drawn, weight = face((120, 130, 140))
    sliver = np.zeros_like(weight)
    sliver[20:24, 20:30] = 255
    assert compare(skin_of(drawn, weight), plain((90, 90, 90)), weight)[1] == 1.0
    assert 0 < compare(skin_of(drawn, sliver), plain((90, 90, 90)), sliver)[1] < 0.25
