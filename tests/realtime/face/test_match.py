"""Places are told apart by position and size, and the best match of all comes first."""

import itertools

import numpy as np
import pytest

from realtime.face.geometry import similarity, template, transform
from realtime.face.match import NEAR, SAME, Place, apart, matched, place_of


def test_a_place_is_the_templates_square_whichever_way_it_is_turned() -> None:
    turn = np.array([[0.6, -0.8, 300], [0.8, 0.6, 120]], np.float32)
    points = transform(turn, ((template() - 0.5) * 200).astype(np.float32))
    place = place_of(similarity(points, template()))
    assert (place.x, place.y, place.side) == pytest.approx((300, 120, 200), abs=0.01)


def test_a_place_grows_with_its_frame() -> None:
    assert Place(100, 50, 40).scaled(2, 2) == Place(200, 100, 80)
    assert Place(100, 50, 40).scaled(0.25, 1) == Place(25, 50, 20)


@pytest.mark.parametrize(
    ("other", "off"),
    [
        (Place(100, 100, 80), 0.0),
        (Place(140, 100, 80), 0.5),  # half a side away
        (Place(100, 100, 160), 0.5),  # twice as large
        (Place(100, 100, 320), 1.0),
    ],
)
def test_distance_and_size_both_set_places_apart(other: Place, off: float) -> None:
    assert apart(Place(100, 100, 80), other) == pytest.approx(off)
    assert apart(other, Place(100, 100, 80)) == pytest.approx(off)


def test_faces_side_by_side_are_neither_one_nor_matched() -> None:
    width = float(np.ptp(template()[:, 0]))  # cheek to cheek
    left, right = Place(100, 100, 100), Place(100 + 100 * width, 100, 100)
    assert apart(left, right) > NEAR > SAME


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_what_is_seen_means_nothing(order: tuple[int, ...]) -> None:
    known = {7: Place(100, 100, 100), 8: Place(160, 100, 100), 9: Place(130, 140, 60)}
    seen = [Place(104, 100, 100), Place(155, 104, 98), Place(130, 138, 64), Place(600, 100, 100)]
    found = matched(known, [seen[index] for index in order])
    assert {number: order[index] for number, index in found.items()} == {7: 0, 8: 1, 9: 2}


def test_the_best_match_of_all_comes_first_although_the_first_number_would_take_it() -> None:
    known = {1: Place(100, 100, 100), 2: Place(130, 100, 100)}
    assert matched(known, [Place(128, 100, 100)]) == {2: 0}  # within reach of both
    assert matched(known, [Place(128, 100, 100), Place(140, 100, 100)]) == {2: 0, 1: 1}


def test_what_is_beyond_reach_is_nobody() -> None:
    assert matched({1: Place(100, 100, 100)}, [Place(180, 100, 100)]) == {}
    assert matched({1: Place(100, 100, 100)}, [Place(180, 100, 100)], {1: 0.9}) == {1: 0}
    assert matched({}, [Place(0, 0, 1)]) == matched({1: Place(0, 0, 1)}, []) == {}
