"""An 8-bit model reads the bytes of its crop, all eight bits of them, and stays what it was where it cannot."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.parity import Running
from export.picture import picture_of, take_bytes
from export.quantize import RECIPES, feeds, prepared, quantize, to_int8
from export.to_onnx import export_decoder, export_encoder, export_landmarks
from realtime.swap.card import ModelCard
from tests.export.conftest import Made
from tests.models import DIGEST
from training.model import Decoder

FLOATING = {"Cast", "Div", "Sub"}


@pytest.fixture(scope="module")
def encoder(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export_encoder(made.swap.encoder, path, "Apache-2.0", {})
    return path


def kinds(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def test_the_bytes_go_in_as_they_are(made: Made, encoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantize(encoder, path, made.crops[:16], RECIPES[-1])
    onnx.checker.check_model(onnx.load(path))
    assert kinds(encoder) >= FLOATING
    assert not kinds(path) & FLOATING
    wanted, seen = (Running.open(one)(made.crops[16:])["code"] for one in (encoder, path))
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.99


def test_no_bit_of_a_byte_is_lost(made: Made, encoder: Path, tmp_path: Path) -> None:
    """1 / 127.5 - 1 lies half way between two of the steps about a zero that is a byte, as 3 does, and 5."""
    path = tmp_path / "int8.onnx"
    quantize(encoder, path, made.crops[:16], RECIPES[-1])
    model = onnx.load(path)
    model.graph.output.append(onnx.ValueInfoProto(name=_picture_in(model)))
    onnx.save(model, tmp_path / "seen.onnx")
    crop = np.arange(made.crops[:1].size, dtype=np.uint32).astype(np.uint8).reshape(made.crops[:1].shape)
    seen = Running.open(tmp_path / "seen.onnx")(crop)[_picture_in(model)]
    assert len(np.unique(seen)) == 256
    np.testing.assert_allclose(seen, crop.transpose(0, 3, 1, 2) / 127.5 - 1, atol=1.01 / 255)


def _picture_in(model: onnx.ModelProto) -> str:
    turned = next(node for node in model.graph.node if node.op_type == "Transpose" and node.input[0] == "crop")
    back = [node for node in model.graph.node if turned.output[0] in node.input and node.op_type == "DequantizeLinear"]
    return str(back[0].output[0])


def test_a_closer_look_in_floats_sees_the_same_picture(made: Made, tmp_path: Path) -> None:
    plain, path = tmp_path / "landmarks.onnx", tmp_path / "int8.onnx"
    export_landmarks(made.landmarks, plain, "Apache-2.0", {})
    quantize(plain, path, made.crops[:16], RECIPES[0])
    assert "GridSample" in kinds(path)
    model = onnx.load(path)
    (sampling,) = {node.input[0] for node in model.graph.node if node.op_type == "GridSample"} & {_picture_in(model)}
    assert sampling
    wanted, seen = (Running.open(one)(made.crops[16:])["points"] for one in (plain, path))
    assert np.abs(seen - wanted).max() < 0.05


def test_where_the_first_layer_stays_in_floats_so_does_the_picture(made: Made, encoder: Path, tmp_path: Path) -> None:
    with prepared(onnx.load(encoder)) as plain:
        first = [node.name for node in onnx.load(plain).graph.node][:12]
        to_int8(plain, tmp_path / "mixed.onnx", feeds(plain, made.crops[:4]), first)
    assert kinds(tmp_path / "mixed.onnx") >= {"Cast", "Div"}
    assert np.isfinite(Running.open(tmp_path / "mixed.onnx")(made.crops[:2])["code"]).all()


def test_what_takes_no_picture_has_none(made: Made, tmp_path: Path) -> None:
    decoder = made.swap.decoders["aster"]
    assert isinstance(decoder, Decoder)
    export_decoder(decoder, tmp_path / "a.onnx", ModelCard(name="aster", kind="rendered"), DIGEST, "Apache-2.0", {})
    assert picture_of(onnx.load(tmp_path / "a.onnx")) is None


def test_a_picture_in_other_steps_is_left_alone(made: Made, encoder: Path, tmp_path: Path) -> None:
    model = onnx.load(encoder)
    picture = picture_of(model)
    assert picture is not None
    before = model.SerializeToString()
    take_bytes(model, picture)  # nothing is in 8 bits there
    assert model.SerializeToString() == before
