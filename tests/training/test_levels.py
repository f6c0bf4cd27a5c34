"""A mask in smaller numbers changes nothing in float32, leaves levels to the colours in 8 bits, and is undone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.layers import from_torch, said
from export.parity import Running
from export.quantize import feeds, heads, prepared, to_int8
from export.to_onnx import DecoderGraph, export_decoder
from realtime.swap.card import ModelCard
from tests.models import DIGEST
from training.levels import FACTORS, multiplications, stored_factors, value_factors, write_mask_small
from training.model import Decoder, DecoderShape
from training.origin import read_weights

SHAPE = DecoderShape(size=48, code=16, widths=(8, 16, 16, 16, 16))
LAST = "layers.7"


def decoder_with_a_sure_mask() -> Decoder:
    """One whose mask reaches much farther than its colours, as in those that were trained."""
    torch.manual_seed(0)
    decoder = Decoder(SHAPE)
    last = decoder.layers[-2]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        torch.nn.init.normal_(last.weight, std=0.1)
        last.weight[12:] *= 9
        torch.nn.init.normal_(last.bias, std=0.2)
    return decoder.eval()


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return decoder_with_a_sure_mask()


@pytest.fixture(scope="module")
def exported(decoder: Decoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("levels") / "aster.onnx"
    export_decoder(decoder, path, ModelCard(name="aster", kind="rendered"), DIGEST, "Apache-2.0", {"steps": 34})
    return path


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (24, 16)).astype(np.float32)


def rounded(exported: Path, codes: np.ndarray, folder: Path) -> Path:
    target = folder / "int8.onnx"
    with prepared(onnx.load(exported)) as plain:
        to_int8(plain, target, feeds(plain, codes), heads(onnx.load(plain)))
    return target


def test_in_float32_it_is_what_pytorch_says(decoder: Decoder, exported: Path, codes: np.ndarray) -> None:
    model = onnx.load(exported)
    assert len(multiplications(model)) == 1
    (factors,) = value_factors(model).values()
    assert factors.tolist() == list(FACTORS) * 4
    seen = Running.open(exported)(codes)
    with torch.inference_mode():
        face, mask = DecoderGraph(decoder)(torch.from_numpy(codes))
    np.testing.assert_allclose(seen["face"], face.numpy(), atol=1e-5)
    np.testing.assert_allclose(seen["mask"], mask.numpy(), atol=1e-5)
    write_mask_small(model)  # once is enough
    assert len(multiplications(model)) == 1


def test_trained_weights_come_back_from_either_form(
    decoder: Decoder, exported: Path, codes: np.ndarray, tmp_path: Path
) -> None:
    own = decoder.state_dict()
    stored = {entry.name: numpy_helper.to_array(entry) for entry in onnx.load(exported).graph.initializer}
    assert np.abs(stored[f"decoder.{LAST}.weight"][3::4]).max() < np.abs(own[f"{LAST}.weight"][12:].numpy()).max() / 7
    plain, _ = read_weights(exported)
    for name in ("weight", "bias"):
        np.testing.assert_array_equal(plain[f"decoder.{LAST}.{name}"].numpy(), own[f"{LAST}.{name}"].numpy())
    path = rounded(exported, codes, tmp_path)
    assert set(stored_factors(onnx.load(path))) == {f"decoder.{LAST}.{n}_quantized" for n in ("weight", "bias")}
    seen, _ = read_weights(path)
    for name in ("weight", "bias"):
        wanted = own[f"{LAST}.{name}"]
        assert float((seen[f"decoder.{LAST}.{name}"] - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_layers_are_compared_in_the_numbers_of_pytorch(decoder: Decoder, exported: Path, codes: np.ndarray) -> None:
    assert max(from_torch(DecoderGraph(decoder), exported, codes).values()) < 1e-5
    (name,) = value_factors(onnx.load(exported))
    (answers,) = said(onnx.load(exported), [name], codes[:4])
    with torch.inference_mode():
        wanted = decoder.layers[:-1](decoder.dense(torch.from_numpy(codes[:4]))).numpy()
    np.testing.assert_allclose(answers[name], wanted, rtol=1e-4, atol=1e-4)


def test_eight_bits_are_enough_for_the_last_layer(exported: Path, codes: np.ndarray, tmp_path: Path) -> None:
    path = rounded(exported, codes, tmp_path)
    wanted, seen = Running.open(exported)(codes), Running.open(path)(codes)
    names = {entry.name for entry in onnx.load(path).graph.initializer}
    assert f"decoder.{LAST}.weight_quantized" in names
    assert np.abs(seen["face"] - wanted["face"]).mean() * 255 < 2


@pytest.mark.filterwarnings("ignore")
def test_what_draws_no_mask_is_left_alone(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(5, 8, 3, 1, 1), torch.nn.PixelShuffle(2), torch.nn.Sigmoid())
    dims = ({0: torch.export.Dim("n", min=1, max=8)},)
    torch.onnx.export(net.eval(), (torch.zeros(2, 5, 6, 7),), tmp_path / "n.onnx", dynamo=True, dynamic_shapes=dims)
    model = onnx.load(tmp_path / "n.onnx")
    before = model.SerializeToString()
    write_mask_small(model)
    assert model.SerializeToString() == before
    assert (stored_factors(model), value_factors(model)) == ({}, {})
