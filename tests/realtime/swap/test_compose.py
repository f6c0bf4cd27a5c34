"""Swapped faces land in their place, in the scene's light, and nowhere else."""

import numpy as np
import pytest

from realtime.face.face import Face
from realtime.face.geometry import Image, covered, invert, to_pixels, transform
from realtime.swap.compose import Composer, Swapped, SwappedFace, compose, match_colour, soft_mask
from realtime.swap.swapper import crop_of
from tests.models import drawn_face
from tests.realtime.swap.helpers import face_at, frame_of, scene

SIZE = 160


def swapped_face(
    face: Face, colour: tuple[float, float, float] = (120, 130, 140), features: bool = True
) -> SwappedFace:
    image, mask = drawn_face(colour, SIZE, features)
    return SwappedFace(face, "aster", image * np.float32(255), mask, crop_of(face, SIZE))


def into(image: Image, *faces: SwappedFace) -> Image:
    return compose(Swapped(frame_of(image), faces)).image


@pytest.mark.parametrize("side", [40, 120, 400])
@pytest.mark.parametrize("degrees", [0, 35])
def test_outside_the_faces_rectangle_nothing_changes(side: int, degrees: int) -> None:
    image = scene(640, 480)
    face = face_at(330, 235, side, degrees=degrees)
    out = into(image, swapped_face(face))
    x0, y0, x1, y1 = covered(crop_of(face, SIZE), SIZE, 640, 480)
    inside = np.zeros((480, 640), bool)
    inside[y0:y1, x0:x1] = True
    changed = (out != image).any(2)
    assert not changed[~inside].any()
    assert changed[inside].mean() > 0.2


def test_the_frame_that_came_in_stays_as_it_was() -> None:
    image = scene()
    image.setflags(write=False)
    before = image.copy()
    frame = frame_of(image, 7)
    out = compose(Swapped(frame, (swapped_face(face_at(160, 120, 120)),)))
    assert np.array_equal(image, before)
    assert (out.index, out.captured_at) == (7, 1.0)
    assert not np.shares_memory(out.image, image)


def test_the_identitys_eyes_and_mouth_appear_where_the_face_has_them() -> None:
    face = face_at(160, 120, 180, degrees=-15)
    out = into(scene(), swapped_face(face)).astype(int)
    in_crop = to_pixels(np.array([[0.5, 0.69], [0.36, 0.56]], np.float32), SIZE)
    mouth, cheek = transform(invert(crop_of(face, SIZE)), in_crop)
    assert _at(out, cheek).mean() - _at(out, mouth).mean() > 30


def test_inside_the_mask_the_mean_colour_becomes_the_scenes() -> None:
    image = np.full((240, 320, 3), (90, 110, 160), np.uint8)
    face = face_at(160, 120, 200)
    out = into(image, swapped_face(face, (150, 130, 110)))
    _, mask = drawn_face((0, 0, 0), SIZE)
    core = transform(crop_of(face, SIZE), _pixels(320, 240)).round().astype(int)
    within = (core >= 0).all(1) & (core < SIZE).all(1)
    inside = np.zeros(len(core), bool)
    inside[within] = mask[core[within, 1], core[within, 0]] > 0.95
    assert out.reshape(-1, 3)[inside].mean(0) == pytest.approx([90, 110, 160], abs=4)


@pytest.mark.parametrize("light", [(20, 20, 20), (235, 235, 235), (40, 60, 220)])
def test_in_extreme_light_colours_stay_finite_and_the_features_stay_visible(light: tuple[int, int, int]) -> None:
    image, mask = drawn_face((120, 130, 140), SIZE)
    matched = match_colour(image * np.float32(255), mask, np.full((64, 64, 3), light, np.uint8))
    assert np.isfinite(matched).all()
    cheek, mouth = matched[90, 60], matched[110, 80]
    assert (cheek > mouth).all()


