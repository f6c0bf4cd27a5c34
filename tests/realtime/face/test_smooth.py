"""The One-Euro filter and the alignment that it steadies."""

import numpy as np
import pytest

from realtime.face.geometry import Matrix, invert, similarity, template, transform
from realtime.face.smooth import GAP, OneEuro, SmoothSettings, SteadyAlignment
from tests.realtime.face.helpers import centre_of

UNIT = np.ones(1)


def alignment(x: float, y: float, side: float, angle: float) -> Matrix:
    """Frame px to the unit square, for a template square of that side and angle about (x, y)."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = ((template() - 0.5) * side @ turn.T + np.array([x, y])).astype(np.float32)
    return similarity(points, template())


def test_the_first_value_passes_unchanged() -> None:
    assert OneEuro(SmoothSettings())(np.array([3.5]), 0.0, UNIT) == pytest.approx([3.5])


def test_a_shaking_value_at_rest_is_calmed() -> None:
    random = np.random.default_rng(0)
    smooth = OneEuro(SmoothSettings())
    raw = random.normal(0, 0.005, 300)
    out = [float(smooth(np.array([value]), index / 30, UNIT)[0]) for index, value in enumerate(raw)]
    assert np.std(np.diff(out)) < 0.35 * np.std(np.diff(raw))


def test_a_moving_value_is_followed_closely() -> None:
    smooth = OneEuro(SmoothSettings())
    out = [float(smooth(np.array([index / 30]), index / 30, UNIT)[0]) for index in range(60)]
    assert abs(out[-1] - 59 / 30) < 0.02  # one template side a second, 2 % of the side behind


def test_a_rising_cutoff_is_what_follows() -> None:
    still = OneEuro(SmoothSettings(speed_gain=0))
    out = [float(still(np.array([index / 30]), index / 30, UNIT)[0]) for index in range(60)]
    assert abs(out[-1] - 59 / 30) > 0.05


def test_a_head_that_sets_off_is_never_a_frame_late() -> None:
    smooth, width = OneEuro(SmoothSettings()), float(np.ptp(template()[:, 0]))  # of a face, in template sides
    path = width * np.concatenate([np.zeros(15), np.arange(1, 46) / 30])  # a face-width a second
    out = np.array([smooth(np.array([value]), index / 30, UNIT)[0] for index, value in enumerate(path)])
    assert ((path - out) / width).max() < 0.7 / 30
    assert ((path - out) / width)[40:].max() < 0.5 / 30  # once its speed is known


def test_what_is_ahead_follows_the_speed_and_stays_after_a_gap() -> None:
    smooth = OneEuro(SmoothSettings())
    for index in range(30):
        smooth(np.array([index / 30]), index / 30, UNIT)
    assert smooth.ahead(1.0, UNIT) == pytest.approx([1.0], abs=0.02)
    assert smooth.ahead(29 / 30 + GAP + 0.1, UNIT) == pytest.approx([29 / 30], abs=0.02)


def test_smoothing_depends_on_the_frames_times_and_not_on_their_number() -> None:
    ends = []
    for rate in (15, 30, 60):
        smooth = OneEuro(SmoothSettings(speed_gain=0))
        smooth(np.zeros(1), 0.0, UNIT)
        for index in range(1, rate // 5 + 1):
            value = smooth(np.ones(1), index / rate, UNIT)
        ends.append(float(value[0]))  # a fifth of a second after a step
    assert np.ptp(ends) < 0.06
    assert 0.7 < ends[0] < 0.95


@pytest.mark.parametrize("later", [-1.0, GAP + 0.1])
def test_time_that_goes_back_or_leaps_starts_anew(later: float) -> None:
    smooth = OneEuro(SmoothSettings())
    smooth(np.zeros(1), 10.0, UNIT)
    assert smooth(np.ones(1), 10.0 + later, UNIT) == pytest.approx([1.0])


def test_the_same_time_twice_changes_nothing() -> None:
    smooth = OneEuro(SmoothSettings())
    smooth(np.zeros(1), 1.0, UNIT)
    assert smooth(np.ones(1), 1.0, UNIT) == pytest.approx([0.0])


def test_a_steady_alignment_stays_a_similarity_and_exact_at_rest() -> None:
    known = alignment(320, 180, 200, 0.4)
    smooth = SteadyAlignment(SmoothSettings(), known, 0.0)
    for index in range(5):
        out = smooth(known, index / 30)
        assert transform(out, transform(invert(known), template())) == pytest.approx(template(), abs=1e-4)
        assert out[0, 0] == pytest.approx(out[1, 1])
        assert out[0, 1] == pytest.approx(-out[1, 0])


def test_a_still_alignment_stays_to_the_bit_while_its_speed_fades() -> None:
    smooth = SteadyAlignment(SmoothSettings(), alignment(100, 100, 80, 0), 0)
    for index in range(1, 10):
        smooth(alignment(100 + 12 * index, 100, 80, 0), index / 30)
    assert not smooth.rests  # it moves, and is a little behind
    before = smooth.matrix.copy()
    speed = centre_of(smooth.ahead(10 / 30))[0] - centre_of(before)[0]
    for index in range(10, 40):
        smooth.still(index / 30)
        assert np.array_equal(smooth.matrix, before)
    assert abs(centre_of(smooth.ahead(40 / 30))[0] - centre_of(before)[0]) < 0.01 * speed
    for index in range(40, 80):
        smooth(alignment(208, 100, 80, 0), index / 30)
    assert smooth.rests


def test_an_alignment_ahead_is_where_the_face_is_going() -> None:
    smooth = SteadyAlignment(SmoothSettings(), alignment(300, 180, 100, 0.0), 0.0)
    for index in range(1, 30):
        smooth(alignment(300 + 2 * index, 180, 100, 0.0), index / 30)
    assert centre_of(smooth.ahead(1.0)) == pytest.approx([360, 180], abs=1.5)


def test_without_smoothing_an_alignment_is_what_was_read() -> None:
    bare = SteadyAlignment(None, alignment(300, 180, 100, 0.0), 0.0)
    read = alignment(340, 190, 130, 0.2)
    assert bare(read, 1 / 30) == pytest.approx(read, abs=1e-6)
    assert bare.ahead(2 / 30) == pytest.approx(read, abs=1e-6)


def test_a_head_that_turns_past_half_a_circle_does_not_spin_back() -> None:
    smooth = SteadyAlignment(SmoothSettings(), alignment(320, 180, 200, 2.6), 0.0)
    for index in range(60):
        angle = 2.6 + index * 0.02  # passes pi
        out = smooth(alignment(320, 180, 200, angle), index / 30)
        seen = np.arctan2(-out[1, 0], out[0, 0])
        off = np.angle(np.exp(1j * (seen - angle)))
        assert abs(off) < 0.05


@pytest.mark.parametrize("side", [40.0, 400.0])
def test_smoothing_is_relative_to_the_faces_size(side: float) -> None:
    random = np.random.default_rng(1)
    smooth = SteadyAlignment(SmoothSettings(), alignment(320, 180, side, 0.0), 0.0)
    raw = np.array([320, 180]) + random.normal(0, 0.005 * side, (200, 2))
    out = np.array([centre_of(smooth(alignment(x, y, side, 0.0), i / 30)) for i, (x, y) in enumerate(raw)])
    calmer = np.diff(out, axis=0).std() / np.diff(raw, axis=0).std()
    assert 0.1 < calmer < 0.35
