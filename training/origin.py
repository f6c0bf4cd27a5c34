"""Where a training starts from: weights of a checkpoint, or of the model files that ship, fitted to another size."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from realtime.errors import LiveswapError, ModelError
from realtime.swap.contract import Contract
from training import checkpoint
from training.levels import multiplied, stored_factors
from training.model import Decoder, DecoderShape, Encoder, EncoderShape, LandmarkNet, LandmarkShape, SwapNet
from training.shuffles import blocks, by_channel

logger = logging.getLogger(__name__)

State = dict[str, Tensor]
_QUANTIZED: Final = "_quantized"


@dataclass(frozen=True, slots=True)
class Origin:
    """Weights to start from, and what is known about them."""

    encoder: State
    encoder_shape: EncoderShape
    decoders: Mapping[str, State]
    decoder_shape: DecoderShape
    auxiliary: State  # empty where it is not kept: model files have none
    record: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Origin":
        """Of a swap.pt, or of a folder with encoder.onnx and decoders. Raises LiveswapError."""
        if path.is_dir():
            return _of_folder(path)
        net, record = checkpoint.load_swap_net(path)
        decoders = {name: dict(module.state_dict()) for name, module in net.decoders.items()}
        encoder, decoder = EncoderShape.read(record["encoder"]), DecoderShape.read(record["decoder"])
        auxiliary = dict(net.auxiliary.state_dict())
        return cls(dict(net.encoder.state_dict()), encoder, decoders, decoder, auxiliary, record)

    def summary(self) -> dict[str, Any]:
        """What a training that starts from here remembers of it."""
        return {key: self.record[key] for key in ("data", "steps", "seconds", "test") if key in self.record}


def _of_folder(folder: Path) -> Origin:
    weights, contract = read_weights(folder / "encoder.onnx")
    decoders = {}
    for path in sorted(folder.glob("*.onnx")):
        read, said = read_weights(path)
        if said.role == "decoder" and said.encoder == contract.encoder:
            decoders[said.identity] = _below("decoder.", read)
    if not decoders:
        raise LiveswapError(f"{folder} holds no decoder of its encoder, wanted at least one")
    try:
        encoder = EncoderShape.read({"mouth": 0, **contract.training["encoder"]})
        decoder = DecoderShape.read(contract.training["decoder"])
    except (KeyError, TypeError) as error:
        raise LiveswapError(f"{folder}/encoder.onnx does not say what shape its networks have: {error!r}") from error
    return Origin(_below("encoder.", weights), encoder, decoders, decoder, {}, contract.training)


def read_weights(path: Path) -> tuple[State, Contract]:
    """The weights of an exported model file by their names in PyTorch, 8-bit ones multiplied out, and its contract.

    Raises LiveswapError for a file that cannot be read.
    """
    if not path.is_file():
        raise LiveswapError(f"there is no model {path}")
    try:
        model = onnx.load(path)
        contract = Contract.from_metadata({entry.key: entry.value for entry in model.metadata_props}, path.name)
    except ModelError:
        raise
    except Exception as error:  # protobuf's own types differ between its implementations
        raise LiveswapError(f"{path} cannot be read as an ONNX model") from error
    arrays = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    axes = {node.input[0]: _axis(node) for node in model.graph.node if node.op_type == "DequantizeLinear"}
    turned, factors = blocks(model), stored_factors(model)
    weights = {}
    for name in filter(_is_weight, arrays):
        array = _multiplied_out(name, arrays, axes.get(name, 0))
        trained = multiplied(array, factors[name]) if name in factors else array
        ordered = by_channel(trained, turned[name]) if name in turned else trained
        weights[name.removesuffix(_QUANTIZED)] = torch.from_numpy(ordered)
    return weights, contract


def _axis(node: onnx.NodeProto) -> int:
    """Along which axis a node's scales lie; 1 where it does not say."""
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _is_weight(name: str) -> bool:
    return "." in name and not name.endswith(("_scale", "_zero_point"))


def _multiplied_out(name: str, arrays: Mapping[str, np.ndarray[Any, Any]], axis: int) -> np.ndarray[Any, Any]:
    array = arrays[name]
    if name.endswith(_QUANTIZED):
        stem = name if f"{name}_scale" in arrays else name.removesuffix(_QUANTIZED)
        along = [-1 if one == axis else 1 for one in range(array.ndim)]
        scale, zero = (arrays[f"{stem}_{what}"].reshape(along) for what in ("scale", "zero_point"))
        array = (array.astype(np.float32) - zero.astype(np.float32)) * scale
    return np.array(array, np.float32)


