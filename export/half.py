"""An fp32 model to fp16: weights and arithmetic of half the width, inputs and outputs as they were."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.onnx_model import ONNXModel

from export.layers import said
from export.to_onnx import set_contract
from realtime.swap.contract import Contract

# What stays in fp32 wherever it is: exponentials and means lose most with eleven bits, and a coordinate needs more.
SENSITIVE: Final = ("Sigmoid", "Softmax", "Exp", "ReduceMean", "ReduceSum", "Einsum", "GridSample", "Resize")
LARGEST: Final = 65504.0  # that fp16 can say; what is larger becomes inf, and a black square in the picture
ROOM: Final = 8.0  # how many times larger than on the sample a value may become before it overflows


def halve(source: Path, target: Path, items: NDArray[Any]) -> tuple[str, ...]:
    """Write source as fp16 to target, with its contract; the nodes that stayed in fp32 because of their values.

    Those are the ones that read or make a number on items (n, ...) that is nearer to LARGEST than ROOM. Raises
    ModelError.
    """
    # It puts its folder on the path of modules when it is imported, so only who needs it does that.
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = onnx.load(source)
    large = too_large(model, items)
    halved = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *SENSITIVE],
        node_block_list=list(large),
    )
    known = {entry.key: entry.value for entry in onnx.load(source, load_external_data=False).metadata_props}
    set_contract(halved, replace(Contract.from_metadata(known, source.name), precision="fp16"))
    _straighten(halved.graph)
    ordered = ONNXModel(halved)
    ordered.topological_sort()  # the casts were put at the end
    onnx.checker.check_model(ordered.model)
    onnx.save(ordered.model, target)
    return large


def too_large(model: onnx.ModelProto, items: NDArray[Any]) -> tuple[str, ...]:
    """The names of the nodes that read or make numbers too large for fp16, items (n, ...) being what goes in."""
    values = [name for node in model.graph.node for name in node.output]
    tops: dict[str, float] = {}
    for answers in said(model, values, items):
        for name, answer in answers.items():
            tops[name] = max(tops.get(name, 0.0), float(np.abs(answer).max(initial=0)))
    weights = {entry.name: float(np.abs(onnx.numpy_helper.to_array(entry)).max(initial=0))
               for entry in model.graph.initializer if entry.data_type == onnx.TensorProto.FLOAT}  # fmt: skip
    beyond = {name for name, top in tops.items() if top * ROOM > LARGEST}
    beyond |= {name for name, top in weights.items() if top > LARGEST}
    return _touching(model, beyond)


def _straighten(graph: onnx.GraphProto) -> None:
    """Take away the ways through fp16 between two nodes that stayed in fp32: what is too large would be inf there."""
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    direct = {
        name: casts[node.input[0]].input[0]
        for name, node in casts.items()
        if _to(node) == onnx.TensorProto.FLOAT
        and node.input[0] in casts
        and _to(casts[node.input[0]]) == onnx.TensorProto.FLOAT16
    }
    for node in graph.node:
        node.input[:] = [direct.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input} | {entry.name for entry in graph.output}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in used]:
        graph.node.remove(node)


def _to(cast: onnx.NodeProto) -> int:
    return int(next(attribute.i for attribute in cast.attribute if attribute.name == "to"))


def _touching(model: onnx.ModelProto, values: set[str]) -> tuple[str, ...]:
    named: Sequence[onnx.NodeProto] = model.graph.node
    return tuple(node.name for node in named if values & {*node.input, *node.output})
