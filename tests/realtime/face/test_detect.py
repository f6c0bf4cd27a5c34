"""CenterFace on a real picture, insightface's decoding on a small model of the same outputs."""

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from realtime.errors import MissingExtra, ModelError, SettingsError
from realtime.face.detect import (
    BORDER,
    CenterFace,
    Detector,
    InsightFaceDetector,
    View,
    decode_centerface,
    distinct,
    open_detector,
    overlap,
    place,
)
from realtime.face.geometry import Image
from realtime.swap.session import SessionSettings


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace(SessionSettings(provider="cpu"))


@pytest.fixture(scope="module")
def astronaut() -> Image:
    picture: Image = data.astronaut()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(picture[..., ::-1])  # 512 x 512; her face lies about (225, 120)


# Read off the picture by eye, px: her right eye (on the picture's left), left eye, nose tip, corners of the mouth.
FIVE = np.array([(203, 103), (245, 105), (224, 124), (207, 144), (240, 145)])


def test_the_astronauts_face_is_found_once_with_plausible_points(detector: Detector, astronaut: Image) -> None:
    (found,) = detector.detect(astronaut)
    assert found.score > 0.7
    assert np.abs(found.points - FIVE).max() < 8
    x1, y1, x2, y2 = found.box
    assert x1 < FIVE[:, 0].min() < FIVE[:, 0].max() < x2
    assert y1 < FIVE[:, 1].min() - 15
    assert FIVE[:, 1].max() + 10 < y2  # from the forehead to the chin
    assert 80 < x2 - x1 < 120


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (480, 848), (97, 131), (1920, 1080)])
def test_a_face_is_found_at_any_size_of_picture(detector: Detector, astronaut: Image, size: tuple[int, int]) -> None:
    half = astronaut[:300, 70:380]
    scale = min(size[0] / 310, size[1] / 300)
    small = cv2.resize(half, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    image[: small.shape[0], : small.shape[1]] = small[: size[1], : size[0]]
    (found,) = detector.detect(image)
    assert np.abs(found.points / scale + np.array([70, 0]) - FIVE).max() < 10


def test_a_face_that_fills_the_picture_is_found(detector: Detector, astronaut: Image) -> None:
    only_face = cv2.resize(astronaut[60:180, 180:272], None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    (found,) = detector.detect(np.asarray(only_face, np.uint8))
    assert np.abs(found.points / 6 + np.array([180, 60]) - FIVE).max() < 10


def test_a_small_face_is_found_by_the_thorough_look(detector: Detector, astronaut: Image) -> None:
    wide = np.full((1080, 1920, 3), 90, np.uint8)
    small = cv2.resize(astronaut, (250, 250), interpolation=cv2.INTER_AREA)
    wide[700:950, 1500:1750] = small  # a face 45 px wide in 1920
    assert len(detector.detect(wide)) == 0
    (found,) = detector.detect(wide, thorough=True)
    expected = FIVE * 250 / 512 + np.array([1500, 700])
    assert np.abs(found.points - expected).max() < 6


def test_several_faces_come_best_first(detector: Detector, astronaut: Image) -> None:
    face = astronaut[:256, 100:356]
    both = np.hstack([face, cv2.GaussianBlur(face, (0, 0), 4)])
    found = detector.detect(np.ascontiguousarray(both))
    assert len(found) == 2
    assert found[0].score >= found[1].score


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_picture_has_no_face(detector: Detector, value: int) -> None:
    image = np.full((360, 640, 3), value, np.uint8)
    assert detector.detect(image) == ()
    assert detector.detect(image, thorough=True) == ()


def test_noise_has_no_face(detector: Detector) -> None:
    assert detector.detect(np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)) == ()


def test_a_frame_is_only_read(detector: Detector, astronaut: Image) -> None:
    image = astronaut.copy()
    image.flags.writeable = False
    detector.detect(image)
    assert np.array_equal(image, astronaut)


def test_the_canvas_keeps_the_pictures_shape_and_knows_the_way_back() -> None:
    image = np.full((720, 1280, 3), 255, np.uint8)
    canvas = place(image, View(320))
    height, width = canvas.image.shape[:2]
    assert (width, height) == (320, 192)
    bright = np.argwhere(canvas.image[..., 0] == 255)
    assert bright[:, 1].max() + 1 - bright[:, 1].min() == round(320 / (1 + 2 * BORDER))
    ends = np.array([bright.min(0)[::-1], bright.max(0)[::-1] + 1], np.float32)
    assert canvas.to_frame(ends) == pytest.approx(np.array([[-0.5, -0.5], [1279.5, 719.5]]), abs=0.01)


def test_a_peak_in_centerfaces_maps_becomes_its_box_and_points() -> None:
    canvas = place(np.zeros((256, 256, 3), np.uint8), View(320))  # scale 1, corner (32, 32)
    heat, size = np.zeros((80, 80), np.float32), np.zeros((2, 80, 80), np.float32)
    offset, points = np.zeros((2, 80, 80), np.float32), np.zeros((10, 80, 80), np.float32)
    heat[30, 20], heat[30, 21] = 0.9, 0.6  # row, column; the second overlaps the first
    size[:, 30, 20:22] = np.log([[15], [10]])  # 60 high, 40 wide
    offset[:, 30, 20] = 0.25, -0.25
    points[:, 30, 20] = (0.3, 0.2, 0.3, 0.8, 0.5, 0.5, 0.8, 0.3, 0.8, 0.7)  # y x, parts of the box
    (found,) = decode_centerface(heat, size, offset, points, canvas)
    assert found.score == pytest.approx(0.9)
    x, y = (20 - 0.25 + 0.5) * 4 - 32 - 0.5, (30 + 0.25 + 0.5) * 4 - 32 - 0.5
    assert found.box == pytest.approx([x - 20, y - 30, x + 20, y + 30], abs=1e-3)
    expected = [(x - 12, y - 12), (x + 12, y - 12), (x, y), (x - 8, y + 18), (x + 8, y + 18)]
    assert found.points == pytest.approx(np.array(expected), abs=1e-3)


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30), (2, 2, 4, 4)], np.float32)
    assert overlap(boxes[0], boxes) == pytest.approx([1, 1 / 3, 0, 0.04])


