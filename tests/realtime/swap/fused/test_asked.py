"""What a fused model is told of faces: outlines as edges, windows of the frame, turns, cells."""

import numpy as np
import pytest

from realtime.face.geometry import invert, transform
from realtime.swap.fused.asked import Window, asked, cells_of, feed, planes, rounds, window
from realtime.swap.fused.model import INPUTS, MEMORY
from realtime.swap.fused.steps import PLANES
from tests.realtime.swap.helpers import face_at

NOBODY = np.zeros(MEMORY, np.float32)
SQUARE = np.array([(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)], np.float32)


@pytest.mark.parametrize("turned", [1, -1])
def test_edges_say_how_far_inside_a_place_lies(turned: int) -> None:
    edges = planes(SQUARE[::turned])
    places = np.array([(0.5, 0.5, 1), (0.3, 0.5, 1), (0.5, 0.9, 1)])
    assert (edges @ places.T).min(0) == pytest.approx([0.3, 0.1, -0.1], abs=1e-6)
    assert edges.shape == (PLANES, 3)


def test_a_hull_of_many_edges_becomes_hardly_larger() -> None:
    angles = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    circle = (0.5 + 0.4 * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)
    onto = np.hstack([0.5 + 1.03 * (circle - 0.5), np.ones((80, 1))])
    assert ((planes(circle) @ onto.T).min(0) < 0.005).all()
    assert (planes(circle) @ np.hstack([circle, np.ones((80, 1))]).T).min() > -1e-6


def test_without_an_outline_every_place_is_inside() -> None:
    assert (planes(None) @ np.array([5, -5, 1])).min() == 1


def test_the_window_holds_the_hull_and_lies_in_the_frame() -> None:
    face = face_at(100, 60, 90, degrees=20)
    there = window(face.to_template, SQUARE, 320, 240)
    assert there is not None
    points = transform(invert(face.to_template), SQUARE)
    assert there.left <= points[:, 0].min()
    assert points[:, 0].max() <= there.right
    assert there.bottom - there.top < 90
    cut = window(face_at(10, 235, 90).to_template, None, 320, 240)
    assert cut == Window(0, 190, cut.right if cut else 0, 240)


def test_a_face_outside_of_the_frame_is_not_asked_for() -> None:
    assert asked(face_at(-200, 60, 90), SQUARE, NOBODY, 320, 240) is None
    assert asked(face_at(100, 60, 90), SQUARE + 2, NOBODY, 320, 240) is None


def test_faces_that_share_pixels_take_turns_in_their_order() -> None:
    a, b, c = Window(0, 0, 10, 10), Window(5, 5, 15, 15), Window(20, 0, 30, 10)
    assert rounds([a, b, c], [0, 0, 0]) == [[0, 2], [1]]
    assert rounds([a, b, a], [0, 1, 0]) == [[0, 1], [2]]
    assert rounds([a, b, Window(9, 9, 11, 11)], [0, 0, 0]) == [[0], [1], [2]]
    assert rounds([], []) == []


def test_a_feed_has_what_the_model_takes_besides_frames_and_fittings() -> None:
    faces = [asked(face_at(x, 60, 90), SQUARE, NOBODY, 320, 240) for x in (60, 310)]
    told = feed([face for face in faces if face is not None], [0, 1], 320, 240, 160, 1.0)
    assert {*told, "seen", "shown", "fittings"} == {port.name for port in INPUTS}
    for port in INPUTS[2:-1]:
        assert told[port.name].ndim == len(port.shape)
    frame, top, left = told["places"][1].tolist()
    assert frame == 1
    assert top + len(told["down"]) <= 240
    assert left + len(told["across"]) <= 320
    assert len(told["across"]) % 32 == 0


def test_large_faces_are_read_from_cells_of_more_than_a_pixel() -> None:
    assert cells_of(face_at(160, 120, 200), 320, 240, 160, 1.0) == (0, 0, 1, 1, 1)
    _, _, wide, high, block = cells_of(face_at(800, 600, 960), 1600, 1200, 160, 1.0)
    assert wide == pytest.approx(3, abs=0.02)
    assert high == pytest.approx(3, abs=0.02)
    assert block == 2
