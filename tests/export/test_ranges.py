"""Ranges leave out what hardly ever occurs where that is nearer to fp32, and only there."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export import fallback
from export.fallback import to_mixed
from export.parity import Agreement, Running
from realtime.swap.contract import Contract

WIDTH = 16


def write_net(path: Path) -> Path:
    """Codes (n, WIDTH) through two dense layers and an activation between them; the first passes them on."""
    mixing = np.random.default_rng(0).normal(0, 0.5, (WIDTH, 8)).astype(np.float32)
    weights = {"first.weight": np.eye(WIDTH, dtype=np.float32), "second.weight": mixing}
    kept = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    nodes = [
        helper.make_node("MatMul", ["code", "first.weight"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "act"),
        helper.make_node("MatMul", ["b", "second.weight"], ["face"], "second"),
    ]
    code = helper.make_tensor_value_info("code", TensorProto.FLOAT, ["n", WIDTH])
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", 8])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [code], [face], kept), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    for key, value in Contract(role="landmarks", size=32, coverage=1.25, licence="Apache-2.0").to_metadata().items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def off(tmp_path: Path, codes: NDArray[np.float32]) -> float:
    """The mean squared error of int8 on the usual codes, calibrated on codes."""
    source, target = write_net(tmp_path / "net.onnx"), tmp_path / "int8.onnx"
    usual = np.random.default_rng(1).normal(size=(48, WIDTH)).astype(np.float32)
    to_mixed(source, target, codes, usual, lambda path: Agreement(True, ""))
    answers = [Running.open(path)(usual)["face"] for path in (source, target)]
    return float(np.mean((answers[0] - answers[1]) ** 2))


def test_one_wild_number_does_not_take_the_levels_of_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = np.random.default_rng(2).normal(size=(64, WIDTH)).astype(np.float32)
    codes[5, 3] = 60
    found = off(tmp_path, codes)
    monkeypatch.setattr(fallback, "PERCENTILES", (None,))
    assert found < 0.5 * off(tmp_path, codes)


def test_where_all_of_it_matters_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(2).uniform(-3, 3, size=(64, WIDTH)).astype(np.float32)
    found = off(tmp_path, codes)
    monkeypatch.setattr(fallback, "PERCENTILES", (None,))
    assert found <= off(tmp_path, codes)
