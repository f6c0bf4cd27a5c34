"""Whatever comes in, a picture goes out: faces of any size and place, masks and pictures that make no sense."""

import numpy as np
import pytest

from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.swap.compose import Composer, Swapped, SwappedFace
from tests.realtime.swap.helpers import face_at, scene
from tests.realtime.swap.test_compose import SIZE, swapped_face

PLACES = [(0, 0), (319, 0), (0, 239), (319, 239), (160, -20), (160, 260), (-40, 120), (360, 120)]


def shown(image: Image, *faces: SwappedFace, frames: int = 3) -> Image:
    """What a composer makes of the same frame a few times over."""
    composer = Composer()
    for index in range(frames):
        out = composer(Swapped(Frame(image, index, index / 30), faces)).image
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    return out


@pytest.mark.parametrize(("x", "y"), PLACES)
@pytest.mark.parametrize("side", [6, 90, 260])
def test_a_face_at_a_border_or_corner_is_composed_in_the_scenes_colour(x: int, y: int, side: int) -> None:
    image = np.full((240, 320, 3), (90, 110, 160), np.uint8)
    out = shown(image, swapped_face(face_at(x, y, side), (150, 130, 110), features=False)).astype(int)
    assert np.abs(out - image).max() <= 6


@pytest.mark.parametrize("side", [1, 3, 6, 10, 20])
def test_a_tiny_face_stays_where_it_is(side: int) -> None:
    image = scene()
    changed = (shown(image, swapped_face(face_at(160, 120, side))) != image).any(2)
    far = np.ones_like(changed)
    far[120 - side - 2 : 120 + side + 3, 160 - side - 2 : 160 + side + 3] = False
    assert not changed[far].any()


@pytest.mark.parametrize("side", [600, 3000, 20000])
def test_a_face_larger_than_the_frame_fills_it(side: int) -> None:
    image = scene()
    changed = (shown(image, swapped_face(face_at(160, 120, side))) != image).any(2)
    assert changed.mean() > 0.5


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, -3.0, 40.0])
def test_a_mask_of_one_value_gives_a_picture(value: float) -> None:
    image = scene()
    face = swapped_face(face_at(160, 120, 120))
    face.mask[:] = value
    out = shown(image, face)
    if value == 0:
        assert np.array_equal(out, image)
    assert np.array_equal(out[:20], image[:20])  # outside the crop


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1000.0, 1e9])
def test_what_is_no_colour_neither_leaves_nor_stays(value: float) -> None:
    """The frame is a picture; and when the decoder has recovered, the next frames are as if nothing had been."""
    image = np.full((240, 320, 3), (90, 110, 160), np.uint8)
    broken = swapped_face(face_at(160, 120, 120), (150, 130, 110), features=False)
    broken.image[60:90] = value
    composer = Composer()
    first = composer(Swapped(Frame(image, 0, 0.0), (broken,))).image
    assert first.dtype == np.uint8
    whole = swapped_face(face_at(160, 120, 120), (150, 130, 110), features=False)
    for index in range(1, 31):
        out = composer(Swapped(Frame(image, index, index / 30), (whole,))).image
    assert np.abs(out.astype(int) - image).max() <= 6


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_frames_give_a_dark_and_a_light_face(level: int) -> None:
    image = np.full((240, 320, 3), level, np.uint8)
    out = shown(image, swapped_face(face_at(160, 120, 160)))
    cheek = out[125:135, 128:138].mean()
    assert cheek < 40 if level == 0 else cheek > 200


def test_a_grey_frame_stays_grey() -> None:
    image = np.repeat(scene()[..., :1], 3, axis=2)
    out = shown(image, swapped_face(face_at(160, 120, 160), (90, 120, 170))).astype(int)
    assert np.ptp(out, axis=2).max() <= 2


def test_a_face_in_4k_is_composed() -> None:
    image = np.full((2160, 3840, 3), (90, 110, 160), np.uint8)
    out = shown(image, swapped_face(face_at(1900, 1100, 1800), (150, 130, 110)), frames=2)
    assert out[1200, 1600].astype(int) == pytest.approx([90, 110, 160], abs=6)
    assert np.array_equal(out[:, :900], image[:, :900])


def test_frames_whose_size_changes_midway_are_composed() -> None:
    composer = Composer()
    for index, (width, height) in enumerate([(320, 240), (640, 480), (64, 48)]):
        image = scene(width, height)
        face = swapped_face(face_at(width / 2, height / 2, height / 2))
        out = composer(Swapped(Frame(image, index, index / 30), (face,))).image
        assert out.shape == image.shape
        assert (out != image).any()


@pytest.mark.parametrize("size", [16, 128, 256])
def test_crops_of_other_sizes_are_composed(size: int) -> None:
    image = scene()
    face = swapped_face(face_at(160, 120, 120))
    step = SIZE / size
    picks = np.floor(np.arange(size) * step).astype(int)
    to_crop = face.to_crop / np.float32(step)
    other = SwappedFace(face.face, "aster", face.image[picks][:, picks], face.mask[picks][:, picks], to_crop)
    changed = (shown(image, other) != image).any(2)
    assert changed[90:150, 130:190].mean() > 0.8
    assert not changed[:40].any()
