"""fp16 files take and give what fp32 ones do, and nothing in them overflows."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from export.half import SENSITIVE, halve, too_large
from export.parity import FP16, Running, likeness
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from tests.export.small import LAYERS, SIZE, changed, write_small

CROPS = np.random.default_rng(0).integers(0, 256, (9, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("whole") / "aster.onnx", whole=True)


def test_fp16_draws_the_same_from_half_the_bytes(whole: Path, tmp_path: Path) -> None:
    assert halve(whole, tmp_path / "half.onnx", CROPS) == ()
    wanted, seen = Running.open(whole)(CROPS), Running.open(tmp_path / "half.onnx")(CROPS)
    assert all(seen[name].dtype == np.float32 for name in ("face", "mask"))
    told = likeness(seen["face"], seen["mask"], wanted["face"], wanted["mask"])
    assert told.largest > 0
    assert told.within(FP16)
    sizes = [sum(len(entry.raw_data) for entry in onnx.load(path).graph.initializer)
             for path in (tmp_path / "half.onnx", whole)]  # fmt: skip
    assert sizes[0] < 0.51 * sizes[1]


def test_the_contract_says_fp16_and_the_rest_stays(whole: Path, tmp_path: Path) -> None:
    halve(whole, tmp_path / "half.onnx", CROPS)
    before, after = (Contract.from_metadata(ModelFile.read(path).metadata) for path in (whole, tmp_path / "half.onnx"))
    assert (after.precision, after.identity, after.training) == ("fp16", "aster", before.training)


def test_what_loses_most_with_eleven_bits_stays_in_fp32(whole: Path, tmp_path: Path) -> None:
    halve(whole, tmp_path / "half.onnx", CROPS)
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "half.onnx"))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    sensitive = [node for node in model.graph.node if node.op_type in SENSITIVE]
    assert [node.op_type for node in sensitive] == ["Sigmoid"]
    assert all(kinds[name] == TensorProto.FLOAT for node in sensitive for name in node.output)
    weights = {entry.data_type for entry in model.graph.initializer if entry.name.endswith(".weight")}
    assert weights == {TensorProto.FLOAT16}


def test_where_numbers_grow_beyond_fp16_the_nodes_stay_in_fp32(whole: Path, tmp_path: Path) -> None:
    large = changed(whole, tmp_path / "large.onnx", LAYERS[1], lambda weight: weight * 1e5)
    changed(large, large, LAYERS[2], lambda weight: weight * 1e-5)
    changed(large, large, LAYERS[4], lambda weight: weight * 1e-5)
    kept = halve(large, tmp_path / "half.onnx", CROPS)
    assert kept == too_large(onnx.load(large), CROPS)
    assert {"node_first_conv", "node_in_conv", "node_sum"} <= set(kept)
    seen, wanted = Running.open(tmp_path / "half.onnx")(CROPS), Running.open(large)(CROPS)
    assert likeness(seen["face"], seen["mask"], wanted["face"], wanted["mask"]).within(FP16)
    kinds = {entry.name: entry.data_type for entry in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert kinds[f"{LAYERS[1]}.weight"] == TensorProto.FLOAT
    assert kinds[f"{LAYERS[5]}.weight"] == TensorProto.FLOAT16
