"""One model out of an encoder and a decoder: frames and places of faces in, frames with other faces out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from realtime.errors import MissingExtra, ModelError
from realtime.swap import colour, grain
from realtime.swap.contract import Contract, expect
from realtime.swap.envelope import ModelFile
from realtime.swap.fused import matching, reading, steps
from realtime.swap.fused.filters import area, linear, resized
from realtime.swap.fused.matching import Memory
from realtime.swap.fused.reading import Frames, Place
from realtime.swap.fused.steps import PLANES
from realtime.swap.fused.values import FLOAT, INT64, UINT8, Sheet, Value

OPSET: Final = 18
COLOUR_VALUES: Final = 5  # of realtime.swap.colour.compare
KNOWN: Final = COLOUR_VALUES + 1  # values that are remembered of a face: those, and the blur
FUSABLE: Final = ("decoder", "whole")  # roles of what draws
MEMORY: Final = KNOWN + 4  # values, whether colour and blur are known, and the seconds since they were
_NO_CODE: Final = -1e9  # no number of a code is as small
LOOK: Final = KNOWN + 3  # values, whether colour and blur were measured, and a sum that is finite for a sound answer


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a fused model."""

    name: str
    kind: int
    shape: tuple[str | int, ...]


# n faces in b frames of h x w; windows of p x q pixels; k pixels lie under two cells along a line.
INPUTS: Final = (
    Port("seen", UINT8, ("b", "h", "w", 3)),  # frames as the camera saw them, BGR: what the faces are read from
    Port("shown", UINT8, ("b", "h", "w", 3)),  # the same with what must not be shown hidden: what they are put into
    Port("extent", INT64, (2,)),  # h and w
    Port("to_template", FLOAT, ("n", 2, 3)),  # frame px to the template's unit square
    Port("outline", FLOAT, ("n", PLANES, 3)),  # edges of the person's outline: see steps.shown
    Port("places", INT64, ("n", 3)),  # of which frame; the first row and column of the window that the face may touch
    Port("memory", FLOAT, ("n", MEMORY)),
    Port("cells", FLOAT, ("n", 5)),  # what is averaged for the crops: see reading.aligned
    Port("taps", INT64, ("k",)),  # 0 to k - 1
    Port("down", INT64, ("p",)),  # 0 to p - 1
    Port("across", INT64, ("q",)),  # 0 to q - 1
    Port("fittings", FLOAT, (2,)),  # 0 or 1: whether colour is matched, and softness
)
OUTPUTS: Final = (
    Port("frames", UINT8, ("b", "h", "w", 3)),
    Port("look", FLOAT, ("n", LOOK)),
    Port("mask", UINT8, ("n", "S", "S")),  # where each face shows, in crop px: for the grain, which is put in outside
)


def fused(drawing: ModelFile, encoder: ModelFile | None) -> bytes:
    """The model of an identity's file, and of the encoder that it needs, as one; with the identity's contract.

    It reads the frame's bytes, aligns, encodes, decodes, matches colours and softness and puts the faces in, so
    nothing but frames goes to a graphics card and comes back. Raises ModelError for a model that cannot be fused or is
    of another encoder, and MissingExtra without the package onnx.
    """
    contract = Contract.from_metadata(drawing.metadata, drawing.name)
    if contract.role not in FUSABLE:
        raise ModelError(f"{contract.title} cannot be fused, wanted a {' or a '.join(FUSABLE)}")
    crops = contract
    networks = [drawing]
    if contract.role == "decoder":
        if encoder is None:
            raise ModelError(f"{contract.title} needs the encoder {contract.encoder[:4]} to be fused with")
        crops = Contract.from_metadata(encoder.metadata, encoder.name)
        expect(crops, "encoder")
        expect(contract, "decoder", crops.encoder)
        networks.insert(0, encoder)
    sheet = Sheet()
    joined = [_Network(file, f"{place}/") for place, file in enumerate(networks)]
    _write(sheet, joined, crops, contract.size)
    return _model(sheet, joined, contract)


def contract_of(drawing: ModelFile, encoder: ModelFile | None) -> Contract:
    """The contract of what is fused of both: it says what crops are read, and which files were fused.

    What revokes one of them revokes it. Raises ModelError.
    """
    contract = Contract.from_metadata(drawing.metadata, drawing.name)
    files = (drawing, *((encoder,) if encoder is not None else ()))
    crops = Contract.from_metadata(files[-1].metadata, files[-1].name)
    said = {
        **contract.training,
        "fused_of": [digest for file in files for digest in (file.digest(), file.weights())],
        "crop": {"size": crops.size, "coverage": crops.coverage},
    }
    return replace(contract, role="fused", coverage=1.0, training=said)


