"""What the user writes means one cast, and nobody's identity flickers."""

import numpy as np
import pytest

from realtime.errors import SettingsError
from realtime.face.face import Face
from realtime.swap.casting import KEPT, Casting, Seating
from tests.realtime.swap.helpers import face_at

WIDTH = 640
PAIR = Casting.parse("left=aster,right=cedar")


def at(track: int, x: float, side: float = 80) -> Face:
    return face_at(x, 180, side, track)


@pytest.mark.parametrize(
    ("text", "casting"),
    [
        ("aster", Casting("aster")),
        ("left=aster, right=cedar", Casting(None, {"left": "aster", "right": "cedar"})),
        ("Center=aster,middle.onnx", Casting("middle.onnx", {"centre": "aster"})),
        ("aster,#2=cedar,#10=dahlia", Casting("aster", {}, {2: "cedar", 10: "dahlia"})),
        ("1st=aster,3rd=cedar", Casting(None, {"1st": "aster", "3rd": "cedar"})),
        ("left=models/a=b.onnx", Casting(None, {"left": "models/a=b.onnx"})),
    ],
)
def test_a_text_means_a_cast(text: str, casting: Casting) -> None:
    assert Casting.parse(text) == casting
    assert Casting.parse(str(casting)) == casting


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lefty=aster", "the place 'lefty', wanted one of left, centre, right, 1st, 2nd, 3rd, 4th, or #NUMBER"),
        ("5th=aster", "the place '5th'"),
        ("#two=aster", "the place '#two'"),
        ("left=aster,left=cedar", "names left twice"),
        ("middle=aster,centre=cedar", "names centre twice"),
        ("#1=aster,#01=cedar", "names 1 twice"),
        ("aster,cedar", "gives everybody 2 faces"),
        ("left=aster,2nd=cedar", "counts some and points at others"),
        ("left=", "leaves left empty"),
        ("aster,", "leaves one empty"),
    ],
)
def test_a_text_without_a_meaning_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Casting.parse(text)
    assert said in str(caught.value)


def test_everybody_is_up_to_four_and_a_list_is_as_many_as_it_names() -> None:
    assert Casting.parse("aster").people == 4
    assert PAIR.people == 2
    assert Casting.parse("left=aster,#7=cedar").people == 2


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("left=aster,right=cedar", [500, 100], {1: "cedar", 2: "aster"}),  # whatever the order of finding
        ("left=aster,right=cedar", [100], {1: "aster"}),
        ("left=aster,right=cedar", [400], {1: "cedar"}),
        ("left=aster,right=cedar", [60, 200], {1: "aster", 2: "cedar"}),  # both in the left half
        ("left=aster,right=cedar", [320, 60, 600], {2: "aster", 3: "cedar"}),  # one too many: nobody
        ("left=aster,right=cedar,dahlia", [320, 60, 600], {1: "dahlia", 2: "aster", 3: "cedar"}),
        ("centre=aster", [600, 310], {2: "aster"}),
        ("1st=aster,2nd=cedar", [600, 500], {1: "cedar", 2: "aster"}),
        ("2nd=aster", [300], {}),  # nobody is the second of one
        ("2nd=aster", [300, 400, 100], {1: "aster"}),
        ("#2=aster", [100, 200], {2: "aster"}),
        ("#1=aster,left=cedar", [100, 200], {1: "aster", 2: "cedar"}),  # who has a number needs no place
    ],
)
def test_places_are_those_in_the_picture(text: str, places: list[float], expected: dict[int, str]) -> None:
    faces = [at(track, x) for track, x in enumerate(places, 1)]
    assert Seating()(Casting.parse(text), faces, WIDTH, 0.0) == expected


def test_two_who_stand_close_do_not_flicker_between_identities() -> None:
    """They lean about the same place, noisily, so that their order in the picture changes all the time."""
    seating, random = Seating(), np.random.default_rng(0)
    shown = []
    orders = set()
    for index in range(200):
        one, other = 300 + random.normal(0, 15), 320 + random.normal(0, 15)
        orders.add(bool(one < other))
        shown.append(seating(PAIR, [at(1, one), at(2, other)], WIDTH, index / 30))
    assert orders == {True, False}
    assert all(who == shown[0] for who in shown)
    assert sorted(shown[0].values()) == ["aster", "cedar"]


def test_who_walks_past_the_other_takes_the_identity_along() -> None:
    seating = Seating()
    for index in range(100):
        faces = [at(1, 100 + 4 * index), at(2, 500 - 4 * index)]
        assert seating(PAIR, faces, WIDTH, index / 30) == {1: "aster", 2: "cedar"}


def test_a_face_that_is_lost_for_a_moment_keeps_its_seat_and_one_that_is_gone_frees_it() -> None:
    seating = Seating()
    seating(PAIR, [at(1, 100), at(2, 500)], WIDTH, 0.0)
    assert seating(PAIR, [at(2, 500), at(3, 120)], WIDTH, 0.5) == {2: "cedar"}
    assert seating(PAIR, [at(1, 100), at(2, 500), at(3, 120)], WIDTH, 0.6) == {1: "aster", 2: "cedar"}
    assert seating(PAIR, [at(2, 500), at(3, 120)], WIDTH, 0.7 + KEPT) == {2: "cedar", 3: "aster"}


def test_somebody_new_who_stands_for_a_lost_one_takes_over_the_seat_at_once() -> None:
    seating = Seating()
    seating(PAIR, [at(1, 100), at(2, 500)], WIDTH, 0.0)
    assert seating(PAIR, [at(2, 500), at(3, 420)], WIDTH, 0.1, heirs={3: 1}) == {2: "cedar", 3: "aster"}


def test_above_the_limit_the_largest_are_taken_and_stay() -> None:
    seating, everybody = Seating(), Casting.parse("aster")
    crowd = [at(track, 60 * track, side=20 + track) for track in range(1, 10)]
    assert sorted(seating(everybody, crowd, WIDTH, 0.0, most=2)) == [8, 9]
    crowd[0] = at(1, 60, side=200)  # somebody comes close: who was there before is not dropped for that
    assert sorted(seating(everybody, crowd, WIDTH, 0.1, most=2)) == [8, 9]
    assert sorted(seating(everybody, crowd[:8], WIDTH, 0.2, most=2)) == [8]  # a lost one is waited for
    assert sorted(seating(everybody, crowd[:8], WIDTH, 0.3 + KEPT, most=2)) == [1, 8]


def test_the_limit_holds_for_those_who_are_named_as_well() -> None:
    assert len(Seating()(PAIR, [at(1, 100), at(2, 500)], WIDTH, 0.0, most=1)) == 1


def test_another_cast_keeps_those_seats_that_it_has_too() -> None:
    seating = Seating()
    seating(PAIR, [at(1, 330), at(2, 340)], WIDTH, 0.0)
    swapped = Casting.parse("left=cedar,right=aster")
    assert seating(swapped, [at(1, 345), at(2, 335)], WIDTH, 0.1) == {1: "cedar", 2: "aster"}
