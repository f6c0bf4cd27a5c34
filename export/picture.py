"""The picture of an 8-bit model goes in as the bytes that come, not through floats and back.

A model turns a crop's bytes into -1..1 by a few steps. In 8 bits those would cost a twentieth of an encoder's time,
and rounding -1..1 to a zero that is a byte would drop each byte's last bit. So the bytes are taken as they are, with
128 for 0: all of them, half a grey level darker.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

RANGE: Final = (np.float32(-1), np.float32(1))  # which 8 bits say in steps of 2 / 255, with 128 for 0
_ZERO: Final = 128


def picture_of(model: onnx.ModelProto) -> str | None:
    """The value of a plain model that is its input's bytes / 127.5 - 1; None where there is none."""
    stored = {entry.name: entry for entry in model.graph.initializer}
    affine: dict[str, tuple[float, float]] = {  # by what the bytes are multiplied, and what is added
        entry.name: (1.0, 0.0) for entry in model.graph.input if entry.type.tensor_type.elem_type == TensorProto.UINT8
    }
    for node in model.graph.node:
        before = affine.get(node.input[0]) if node.input else None
        if before is not None and (said := _after(node, before, stored)) is not None:
            affine[node.output[0]] = said
    found = [name for name, said in affine.items() if np.allclose(said, (2 / 255, -1), atol=1e-6)]
    return found[0] if found else None


def take_bytes(model: onnx.ModelProto, picture: str) -> None:
    """Lets an 8-bit model's layers read the bytes of its input, turned as they want them, in place of a picture.

    Where the picture is not in 8 bits with RANGE, the model stays as it is.
    """
    nodes = list(model.graph.node)
    stored = {entry.name: entry for entry in model.graph.initializer}
    turned = next((node for node in nodes if node.input and node.input[0] == model.graph.input[0].name), None)
    rounding = next((node for node in nodes if node.op_type == "QuantizeLinear" and node.input[0] == picture), None)
    if turned is None or turned.op_type != "Transpose" or rounding is None or not _is_bytes(rounding, stored):
        return
    back = next(node for node in nodes if node.op_type == "DequantizeLinear" and node.input[0] == rounding.output[0])
    for node in nodes:
        for place, name in enumerate(node.input):
            if name == rounding.output[0]:
                node.input[place] = turned.output[0]
            elif name == picture and node is not rounding:
                node.input[place] = back.output[0]  # what stays in floats
    _without_the_unused(model)
    _in_order(model)


def _after(
    node: onnx.NodeProto, said: tuple[float, float], stored: Mapping[str, onnx.TensorProto]
) -> tuple[float, float] | None:
    factor, more = said
    if node.op_type in ("Transpose", "Cast"):
        return said
    if node.op_type not in ("Div", "Mul", "Sub", "Add") or node.input[1] not in stored:
        return None
    constant = numpy_helper.to_array(stored[node.input[1]])
    if constant.size != 1:
        return None
    by = float(constant.ravel()[0])
    if node.op_type in ("Div", "Mul"):
        by = 1 / by if node.op_type == "Div" else by
        return factor * by, more * by
    return factor, more + (by if node.op_type == "Add" else -by)


def _is_bytes(rounding: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> bool:
    scale, zero = (numpy_helper.to_array(stored[name]) for name in rounding.input[1:3])
    return bool(np.isclose(float(scale), 2 / 255, rtol=1e-4)) and int(zero) == _ZERO


def _without_the_unused(model: onnx.ModelProto) -> None:
    """Leaves out nodes whose answers nobody reads, and stored arrays likewise."""
    wanted = {entry.name for entry in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    arrays = [entry for entry in model.graph.initializer if entry.name in wanted]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(arrays)


def _in_order(model: onnx.ModelProto) -> None:
    """Puts each node behind those whose answers it reads."""
    known = {entry.name for entry in (*model.graph.input, *model.graph.initializer)} | {""}
    waiting, ordered = list(model.graph.node), list[onnx.NodeProto]()
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ValueError("the nodes of this graph wait for each other")
        ordered += ready
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
