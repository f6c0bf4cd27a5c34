"""The networks keep their promises about shapes, sizes and folding."""

import pytest
import torch

from realtime.errors import SettingsError
from training.layers import Trunk
from training.model import DecoderShape, EncoderShape, LandmarkNet, LandmarkShape, SwapNet, template_points


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("up", ["nearest", "shuffle", "transposed"])
def test_a_picture_becomes_a_code_and_a_face_of_the_wanted_size(size: int, up: str) -> None:
    net = SwapNet(EncoderShape(size=64), DecoderShape(size=size, up=up), ("ann", "bob")).eval()
    code = net.encoder(torch.rand(2, 3, 64, 64))
    assert code.shape == (2, 256)
    for name in ("ann", "bob"):
        face, mask = net.decoders[name].decode(code)  # type: ignore[operator]
        assert face.shape == (2, 3, size, size)
        assert mask.shape == (2, 1, size, size)
        assert 0 <= face.min().item() <= face.max().item() <= 1


def test_the_landmark_net_is_small_and_starts_at_the_template() -> None:
    net = LandmarkNet(LandmarkShape()).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) < 2.5e6
    points, blend, presence = net(torch.rand(2, 3, 192, 192))
    assert points.shape == (2, 70, 2)
    assert blend.shape == (2, 10)
    assert presence.shape == (2,)
    assert (points - template_points(1.25)).abs().max().item() < 0.2


@pytest.mark.parametrize("activation", ["relu", "leaky"])
def test_folding_batch_normalisation_changes_nothing_that_is_seen(activation: str) -> None:
    torch.manual_seed(0)
    net = LandmarkNet(LandmarkShape(size=64, activation=activation))
    for _ in range(3):  # gives the running statistics something to say
        net(torch.rand(8, 3, 64, 64))
    net.eval()
    picture = torch.rand(2, 3, 64, 64)
    folded = net.folded()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    for ours, theirs in zip(folded(picture), net(picture), strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_folding_a_plain_trunk_copies_it() -> None:
    trunk = Trunk("relu", normalised=False)
    folded = trunk.folded()
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(folded(picture), trunk(picture))
    assert folded is not trunk


def test_shapes_survive_the_record() -> None:
    shape = DecoderShape(size=192, widths=(32, 96, 96, 48, 24), up="shuffle")
    record = shape.record() | {"widths": list(shape.widths)}
    assert DecoderShape.read(record) == shape


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="multiple of 16"):
        EncoderShape(size=100)
    with pytest.raises(SettingsError, match="upsampling"):
        DecoderShape(up="magic")
    with pytest.raises(SettingsError, match="activation"):
        LandmarkShape(activation="tanh")
    with pytest.raises(SettingsError, match="codes of 128"):
        SwapNet(EncoderShape(size=32), DecoderShape(size=32, code=128), ("ann",))
