"""Swapped faces land in their place, in the scene's light, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.face.face import Face
from realtime.face.geometry import Image, covered, invert, to_pixels, transform
from realtime.swap.compose import Composer, ComposeSettings, Swapped, SwappedFace, compose
from realtime.swap.fallback import Fallback
from realtime.swap.views import crop_of
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
    assert changed[inside].mean() > 0.15


def test_the_frame_that_came_in_stays_as_it_was() -> None:
    image = scene()
    image.setflags(write=False)
    before = image.copy()
    frame = frame_of(image, 7)
    out = compose(Swapped(frame, (swapped_face(face_at(160, 120, 120)),)))
    assert np.array_equal(image, before)
    assert (out.index, out.captured_at) == (7, 1.0)
    assert not np.shares_memory(out.image, image)


def test_a_composed_frame_says_who_was_drawn_where() -> None:
    face = face_at(160, 120, 120)
    one = replace(swapped_face(face), model="ab" * 32)
    composer = Composer(Fallback(no_face="hold"))
    (drawn,) = composer(Swapped(frame_of(scene()), (one,))).drawn
    assert (drawn.identity, drawn.model) == ("aster", "ab" * 32)
    left, top, right, bottom = drawn.box
    assert left <= face.box[0] < face.box[2] <= right
    assert top <= face.box[1] < face.box[3] <= bottom
    assert composer(Swapped(frame_of(scene(), 1))).drawn == (drawn,)  # the picture is held, and its face with it
    assert Composer()(Swapped(frame_of(scene()))).drawn == ()


def test_pictures_that_are_kept_are_never_written_to_again() -> None:
    composer = Composer(Fallback(no_face="hold"))
    kept: list[tuple[Image, Image]] = []
    for number in range(40):
        face = swapped_face(face_at(100 + 3 * number, 120, 90 + number))
        frame = frame_of(scene(seed=number), number)
        out = composer(Swapped(frame, (face,) if number % 4 else ()))
        if number % 3 == 0:
            kept.append((out.image, out.image.copy()))
    assert all(np.array_equal(image, copy) for image, copy in kept)


def test_a_composers_pictures_are_those_that_one_with_new_memory_makes() -> None:
    """Faces of other sizes before them leave nothing behind in the memory that goes round."""
    composer = Composer()
    for number, side in enumerate((200, 60, 130, 220, 35)):
        face = swapped_face(face_at(170, 110, side, track=number, degrees=3 * number))
        swapped = Swapped(frame_of(scene(seed=number), number), (face,))
        assert np.array_equal(composer(swapped).image, compose(swapped).image)


def test_the_identitys_eyes_and_mouth_appear_where_the_face_has_them() -> None:
    face = face_at(160, 120, 180, degrees=-15)
    out = into(scene(), swapped_face(face)).astype(int)
    in_crop = to_pixels(np.array([[0.5, 0.69], [0.36, 0.56]], np.float32), SIZE)
    mouth, cheek = transform(invert(crop_of(face, SIZE)), in_crop)
    assert _at(out, cheek).mean() - _at(out, mouth).mean() > 30


def test_the_skin_takes_the_scenes_colour() -> None:
    image = np.full((240, 320, 3), (90, 110, 160), np.uint8)
    face = face_at(160, 120, 200)
    out = into(image, swapped_face(face, (150, 130, 110)))
    cheeks, eye = transform(invert(crop_of(face, SIZE)), to_pixels(np.array([[0.33, 0.56], [0.365, 0.405]]), SIZE))
    assert _at(out, cheeks).mean(0) == pytest.approx([90, 110, 160], abs=3)
    assert _at(out, eye).mean() < 70  # the eye is not pulled up to the skin's colour


def test_without_colour_the_identity_keeps_its_own() -> None:
    face = face_at(160, 120, 200)
    own = swapped_face(face, (150, 130, 110))
    image = np.full((240, 320, 3), (90, 110, 160), np.uint8)
    out = compose(Swapped(frame_of(image), (own,)), ComposeSettings(colour=False)).image
    assert _at(out, np.array([130, 130])).mean(0) == pytest.approx([150, 130, 110], abs=1)


def test_an_empty_mask_changes_nothing() -> None:
    image = scene()
    face = swapped_face(face_at(160, 120, 120))
    empty = SwappedFace(face.face, "aster", face.image, np.zeros((SIZE, SIZE), np.float32), face.to_crop)
    assert np.array_equal(into(image, empty), image)


def test_a_mask_that_fills_the_crop_shows_no_box() -> None:
    """Along a line from outside the crop to its middle a bright scene turns dark without a step."""
    image = np.full((240, 320, 3), 120, np.uint8)
    face = swapped_face(face_at(160, 120, 160), (120, 120, 120), features=False)
    face.image[:, :80] = 20  # a dark half, which matching the mean colour leaves dark
    full = SwappedFace(face.face, "aster", face.image, np.ones((SIZE, SIZE), np.float32), face.to_crop)
    line = into(image, full)[120, 70:150].astype(int)
    assert line.min() < 60
    assert np.abs(np.diff(line, axis=0)).max() < 40


@pytest.mark.parametrize("side", [33, 66, 250, 1150])
@pytest.mark.parametrize("x", [320, 0])
def test_no_dark_ring_shows_around_a_face_of_any_size(side: int, x: int) -> None:
    """The face is as light as the scene and the render's background black: nothing at the edge may be darker."""
    image = np.full((480, 640, 3), 130, np.uint8)
    face = swapped_face(face_at(x, 240, side), (130, 130, 130), features=False)
    face.image[:] *= face.mask[..., None]
    out = into(image, face).astype(int)
    assert np.abs(out - 130).max() <= 18
    assert out.mean() == pytest.approx(130, abs=2)


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


@pytest.mark.parametrize("how", ["blur", "raise", "blank", "hold", "pass"])
def test_where_composing_failed_the_frame_is_shown_as_an_unsure_one(how: str) -> None:
    composer, swapped = Composer(Fallback(unsure=how)), Swapped(frame_of(scene(), 7))
    shown = composer.instead(swapped)
    assert (shown.index, shown.image.shape) == (7, scene().shape)
    assert np.array_equal(shown.image, scene()) == (how == "pass")
    assert np.any(shown.image) == (how in ("blur", "raise", "pass"))  # nothing was swapped yet that could be held
