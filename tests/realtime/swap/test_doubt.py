"""Where a real face may be is known: entering faces, lost ones, and cuts."""

import numpy as np
import pytest

from realtime.face.face import Face, Glimpse
from realtime.face.geometry import Image
from realtime.frame import Frame
from realtime.swap.doubt import Cuts, Doubts
from realtime.swap.fallback import Box, Unsure, place_of
from tests.realtime.swap.helpers import face_at, scene


def frame(at: float, image: Image | None = None) -> Frame:
    return Frame(scene(640, 360) if image is None else image, round(at * 30), 100 + at, at)


def after(doubts: Doubts, at: float, *faces: Face, cut: bool = False, looked: bool = True) -> Unsure | None:
    return doubts(frame(at), faces, (), cut, looked)


def covers(place: Box, inner: Box) -> bool:
    return bool((place[:2] <= inner[:2]).all() and (place[2:] >= inner[2:]).all())


def only(unsure: Unsure | None) -> Box:
    assert unsure is not None
    (place,) = unsure.places
    return place


def test_who_is_followed_leaves_no_doubt() -> None:
    doubts = Doubts(1.0)
    assert [after(doubts, index / 30, face_at(100 + index, 180, 80)) for index in range(30)] == [None] * 30


def test_a_lost_face_leaves_its_place_enlarged_and_growing_until_it_is_forgotten() -> None:
    doubts, face = Doubts(1.0), face_at(300, 180, 80)
    after(doubts, 0.0, face)
    first, later = only(after(doubts, 0.1)), only(after(doubts, 0.9))
    assert covers(first, place_of(face))
    assert covers(later, first)
    assert later[2] - later[0] > 1.3 * (first[2] - first[0])
    assert after(doubts, 1.1) is None


def test_a_head_that_moves_on_unseen_at_one_width_a_second_stays_inside() -> None:
    doubts, side = Doubts(1.0), 90  # the crop's; the face in it is two thirds as wide
    after(doubts, 0.0, face_at(300, 180, side))
    for index in range(1, 31):
        moved = face_at(300 + side / 1.5 * index / 30, 180, side)
        assert covers(only(after(doubts, index / 30)), moved.box)


def test_a_track_that_is_back_leaves_no_doubt() -> None:
    doubts = Doubts(1.0)
    after(doubts, 0.0, face_at(300, 180, 80))
    assert after(doubts, 0.1) is not None
    assert after(doubts, 0.2, face_at(340, 180, 80)) is None


def test_somebody_new_in_its_place_stands_for_a_lost_one_and_one_elsewhere_does_not() -> None:
    for x, stands in ((320, True), (500, False)):
        doubts = Doubts(1.0)
        after(doubts, 0.0, face_at(300, 180, 80, track=1))
        unsure = after(doubts, 0.1, face_at(x, 180, 80, track=2))
        assert (unsure is None) == stands
        assert doubts.heirs == ({2: 1} if stands else {})


def test_somebody_who_was_there_before_does_not_stand_for_a_lost_one() -> None:
    """One passes before the other: the hidden one may come out on any side."""
    doubts = Doubts(1.0)
    after(doubts, 0.0, face_at(300, 180, 80, track=1), face_at(380, 180, 80, track=2))
    assert covers(only(after(doubts, 0.1, face_at(310, 180, 80, track=2))), face_at(300, 180, 80).box)


def test_after_a_cut_whoever_is_new_stands_for_a_lost_one_anywhere() -> None:
    doubts = Doubts(1.0)
    after(doubts, 0.0, face_at(100, 180, 80, track=1))
    assert after(doubts, 0.1, face_at(500, 180, 80, track=2), cut=True) is None
    assert doubts.heirs == {2: 1}


def test_after_a_cut_nobody_knows_anything_until_the_detector_has_looked() -> None:
    doubts = Doubts(1.0)
    after(doubts, 0.0, face_at(100, 180, 80))
    unsure = [after(doubts, 0.1, cut=True, looked=False), after(doubts, 0.2, looked=False), after(doubts, 0.3)]
    assert [one is not None and one.anywhere for one in unsure] == [True, True, False]


def test_a_face_that_the_landmarks_do_not_confirm_is_in_doubt_and_one_too_many_is_not() -> None:
    box = np.array([100, 100, 140, 150], np.float32)
    assert covers(only(Doubts(1.0)(frame(0.0), (), [Glimpse(box, entering=True)], False, True)), box)
    assert Doubts(1.0)(frame(0.0), (), [Glimpse(box, entering=False)], False, True) is None


def test_a_glimpse_of_a_face_that_is_followed_by_now_is_no_doubt() -> None:
    face = face_at(300, 180, 80)
    assert Doubts(1.0)(frame(0.0), [face], [Glimpse(face.box, entering=True)], False, True) is None


def test_a_recording_that_starts_over_is_another_recording() -> None:
    doubts = Doubts(1.0)
    after(doubts, 5.0, face_at(300, 180, 80))
    assert after(doubts, 0.0) is None


def test_a_tail_of_nothing_forgets_at_once_but_still_knows_who_stands_for_whom() -> None:
    doubts = Doubts(0.0)
    after(doubts, 0.0, face_at(300, 180, 80, track=1))
    assert after(doubts, 0.1) is None
    after(doubts, 0.2, face_at(310, 180, 80, track=2))
    assert doubts.heirs == {2: 1}


@pytest.mark.parametrize(
    ("second", "cut"),
    [
        (scene(640, 360, seed=1), True),
        (np.zeros((360, 640, 3), np.uint8), True),
        (scene(360, 640), True),  # another size
        (scene(640, 360), False),
        (np.roll(scene(640, 360), 4, 1), False),  # the camera is pushed
        ((scene(640, 360) * 0.9).astype(np.uint8), False),  # a cloud before the sun
    ],
)
def test_a_cut_is_another_picture_and_nothing_less(second: Image, cut: bool) -> None:
    cuts = Cuts()
    assert not cuts(scene(640, 360))
    assert cuts(second) == cut
    assert not cuts(second)
