"""What is shown without a face and after a fault is what the settings say."""

import numpy as np
import pytest

from realtime.errors import SettingsError
from realtime.face.geometry import Image
from realtime.swap.compose import Composer, Swapped
from realtime.swap.fallback import Fallback, Fault, hidden
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


@pytest.mark.parametrize("how", ["pass", "hold", "blank", "blur"])
def test_after_a_fault(how: str) -> None:
    after = scene(seed=1)
    then = Swapped(frame_of(after, 1), fault=Fault((FACE,)))
    swapped, shown = shown_after_a_swap(Fallback(on_error=how), then)
    if how == "pass":
        assert np.array_equal(shown, after)
    elif how == "hold":
        assert np.array_equal(shown, swapped)
    else:
        assert np.array_equal(shown[:50], after[:50])  # away from the face
        region = shown[70:170, 110:210]
        assert not region.any() if how == "blank" else detail(region) < 0.25 * detail(after[70:170, 110:210])


@pytest.mark.parametrize("how", ["blank", "blur"])
def test_a_fault_without_known_faces_covers_the_whole_frame(how: str) -> None:
    after = scene(seed=1)
    _, shown = shown_after_a_swap(Fallback(on_error=how), Swapped(frame_of(after, 1), fault=Fault(())))
    assert detail(shown) < 0.2 * detail(after)


def test_by_default_a_fault_never_shows_the_real_face() -> None:
    after = scene(seed=1)
    _, shown = shown_after_a_swap(Fallback(), Swapped(frame_of(after, 1), fault=Fault((FACE,))))
    region = np.s_[60:180, 100:220]
    assert detail(shown[region]) < 0.25 * detail(after[region])


def test_nothing_to_hold_yet_is_blank() -> None:
    shown = Composer(Fallback(no_face="hold"))(Swapped(frame_of(scene())))
    assert not shown.image.any()


def test_a_held_frame_fits_the_present_size() -> None:
    composer = Composer(Fallback(no_face="hold"))
    composer(Swapped(frame_of(scene()), (swapped_face(FACE),)))
    assert composer(Swapped(frame_of(scene(640, 480)))).image.shape == (480, 640, 3)


def test_a_frame_without_a_face_is_not_what_a_fault_holds() -> None:
    """What is held is the last swapped frame, not one that passed unchanged."""
    composer = Composer(Fallback(no_face="pass", on_error="hold"))
    swapped = composer(Swapped(frame_of(scene(), 0), (swapped_face(FACE),)))
    composer(Swapped(frame_of(scene(seed=1), 1)))
    held = composer(Swapped(frame_of(scene(seed=2), 2), fault=Fault((FACE,))))
    assert np.array_equal(held.image, swapped.image)


def test_the_blur_spares_no_corner_of_a_turned_face() -> None:
    image = scene(640, 480)
    face = face_at(320, 240, 200, degrees=40)
    shown = hidden(image, "blank", None, (face,))
    x, y = face.landmarks.T.round().astype(int)
    assert not shown[y, x].any()
    assert np.array_equal(image, scene(640, 480))


@pytest.mark.parametrize(("setting", "value"), [("no_face", "raise"), ("no_face", "Pass"), ("on_error", "ignore")])
def test_an_unknown_way_is_refused(setting: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"{setting} is '{value}', wanted one of"):
        Fallback(**{setting: value})
