"""A training starts from the model files that ship, or from a checkpoint, also at another size."""

import shutil
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from export.quantize import RECIPES, quantize
from export.to_onnx import export_decoder, export_encoder, export_landmarks
from realtime.errors import LiveswapError
from realtime.face.geometry import template
from realtime.swap.card import ModelCard
from realtime.swap.identity import MODELS
from training.checkpoint import SWAP, save
from training.model import Decoder, DecoderShape, EncoderShape, LandmarkNet, LandmarkShape, SwapNet
from training.origin import Origin, fill, landmark_net, read_weights, resampled_columns

ENCODER = EncoderShape(size=64, squeeze=8, eyes=8, mouth=8, code=16)
DECODER = DecoderShape(size=64, code=16, widths=(8, 16, 16, 8, 8))
NAMES = ("ann", "bob")
pytestmark = pytest.mark.timeout(400)  # networks are traced, which takes a second, or minutes beside other work


def network(
    encoder: EncoderShape = ENCODER, decoder: DecoderShape = DECODER, names: tuple[str, ...] = NAMES
) -> SwapNet:
    """With biases that are not zero, as after a training: the exporter leaves zeros away."""
    net = SwapNet(encoder, decoder, names).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


@dataclass(frozen=True)
class Exported:
    """A network and the folder of its model files, which no test changes."""

    net: SwapNet
    folder: Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Made once, because tracing a network takes a second or two."""
    torch.manual_seed(0)
    net, folder = network(), tmp_path_factory.mktemp("exported")
    record = {"encoder": ENCODER.record(), "decoder": DECODER.record(), "steps": 7}
    contract = export_encoder(net.encoder, folder / "encoder.onnx", "Apache-2.0", record)
    for name, decoder in net.decoders.items():
        path = folder / f"{name}.onnx"
        card = ModelCard(name=name, kind="rendered")
        export_decoder(decoder, path, card, contract.encoder, "Apache-2.0", record)  # type: ignore[arg-type]
    return Exported(net, folder)


@torch.no_grad()
def drawn(net: SwapNet, name: str) -> torch.Tensor:
    size = net.encoder.shape.size
    across = torch.linspace(0, 1, size)
    picture = torch.stack(
        [across.expand(size, size), across[:, None].expand(size, size), torch.full((size, size), 0.3)]
    )
    result: torch.Tensor = net.decoders[name](net.encoder(picture[None]))
    return result


def test_a_network_comes_back_out_of_its_model_files(exported: Exported) -> None:
    after, origin = network(), Origin.read(exported.folder)
    fill(after, origin)
    assert origin.summary() == {"steps": 7}
    for name in NAMES:
        torch.testing.assert_close(drawn(after, name), drawn(exported.net, name))


def test_a_network_comes_back_out_of_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before, after = network(), network()
    record = {"encoder": ENCODER.record(), "decoder": DECODER.record(), "identities": list(NAMES)}
    save(tmp_path / "swap.pt", SWAP, {"record": record, "average": before.state_dict()})
    fill(after, Origin.read(tmp_path / "swap.pt"))
    torch.testing.assert_close(drawn(after, "bob"), drawn(before, "bob"))


def test_whom_the_origin_lacks_starts_from_its_first_or_from_whom_is_said(exported: Exported) -> None:
    after = network(names=("bob", "cid", "dan"))
    fill(after, Origin.read(exported.folder), {"dan": "bob", "bob": "ann"})
    torch.testing.assert_close(drawn(after, "cid"), drawn(exported.net, "ann"))
    torch.testing.assert_close(drawn(after, "bob"), drawn(exported.net, "bob"))
    torch.testing.assert_close(drawn(after, "dan"), drawn(exported.net, "bob"))


def test_an_encoder_without_a_window_on_the_mouth_gives_the_same_code_in_one_with_it(exported: Exported) -> None:
    before, after = deepcopy(exported.net), network()
    origin = Origin.read(exported.folder)
    lips = ENCODER.mouth
    code = {**origin.encoder, "code.weight": origin.encoder["code.weight"][:, :-lips]}
    blind = {name: value for name, value in code.items() if not name.startswith("mouth.")}
    fill(after, replace(origin, encoder=blind, encoder_shape=replace(ENCODER, mouth=0)))
    with torch.no_grad():
        before.encoder.code.weight[:, -lips:] = 0
    torch.testing.assert_close(drawn(after, "ann"), drawn(before, "ann"))


def test_a_larger_network_sees_a_flat_picture_as_the_smaller_one_does(exported: Exported) -> None:
    """In the middle of a plain picture no size shows; what differs comes from the borders."""
    torch.manual_seed(0)
    after = network(replace(ENCODER, size=96), replace(DECODER, size=96))
    fill(after, Origin.read(exported.folder))
    assert drawn(after, "ann").shape == (1, 4, 96, 96)
    with torch.no_grad():
        code = torch.randn(4, ENCODER.code)
        wide, narrow = (net.decoders["ann"].dense(code).mean((2, 3)) for net in (after, exported.net))  # type: ignore[operator]
    assert float((wide - narrow).abs().mean() / narrow.abs().mean()) < 0.25


def test_the_answer_of_a_dense_layer_to_an_even_map_is_kept() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 3 * 4 * 6)
    wider = resampled_columns(weight, (3, 4, 6), (3, 8, 12))
    levels = torch.randn(3)
    small = weight @ levels[:, None].expand(3, 24).flatten()
    large = wider @ levels[:, None].expand(3, 96).flatten()
    torch.testing.assert_close(large, small, rtol=1e-3, atol=1e-3)


def test_eight_bit_weights_are_multiplied_out() -> None:
    """Those that ship: the landmark network still knows where a face is in a picture of the template."""
    net, record = landmark_net(MODELS / "landmarks.onnx")
    assert record["steps"] > 1000
    weights, contract = read_weights(MODELS / "landmarks.onnx")
    assert contract.precision == "int8"
    kernel = weights["net.trunk.0.weight"]
    assert kernel.shape == (32, 3, 5, 5)
    assert 0.01 < float(kernel.abs().mean()) < 1
    with torch.no_grad():
        told = net.eval()(torch.full((1, 3, net.shape.size, net.shape.size), 0.5))
    eyes = torch.from_numpy(template())[36:48].mean(0)
    assert float((told.points[0, 36:48].mean(0) - 0.5 - (eyes - 0.5) / net.shape.coverage).norm()) < 0.2


def test_a_decoder_comes_back_out_of_its_eight_bit_file(tmp_path: Path) -> None:
    """Its shuffles are written in rows there, and its weights are in the order that this takes."""
    torch.manual_seed(0)
    decoder = network().decoders["ann"]
    assert isinstance(decoder, Decoder)
    export_decoder(decoder, tmp_path / "ann.onnx", ModelCard("ann", "rendered"), "f" * 16, "Apache-2.0", {})
    codes = torch.randn(8, DECODER.code).numpy()
    quantize(tmp_path / "ann.onnx", tmp_path / "int8.onnx", codes, RECIPES[0])
    weights, contract = read_weights(tmp_path / "int8.onnx")
    assert contract.precision == "int8"
    for name, own in decoder.state_dict().items():
        its = weights[f"decoder.{name}"].reshape(own.shape)
        assert float((its - own).abs().max()) < 0.02 * float(own.abs().max()), name


def test_a_landmark_net_comes_back_out_of_its_model_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = LandmarkShape(size=32, squeeze=8, hidden=32)
    net = LandmarkNet(shape, normalised=False).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    export_landmarks(net, tmp_path / "landmarks.onnx", "Apache-2.0", {"shape": shape.record()})
    back, _ = landmark_net(tmp_path / "landmarks.onnx")
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(back.eval()(picture), net(picture))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "encoder.onnx").unlink(), "no model"),
        (lambda folder: (folder / "encoder.onnx").write_bytes(b"nothing"), "cannot be read"),
        (lambda folder: [(folder / f"{name}.onnx").unlink() for name in NAMES], "no decoder"),
    ],
    ids=["no encoder", "no ONNX", "no decoder"],
)
def test_what_cannot_be_started_from_is_said(exported: Exported, tmp_path: Path, spoil: object, sentence: str) -> None:
    assert callable(spoil)
    spoil(shutil.copytree(exported.folder, tmp_path / "spoilt"))
    with pytest.raises(LiveswapError, match=sentence):
        Origin.read(tmp_path / "spoilt")


def test_codes_of_another_width_are_refused(exported: Exported) -> None:
    origin = Origin.read(exported.folder)
    other = network(replace(ENCODER, code=32), replace(DECODER, code=32))
    with pytest.raises(LiveswapError, match="code of 16"):
        fill(other, origin)