def _write(sheet: Sheet, networks: Sequence["_Network"], crops: Contract, size: int) -> None:
    """The steps from the frames to the outputs, onto the sheet."""
    given = {port.name: sheet.given(port.name) for port in INPUTS}
    place = Place.of(given["to_template"])
    of = given["places"].part(1, 0, 1).shaped(-1, 1, 1)
    extent = given["extent"].at(0, 0), given["extent"].at(0, 1)
    seen, shown = (Frames(given[name].shaped(-1, 3), of, *extent) for name in ("seen", "shown"))
    remembered = given["memory"]

    def memory(first: int, last: int, which: int) -> Memory:
        known, elapsed = KNOWN + which, KNOWN + 2 + which
        parts = ((first, last), (known, known + 1), (elapsed, elapsed + 1))
        return Memory(*(remembered.part(1, *part) for part in parts))

    crop = reading.aligned(seen, place, given["cells"], given["taps"], crops.size, crops.coverage).to(UINT8)
    answers = {"crop": crop}
    for network in networks:
        answers = network.joined(sheet, answers)
        if "code" in answers:  # onnxruntime would quantise a last layer whose answer goes straight to bytes
            answers["code"] = answers["code"].at_least(_NO_CODE)
    face, mask = answers["face"], answers["mask"]
    drawn = (face * 255).turned(0, 3, 1, 2)
    scale = place.scale(size)
    edged = steps.shown(mask, given["outline"], scale, size)
    under, in_view = reading.sampled(shown, place, colour.SAMPLE)
    weight = ((resized(edged, linear(colour.SAMPLE, size)) * in_view) > 127).real()
    lit = matching.coloured(drawn, under, weight, memory(0, COLOUR_VALUES, 0), given["fittings"].at(0, 0), size)
    behind, _ = reading.sampled(shown, place, grain.BLUR_SAMPLE)
    soft = matching.softened(
        resized(lit.pictures, area(grain.BLUR_SAMPLE, size)),
        behind,
        resized(edged, linear(grain.BLUR_SAMPLE, size)),
        place,
        memory(COLOUR_VALUES, KNOWN, 1),
        given["fittings"].at(0, 1),
    )
    blurs = soft.values * ((soft.fresh > 0) | (remembered.part(1, KNOWN + 1, KNOWN + 2) > 0)).real()
    faces = steps.layers(lit.pictures, edged, blurs * given["fittings"].at(0, 1), scale, size)
    x = (given["places"].part(1, 2, 3) + given["across"]).with_axes(1)
    y = (given["places"].part(1, 1, 2) + given["down"]).with_axes(2)
    frames = steps.pasted(shown, place, faces, x, y, sheet.node("Shape", given["shown"]))
    sound = (face.sum(1, 2, 3) + mask.sum(1, 2).with_axes(3)).shaped(-1, 1)
    look = sheet.joined([lit.values, soft.values, lit.fresh, soft.fresh, sound], 1)
    ends = {"frames": frames, "look": look, "mask": edged.shaped(-1, size, size).to(UINT8)}
    for name, value in ends.items():
        sheet.named(value, name)


class _Network:
    """A model that becomes a part of another one."""

    def __init__(self, file: ModelFile, prefix: str) -> None:
        onnx = _onnx()
        model = onnx.load_model_from_string(file.data)
        version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
        if version != OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        self.graph = model.graph
        self.domains = {entry.domain: entry.version for entry in model.opset_import}
        self._prefix = prefix
        self._names: dict[str, str] = {}

    def joined(self, sheet: Sheet, given: Mapping[str, Value]) -> dict[str, Value]:
        """The network's outputs by their names, when its inputs are these values."""
        self._names = {name: value.name for name, value in given.items()}
        for node in self.graph.node:
            node.name = self._named(node.name) if node.name else ""
            node.input[:] = [self._named(name) for name in node.input]
            node.output[:] = [self._named(name) for name in node.output]
        for constant in self.graph.initializer:
            constant.name = self._named(constant.name)
        sheet.mark()
        return {entry.name: sheet.given(self._named(entry.name)) for entry in self.graph.output}

    def _named(self, name: str) -> str:
        return name if not name else self._names.get(name, self._prefix + name)


def _model(sheet: Sheet, networks: Sequence[_Network], contract: Contract) -> bytes:
    """The sheet and the networks as the bytes of a checked model."""
    onnx = _onnx()
    helper = onnx.helper
    made = [
        helper.make_node(node.kind, list(node.inputs), [node.output], node.output, **node.attributes)
        for node in sheet.nodes
    ]
    nodes: list[Any] = []
    for first, last, network in zip([0, *sheet.marks], [*sheet.marks, len(made)], [*networks, None], strict=True):
        nodes += [*made[first:last], *(network.graph.node if network is not None else ())]
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in sheet.constants.items()]
    for network in networks:
        constants += network.graph.initializer
    sides: Mapping[str | int, int] = {"S": contract.size}
    ports = [
        [
            helper.make_tensor_value_info(port.name, port.kind, [sides.get(side, side) for side in port.shape])
            for port in side_of
        ]
        for side_of in (INPUTS, OUTPUTS)
    ]
    domains = {"": OPSET}
    for network in networks:
        used = {node.domain for node in network.graph.node}
        domains |= {domain: version for domain, version in network.domains.items() if domain in used and domain}
    graph = helper.make_graph(nodes, "fused", *ports, constants)
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _onnx() -> Any:
    """The package onnx, which writes models. Raises MissingExtra."""
    try:
        import onnx
        import onnx.version_converter
    except ImportError as error:
        raise MissingExtra("fusing models needs the package onnx: pip install 'liveswap[gpu]', or onnx") from error
    return onnx
