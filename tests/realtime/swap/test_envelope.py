"""A model file's metadata and digests are read without running it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from realtime.errors import ModelError
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import MODELS
from tests.models import write_decoder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_decoder(tmp_path_factory.mktemp("models") / "ann.onnx", "ann", size=32)


def test_metadata_is_what_onnx_says(decoder: Path) -> None:
    said = {entry.key: entry.value for entry in onnx.load(decoder).metadata_props}
    assert dict(ModelFile.read(decoder).metadata) == said
    assert "liveswap.signature" in said


def test_other_metadata_changes_the_files_digest_and_not_that_of_the_weights(decoder: Path) -> None:
    before = ModelFile.read(decoder)
    after = ModelFile.of(before.with_metadata({"who": "nobody", "ä": "ö" * 300}), "ann.onnx")
    assert dict(after.metadata) == {"who": "nobody", "ä": "ö" * 300}
    assert after.weights() == before.weights()
    assert after.digest() != before.digest()
    assert ort.InferenceSession(after.data).get_modelmeta().custom_metadata_map == dict(after.metadata)


def test_a_file_that_onnx_wrote_anew_has_the_same_weights(decoder: Path, tmp_path: Path) -> None:
    model = onnx.load(decoder)
    model.metadata_props.add(key="more", value="of it")
    onnx.save(model, tmp_path / "again.onnx")
    assert ModelFile.read(tmp_path / "again.onnx").weights() == ModelFile.read(decoder).weights()


def test_every_other_change_is_one_of_the_weights(decoder: Path, tmp_path: Path) -> None:
    before = ModelFile.read(decoder).weights()
    model = onnx.load(decoder)
    array = numpy_helper.to_array(model.graph.initializer[-1]).copy()
    array.flat[0] += 1e-3
    model.graph.initializer[-1].CopyFrom(numpy_helper.from_array(array, model.graph.initializer[-1].name))
    onnx.save(model, tmp_path / "weights.onnx")
    model = onnx.load(decoder)
    model.graph.node[0].name = "another"
    onnx.save(model, tmp_path / "graph.onnx")
    digests = {ModelFile.read(tmp_path / name).weights() for name in ("weights.onnx", "graph.onnx")}
    assert len(digests) == 2
    assert before not in digests


def test_the_embedded_models_are_read_as_onnx_reads_them() -> None:
    file = ModelFile.read(MODELS / "aster.onnx")
    assert file.metadata["liveswap.identity"] == "aster"
    assert len(file.weights()) == 64


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_weights_in_other_files_have_no_digest(tmp_path: Path, where: str) -> None:
    """Wherever in the graph they are: a signature would not cover them."""
    weights = numpy_helper.from_array(np.ones(4, np.float32), "w")
    onnx.external_data_helper.set_external_data(weights, "other.bin")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])]
    if where == "initializer":
        graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], out, [weights])
    elif where == "constant":
        graph = helper.make_graph([helper.make_node("Constant", [], ["y"], value=weights)], "g", [], out)
    else:
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "inner", [], out, [weights])
        chosen = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
        graph = helper.make_graph([chosen], "g", [helper.make_tensor_value_info("c", TensorProto.BOOL, [])], out)
    file = ModelFile.of(helper.make_model(graph).SerializeToString(), "ann.onnx")
    with pytest.raises(ModelError, match=r"ann\.onnx has weights in other files, wanted one file"):
        file.weights()


def test_a_key_that_is_said_twice_is_refused(decoder: Path) -> None:
    data = decoder.read_bytes()
    again = ModelFile.of(b"", "empty").with_metadata({"liveswap.kind": "rendered"})
    with pytest.raises(ModelError, match=r"its metadata says 'liveswap\.kind' twice"):
        ModelFile.of(data + again, "ann.onnx")


@pytest.mark.parametrize("data", [b"\x00", b"\x0b", b"hello", b"\x72\xff\xff\xff\x0f", b"\x72", b"\x80" * 20])
def test_what_is_no_onnx_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"ann\.onnx is no ONNX model: "):
        ModelFile.of(data, "ann.onnx")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        ModelFile.read(tmp_path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_bytes_are_a_model_or_one_sentence(decoder: Path, data: st.DataObject) -> None:
    """Bytes at random, and a model with some bytes changed or cut off."""
    good = decoder.read_bytes()
    bad = bytearray(data.draw(st.one_of(st.binary(max_size=60), st.just(good[-800:]), st.just(good[:600]))))
    for place in data.draw(st.lists(st.integers(0, max(0, len(bad) - 1)), max_size=5)) if bad else []:
        bad[place] = data.draw(st.integers(0, 255))
    try:
        said = ModelFile.of(bytes(bad), "ann.onnx").weights()
    except ModelError as error:
        said = str(error)
    assert len(said) == 64 or said.startswith("ann.onnx ")
