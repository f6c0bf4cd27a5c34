"""What is shown without a face, of others, and where a real face may be, is what the settings say."""

import numpy as np
import pytest

from realtime.errors import SettingsError
from realtime.face.geometry import Image
from realtime.swap.compose import Composer, Swapped
from realtime.swap.fallback import Fallback, Unsure, place_of, veiled
from tests.realtime.swap.helpers import face_at, frame_of, scene
from tests.realtime.swap.test_compose import swapped_face

FACE = face_at(160, 120, 120)


def shown_after_a_swap(fallback: Fallback, then: Swapped) -> tuple[Image, Image]:
    """The composed picture of a frame with a face, and what follows for the next."""
    composer = Composer(fallback)
    first = composer(Swapped(frame_of(scene(), 0), (swapped_face(FACE),)))
    second = composer(then)
    assert second.index == then.frame.index
    return first.image, second.image


def detail(image: Image) -> float:
    return float(np.abs(np.diff(image.astype(int), axis=1)).mean())


@pytest.mark.parametrize("how", ["pass", "hold", "blank", "blur"])
def test_without_a_face(how: str) -> None:
    after = scene(seed=1)
    swapped, shown = shown_after_a_swap(Fallback(no_face=how), Swapped(frame_of(after, 1)))
    if how == "pass":
        assert np.array_equal(shown, after)
    elif how == "hold":
        assert np.array_equal(shown, swapped)
    elif how == "blank":
        assert not shown.any()
    else:
        assert detail(shown) < 0.2 * detail(after)
        assert shown.mean() == pytest.approx(after.mean(), abs=5)


@pytest.mark.parametrize("how", ["pass", "hold", "blank", "blur", "raise"])
def test_where_a_face_may_be(how: str) -> None:
    after = scene(seed=1)
    then = Swapped(frame_of(after, 1), unsure=Unsure((place_of(FACE),)))
    swapped, shown = shown_after_a_swap(Fallback(unsure=how), then)
    if how == "pass":
        assert np.array_equal(shown, after)
    elif how == "hold":
        assert np.array_equal(shown, swapped)
    else:
        assert np.array_equal(shown[:40], after[:40])  # away from the face and from where its blur fades out
        region = shown[70:170, 110:210]
        assert not region.any() if how == "blank" else detail(region) < 0.25 * detail(after[70:170, 110:210])


@pytest.mark.parametrize("how", ["blank", "blur", "raise"])
def test_where_places_are_unknown_the_whole_frame_is_hidden(how: str) -> None:
    after = scene(seed=1)
    _, shown = shown_after_a_swap(Fallback(unsure=how), Swapped(frame_of(after, 1), unsure=Unsure(anywhere=True)))
    assert detail(shown) < 0.2 * detail(after)


def test_by_default_neither_an_unsure_face_nor_anybody_elses_is_shown() -> None:
    after = scene(seed=1)
    for then in (
        Swapped(frame_of(after, 1), unsure=Unsure((place_of(FACE),))),
        Swapped(frame_of(after, 1), others=(place_of(FACE),)),
    ):
        _, shown = shown_after_a_swap(Fallback(no_face="pass"), then)
        region = np.s_[60:180, 100:220]
        assert detail(shown[region]) < 0.25 * detail(after[region])


def test_others_are_shown_where_the_user_wants_that() -> None:
    after = scene(seed=1)
    then = Swapped(frame_of(after, 1), others=(place_of(FACE),))
    _, shown = shown_after_a_swap(Fallback(no_face="blank", others="pass"), then)
    assert np.array_equal(shown, after)  # somebody is there, so it is not a frame without a face


def test_a_swapped_face_lies_over_what_is_hidden_beside_it() -> None:
    near = place_of(face_at(220, 120, 120))
    alone = Composer()(Swapped(frame_of(scene()), (swapped_face(FACE),)))
    beside = Composer()(Swapped(frame_of(scene()), (swapped_face(FACE),), unsure=Unsure((near,))))
    face = np.s_[95:145, 135:185]  # drawn over the blurred half too, in a light that is a little other
    assert np.corrcoef(beside.image[face].ravel(), alone.image[face].ravel())[0, 1] > 0.98
    assert detail(beside.image[70:170, 220:275]) < 0.3 * detail(alone.image[70:170, 220:275])


def test_nothing_to_hold_yet_is_blank() -> None:
    shown = Composer(Fallback(no_face="hold"))(Swapped(frame_of(scene())))
    assert not shown.image.any()


def test_a_held_frame_fits_the_present_size() -> None:
    composer = Composer(Fallback(no_face="hold"))
    composer(Swapped(frame_of(scene()), (swapped_face(FACE),)))
    assert composer(Swapped(frame_of(scene(640, 480)))).image.shape == (480, 640, 3)


def test_a_frame_without_a_face_is_not_what_is_held_later() -> None:
    """What is held is the last swapped frame, not one that passed unchanged."""
    composer = Composer(Fallback(no_face="pass", unsure="hold"))
    swapped = composer(Swapped(frame_of(scene(), 0), (swapped_face(FACE),)))
    composer(Swapped(frame_of(scene(seed=1), 1)))
    held = composer(Swapped(frame_of(scene(seed=2), 2), unsure=Unsure((place_of(FACE),))))
    assert np.array_equal(held.image, swapped.image)


def test_the_blur_spares_no_corner_of_a_turned_face() -> None:
    image = scene(640, 480)
    face = face_at(320, 240, 200, degrees=40)
    shown = veiled(image, "blank", (place_of(face),))
    x, y = face.landmarks.T.round().astype(int)
    assert not shown[y, x].any()
    assert np.array_equal(image, scene(640, 480))


@pytest.mark.parametrize("box", [(200, 150, 400, 350), (-50, -50, 120, 90), (560, 400, 700, 600), (0, 0, 640, 480)])
def test_a_blur_is_whole_in_its_place_and_fades_out_around_it(box: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    shown = veiled(image, "blur", (np.array(box, np.float32),))
    x0, y0, x1, y1 = np.clip(box, 0, (640, 480, 640, 480))
    assert detail(shown[y0:y1, x0:x1]) < 2  # of 85 in noise
    edge = 0.1 * max(box[2] - box[0], box[3] - box[1])
    rows, columns = np.mgrid[:480, :640]
    away = np.hypot(
        np.maximum(0, np.maximum(x0 - columns, columns - x1)), np.maximum(0, np.maximum(y0 - rows, rows - y1))
    )
    far = away > edge + 2
    assert np.array_equal(shown[far], image[far])
    changed = np.abs(shown.astype(int) - image).mean(2)
    near = (away > 0) & (away < edge / 3), (away > edge / 2) & (away < edge)
    if near[0].any():
        assert changed[near[0]].mean() > 1.5 * changed[near[1]].mean() > 0


def test_a_place_outside_the_picture_hides_nothing() -> None:
    image = scene(640, 480)
    assert np.array_equal(veiled(image, "blur", (np.array([700, 10, 900, 90], np.float32),)), image)


@pytest.mark.parametrize(
    ("setting", "value"), [("no_face", "raise"), ("no_face", "Pass"), ("unsure", "ignore"), ("others", "hold")]
)
def test_an_unknown_way_is_refused(setting: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"{setting} is '{value}', wanted one of"):
        Fallback(**{setting: value})  # type: ignore[arg-type]
