"""What is read off a face follows what it is named after, and clips are pooled around their own means."""

import numpy as np
import pytest

from bench.ruler import FEATURES, FEWEST, Course, features, plain, pooled
from realtime.face.geometry import template, to_pixels
from realtime.face.landmarks import BLEND, Reading


def _reading(shape: np.ndarray, **said: float) -> Reading:
    blend = np.array([said.get(name, 0) for name in BLEND], np.float32)
    return Reading(shape.astype(np.float32), shape[:2].astype(np.float32), blend, 1.0)


def _face(mouth: float = 0.0, nose: float = 0.0, lids: float = 0.0) -> np.ndarray:
    points = to_pixels(template(), 200).astype(np.float64)
    points[66, 1] += mouth
    points[30, 0] += nose
    points[[41, 40, 47, 46], 1] += lids
    return points


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mouth", _reading(_face(mouth=9))),
        ("yaw", _reading(_face(nose=9))),
        ("eyes", _reading(_face(lids=4))),
        ("blink", _reading(_face(), eyeBlinkLeft=0.5)),
        ("smile", _reading(_face(), mouthSmile=0.5)),
        ("gaze yaw", _reading(_face(), gazeYawRight=0.5)),
        ("gaze pitch", _reading(_face(), gazePitchLeft=0.5)),
    ],
)
def test_features_follow_what_they_are_named_after(name: str, other: Reading) -> None:
    before = dict(zip(FEATURES, features(_reading(_face())), strict=True))
    moved = dict(zip(FEATURES, features(other), strict=True))
    assert {key for key in FEATURES if abs(moved[key] - before[key]) > 1e-6} == {name}
    assert moved[name] > before[name]


def test_features_do_not_depend_on_size_and_place() -> None:
    face = _face(mouth=6, nose=4)
    assert np.allclose(features(_reading(face)), features(_reading(face * 2.5 + 40)))


def test_a_clip_that_hardly_moves_does_not_drown_one_that_does() -> None:
    rng = np.random.default_rng(0)
    moves = np.linspace(-1, 1, 40)
    telling = Course(moves + 5, 0.5 * moves)
    silent = [Course(rng.normal(0, 0.01, 40), rng.normal(0, 0.01, 40) - 3) for _ in range(5)]
    assert telling.correlation == pytest.approx(1)
    assert all(abs(course.correlation or 0) < 0.6 for course in silent)
    assert (pooled([telling, *silent]) or 0) > 0.99


def test_pooling_forgets_what_sets_clips_apart() -> None:
    rng = np.random.default_rng(1)
    noise = [Course(rng.normal(k, 0.1, 200), rng.normal(k, 0.1, 200)) for k in range(4)]
    assert abs(pooled(noise) or 0) < 0.2


def test_too_few_frames_and_values_that_do_not_vary_say_nothing() -> None:
    few = np.arange(FEWEST - 1.0)
    assert Course(few, few).correlation is None
    assert Course(np.arange(20.0), np.zeros(20)).correlation is None
    assert pooled([]) is None


def test_a_plain_picture_has_the_faces_colour_and_nothing_else() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 30:60] = (10, 20, 30)
    for landmarks in ([[30, 10], [59, 19]], [[30, 10], [90, 19]]):  # the second face is half out of the picture
        ground = plain(image, np.array(landmarks, np.float32))
        assert ground.shape == image.shape
        assert (ground == (10, 20, 30)).all()
