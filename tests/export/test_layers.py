"""Layers are told apart by their names in PyTorch, in every form."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.half import halve
from export.layers import deviations, layers, worst
from export.quantize import RECIPES, quantize
from tests.export.small import EYES, LAYERS, changed, codes, write_small


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("decoder") / "aster.onnx")


def test_layers_are_called_as_their_weights_in_the_order_in_which_they_run(decoder: Path) -> None:
    found = layers(onnx.load(decoder))
    assert tuple(found) == LAYERS
    assert sum(len(nodes) for nodes in found.values()) == len(onnx.load(decoder).graph.node)
    assert found["decoder.layers.2.second"] == ["node_around_conv", "node_sum", "node_residual"]


def test_a_layer_that_runs_twice_is_one(tmp_path: Path) -> None:
    found = layers(onnx.load(write_small(tmp_path / "whole.onnx", whole=True)))
    assert found[EYES] == ["node_eye0", "node_eye1", "node_both", "node_flat"]
    assert found[""] == ["node_turned", "node_real", "node_unit", "node_centred"]  # no weights yet


def test_a_form_deviates_from_itself_nowhere(decoder: Path) -> None:
    assert deviations(decoder, decoder, codes()) == dict.fromkeys(LAYERS, 0.0)


def test_what_comes_before_the_layer_that_was_changed_does_not_deviate(decoder: Path, tmp_path: Path) -> None:
    other = changed(decoder, tmp_path / "other.onnx", "decoder.layers.2.second", lambda weight: weight + 0.1)
    found = deviations(decoder, other, codes())
    assert [name for name, value in found.items() if value == 0] == list(LAYERS[:3])
    assert "deviates most, by" in worst(decoder, other, codes())


def test_every_layer_is_found_again_in_int8_and_fp16(decoder: Path, tmp_path: Path) -> None:
    quantize(decoder, tmp_path / "int8.onnx", codes(), RECIPES[-1])
    halve(decoder, tmp_path / "fp16.onnx", codes())
    for form, most in (("int8", 0.2), ("fp16", 0.002)):
        found = deviations(decoder, tmp_path / f"{form}.onnx", codes())
        assert tuple(found) == LAYERS
        assert all(0 < value < most for value in found.values())
        assert set(LAYERS) <= set(layers(onnx.load(tmp_path / f"{form}.onnx")))


def test_a_number_that_is_none_deviates_without_end(decoder: Path, tmp_path: Path) -> None:
    other = changed(decoder, tmp_path / "other.onnx", "decoder.layers.0", lambda weight: np.full_like(weight, np.inf))
    assert worst(decoder, other, codes()) == "decoder.layers.0 deviates most, by inf %"
