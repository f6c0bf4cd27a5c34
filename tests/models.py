"""Small ONNX models of the shapes and contracts that the pipeline runs, made on the spot by the tests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from realtime.face.geometry import template
from realtime.swap.card import ModelCard
from realtime.swap.consent import signed
from realtime.swap.contract import DRAWING, Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.signing import Signer

DIGEST = (
    "0123456789abcdef"  # the encoder that write_encoder writes and write_decoder is made for, unless told otherwise
)
CODE_LENGTH = 8
LICENCE = "Apache-2.0"
SEED = bytes(range(32))  # of the key that signs these models


def person(name: str = "ann", **changes: Any) -> ModelCard:
    """The card of somebody who agreed, for a long time."""
    return replace(
        ModelCard(
            name=name,
            kind="person",
            who="A. N.",
            contact="records@theatre.example",
            statement="My face may be drawn over another actor's.",
            scope="rehearsals and shows of 'Twins'",
            date=date(2020, 1, 31),
            until=date(2120, 1, 31),
            revocation="withdraw@theatre.example",
        ),
        **changes,
    )


def card_file(path: Path, card: ModelCard, without: Sequence[str] = (), more: str = "") -> Path:
    """The card as a TOML file, without some of its keys, with more lines below."""
    said = {field.name: getattr(card, field.name) for field in fields(card)}
    lines = [
        f"{key} = {value if isinstance(value, date) else json.dumps(value)}"
        for key, value in said.items()
        if value and key not in without
    ]
    path.write_text("\n".join([*lines, more]) + "\n")
    return path


def write_landmarker(path: Path, size: int = 160, coverage: float = 1.25, presence: float = 1.0) -> Path:
    """A landmark model that sees the template's 68 points and two irises in any crop, so that a crop stays put.

    presence 0..1 is what it says about every crop; blend weights and gaze are all zero.
    """
    points = template()
    irises = np.stack([points[36:42].mean(0), points[42:48].mean(0)])
    unit = (np.concatenate([points, irises]) - 0.5) / coverage + 0.5
    said = np.concatenate([unit.reshape(-1), np.zeros(10), [presence]]).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["crop"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Mul", ["column", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "said"], ["all"]),
        helper.make_node("Split", ["all", "parts"], ["flat", "blend", "there"], axis=1),
        helper.make_node("Reshape", ["flat", "shape"], ["points"]),
        helper.make_node("Squeeze", ["there", "one"], ["presence"]),
    ]
    values: dict[str, NDArray[Any]] = {
        "one": np.array([1], np.int64),
        "nothing": np.zeros((1, 1), np.float32),
        "said": said[None],
        "parts": np.array([140, 10, 1], np.int64),
        "shape": np.array([-1, 70, 2], np.int64),
    }
    inputs = [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["n", size, size, 3])]
    outputs = [
        helper.make_tensor_value_info("points", TensorProto.FLOAT, ["n", 70, 2]),
        helper.make_tensor_value_info("blend", TensorProto.FLOAT, ["n", 10]),
        helper.make_tensor_value_info("presence", TensorProto.FLOAT, ["n"]),
    ]
    contract = Contract(role="landmarks", size=size, coverage=coverage, licence=LICENCE)
    return save(path, nodes, values, inputs, outputs, contract)


def write_encoder(path: Path, size: int = 128, digest: str = DIGEST) -> Path:
    """An encoder whose code is the crop's mean colour (blue, green, red in 0..1), then zeros."""
    weights = np.zeros((3, CODE_LENGTH), np.float32)
    weights[:, :3] = np.eye(3) / 255
    nodes = [
        helper.make_node("Cast", ["crop"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["code"]),
    ]
    inputs = [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["n", size, size, 3])]
    outputs = [helper.make_tensor_value_info("code", TensorProto.FLOAT, ["n", CODE_LENGTH])]
    contract = Contract(role="encoder", size=size, coverage=1.0, licence=LICENCE, encoder=digest)
    return save(path, nodes, {"weights": weights}, inputs, outputs, contract)