def test_of_boxes_that_overlap_the_best_is_kept() -> None:
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)], np.float32)
    assert distinct(boxes, np.array([0.6, 0.9, 0.7], np.float32)) == [1, 2]
    assert distinct(boxes[:0], np.zeros(0, np.float32)) == []


def test_the_detector_needs_no_further_package() -> None:
    code = (
        "import sys; from realtime.face.detect import open_detector; open_detector('centerface', 1); "
        "print([name for name in ('insightface', 'onnx', 'skimage', 'torch') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["haar", "insightface", "insightface:", "centerface:x", ""])
def test_an_unknown_detector_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="wanted centerface or insightface:PACK"):
        open_detector(name)


def write_scrfd(path: Path, faces: Sequence[tuple[int, int, int, float]], side: int, free: bool = False) -> Path:
    """A model with SCRFD's nine outputs that sees, whatever the picture, faces at (stride, row, column) of a score.

    Each face's box reaches two strides from its anchor, its points one stride or none.
    """
    nodes, values, outputs = [], [], []
    shown: dict[str, tuple[int, ...]] = {"score": (), "box": (2, 2, 2, 2), "points": (-1, -1, 1, -1, 0, 0, -1, 1, 1, 1)}
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            cells = side // stride
            said = np.zeros((cells * cells * 2, width), np.float32)
            for at, row, column, score in faces:
                if at == stride:
                    anchor = 2 * (row * cells + column)
                    said[anchor] = np.array(shown[kind] or score, np.float32)
            name = f"{kind}{stride}"
            values.append(numpy_helper.from_array(said, f"{name}_said"))
            nodes.append(helper.make_node("Add", [f"{name}_said", "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(said), width]))
    nodes.insert(0, helper.make_node("ReduceMean", ["input.1"], ["mean"], keepdims=0))
    nodes.insert(1, helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    values.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    shape: list[str | int] = [1, 3, "height", "width"] if free else [1, 3, side, side]
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "scrfd", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


insightface = pytest.mark.skipif(importlib.util.find_spec("insightface") is None, reason="insightface is not installed")


@insightface
@pytest.mark.parametrize("free", [False, True])
def test_insightfaces_outputs_become_detections_in_frame_pixels(tmp_path: Path, free: bool) -> None:
    faces = [(16, 10, 8, 0.7), (32, 3, 7, 0.9), (32, 3, 6, 0.6), (8, 2, 2, 0.3)]  # the third overlaps, the last is weak
    model = write_scrfd(tmp_path / "det.onnx", faces, side=320, free=free)
    detector = open_detector(f"insightface:{model}")
    found = detector.detect(np.zeros((320, 320, 3), np.uint8))
    assert [round(one.score, 3) for one in found] == [0.9, 0.7]
    scale = 1 + 2 * BORDER  # frame px for each canvas px
    x, y = 7 * 32, 3 * 32
    assert found[0].box == pytest.approx((np.array([x - 64, y - 64, x + 64, y + 64]) - 32) * scale - 0.5, abs=0.2)
    around = np.array([(-32, -32), (32, -32), (0, 0), (-32, 32), (32, 32)]) + np.array([x, y])
    assert found[0].points == pytest.approx((around - 32) * scale - 0.5, abs=0.2)


@insightface
def test_a_model_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["input.1"], ["same"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("input.1", "same")]
    model = helper.make_model(
        helper.make_graph([node], "g", value[:1], value[1:]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match=r"other\.onnx has 1 outputs"):
        open_detector(f"insightface:{tmp_path / 'other.onnx'}")


@insightface
def test_offline_a_pack_that_is_not_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("a paragraph\nof addresses")

    monkeypatch.setattr("insightface.utils.storage.ensure_available", offline)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError) as error:
        open_detector("insightface:buffalo_l")
    said = "insightface's pack 'buffalo_l' is not on this machine and cannot be downloaded: ConnectionError"
    assert str(error.value) == said
    assert sum("non-commercial" in record.message for record in caplog.records) == 1


@insightface
def test_a_packs_detection_model_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scrfd(tmp_path / "det_10g.onnx", [(16, 10, 8, 0.7)], side=320)
    (tmp_path / "1k3d68.onnx").write_bytes(b"another model")
    monkeypatch.setattr("insightface.utils.storage.ensure_available", lambda kind, pack: str(tmp_path))
    detector = InsightFaceDetector("buffalo_l", SessionSettings(provider="cpu"))
    assert len(detector.detect(np.zeros((240, 320, 3), np.uint8))) == 1


@insightface
def test_a_pack_without_detection_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insightface.utils.storage.ensure_available", lambda kind, pack: str(tmp_path))
    with pytest.raises(ModelError, match="holds no detection model"):
        open_detector("insightface:buffalo_l")


def test_without_insightface_its_absence_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "insightface.model_zoo.scrfd", None)
    with pytest.raises(MissingExtra, match=r"pip install 'liveswap\[insightface\]'"):
        open_detector("insightface:buffalo_l")
