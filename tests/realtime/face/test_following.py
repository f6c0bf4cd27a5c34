"""The embedded models follow the rendered face of the bundled clip, in frames of every kind and past one another."""

import av
import cv2
import numpy as np
import pytest

from realtime.__main__ import DEMO
from realtime.face.detect import Detector, open_detector
from realtime.face.face import Face
from realtime.face.geometry import Image
from realtime.face.landmarks import Landmarker
from realtime.face.match import place_of
from realtime.face.track import Tracker, TrackingSettings
from realtime.swap.session import SessionSettings
from tests.realtime.face.helpers import frame_of, numbers

CPU = SessionSettings(provider="cpu", threads=2)
FACE = (405, 90, 530, 530)  # x y width height of the head in the clip's first frame, px


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector("centerface", 2)


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker.load(None, CPU)


@pytest.fixture(scope="module")
def rendered() -> Image:
    """The clip's first frame."""
    with av.open(str(DEMO)) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="bgr24"), np.uint8)


def resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def put(scene: Image, head: Image, x: float, y: float) -> None:
    """Draws the head's oval into the scene, centred on (x, y)."""
    size = head.shape[0]
    oval = np.zeros((size, size), np.uint8)
    cv2.ellipse(oval, (size // 2, size // 2), (round(size * 0.34), round(size * 0.47)), 0, 0, 360, 255, -1)
    left, top = round(x - size / 2), round(y - size / 2)
    part = scene[top : top + size, left : left + size]
    part[oval > 0] = head[oval > 0]


def head_of(rendered: Image, size: int) -> Image:
    x, y, width, height = FACE
    return resized(rendered[y : y + height, x : x + width], size, size)


def test_one_who_walks_past_behind_another_and_the_other_keep_their_numbers(
    detector: Detector, landmarker: Landmarker, rendered: Image
) -> None:
    tracker = Tracker(detector, landmarker, TrackingSettings(max_faces=2, detect_every=0.1))
    front, back = head_of(rendered, 200), head_of(rendered, 170)
    seen: list[tuple[Face, ...]] = []
    for index in range(56):
        scene = np.full((300, 640, 3), 120, np.uint8)
        put(scene, back, 110 + 7.5 * index, 140)
        if index:  # later than the one behind, whose number is therefore the first
            put(scene, front, 530 - 7.5 * index, 150)
        seen.append(tracker(frame_of(scene, index)))
    for index in (5, 50):
        places = {face.track: place_of(face.to_template).x for face in seen[index]}
        assert places == {1: pytest.approx(110 + 7.5 * index, abs=20), 2: pytest.approx(530 - 7.5 * index, abs=20)}
    assert all(2 in numbers(faces) for faces in seen[5:])  # the one in front is never lost
    assert {number for faces in seen for number in numbers(faces)} == {1, 2}


@pytest.mark.parametrize("kind", ["4K", "portrait", "grey", "half the size", "small"])
def test_the_face_is_followed_in_frames_of_every_kind(
    detector: Detector, landmarker: Landmarker, rendered: Image, kind: str
) -> None:
    upright = np.full((1280, 720, 3), 90, np.uint8)
    upright[300:705] = resized(rendered, 720, 405)
    grey = np.repeat(rendered.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    image = {
        "4K": np.asarray(cv2.resize(rendered, (3840, 2160), interpolation=cv2.INTER_LINEAR), np.uint8),
        "portrait": upright,
        "grey": grey,
        "half the size": resized(rendered, 640, 360),
        "small": resized(rendered, 160, 90),
    }[kind]
    tracker = Tracker(detector, landmarker)
    for index in range(3):
        (face,) = tracker(frame_of(image, index))
        assert face.track == 1
        assert 0.12 < place_of(face.to_template).side / max(image.shape[:2]) < 1
    assert tracker.detector_runs == 1


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("extent", [(20, 20), (1, 1), (3, 2000)])
def test_a_tiny_or_narrow_frame_has_no_face(
    detector: Detector, landmarker: Landmarker, extent: tuple[int, int], value: int
) -> None:
    tracker = Tracker(detector, landmarker)
    assert tracker(frame_of(np.full((*extent, 3), value, np.uint8), 0)) == ()


def test_a_face_in_20_px_is_a_face_or_none_and_never_a_fault(
    detector: Detector, landmarker: Landmarker, rendered: Image
) -> None:
    tracker = Tracker(detector, landmarker)
    for index in range(3):
        for face in tracker(frame_of(resized(head_of(rendered, 200), 20, 20), index)):
            assert np.isfinite(face.to_template).all()


def test_frames_that_change_their_size_midway_carry_the_face_over_or_find_it_anew(
    detector: Detector, landmarker: Landmarker, rendered: Image
) -> None:
    tracker = Tracker(detector, landmarker)
    upright = np.full((1280, 720, 3), 90, np.uint8)
    upright[300:705] = resized(rendered, 720, 405)
    tiny = np.zeros((20, 20, 3), np.uint8)
    kinds = [rendered, resized(rendered, 640, 360), rendered, upright, tiny, rendered]
    seen = [tracker(frame_of(image.copy(), index)) for index, image in enumerate(kinds)]
    assert [len(faces) for faces in seen] == [1, 1, 1, 1, 0, 1]
    assert [numbers(faces) for faces in seen[:3]] == [[1]] * 3  # the same picture in another size