def write_decoder(
    path: Path,
    name: str,
    colour: Sequence[float] = (90, 120, 200),
    size: int = 160,
    digest: str = DIGEST,
    features: bool = True,
    code_length: int = CODE_LENGTH,
    card: ModelCard | None = None,
) -> Path:
    """A decoder that draws the same face whatever the code: an oval mask over a plain colour (b, g, r in 0..255).

    features adds dark eyes and a dark mouth. Composing moves the mean colour towards the scene's, so a test of
    a composed picture looks for the features, and one of the decoder's own output looks for the colour.
    Without a card it is a rendered person's.
    """
    face, mask = drawn_face(colour, size, features)
    nodes = [
        helper.make_node("ReduceMean", ["code"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "as_face"], ["face_zero"]),
        helper.make_node("Reshape", ["zero", "as_mask"], ["mask_zero"]),
        helper.make_node("Add", ["face_zero", "drawn_face"], ["face"]),
        helper.make_node("Add", ["mask_zero", "drawn_mask"], ["mask"]),
    ]
    values: dict[str, NDArray[Any]] = {
        "nothing": np.zeros((), np.float32),
        "as_face": np.array([-1, 1, 1, 1], np.int64),
        "as_mask": np.array([-1, 1, 1], np.int64),
        "drawn_face": face[None],
        "drawn_mask": mask[None],
    }
    inputs = [helper.make_tensor_value_info("code", TensorProto.FLOAT, ["n", code_length])]
    outputs = [
        helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", size, size, 3]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", size, size]),
    ]
    card = card or ModelCard(name=name, kind="rendered")
    contract = Contract(
        role="decoder",
        size=size,
        coverage=1.0,
        licence=LICENCE,
        encoder=digest,
        identity=name,
        kind=card.kind,
        consent=card.record(),
    )
    return save(path, nodes, values, inputs, outputs, contract)


def write_dfm(path: Path, morphs: bool = False, size: int = 64) -> Path:
    """A model as DeepFaceLab exports them: the face's colours turned over, darkened by the morph value where it takes
    one. The mask of what went in is 0.5 on the left half and 1 on the right, that of what comes out 0.5 everywhere.
    """
    before = np.ones((1, size, size, 1), np.float32)
    before[:, :, : size // 2] = 0.5
    nodes = [
        helper.make_node("Sub", ["one", "in_face:0"], ["turned"]),
        helper.make_node("Mul", ["turned", "morph_value:0" if morphs else "one"], ["out_celeb_face:0"]),
        helper.make_node("ReduceMean", ["in_face:0"], ["mean"], axes=[3], keepdims=1),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "before"], ["out_face_mask:0"]),
        helper.make_node("Add", ["zero", "half"], ["out_celeb_face_mask:0"]),
    ]
    values: dict[str, NDArray[Any]] = {
        "one": np.ones((), np.float32),
        "nothing": np.zeros((), np.float32),
        "half": np.full((), 0.5, np.float32),
        "before": before,
    }
    face = helper.make_tensor_value_info("in_face:0", TensorProto.FLOAT, ["n", size, size, 3])
    inputs = [face, *([helper.make_tensor_value_info("morph_value:0", TensorProto.FLOAT, [1])] if morphs else [])]
    depths = {"out_face_mask:0": 1, "out_celeb_face:0": 3, "out_celeb_face_mask:0": 1}
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size, size, depth])
        for name, depth in depths.items()
    ]
    return save(path, nodes, values, inputs, outputs, None, 12)


def write_shelf(folder: Path, names: Sequence[str] = ("aster", "cedar")) -> Path:
    """A folder as realtime/models: landmarks.onnx, encoder.onnx and a decoder of another colour for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    write_landmarker(folder / "landmarks.onnx")
    write_encoder(folder / "encoder.onnx")
    colours = ((90, 120, 200), (200, 140, 100), (100, 190, 110))
    for index, name in enumerate(names):
        write_decoder(folder / f"{name}.onnx", name, colours[index % len(colours)])
    return folder


def drawn_face(
    colour: Sequence[float], size: int, features: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A plain face (size, size, 3) in 0..1 and its oval mask (size, size) in 0..1, on the template's places."""
    face = np.empty((size, size, 3), np.float32)
    face[:] = np.array(colour, np.float32) / 255
    if features:
        for x, y, wide, high in ((0.365, 0.405, 0.07, 0.03), (0.635, 0.405, 0.07, 0.03), (0.5, 0.69, 0.13, 0.04)):
            centre, axes = (round(x * size), round(y * size)), (round(wide * size), round(high * size))
            cv2.ellipse(face, centre, axes, 0, 0, 360, (0.1, 0.1, 0.1), -1)
    mask = np.zeros((size, size), np.float32)
    cv2.ellipse(mask, (size // 2, round(size * 0.55)), (round(size * 0.31), round(size * 0.36)), 0, 0, 360, 1.0, -1)
    return face, cv2.GaussianBlur(mask, (0, 0), size / 80).astype(np.float32)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    values: Mapping[str, NDArray[Any]],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    contract: Contract | None,
    opset: int = 17,
) -> Path:
    """Write a checked graph to path, with the contract in its metadata unless that is None; identities are signed."""
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(list(nodes), "small", list(inputs), list(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    if contract is not None:
        helper.set_model_props(model, contract.to_metadata())
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    if contract is not None and contract.role in DRAWING:
        card = ModelCard.of_record(contract.consent, path.name)
        path.write_bytes(signed(ModelFile.read(path), contract, card, Signer.of_seed(SEED)))
    return path
