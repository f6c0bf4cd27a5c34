"""The landmark network's crops, coordinates and refusals, with a small model that looks at discs."""

from pathlib import Path

import numpy as np
import pytest

from realtime.errors import ModelError
from realtime.face.geometry import Points, crop_matrix, template, transform
from realtime.face.landmarks import BLEND, Landmarker, plausible, template_five
from realtime.swap.session import SessionSettings
from tests.models import write_encoder, write_landmarker
from tests.realtime.face.helpers import detection_of, picture, write_seeing_landmarker

CPU = SessionSettings(provider="cpu", threads=1)


@pytest.fixture
def seeing(tmp_path: Path) -> Landmarker:
    return Landmarker.load(write_seeing_landmarker(tmp_path / "landmarks.onnx"), CPU)


def face_of(x: float, y: float, radius: float) -> Points:
    """Where the template lies for a disc."""
    return (template() - np.float32(0.5)) * np.float32(4 * radius) + np.array([x, y], np.float32)


def test_a_reading_is_in_frame_pixels(seeing: Landmarker) -> None:
    image = picture((300, 150, 30))
    reading = seeing(image, crop_matrix(face_of(300, 150, 30), 160, 1.25))
    assert reading.landmarks == pytest.approx(face_of(300, 150, 30), abs=0.4)
    assert reading.irises[0, 0] < reading.irises[1, 0]
    assert reading.irises[0] == pytest.approx(reading.landmarks[36:42].mean(0), abs=0.1)
    assert reading.blend.shape == (len(BLEND),)
    assert reading.presence == pytest.approx(1.0, abs=0.01)


def test_five_points_are_enough_to_find_a_face_turned_and_small(tmp_path: Path) -> None:
    landmarker = Landmarker.load(write_landmarker(tmp_path / "landmarks.onnx"), CPU)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32) * 50
    matrix = np.hstack([turn, [[200], [100]]]).astype(np.float32)
    reading = landmarker.find(picture(), transform(matrix, template_five()))
    assert reading.landmarks == pytest.approx(transform(matrix, template()), abs=0.05)


def test_the_second_pass_corrects_the_first(seeing: Landmarker) -> None:
    image = picture((300, 150, 30))
    rough = detection_of(315, 140, 30)  # beside it: the first crop cuts off part of the disc's surroundings
    assert seeing.find(image, rough.points).landmarks == pytest.approx(face_of(300, 150, 30), abs=0.5)


def test_following_starts_from_the_frame_before(seeing: Landmarker) -> None:
    reading = seeing.follow(picture((310, 155, 30)), face_of(300, 150, 30))
    assert reading.landmarks == pytest.approx(face_of(310, 155, 30), abs=0.5)


def test_nothing_there_has_no_presence(seeing: Landmarker) -> None:
    assert seeing.follow(picture(), face_of(300, 150, 30)).presence == 0


def test_a_frame_is_only_read(seeing: Landmarker) -> None:
    image = picture((300, 150, 30))
    image.flags.writeable = False
    before = image.copy()
    seeing.find(image, detection_of(300, 150, 30).points)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("middle", "side", "fine"),
    [
        ((320, 180), 200.0, True),
        ((5, 5), 200.0, True),  # half outside
        ((-200, 180), 200.0, False),  # outside
        ((320, 180), 8.0, False),  # tiny
        ((320, 180), 9000.0, False),  # enormous
        ((np.nan, 180), 200.0, False),
    ],
)
def test_what_could_not_be_a_face_is_told_apart(middle: tuple[float, float], side: float, fine: bool) -> None:
    landmarks = ((template() - 0.5) * side + np.array(middle)).astype(np.float32)
    assert plausible(landmarks, picture()) is fine


def test_the_templates_five_points_are_in_a_detectors_order() -> None:
    left_eye, right_eye, nose, left_corner, right_corner = template_five()
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_corner[0] < nose[0] < right_corner[0]
    assert left_eye[1] < nose[1] < left_corner[1]


def test_a_model_of_another_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="encoder model was given where a model with the role landmarks is wanted"):
        Landmarker.load(write_encoder(tmp_path / "encoder.onnx"), CPU)


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        Landmarker.load(tmp_path / "landmarks.onnx", CPU)
