"""int8 says nearly the same as fp32, where it is let loose."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.parity import Running, psnr
from export.quantize import KEPT, RECIPES, Recipe, heads, quantize
from export.to_onnx import export_decoder, export_encoder, export_landmarks
from realtime.swap.card import ModelCard
from realtime.swap.contract import Contract
from tests.export.conftest import Made
from tests.models import DIGEST
from training.model import Decoder
from training.origin import read_weights

EXACT, FULL = RECIPES


@pytest.fixture(scope="module")
def encoder(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    export_encoder(made.swap.encoder, path, "Apache-2.0", {"steps": 34})
    return path


@pytest.fixture(scope="module")
def decoder(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decoder") / "aster.onnx"
    module = made.swap.decoders["aster"]
    assert isinstance(module, Decoder)
    export_decoder(module, path, ModelCard(name="aster", kind="rendered"), DIGEST, "Apache-2.0", {"steps": 34})
    return path


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_int8_encoder_makes_nearly_equal_codes(made: Made, encoder: Path, tmp_path: Path, recipe: Recipe) -> None:
    quantize(encoder, tmp_path / "int8.onnx", made.crops[:16], recipe)
    wanted = Running.open(encoder)(made.crops[16:])["code"]
    seen = Running.open(tmp_path / "int8.onnx")(made.crops[16:])["code"]
    assert np.corrcoef(seen.ravel(), wanted.ravel())[0, 1] > 0.99
    assert not np.array_equal(seen, wanted)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_int8_decoder_draws_nearly_the_same(decoder: Path, tmp_path: Path, recipe: Recipe) -> None:
    codes = np.random.default_rng(2).normal(0, 1, (24, 16)).astype(np.float32)
    quantize(decoder, tmp_path / "int8.onnx", codes[:16], recipe)
    wanted, seen = Running.open(decoder)(codes[16:]), Running.open(tmp_path / "int8.onnx")(codes[16:])
    assert psnr(seen["face"], wanted["face"], np.ones_like(wanted["mask"])) > 25


def test_the_file_says_that_it_is_int8_and_is_smaller(made: Made, encoder: Path, tmp_path: Path) -> None:
    contract = quantize(encoder, tmp_path / "int8.onnx", made.crops, FULL)
    said = {entry.key: entry.value for entry in onnx.load(tmp_path / "int8.onnx").metadata_props}
    assert Contract.from_metadata(said) == contract
    assert contract.precision == "int8"
    assert contract.training == {"steps": 34, KEPT: []}
    assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * encoder.stat().st_size


def test_the_heads_are_the_last_layer_and_what_follows(encoder: Path) -> None:
    model = onnx.load(encoder)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert [kinds[name] for name in heads(model)] == ["Gemm"]


def test_of_a_decoder_whose_mask_is_in_small_numbers_only_what_follows_them_stays(decoder: Path) -> None:
    model = onnx.load(decoder)
    kinds = {kind for node in model.graph.node if node.name in heads(model) for kind in (node.op_type,)}
    assert {"Mul", "Sigmoid"} <= kinds
    assert "Conv" not in kinds


def test_a_closer_look_stays_exact_and_the_trunk_before_it_does_not(made: Made, tmp_path: Path) -> None:
    export_landmarks(made.landmarks, tmp_path / "landmarks.onnx", "Apache-2.0", {})
    model = onnx.load(tmp_path / "landmarks.onnx")
    exact = set(heads(model))
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    assert [name in exact for name in convolutions].count(True) == 8  # four for each eye
    assert "GridSample" in {node.op_type for node in model.graph.node if node.name in exact}
    assert not exact & set(convolutions[:7])  # the trunk


def test_weights_that_were_rounded_along_any_axis_come_back(made: Made, tmp_path: Path) -> None:
    """The closer look multiplies by each point's own weights, whose scales lie along another axis than a layer's."""
    plain, rounded = tmp_path / "landmarks.onnx", tmp_path / "int8.onnx"
    export_landmarks(made.landmarks, plain, "Apache-2.0", {})
    quantize(plain, rounded, made.crops[:4], FULL)
    wanted, _ = read_weights(plain)
    seen, contract = read_weights(rounded)
    assert contract.precision == "int8"
    assert set(seen) == set(wanted)
    assert any(len(value.shape) == 3 for value in wanted.values())
    for name, value in wanted.items():
        assert float((seen[name] - value).abs().max()) <= 0.02 * float(value.abs().max()), name


def test_with_exact_heads_the_last_layer_keeps_its_weights(made: Made, encoder: Path, tmp_path: Path) -> None:
    for recipe in RECIPES:
        quantize(encoder, tmp_path / f"{recipe.heads}.onnx", made.crops[:4], recipe)
    last = [node.input[1] for node in onnx.load(encoder).graph.node if node.op_type == "Gemm"][-1]
    kept = {entry.name for entry in onnx.load(tmp_path / "False.onnx").graph.initializer}
    changed = {entry.name for entry in onnx.load(tmp_path / "True.onnx").graph.initializer}
    assert last in kept
    assert last not in changed
