"""Trained networks to ONNX files that the pipeline runs: bytes in, contract inside."""

import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from torch import Tensor, nn

from realtime.swap.card import ModelCard
from realtime.swap.contract import Contract
from training.levels import write_mask_small
from training.model import Decoder, Encoder, LandmarkNet
from training.shuffles import write_in_rows

OPSET: Final = 18
LARGEST_BATCH: Final = 64  # faces in one call


class LandmarkGraph(nn.Module):
    """What the landmark file computes: crops (n, s, s, 3) uint8 to points, blend weights and presence 0..1."""

    def __init__(self, net: LandmarkNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, s, s, 3) uint8 BGR to points (n, 70, 2) in unit coordinates, blend (n, 10), presence (n,)."""
        points, blend, presence = self.net(_picture(crop))
        return points, blend, torch.sigmoid(presence)


class EncoderGraph(nn.Module):
    """What the encoder file computes: crops (n, s, s, 3) uint8 to codes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crop: Tensor) -> Tensor:
        """(n, s, s, 3) uint8 BGR to the code (n, z)."""
        code: Tensor = self.encoder(_picture(crop))
        return code


class DecoderGraph(nn.Module):
    """What a decoder file computes: codes to faces and masks."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """(n, z) to the face (n, S, S, 3) BGR and the mask (n, S, S), both 0..1."""
        face, mask = self.decoder.decode(code)
        return face.permute(0, 2, 3, 1), mask[:, 0]


class WholeGraph(nn.Module):
    """What the file of an identity with an encoder of its own computes: crops to faces and masks."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """(n, s, s, 3) uint8 BGR to the face (n, s, s, 3) BGR and the mask (n, s, s), both 0..1."""
        face, mask = self.decoder.decode(self.encoder(_picture(crop)))
        return face.permute(0, 2, 3, 1), mask[:, 0]


def digest(module: nn.Module) -> str:
    """The name of a network's weights: 16 hex digits of a SHA-256 over names, shapes and bytes, sorted by name."""
    said = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        said.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        said.update(array.tobytes())
    return said.hexdigest()[:16]


def export_landmarks(net: LandmarkNet, path: Path, licence: str, training: dict[str, Any]) -> Contract:
    """Write the landmark net (without batch normalisation: folded()) to path; its contract."""
    size = net.shape.size
    contract = Contract(role="landmarks", size=size, coverage=net.shape.coverage, licence=licence, training=training)
    _write(LandmarkGraph(net), _crops(size), ("crop", ("points", "blend", "presence")), path, contract)
    return contract


def export_encoder(encoder: Encoder, path: Path, licence: str, training: dict[str, Any]) -> Contract:
    """Write the shared encoder to path; its contract."""
    size = encoder.shape.size
    contract = Contract(
        role="encoder",
        size=size,
        coverage=encoder.shape.coverage,
        licence=licence,
        encoder=digest(encoder),
        training=training,
    )
    _write(EncoderGraph(encoder), _crops(size), ("crop", ("code",)), path, contract)
    return contract


def export_decoder(
    decoder: Decoder, path: Path, card: ModelCard, encoder: str, licence: str, training: dict[str, Any]
) -> Contract:
    """Write the decoder of the card's identity to path, unsigned, for the encoder of this digest; its contract."""
    contract = Contract(
        role="decoder",
        size=decoder.shape.size,
        coverage=1.0,
        licence=licence,
        encoder=encoder,
        identity=card.name,
        kind=card.kind,
        consent=card.record(),
        training=training,
    )
    example = torch.zeros(2, decoder.shape.code)
    _write(DecoderGraph(decoder), example, ("code", ("face", "mask")), path, contract)
    return contract


def export_whole(
    encoder: Encoder, decoder: Decoder, path: Path, card: ModelCard, licence: str, training: dict[str, Any]
) -> Contract:
    """Write the card's identity and its own encoder to path as one model, unsigned; its contract."""
    contract = Contract(
        role="whole",
        size=decoder.shape.size,
        coverage=encoder.shape.coverage,
        licence=licence,
        encoder=digest(encoder),
        identity=card.name,
        kind=card.kind,
        consent=card.record(),
        training=training,
    )
    example = _crops(encoder.shape.size)
    _write(WholeGraph(encoder, decoder), example, ("crop", ("face", "mask")), path, contract)
    return contract


def set_contract(model: onnx.ModelProto, contract: Contract) -> None:
    """Put the contract into the model's metadata, in place of whatever is there."""
    del model.metadata_props[:]
    for key, value in contract.to_metadata().items():
        model.metadata_props.add(key=key, value=value)


def _write(graph: nn.Module, example: Tensor, names: tuple[str, Sequence[str]], path: Path, contract: Contract) -> None:
    """Trace the graph with a free batch and save it with its contract."""
    inputs, outputs = names
    path.parent.mkdir(parents=True, exist_ok=True)
    with _quiet():
        torch.onnx.export(
            graph.eval(),
            (example,),
            path,
            input_names=[inputs],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=LARGEST_BATCH)},),
            opset_version=OPSET,
            dynamo=True,  # its graphs have no shape arithmetic, unlike the older tracer's
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    for node in model.graph.node:  # which line of Python a node comes from is nobody's business
        node.doc_string = ""
        del node.metadata_props[:]
    write_in_rows(model)
    write_mask_small(model)
    set_contract(model, contract)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _picture(crop: Tensor) -> Tensor:
    """(n, s, s, 3) uint8 to (n, 3, s, s) in 0..1."""
    return crop.permute(0, 3, 1, 2).float() / 255


def _crops(size: int) -> Tensor:
    return torch.zeros(2, size, size, 3, dtype=torch.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes to itself: a deprecation within its exporter, and that torchvision is not installed."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registry.level
    registry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        registry.setLevel(before)
