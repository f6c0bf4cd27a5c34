"""Pixel shuffles of a model file, written so that CPUs copy whole rows, and the order of channels that this takes.

PyTorch's shuffle wants the block's pixels of one channel next to each other. Where the channels of one pixel are next
to each other instead, as the other order of the convolution before has them, a row of a block is copied at once. Said
in transpositions, those at both ends cancel with the ones by which the runtime goes from layout to layout.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

ROWS: Final = (0, 1, 3, 2, 4)  # (n, h, w, block, block * c) to (n, h, block, w, block * c)
ROUNDING: Final = ("QuantizeLinear", "DequantizeLinear")
BETWEEN: Final = (*ROUNDING, "Relu", "LeakyRelu", "Transpose", "Reshape")

Array = NDArray[Any]


def write_in_rows(model: onnx.ModelProto) -> None:
    """Replaces each shuffle of a convolution's channels; what the model computes stays the same, to the bit."""
    stored = {entry.name: entry for entry in model.graph.initializer}
    makers = makers_of(model)
    shapes = _shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        convolution = convolution_before(node.input[0], makers) if _is_shuffle(node) else None
        weights = [name for name in convolution.input[1:] if name in stored] if convolution else []
        if convolution is None or len(weights) < len(convolution.input) - 1:
            nodes.append(node)
            continue
        block = next(int(one.i) for one in node.attribute if one.name == "blocksize")
        for name in weights:
            stored[name].CopyFrom(numpy_helper.from_array(_by_pixel(numpy_helper.to_array(stored[name]), block), name))
        nodes.extend(_in_rows(model, node, block, shapes[node.input[0]]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def blocks(model: onnx.ModelProto) -> Mapping[str, int]:
    """Which stored arrays, 8-bit ones too, are in the order of write_in_rows, and the side of their blocks."""
    return {name: block for convolution, block in _turned(model) for name in weights_of(model, convolution)}


def turned(model: onnx.ModelProto) -> Mapping[str, int]:
    """Which values, (n, c, h, w), have their channels in the order of write_in_rows, and the side of the blocks."""
    return {convolution.output[0]: block for convolution, block in _turned(model)}


def by_channel(array: Array, block: int) -> Array:
    """Channels (block * block * c, ...) in the order of write_in_rows, brought back into PyTorch's."""
    return _swapped(array, (block**2, len(array) // block**2))


def _turned(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    """The convolutions before shuffles in rows, and the side of the blocks."""
    stored, makers = {entry.name: entry for entry in model.graph.initializer}, makers_of(model)
    for node in model.graph.node:
        if node.op_type != "Transpose" or _permutation(node) != ROWS:
            continue
        shape, convolution = maker_of(node.input[0], makers, ROUNDING), convolution_before(node.input[0], makers)
        if shape is not None and shape.op_type == "Reshape" and convolution is not None:
            yield convolution, int(numpy_helper.to_array(stored[shape.input[1]])[3])


def _by_pixel(array: Array, block: int) -> Array:
    return _swapped(array, (len(array) // block**2, block**2))


def _swapped(array: Array, first: tuple[int, int]) -> Array:
    return np.ascontiguousarray(array.reshape(*first, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape))


def _in_rows(
    model: onnx.ModelProto, shuffle: onnx.NodeProto, block: int, shape: Sequence[int]
) -> Iterator[onnx.NodeProto]:
    """The nodes that do what shuffle does to (n, block * block * c, h, w); their sizes go into the model."""
    _, channels, height, width = shape
    few = channels // block**2
    steps: list[tuple[str, list[int]]] = [
        ("Transpose", [0, 2, 3, 1]),
        ("Reshape", [0, height, width, block, block * few]),
        ("Transpose", list(ROWS)),
        ("Reshape", [0, height * block, width * block, few]),
        ("Transpose", [0, 3, 1, 2]),
    ]
    before = shuffle.input[0]
    for number, (kind, numbers) in enumerate(steps):
        name = f"{shuffle.name}_{number}"
        after = shuffle.output[0] if number == len(steps) - 1 else f"{name}_out"
        if kind == "Transpose":
            yield helper.make_node(kind, [before], [after], name, perm=numbers)
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), f"{name}_shape"))
            yield helper.make_node(kind, [before, f"{name}_shape"], [after], name)
        before = after


def _is_shuffle(node: onnx.NodeProto) -> bool:
    """Whether it is PyTorch's; without a mode, ONNX means another order."""
    return node.op_type == "DepthToSpace" and any(one.name == "mode" and one.s == b"CRD" for one in node.attribute)


def weights_of(model: onnx.ModelProto, convolution: onnx.NodeProto) -> Mapping[str, int]:
    """The stored arrays of a convolution's weights, 8-bit ones too, and how many channels each has."""
    stored, makers = {entry.name: entry for entry in model.graph.initializer}, makers_of(model)
    found = {}
    for name in convolution.input[1:]:
        maker = makers.get(name)
        source = maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name
        if source in stored:
            found[source] = stored[source].dims[0]
    return found


def convolution_before(name: str, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The convolution whose channels a value has, with nothing between that mixes them."""
    node = maker_of(name, makers, BETWEEN)
    return node if node is not None and node.op_type == "Conv" else None


def maker_of(name: str, makers: Mapping[str, onnx.NodeProto], passed: Sequence[str]) -> onnx.NodeProto | None:
    """Who makes a value, if those of the kinds that are passed are no makers."""
    node = makers.get(name)
    while node is not None and node.op_type in passed:
        node = makers.get(node.input[0])
    return node


def _permutation(transpose: onnx.NodeProto) -> tuple[int, ...]:
    return next((tuple(one.ints) for one in transpose.attribute if one.name == "perm"), ())


def makers_of(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """By each value's name, who makes it."""
    return {name: node for node in model.graph.node for name in node.output}


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
