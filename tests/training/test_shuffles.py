"""A shuffle written in rows computes the same, keeps its weights readable, and leaves what it does not know alone."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from training.shuffles import blocks, by_channel, turned, write_in_rows


def saved(net: nn.Module, path: Path, size: int = 6) -> onnx.ModelProto:
    """A network as PyTorch writes it, for pictures (n, 5, size, size + 1)."""
    dims = ({0: torch.export.Dim("n", min=1, max=8)},)
    torch.onnx.export(net.eval(), (torch.zeros(2, 5, size, size + 1),), path, dynamo=True, dynamic_shapes=dims)
    return onnx.load(path)


def answer(model: onnx.ModelProto, items: np.ndarray) -> np.ndarray:
    """What a model says of items."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: items})[0])


def two(activation: nn.Module, block: int) -> nn.Sequential:
    """Two shuffles, one after an activation, one at the end."""
    first = nn.Conv2d(5, 3 * block**2, 3, 1, 1), activation, nn.PixelShuffle(block)
    return nn.Sequential(*first, nn.Conv2d(3, 2 * block**2, 3, 1, 1), nn.PixelShuffle(block))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.1)])
def test_the_same_comes_out_and_the_weights_come_back(tmp_path: Path, activation: nn.Module, block: int) -> None:
    net = two(activation, block)
    model = saved(net, tmp_path / "net.onnx")
    items = np.random.default_rng(0).normal(size=(3, 5, 6, 7)).astype(np.float32)
    before = answer(model, items)
    assert blocks(model) == {}
    write_in_rows(model)
    assert not [node for node in model.graph.node if node.op_type == "DepthToSpace"]
    np.testing.assert_allclose(answer(model, items), before, atol=1e-6)
    assert list(turned(model).values()) == [block, block]
    found = blocks(model)
    assert found == {"0.weight": block, "0.bias": block, "3.weight": block, "3.bias": block}
    kept = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for name, side in found.items():
        own = net.state_dict()[name].numpy()
        assert not np.array_equal(kept[name], own)
        assert np.array_equal(by_channel(kept[name], side), own)


@pytest.mark.filterwarnings("ignore")
def test_a_shuffle_of_something_else_stays(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(5, 8, 3, 1, 1), nn.Softmax(1), nn.PixelShuffle(2))
    model = saved(net, tmp_path / "net.onnx")
    write_in_rows(model)
    assert [node.op_type for node in model.graph.node].count("DepthToSpace") == 1
    assert blocks(model) == {}


def test_another_order_is_no_shuffle_of_ours() -> None:
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2)
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, *rest])
        for name, rest in (("x", (4, 2, 2)), ("y", (1, 4, 4)))
    )
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]))
    write_in_rows(model)
    assert model.graph.node[0].op_type == "DepthToSpace"
