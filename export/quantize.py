"""An fp32 model to int8: static, per channel, calibrated on real inputs."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Final

import numpy as np
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

from export.layers import WEIGHTY, layers
from export.picture import RANGE, picture_of, take_bytes
from export.to_onnx import set_contract
from realtime.swap.contract import Contract
from training.levels import multiplications

KEPT: Final = "fp32_layers"  # where the training record of an int8 file names the layers that are not in int8


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
        exact = [] if recipe.heads else heads(model)
        to_int8(plain, target, feeds(plain, items), exact)
    return say_int8(source, target, model, exact)


def feeds(plain: Path, items: NDArray[Any]) -> Iterator[dict[str, NDArray[Any]]]:
    """What the calibration sees: items (n, ...) of the one input of a model, one after the other."""
    name = onnx.load(plain).graph.input[0].name
    return ({name: item[None]} for item in items)


def say_int8(source: Path, target: Path, model: onnx.ModelProto, exact: Sequence[str]) -> Contract:
    """Put source's contract into target, as one of int8 that names the layers in fp32; that contract.

    model is source, prepared, and exact the names of its nodes that stayed in fp32.
    """
    said = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    before, stayed = Contract.from_metadata(said, source.name), set(exact)
    in_fp32 = [layer for layer, nodes in layers(model).items() if layer and set(nodes) <= stayed]
    contract = replace(before, precision="int8", training={**before.training, KEPT: in_fp32})
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


def to_int8(
    plain: Path,
    target: Path,
    feeds: Iterable[dict[str, NDArray[Any]]],
    exact: Sequence[str],
    ranges: Path | None = None,
    percentile: float | None = None,
    spans: Mapping[str, tuple[np.float32, np.float32]] | None = None,
) -> None:
    """Write a prepared model as int8 to target, calibrated on feeds; the nodes named in exact stay fp32.

    ranges is a file that keeps what the calibration found: read where it is there, written otherwise. percentile: how
    much of each activation, of 100, its 8 bits can say; what lies beyond is cut off. None: all of it. spans: values
    whose 8 bits say what lies between these two in any case.

    Activations are unsigned, weights signed: measured 1.5 times faster than both signed. Transposed convolutions
    stay fp32 in effect, since onnxruntime's CPU provider has no int8 kernel for them.
    """
    picture = picture_of(onnx.load(plain))
    spans = {**(spans or {}), **({picture: RANGE} if picture else {})}
    options: dict[str, Any] = {} if percentile is None else {"CalibPercentile": percentile}
    if spans:
        options["TensorQuantOverrides"] = {name: [{"rmin": low, "rmax": high}] for name, (low, high) in spans.items()}
    with redirect_stdout(StringIO()):  # onnxruntime tells how it counts
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
            calibrate_method=CalibrationMethod.MinMax if percentile is None else CalibrationMethod.Percentile,
            calibration_cache_path=ranges,
            extra_options=options,
        )
    if picture:
        model = onnx.load(target)
        take_bytes(model, picture)
        onnx.save(model, target)


def heads(model: onnx.ModelProto) -> list[str]:
    """The names of the last layer with weights before each output and all nodes after it, and of a closer look.

    A closer look is all that follows a GridSample: small layers that say by how little a point is off. Where a mask
    is in smaller numbers (see training.levels), 8 bits are enough for the layer before, and only what follows counts.
    """
    multiplying = set(multiplications(model))
    makers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, None] = {}
    waiting = [entry.name for entry in model.graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in WEIGHTY and node.name not in multiplying:
            waiting.extend(node.input)
    sampled: set[str] = set()
    for node in model.graph.node:  # in the order in which they run
        if node.op_type == "GridSample" or sampled.intersection(node.input):
            sampled.update(node.output)
            found[node.name] = None
    return list(found)
