"""The label's corner: away from a face that stays, and never back and forth."""

import pytest

from realtime.egress.corner import CORNERS, Corner

LEFT, RIGHT, TOP_LEFT, _ = CORNERS


def path(chosen: str, *seen: tuple[float, set[str]]) -> list[str]:
    """The corner at each moment: (seconds, corners that faces cover)."""
    corner = Corner()
    return [corner(chosen, covered, at) for at, covered in seen]


@pytest.mark.parametrize("chosen", CORNERS)
def test_without_faces_it_is_the_chosen_one(chosen: str) -> None:
    assert path(chosen, *((at / 10, set()) for at in range(50))) == [chosen] * 50


def test_a_face_that_passes_does_not_move_it() -> None:
    assert set(path(LEFT, (0, set()), (5, {LEFT}), (5.9, {LEFT}), (6, set()), (9, {LEFT}), (9.9, {LEFT}))) == {LEFT}


def test_a_face_that_stays_moves_it_and_leaving_does_not_bring_it_back() -> None:
    moments: list[tuple[float, set[str]]] = [
        (0, set()),
        (5, {LEFT}),
        (5.9, {LEFT}),
        (6, {LEFT}),
        (7, set()),
        (60, set()),
    ]
    assert path(LEFT, *moments) == [LEFT, LEFT, LEFT, RIGHT, RIGHT, RIGHT]


def test_it_stays_three_seconds_in_each_corner() -> None:
    moments: list[tuple[float, set[str]]] = [
        (0, set()),
        (5, {LEFT}),
        (6, {LEFT}),
        (6.1, {RIGHT}),
        (7.1, {RIGHT}),
        (8.9, {RIGHT}),
        (9, {RIGHT}),
    ]
    assert path(LEFT, *moments)[2:] == [RIGHT, RIGHT, RIGHT, RIGHT, LEFT]


def test_it_moves_only_to_a_corner_that_is_free_as_long() -> None:
    moments: list[tuple[float, set[str]]] = [(0, {RIGHT}), (5, {LEFT, RIGHT}), (5.5, {LEFT}), (6, {LEFT})]
    assert path(LEFT, *moments)[-1] == TOP_LEFT


def test_with_a_face_in_every_corner_it_stays() -> None:
    assert set(path(LEFT, (0, set()), (5, set(CORNERS)), (6, set(CORNERS)), (60, set(CORNERS)))) == {LEFT}


def test_another_choice_counts_at_once() -> None:
    corner = Corner()
    assert corner(LEFT, {LEFT}, 0.0) == RIGHT
    assert corner(TOP_LEFT, {LEFT}, 0.1) == TOP_LEFT


@pytest.mark.parametrize("at", [None, 1.0])
def test_a_picture_that_stands_alone_and_a_clock_that_starts_again_begin_anew(at: float | None) -> None:
    corner = Corner()
    assert [corner(LEFT, covered, when) for covered, when in (({LEFT}, 9.0), (set(), at))] == [RIGHT, LEFT]