def _below(prefix: str, weights: State) -> State:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def fill(net: SwapNet, origin: Origin, starts: Mapping[str, str] | None = None) -> None:
    """Starts net from origin, its encoder and decoders resampled where the crops have another size.

    starts: from which of origin's identities one starts that origin lacks; from its first one where nothing is said.
    Raises LiveswapError where widths differ.
    """
    _check("code", origin.encoder_shape.code, net.encoder.shape.code)
    _check("squeeze", origin.encoder_shape.squeeze, net.encoder.shape.squeeze)
    _load(net.encoder, _encoder_of_size(net.encoder, origin))
    _load(net.auxiliary, origin.auxiliary)
    for name, decoder in net.decoders.items():
        start = name if name in origin.decoders else (starts or {}).get(name, next(iter(origin.decoders)))
        if start != name:
            logger.info("%s starts from %s", name, start)
        assert isinstance(decoder, Decoder)
        _load(decoder, _decoder_of_size(origin.decoders[start], origin.decoder_shape, decoder.shape))


def landmark_net(path: Path) -> tuple[LandmarkNet, Mapping[str, Any]]:
    """The landmark net of an exported landmarks.onnx, to train on without batch normalisation; its training record."""
    weights, contract = read_weights(path)
    try:
        net = LandmarkNet(LandmarkShape.read(contract.training["shape"]), normalised=False)
    except (KeyError, TypeError) as error:
        raise LiveswapError(f"{path} does not say what shape its network has: {error!r}") from error
    _load(net, _below("net.", weights))
    return net, contract.training


def loaded(module: nn.Module, prefix: str, weights: State) -> None:
    """Fills a new module with those of read_weights whose names begin with prefix. Raises LiveswapError."""
    _load(module, _below(prefix, weights))


def _check(what: str, seen: int, wanted: int) -> None:
    if seen != wanted:
        raise LiveswapError(f"the weights to start from have a {what} of {seen}, the encoder wants {wanted}")


def _load(module: nn.Module, state: State) -> None:
    """Raises LiveswapError for weights that do not fit. What state lacks stays as it is."""
    known = module.state_dict()
    try:
        module.load_state_dict(known | {name: value for name, value in state.items() if name in known})
    except RuntimeError as error:
        raise LiveswapError(f"the weights to start from do not fit: {str(error).splitlines()[-1].strip()}") from error


def _encoder_of_size(encoder: Encoder, origin: Origin) -> State:
    """The encoder's weights for its own crop size. A window that origin lacks is not listened to at first."""
    state, shape = dict(origin.encoder), encoder.shape
    before = Encoder(replace(origin.encoder_shape, mouth=shape.mouth))
    windows = {"eyes.eye.9.weight": (before.eyes.eye, encoder.eyes.eye)}
    if before.mouth and encoder.mouth:
        windows["mouth.lips.9.weight"] = before.mouth.lips, encoder.mouth.lips
    for name, (its, own) in windows.items():
        if name in state:
            state[name] = resampled_columns(state[name], its.map, own.map)
    base, old = shape.size // 16, origin.encoder_shape.size // 16
    flat = shape.squeeze * old * old
    code = state["code.weight"]
    parts = [resampled_columns(code[:, :flat], (shape.squeeze, old, old), (shape.squeeze, base, base)), code[:, flat:]]
    parts.append(torch.zeros(len(code), encoder.code.in_features - sum(part.shape[1] for part in parts)))
    state["code.weight"] = torch.cat(parts, 1)
    return state


def _decoder_of_size(weights: State, before: DecoderShape, after: DecoderShape) -> State:
    state, channels = dict(weights), after.widths[0]
    old, base = ((channels, size // 16, size // 16) for size in (before.size, after.size))
    for name in {"dense.0.weight", "dense.0.bias"} & state.keys():  # the exporter leaves zeros away
        rows = state[name].reshape(len(state[name]), -1).T  # (inputs, c * h * w)
        state[name] = _resized(rows, old, base).T.reshape(-1, *state[name].shape[1:])
    return state


def resampled_columns(weight: Tensor, before: tuple[int, int, int], after: tuple[int, int, int]) -> Tensor:
    """A dense layer's weight (n, c*h*w) for another height and width of the map that it reads, the sum kept."""
    return _resized(weight, before, after) * ((before[1] * before[2]) / (after[1] * after[2]))


def _resized(rows: Tensor, before: tuple[int, int, int], after: tuple[int, int, int]) -> Tensor:
    if before == after:
        return rows
    maps = rows.reshape(-1, *before)
    return F.interpolate(maps, after[1:], mode="bilinear", align_corners=False).flatten(1)
