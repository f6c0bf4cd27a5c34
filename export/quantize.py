"""An fp32 model to int8: static, per channel, calibrated on real inputs."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from export.to_onnx import set_contract
from realtime.swap.contract import Contract

_WEIGHTY: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to quantise.

    The heads may stay in fp32: the last layer before each output, and a closer look (see heads). Eight bits are few
    for a coordinate, and before a sigmoid they show as bands. Weights have seven bits, or CPUs without VNNI overflow
    in the products of bytes (same speed).
    """

    name: str
    heads: bool  # whether they are quantised as well


# The more exact one first.
RECIPES: Final = (Recipe("int8, heads fp32", heads=False), Recipe("int8", heads=True))


class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Hands inputs to the calibration, one after the other."""

    def __init__(self, feeds: Iterable[dict[str, NDArray[Any]]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next input, or None after the last."""
        return next(self._feeds, None)


def quantize(source: Path, target: Path, items: NDArray[Any], recipe: Recipe) -> Contract:
    """Write source as int8 to target, calibrated on items (n, ...) of its one input; the new contract."""
    with prepared(onnx.load(source)) as plain:
        model = onnx.load(plain)
        feeds = ({model.graph.input[0].name: item[None]} for item in items)
        to_int8(plain, target, feeds, [] if recipe.heads else heads(model))
    said = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    contract = replace(Contract.from_metadata(said, source.name), precision="int8")
    quantized = onnx.load(target)
    set_contract(quantized, contract)
    onnx.save(quantized, target)
    return contract


@contextmanager
def prepared(model: onnx.ModelProto) -> Iterator[Path]:
    """The model with its layers fused as they will run, in a file that is there until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        source, plain = Path(folder) / "source.onnx", Path(folder) / "prepared.onnx"
        onnx.save(model, source)
        quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)
        yield plain


def to_int8(plain: Path, target: Path, feeds: Iterable[dict[str, NDArray[Any]]], exact: Sequence[str]) -> None:
    """Write a prepared model as int8 to target, calibrated on feeds; the nodes named in exact stay fp32.

    Activations are unsigned, weights signed: measured 1.5 times faster than both signed. Transposed convolutions
    stay fp32 in effect, since onnxruntime's CPU provider has no int8 kernel for them.
    """
    quantize_static(
        str(plain),
        str(target),
        Reader(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(exact),
        calibrate_method=CalibrationMethod.MinMax,
    )


def heads(model: onnx.ModelProto) -> list[str]:
    """The names of the last layer with weights before each output and all nodes after it, and of a closer look.

    A closer look is all that follows a GridSample: small layers that say by how little a point is off.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, None] = {}
    waiting = [entry.name for entry in model.graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in _WEIGHTY:
            waiting.extend(node.input)
    sampled: set[str] = set()
    for node in model.graph.node:  # in the order in which they run
        if node.op_type == "GridSample" or sampled.intersection(node.input):
            sampled.update(node.output)
            found[node.name] = None
    return list(found)
