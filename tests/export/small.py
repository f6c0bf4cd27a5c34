"""A small network of the exported decoders' make, written without tracing one, which takes half a second and more."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from realtime.swap.card import ModelCard
from realtime.swap.contract import Contract
from tests.models import DIGEST, LICENCE, save

SIZE: Final = 32
CODE: Final = 16
WIDTH: Final = 16  # channels of every layer
LAYERS: Final = (
    "decoder.dense.0", "decoder.layers.0", "decoder.layers.2.first", "decoder.layers.2.second",
    "decoder.layers.3.0", "decoder.layers.4.0", "decoder.layers.7",
)  # fmt: skip
EYES: Final = "encoder.eyes.0"


def codes(count: int = 24) -> NDArray[np.float32]:
    """What the decoder takes."""
    return np.random.default_rng(2).normal(0, 1, (count, CODE)).astype(np.float32)


def write_small(path: Path, whole: bool = False, identity: str = "aster") -> Path:
    """A decoder, or with an encoder of two layers (one of which runs twice) an identity that takes crops."""
    random, values = np.random.default_rng(0), dict[str, NDArray[Any]]()
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"node_{output}", **attributes))
        return output

    def weigh(name: str, out: int, into: int, *kernel: int) -> str:
        spread = np.sqrt(2 / (into * np.prod(kernel, initial=1)))
        values[f"{name}.weight"] = random.normal(0, spread, (out, into, *kernel)).astype(np.float32)
        return f"{name}.weight"

    def conv(name: str, value: str, output: str, out: int = WIDTH, relu: bool = True) -> str:
        made = add("Conv", [value, weigh(name, out, WIDTH, 3, 3)], f"{output}_conv", pads=[1, 1, 1, 1])
        return add("Relu", [made], output) if relu else made

    code = "code"
    if whole:
        values["half"], values["bytes"] = np.array([0.5], np.float32), np.array([255], np.float32)
        picture = add("Cast", [add("Transpose", ["crop"], "turned", perm=[0, 3, 1, 2])], "real", to=TensorProto.FLOAT)
        picture = add("Sub", [add("Div", [picture, "bytes"], "unit"), "half"], "centred")
        weigh(EYES, WIDTH, 3, 4, 4)
        seen = [add("Conv", [picture, f"{EYES}.weight"], f"eye{k}", strides=[8, 8], pads=[k, k, 0, 0]) for k in (0, 1)]
        flat = add("Flatten", [add("Add", seen, "both")], "flat")
        code = add("Gemm", [flat, weigh("encoder.code", CODE, WIDTH * 16)], "code", transB=1)
    values["base"] = np.array([-1, WIDTH, 4, 4], np.int64)
    dense = add("Gemm", [code, weigh(LAYERS[0], WIDTH * 16, CODE)], "dense", transB=1)
    first = conv(LAYERS[1], add("Reshape", [dense, "base"], "map"), "first")
    around = conv(LAYERS[3], conv(LAYERS[2], first, "in"), "around", relu=False)
    value = add("Relu", [add("Add", [first, around], "sum")], "residual")
    for name in LAYERS[4:6]:
        value = add("DepthToSpace", [conv(name, value, f"{name[-3:]}_up", 4 * WIDTH)], f"{name[-3:]}_wide", blocksize=2)
    value = conv(LAYERS[6], value, "last", relu=False)
    drawn = add("Sigmoid", [add("DepthToSpace", [value], "shuffled", blocksize=2)], "drawn")
    values["colours"], values["alpha"] = np.array([0, 1, 2], np.int64), np.array(3, np.int64)
    add("Transpose", [add("Gather", [drawn, "colours"], "colour", axis=1)], "face", perm=[0, 2, 3, 1])
    add("Gather", [drawn, "alpha"], "mask", axis=1)
    taken: list[str | int | None] = ["n", SIZE, SIZE, 3] if whole else ["n", CODE]
    inputs = [
        helper.make_tensor_value_info(*(("crop", TensorProto.UINT8) if whole else (code, TensorProto.FLOAT)), taken)
    ]
    outputs = [
        helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", SIZE, SIZE, 3]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", SIZE, SIZE]),
    ]
    card = ModelCard(name=identity, kind="rendered")
    contract = Contract(
        role="whole" if whole else "decoder", size=SIZE, coverage=1.0, licence=LICENCE, encoder=DIGEST,
        identity=identity, kind=card.kind, consent=card.record(), training={"steps": 34},
    )  # fmt: skip
    return save(path, nodes, values, inputs, outputs, contract, opset=18)


def changed(source: Path, target: Path, layer: str, change: Any) -> Path:
    """A copy in which a layer's weight is what change makes of it."""
    model = onnx.load(source)
    for entry in model.graph.initializer:
        if entry.name == f"{layer}.weight":
            values = np.asarray(change(np.array(onnx.numpy_helper.to_array(entry))), np.float32)
            entry.CopyFrom(onnx.numpy_helper.from_array(values, entry.name))
    onnx.save(model, target)
    return target
