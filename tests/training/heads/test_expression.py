import numpy as np
import pytest

from training.heads import expression


def test_labels_name_the_pictures_sides() -> None:
    values = expression.labels({"eyeBlink_R": 0.8, "jawOpen": 0.3, **expression.both("mouthSmile", 0.5)}, (15, -6))
    named = dict(zip(expression.BLEND, values.tolist(), strict=True))
    assert named["eyeBlinkLeft"] == pytest.approx(0.8)  # the subject's right eye is on the picture's left
    assert named["eyeBlinkRight"] == 0
    assert named["jawOpen"] == pytest.approx(0.3)
    assert named["mouthSmile"] == pytest.approx(0.5)
    assert named["gazeYawLeft"] == named["gazeYawRight"] == pytest.approx(0.5)
    assert named["gazePitchLeft"] == pytest.approx(-0.2)


def test_eyes_that_look_to_the_pictures_right_turn_both_ways_of_their_own() -> None:
    assert expression.look(15, 0) == {"eyeLookOut_L": 0.5, "eyeLookIn_R": 0.5}
    assert expression.look(0, -15) == {"eyeLookDown_L": 0.5, "eyeLookDown_R": 0.5}


def test_random_expressions_stay_within_the_shapes_range_and_vary() -> None:
    rng = np.random.default_rng(0)
    drawn = [expression.random_expression(rng) for _ in range(400)]
    assert all(0 <= weight <= 1 for weights in drawn for weight in weights.values())
    closed = np.mean([weights.get("eyeBlink_L", 0) > 0.9 for weights in drawn])
    open_mouth = np.mean([weights.get("jawOpen", 0) > 0.2 for weights in drawn])
    assert 0.05 < closed < 0.3
    assert 0.1 < open_mouth < 0.6


def test_creases_follow_the_movement_and_stay_with_age() -> None:
    raised = expression.both("browInnerUp", 0.9)
    young, old = expression.creases(raised, 0.0), expression.creases(raised, 1.0)
    assert expression.creases({}, 0.0) == (0.0, 0.0, 0.0, 0.0)
    assert young[0] > 0.2
    assert young[1:] == (0.0, 0.0, 0.0)
    assert old[0] > young[0]
    assert min(expression.creases({}, 1.0)) > 0.3
    assert all(0 <= depth <= 1 for depth in old)