def test_a_black_face_region_does_not_turn_the_identity_black() -> None:
    image, mask = drawn_face((120, 130, 140), SIZE)
    matched = match_colour(image * np.float32(255), mask, np.zeros((64, 64, 3), np.uint8))
    assert matched[90, 60].min() > 10


def test_saturated_colours_do_not_turn_grey() -> None:
    """A flat scene asks for no contrast at all; the identity's red lips keep most of their colour."""
    image, mask = drawn_face((120, 130, 140), SIZE, features=False)
    image[105:115, 65:95] = (0.2, 0.2, 0.75)
    matched = match_colour(image * np.float32(255), mask, np.full((64, 64, 3), (120, 130, 140), np.uint8))
    before, after = np.ptp(image[110, 80] * 255), np.ptp(matched[110, 80])
    assert after > 0.7 * before


def test_in_a_grey_scene_the_face_is_grey() -> None:
    image, mask = drawn_face((90, 120, 170), SIZE)
    there = np.repeat(np.linspace(60, 190, 64, dtype=np.uint8)[:, None, None], 64, axis=1).repeat(3, axis=2)
    matched = match_colour(image * np.float32(255), mask, there)
    assert np.ptp(image * 255, axis=2).max() > 60
    assert np.ptp(matched, axis=2).max() < 0.5


def test_an_empty_mask_changes_nothing() -> None:
    image = scene()
    face = swapped_face(face_at(160, 120, 120))
    empty = SwappedFace(face.face, "aster", face.image, np.zeros((SIZE, SIZE), np.float32), face.to_crop)
    assert np.array_equal(into(image, empty), image)


def test_a_mask_that_fills_the_crop_shows_no_box() -> None:
    """Along a line across the crop's border, which lies at x = 80, a bright scene turns dark without a step."""
    image = np.full((240, 320, 3), 120, np.uint8)
    face = swapped_face(face_at(160, 120, 160), (120, 120, 120), features=False)
    face.image[:, :80] = 20  # a dark half, which matching the mean colour leaves dark
    full = SwappedFace(face.face, "aster", face.image, np.ones((SIZE, SIZE), np.float32), face.to_crop)
    line = into(image, full)[120, 70:110].astype(int)
    assert line.min() < 60
    assert np.abs(np.diff(line, axis=0)).max() < 20


def test_a_small_faces_edge_is_soft_in_the_frame() -> None:
    hard = np.zeros((SIZE, SIZE), np.float32)
    hard[40:120, 40:120] = 1
    wide, narrow = (
        int(((soft_mask(hard, scale) > 0.05) & (soft_mask(hard, scale) < 0.95)).sum()) for scale in (8.0, 0.5)
    )
    assert wide > 2 * narrow


@pytest.mark.parametrize(("x", "y"), [(0, 0), (320, 120), (160, 239), (-40, 120)])
def test_a_face_at_the_frames_border_is_composed_as_far_as_it_shows(x: int, y: int) -> None:
    image = scene()
    out = into(image, swapped_face(face_at(x, y, 160)))
    assert out.shape == image.shape
    assert (out != image).any()


def test_a_face_outside_the_frame_changes_nothing() -> None:
    image = scene()
    assert np.array_equal(into(image, swapped_face(face_at(2000, 2000, 120))), image)


def test_two_faces_are_both_composed() -> None:
    image = scene()
    out = into(image, swapped_face(face_at(80, 120, 100)), swapped_face(face_at(240, 120, 100)))
    changed = (out != image).any(2)
    assert changed[:, :160].any()
    assert changed[:, 160:].any()


def test_without_a_face_the_frame_passes() -> None:
    image = scene()
    assert np.array_equal(Composer()(Swapped(frame_of(image))).image, image)


def _at(image: np.ndarray, point: np.ndarray) -> np.ndarray:
    x, y = point.round().astype(int)
    return image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)


def _pixels(width: int, height: int) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return np.stack([xs.ravel(), ys.ravel()], 1).astype(np.float32)
