"""The detector's export on a small network with CenterFace's inputs and outputs."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.__main__ import export
from export.detector import CHANNELS, export_detector, read_pictures
from realtime.errors import LiveswapError, ModelError, SettingsError


def write_network(path: Path, channels: tuple[int, ...] = CHANNELS) -> Path:
    """A trunk of two layers and a head for each output, said to be of 10 x 3 x 32 x 32, as the published file."""
    rng = np.random.default_rng(0)
    weights = {"trunk": rng.normal(0, 0.05, (8, 3, 3, 3)), "squeeze": rng.normal(0, 0.3, (8, 8, 1, 1))}
    weights |= {f"head{place}": rng.normal(0, 0.3, (count, 8, 1, 1)) for place, count in enumerate(channels)}
    nodes = [
        helper.make_node("Conv", ["input.1", "trunk"], ["a"], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "squeeze"], ["c"]),
        *(helper.make_node("Conv", ["c", f"head{place}"], [f"out{place}"]) for place in range(len(channels))),
    ]
    stored = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [10, 3, 32, 32])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in weights.items()]
    outputs = [
        helper.make_tensor_value_info(f"out{place}", TensorProto.FLOAT, [10, count, 8, 8])
        for place, count in enumerate(channels)
    ]
    graph = helper.make_graph(nodes, "centerface", inputs, outputs, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4), path)
    return path


def write_pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (72, 128, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_the_int8_detector_says_nearly_the_same_of_any_size(tmp_path: Path) -> None:
    source, data = write_network(tmp_path / "source.onnx"), write_pictures(tmp_path / "data")
    export_detector(source, tmp_path / "int8.onnx", data)
    model = onnx.load(tmp_path / "int8.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props}["liveswap.licence"] == "MIT"
    assert {entry.data_type for entry in model.graph.initializer} >= {TensorProto.INT8}
    picture = np.random.default_rng(9).integers(0, 256, (1, 3, 32, 32)).astype(np.float32)
    exact = ort.InferenceSession(str(source)).run(None, {"input.1": np.repeat(picture, 10, 0)})
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"))
    for wanted, seen in zip(exact, session.run(None, {"input.1": picture}), strict=True):
        assert np.corrcoef(wanted[0].ravel(), seen[0].ravel())[0, 1] > 0.99
    assert session.run(None, {"input.1": np.zeros((1, 3, 64, 96), np.float32)})[3].shape == (1, 10, 16, 24)


def test_another_network_is_refused(tmp_path: Path) -> None:
    source, data = write_network(tmp_path / "other.onnx", (1, 2, 2, 8)), write_pictures(tmp_path / "data")
    with pytest.raises(ModelError, match=r"other\.onnx has outputs of \[1, 2, 2, 8\] channels, wanted CenterFace"):
        export_detector(source, tmp_path / "int8.onnx", data)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no such model")
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        export_detector(tmp_path / "text.onnx", tmp_path / "int8.onnx", write_pictures(tmp_path / "data"))


def test_data_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("no picture")
    with pytest.raises(LiveswapError, match="shows no pictures"):
        list(read_pictures(tmp_path / "data", 4))


def test_the_command_wants_pictures_and_the_detector_alone(tmp_path: Path) -> None:
    source = write_network(tmp_path / "source.onnx")
    with pytest.raises(SettingsError, match="wanted --data"):
        export(tmp_path / "out", detector=source, data=None)
    with pytest.raises(SettingsError, match="without --swap"):
        export(tmp_path / "out", detector=source, data=tmp_path, swap=tmp_path / "swap.pt")
