"""A decoder's mask in smaller numbers within its file, so that eight bits leave levels to the colours beside it.

The last convolution draws three colours and the mask before one sigmoid. What 8 bits say has one scale for all of its
channels, and the mask, which is nearly 0 or 1 everywhere, reaches eight times as far as a colour: in 8 bits, colours
would be off by several of their 255 levels. A file says an eighth of it there, and eight times that afterwards.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.shuffles import convolution_before, maker_of, makers_of, turned, weights_of

FACTORS: Final = (1.0, 1.0, 1.0, 8.0)  # of blue, green, red and mask; a power of two, so that no float is rounded
PLACES: Final = ("Transpose", "Reshape")

Array = NDArray[Any]


def write_mask_small(model: onnx.ModelProto) -> None:
    """Divides the mask's weights before a sigmoid, and multiplies what comes out; it stays the same, to the bit.

    Only where a convolution's colours and mask are shuffled in rows (see shuffles) and nothing else is in between.
    """
    makers, shuffled = makers_of(model), turned(model)
    stored = {entry.name: entry for entry in model.graph.initializer}
    for sigmoid in [node for node in model.graph.node if node.op_type == "Sigmoid"]:
        convolution = maker_of(sigmoid.input[0], makers, PLACES)
        if convolution is None or convolution.op_type != "Conv" or convolution.output[0] not in shuffled:
            continue
        weights = [stored[name] for name in convolution.input[1:] if name in stored]
        channels = len(FACTORS) * shuffled[convolution.output[0]] ** 2
        if len(weights) < len(convolution.input) - 1 or any(weight.dims[0] != channels for weight in weights):
            continue
        for weight in weights:
            array = numpy_helper.to_array(weight)
            weight.CopyFrom(numpy_helper.from_array(array / _along(_tiled(FACTORS, channels), array), weight.name))
        _multiply_before(model, sigmoid)


def multiplications(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes that multiply what write_mask_small divided, in whatever form the model is."""
    return [multiplication.name for multiplication, _, _ in _found(model)]


def stored_factors(model: onnx.ModelProto) -> Mapping[str, Array]:
    """By what to multiply stored arrays, 8-bit ones too, to have the weights that were trained; the file's order."""
    return {
        name: _tiled(factors, channels)
        for _, convolution, factors in _found(model)
        for name, channels in weights_of(model, convolution).items()
    }


def value_factors(model: onnx.ModelProto) -> Mapping[str, Array]:
    """By what to multiply the channels of a convolution's answer, (n, c, h, w), likewise."""
    return {
        convolution.output[0]: _tiled(factors, next(iter(weights_of(model, convolution).values())))
        for _, convolution, factors in _found(model)
    }


def multiplied(array: Array, factors: Array) -> Array:
    """array (c, ...) with each channel times its factor."""
    return np.asarray(array * _along(factors, array), array.dtype)


def _found(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto, Array]]:
    """The multiplications, the convolutions that they belong to, and the factors of the colours and the mask."""
    makers, stored = makers_of(model), {entry.name: entry for entry in model.graph.initializer}
    for sigmoid in model.graph.node:
        node = maker_of(sigmoid.input[0], makers, PLACES) if sigmoid.op_type == "Sigmoid" else None
        if node is None or node.op_type != "Mul":
            continue
        constants = [name for name in node.input if name in stored]
        values = [name for name in node.input if name not in stored]
        convolution = convolution_before(values[0], makers) if len(values) == 1 else None
        if convolution is not None and np.prod(stored[constants[0]].dims) == len(FACTORS):
            yield node, convolution, numpy_helper.to_array(stored[constants[0]]).ravel()


def _multiply_before(model: onnx.ModelProto, sigmoid: onnx.NodeProto) -> None:
    before, name = sigmoid.input[0], f"{sigmoid.name}_levels"
    factors = np.array(FACTORS, np.float32).reshape(1, -1, 1, 1)
    model.graph.initializer.append(numpy_helper.from_array(factors, f"{name}_factors"))
    place = list(model.graph.node).index(sigmoid)
    model.graph.node.insert(place, helper.make_node("Mul", [before, f"{name}_factors"], [f"{name}_out"], name))
    sigmoid.input[0] = f"{name}_out"


def _tiled(factors: Any, channels: int) -> Array:
    """The factors of the pixels of a block, whose channels are next to each other."""
    return np.tile(np.asarray(factors, np.float32), channels // len(FACTORS))


def _along(factors: Array, array: Array) -> Array:
    return factors.reshape(-1, *[1] * (array.ndim - 1))
