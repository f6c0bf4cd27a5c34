"""int8 that gives way to fp32 layer by layer, where it loses most, until the form is near enough to the reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from export.layers import exposed, layers
from export.parity import Agreement, Running
from export.quantize import feeds, heads, prepared, say_int8, to_int8
from realtime.swap.session import deviation
from training.levels import value_factors

JUDGED: Final = 24  # items on which the loss of one layer alone, or of all of them, is measured
# How much of each activation is kept, of 100: where a few are large, all others have few levels of the 255. What a
# decoder draws is 5 dB nearer to fp32 with the second; an encoder, whose code they carry, is farther from it.
PERCENTILES: Final = (None, 99.8)
FELT: Final = (0.1, 99.9)  # percentiles of what is left of an addend after a ReLU, between which its 8 bits say it
SURE: Final = 6.0  # before a sigmoid: what lies beyond is within 0.63 of a colour's 255 levels from its end
SPREAD: Final = 64  # items that percentiles are taken over; all their activations are in memory at once


@dataclass(frozen=True, slots=True)
class Mixed:
    """An int8 form of which some layers stayed fp32."""

    agreement: Agreement  # with the reference; not passed where there is no layer left in int8
    kept: tuple[str, ...]  # the layers that stayed fp32 besides the heads, the one that lost most first
    losses: Mapping[str, float]  # of each layer alone, as session.deviation says it; empty where nobody asked
    heads: bool = True  # whether there are heads with weights in fp32, and not only a sigmoid


def to_mixed(
    source: Path,
    target: Path,
    calibration: NDArray[Any],
    checked: NDArray[Any],
    agreement: Callable[[Path], Agreement],
) -> Mixed:
    """Write source as int8 to target, the heads and as many layers in fp32 as it takes for agreement to pass.

    Ranges are all that the calibration saw, or PERCENTILES of it, whatever is nearer at the outputs; what is drawn and
    what a ReLU cuts have spans of their own (_drawn, _felt). The layers give way in the order of what each loses when
    it alone is in int8, measured there too. calibration and checked (n, ...) are items of the one input. The file says
    which layers with weights are in fp32. Raises ModelError.
    """
    with prepared(onnx.load(source)) as plain:
        model, wanted = onnx.load(plain), _answers(plain, checked[:JUDGED])
        of, first = layers(model), heads(model)
        free = [layer for layer, nodes in of.items() if layer and not set(nodes) <= set(first)]
        headed = any(layer and set(nodes) <= set(first) for layer, nodes in of.items())
        spans = _drawn(model, calibration[:SPREAD]) | _felt(model, calibration[:SPREAD])

        def write(path: Path, exact: Sequence[str], percentile: float | None) -> None:
            items = calibration if percentile is None else calibration[:SPREAD]
            ranges = plain.with_name(f"ranges-{percentile}.json")
            to_int8(plain, path, feeds(plain, items), list(dict.fromkeys(exact)), ranges, percentile, spans)

        def off(percentile: float | None) -> float:
            write(alone, first, percentile)
            return sum(
                float(np.mean((a - b) ** 2)) for a, b in zip(_answers(alone, checked[:JUDGED]), wanted, strict=True)
            )

        alone = plain.with_name("alone.onnx")
        best = min(PERCENTILES, key=off)

        def tried(kept: Sequence[str]) -> Agreement:
            exact = [*first, *(node for layer in kept for node in of[layer])]
            write(target, exact, best)
            say_int8(source, target, model, exact)
            return agreement(target)

        reached = tried(())
        if reached.passed:
            return Mixed(reached, (), {}, headed)
        losses: dict[str, float] = {}
        for layer in free:
            write(alone, [*first, *(node for other, nodes in of.items() if other != layer for node in nodes)], best)
            losses[layer] = deviation(_answers(alone, checked[:JUDGED]), wanted)
        order = sorted(free, key=lambda layer: losses[layer], reverse=True)
        for count in range(1, len(order)):
            reached = tried(order[:count])
            if reached.passed:
                return Mixed(reached, tuple(order[:count]), losses, headed)
        return Mixed(Agreement(False, reached.words), tuple(order), losses, headed)


def _drawn(model: onnx.ModelProto, items: NDArray[Any]) -> dict[str, tuple[np.float32, np.float32]]:
    """The span of what is drawn before a sigmoid, where the mask beside the colours is in smaller numbers.

    It is the colours' on items (n, ...), as far as SURE; there a mask is sure as well.
    """
    factors = value_factors(model)
    if not factors:
        return {}
    running = Running.open(exposed(model, list(factors)))
    found = {
        name: (np.float32(-SURE / factor.max()), np.float32(SURE / factor.max())) for name, factor in factors.items()
    }
    for answer in map(running, items[:, None]):
        for name, (low, high) in found.items():
            colours = np.clip(answer[name][:, factors[name] == 1], -SURE, SURE)
            found[name] = min(low, colours.min()), max(high, colours.max())
    return found


def _felt(model: onnx.ModelProto, items: NDArray[Any]) -> dict[str, tuple[np.float32, np.float32]]:
    """The span of what a layer adds where the sum is above 0, for each layer whose sum a ReLU cuts at 0.

    What is cut away may be ten times as large, and needs no levels. FELT of the rest is kept, of 100.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    makers = {node.output[0]: node for node in model.graph.node}
    sums = [
        (name, node.output[0])
        for node in model.graph.node
        if node.op_type == "Add" and [reader.op_type for reader in readers.get(node.output[0], [])] == ["Relu"]
        for name in node.input
        if name in makers and makers[name].op_type == "Conv" and len(readers[name]) == 1
    ]
    if not sums:
        return {}
    running = Running.open(exposed(model, [name for pair in sums for name in pair]))
    felt: dict[str, list[NDArray[np.float32]]] = {name: [] for name, _ in sums}
    for answer in map(running, items[:, None]):
        for name, added in sums:
            felt[name].append(answer[name][answer[added] > 0])
    found = {}
    for name, parts in felt.items():
        low, high = np.percentile(np.concatenate(parts), FELT) if any(part.size for part in parts) else (0, 0)
        if low < high:
            found[name] = np.float32(min(low, 0)), np.float32(max(high, 0))
    return found


def _answers(path: Path, items: NDArray[Any]) -> list[NDArray[np.float32]]:
    return list(Running.open(path)(items).values())
