"""The layers of a model file by their names in PyTorch, and what each of them says in one form and in another."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.parity import Running
from training.levels import multiplied, value_factors
from training.shuffles import by_channel, turned

WEIGHTY: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# What is put behind the name of a weight where a form has it in other numbers.
_ROUNDED: Final = "_DequantizeLinear_Output"
_ENDINGS: Final = (_ROUNDED, "_cast_to_fp32", "_quantized", ".weight")
_CHUNK: Final = 8  # items whose intermediate answers are held at once
_REAL: Final = (np.float16, np.float32)


def layers(model: onnx.ModelProto) -> dict[str, list[str]]:
    """The names of the nodes of each layer, in the order in which they run.

    A layer is called as the module in PyTorch that has its weights. The nodes that follow one (activations, sums,
    shuffles) belong to it, those before the first have the layer "".
    """
    found: dict[str, list[str]] = {"": []}
    order: dict[str, int] = {}  # of the layers
    of: dict[str, str] = {}  # which layer makes a value
    for node in model.graph.node:
        if node.op_type in WEIGHTY:
            layer = _name(node)
        else:
            layer = max((of[name] for name in node.input if name in of), key=lambda one: order[one], default="")
        order.setdefault(layer, len(order) if layer else -1)
        found.setdefault(layer, []).append(node.name)
        of.update(dict.fromkeys(node.output, layer))
    return {layer: names for layer, names in found.items() if names}


def deviations(reference: Path, other: Path, items: NDArray[Any]) -> dict[str, float]:
    """How far the layers of another form are from the reference's on items (n, ...), by layer.

    That is the root of the mean square of their differences, as a share of the reference's own; inf where a number
    is none. Errors add up from layer to layer. Raises ModelError.
    """
    models = [onnx.load(path) for path in (reference, other)]
    of = _layer_of_values(models[0])
    there = {name for node in models[1].graph.node for name in node.output}
    # Rounded where it is: what comes before may lack an activation, which is a range of the rounding there.
    names = {name: name + _ROUNDED if name + _ROUNDED in there else name for name in of if name in there}
    apart, size = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    answers = said(models[0], list(names), items), said(models[1], list(names.values()), items)
    with np.errstate(invalid="ignore", over="ignore"):
        for one, two in zip(*answers, strict=True):
            for name in one.keys() & {name for name, other in names.items() if other in two}:
                wanted = one[name].astype(np.float64)
                apart[name] += float(np.square(two[names[name]].astype(np.float64) - wanted).sum())
                size[name] += float(np.square(wanted).sum())
    result: dict[str, float] = {}
    for name in names:
        share = float(np.sqrt(apart[name] / size[name])) if size[name] else 0.0
        result[of[name]] = max(result.get(of[name], 0.0), share if np.isfinite(share) else float("inf"))
    return result


def from_torch(graph: nn.Module, path: Path, items: NDArray[Any]) -> dict[str, float]:
    """How far the layers of a file are from those of the same network in PyTorch, as deviations has it."""
    model = onnx.load(path)
    weighty = {node.name: node for node in model.graph.node if node.op_type in WEIGHTY}
    values = {layer: [weighty[name].output[0] for name in names if name in weighty]
              for layer, names in layers(model).items()}  # fmt: skip
    wanted = _in_torch(graph, items)
    names = [name for layer in values if layer in wanted for name in values[layer]]
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for answers in said(model, names, items):
        for name, answer in answers.items():
            parts.setdefault(name, []).append(answer)
    return {
        layer: max(
            _share(np.concatenate(parts[name]), one) for name, one in zip(values[layer], wanted[layer], strict=True)
        )
        for layer in values
        if layer in wanted and len(values[layer]) == len(wanted[layer])
    }


def worst(reference: Path, other: Path, items: NDArray[Any]) -> str:
    """The layer of another form that deviates most and by how much, in words. Raises ModelError."""
    return _in_words(deviations(reference, other, items))


def worst_from_torch(graph: nn.Module, path: Path, items: NDArray[Any]) -> str:
    """The layer of a file that deviates most from PyTorch and by how much, in words. Raises ModelError."""
    return _in_words(from_torch(graph, path, items))


def said(
    model: onnx.ModelProto, names: Sequence[str], items: NDArray[Any]
) -> Iterator[Mapping[str, NDArray[np.float32]]]:
    """What a model says at the values of these names, a few items at a time; only values of real numbers.

    Channels are in PyTorch's order and size, whatever way the file has them.
    """
    running, blocks, factors = Running.open(exposed(model, names)), turned(model), value_factors(model)
    for first in range(0, len(items), _CHUNK):
        answers = running(items[first : first + _CHUNK])
        yield {
            name: _as_trained(answers[name], blocks.get(name), factors.get(name))
            for name in names
            if answers[name].dtype in _REAL
        }


def _as_trained(
    answer: NDArray[np.float32], block: int | None, factors: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """(n, c, ...) with the channels in PyTorch's order and size."""
    channels = np.moveaxis(answer, 1, 0) if answer.ndim > 1 else answer
    if factors is not None:
        channels = multiplied(channels, factors)
    if block is not None:
        channels = by_channel(channels, block)
    return np.moveaxis(channels, 0, 1) if answer.ndim > 1 else channels


def exposed(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The model with these values as outputs too."""
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    there = {entry.name for entry in model.graph.output}
    seen.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    return bytes(seen.SerializeToString())


def _in_words(found: Mapping[str, float]) -> str:
    if not found:
        return "no layer has the same name in both"
    layer = max(found, key=lambda name: found[name])
    return f"{layer or 'the input'} deviates most, by {100 * found[layer]:.2g} %"


def _in_torch(graph: nn.Module, items: NDArray[Any]) -> dict[str, list[NDArray[np.float32]]]:
    """What each module with a weight answers, one entry for each time it runs."""
    seen: dict[str, list[NDArray[np.float32]]] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _given, answer, name=name: seen.setdefault(name, []).append(answer.numpy())
        )
        for name, module in graph.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor)
    ]
    try:
        with torch.inference_mode():
            graph.eval()(torch.from_numpy(items))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _share(seen: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The root mean square of the difference, as a share of what was wanted; inf where it is no number."""
    size = float(np.square(wanted.astype(np.float64)).sum())
    with np.errstate(invalid="ignore", over="ignore"):
        apart = float(np.square(seen.astype(np.float64) - wanted).sum())
    share = float(np.sqrt(apart / size)) if size else 0.0
    return share if np.isfinite(share) else float("inf")


def _layer_of_values(model: onnx.ModelProto) -> dict[str, str]:
    """Which layer makes each value, in the order in which they are made."""
    nodes = {node.name: node for node in model.graph.node}
    return {value: layer for layer, names in layers(model).items() for name in names for value in nodes[name].output}


def _name(node: onnx.NodeProto) -> str:
    """The name of the module that has the node's weight; the node's own where that is no module's."""
    name = node.input[1]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name if "." in name else node.name
