"""Stand-ins go past the work on faces, and show nothing that was not shown."""

from dataclasses import replace

import numpy as np

from realtime.flow.standing import Standing
from realtime.frame import Drawn, Frame
from tests.realtime.flow.things import frame


def swapped(before: Frame) -> Frame:
    """What stands for the swap: another picture, with a face that was drawn."""
    return replace(before, image=before.image + 100, drawn=(Drawn("aster", "", (0, 0, 1, 1)),))


def standing(seen: list[int]) -> Standing[Frame]:
    """Notes the numbers of the frames that the first stage gets."""

    def first(given: Frame) -> Frame:
        seen.append(given.index)
        return given

    return Standing(first, swapped, lambda before: replace(before, image=before.image * 0))


def test_a_card_leaves_as_it_is_and_nobody_looks_for_faces_on_it() -> None:
    seen: list[int] = []
    both = standing(seen)
    card = replace(frame(7), instead="card")
    assert both.last(both.first(frame(6))).image[0, 0, 0] == 106
    assert both.last(both.first(card)) is card
    assert seen == [6]


def test_what_is_held_is_what_left_last_with_its_faces_and_never_what_the_camera_saw() -> None:
    both = standing([])
    both.last(both.first(frame(5)))
    held = both.last(both.first(replace(frame(6), instead="hold")))
    again = both.last(both.first(replace(frame(7), instead="hold")))
    for number, shown in ((6, held), (7, again)):
        assert shown.index == number
        assert np.all(shown.image == 105)
        assert [face.identity for face in shown.drawn] == ["aster"]
    assert again.captured_at > held.captured_at


def test_what_is_forgotten_is_not_held() -> None:
    both = standing([])
    both.last(both.first(frame(5)))
    both.forget()
    card = replace(frame(6), instead="hold")
    assert both.last(both.first(card)) is card


def test_before_anything_was_shown_a_held_frame_is_its_card() -> None:
    both = standing([])
    card = replace(frame(0), instead="hold")
    assert both.last(both.first(card)) is card


def test_stand_ins_go_past_the_work_in_between() -> None:
    both = standing([])
    work = both.between(swapped)
    assert work(both.first(frame(4))).image[0, 0, 0] == 104
    stand_in = both.first(replace(frame(5), instead="card"))
    assert work(stand_in) is stand_in


def test_after_a_stand_in_the_work_goes_on() -> None:
    both = standing([])
    both.last(both.first(replace(frame(1), instead="hold")))
    assert both.last(both.first(frame(2))).image[0, 0, 0] == 102


def test_where_the_last_stage_fails_a_stand_in_leaves_all_the_same_and_a_frame_as_is_said_for_it() -> None:
    both = standing([])
    card = replace(frame(3), instead="card")
    assert both.covered(both.first(card)) is card
    assert not both.covered(both.first(frame(4))).image.any()
