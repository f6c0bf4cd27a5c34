"""Contracts survive the metadata, and files without a sound one are refused in a sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from realtime.errors import ModelError
from realtime.face.geometry import TEMPLATE_NAME
from realtime.swap.contract import Contract, expect, read_contract
from realtime.swap.session import SessionSettings, open_session
from tests.models import write_decoder

DECODER = Contract(
    role="decoder",
    size=160,
    coverage=1.25,
    licence="Apache-2.0",
    encoder="3f2cab0011",
    identity="ann",
    kind="rendered",
    precision="int8",
    training={"steps": 12000, "pairs": 10000, "ssim": 0.86},
)
LANDMARKS = Contract(role="landmarks", size=160, coverage=1.25, licence="Apache-2.0")


@pytest.mark.parametrize("contract", [DECODER, LANDMARKS, replace(DECODER, kind="person", consent={"signed": "ann"})])
def test_a_contract_survives_the_metadata(contract: Contract) -> None:
    metadata = contract.to_metadata()
    assert all(key.startswith("liveswap.") and isinstance(value, str) for key, value in metadata.items())
    assert metadata["liveswap.contract"] == "1"
    assert Contract.from_metadata({**metadata, "producer": "somebody"}) == contract


def test_a_contract_survives_the_file(tmp_path: Path) -> None:
    session = open_session(write_decoder(tmp_path / "ann.onnx", "ann"), SessionSettings(provider="cpu"))
    contract = read_contract(session, "ann.onnx")
    assert (contract.role, contract.identity, contract.size) == ("decoder", "ann", 160)


def test_a_model_without_contract_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^dfm\.onnx carries no liveswap contract"):
        Contract.from_metadata({"producer": "somebody"}, "dfm.onnx")


@pytest.mark.parametrize("key", [key for key in DECODER.to_metadata() if key != "liveswap.contract"])
def test_a_missing_key_is_named(key: str) -> None:
    metadata = DECODER.to_metadata()
    del metadata[key]
    with pytest.raises(ModelError, match=rf"^ann\.onnx has a contract without {key}$"):
        Contract.from_metadata(metadata, "ann.onnx")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("contract", "2", "contract of version '2', this liveswap reads version '1'"),
        ("role", "painter", "unknown role 'painter', wanted one of landmarks, encoder, decoder"),
        ("size", "0", "absurd crop size of 0 px"),
        ("size", "100000", "absurd crop size of 100000 px"),
        ("size", "large", "liveswap.size = 'large', wanted a whole number"),
        ("coverage", "wide", "liveswap.coverage = 'wide', wanted a number"),
        ("coverage", "nan", "absurd coverage of nan"),
        ("template", "arcface", f"the template 'arcface', wanted '{TEMPLATE_NAME}'"),
        ("colour", "rgb", "the colour order 'rgb', wanted 'bgr'"),
        ("encoder", "", "no encoder digest"),
        ("encoder", "not hex", "an encoder digest that is no hex"),
        ("identity", "", "no identity"),
        ("kind", "", "the kind ''"),
        ("kind", "person", "no consent record"),
        ("licence", "", "no licence"),
        ("precision", "fp8", "the precision 'fp8', wanted one of fp32, fp16, int8"),
        ("training", "{", "malformed JSON in liveswap.training"),
        ("consent", "[1]", "wanted a JSON object"),
    ],
)
def test_a_senseless_value_is_refused_with_the_models_name(key: str, value: str, says: str) -> None:
    metadata = {**DECODER.to_metadata(), f"liveswap.{key}": value}
    with pytest.raises(ModelError) as error:
        Contract.from_metadata(metadata, "ann.onnx")
    assert says in str(error.value)
    assert str(error.value).startswith("ann.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"role": "decoder"}, {"size": 3}, {"licence": ""}, {"template": "other"}])
def test_a_contract_that_contradicts_itself_is_never_made(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        replace(LANDMARKS, **change)


def test_a_decoder_of_another_encoder_is_refused_by_name() -> None:
    expect(DECODER, role="decoder", encoder="3f2cab0011")
    with pytest.raises(ModelError) as error:
        expect(DECODER, role="decoder", encoder="9b1d77aa22")
    assert str(error.value) == "decoder 'ann' expects encoder 3f2c, loaded 9b1d"


def test_a_model_of_another_role_is_refused() -> None:
    expect(LANDMARKS, role="landmarks")
    with pytest.raises(ModelError, match="decoder 'ann' was given where a model with the role encoder is wanted"):
        expect(DECODER, role="encoder")
