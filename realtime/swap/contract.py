"""What a model file promises about its input, its output and its origin; to and from ONNX metadata."""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from realtime.errors import ModelError
from realtime.face.geometry import TEMPLATE_NAME
from realtime.swap.card import KINDS

VERSION: Final = "1"
PREFIX: Final = "liveswap."
ROLES: Final = ("landmarks", "encoder", "decoder", "whole", "dfm", "fused")
DRAWING: Final = ("decoder", "whole", "dfm", "fused")  # the roles that draw an identity
SELF_RELIANT: Final = ("whole", "dfm", "fused")  # of these those that take pictures and need no encoder beside them
PRECISIONS: Final = ("fp32", "fp16", "int8")
COLOUR: Final = "bgr"
SIZES: Final = range(16, 1025)  # crop pixels that make sense for a face


@dataclass(frozen=True, slots=True)
class Contract:
    """The promises of one model file. Building one that contradicts itself raises ModelError."""

    role: str  # one of ROLES; whole is an encoder and a decoder in one, fused all the way from frame to frame
    size: int  # pixels of the square crop that goes in (landmarks, encoder), is drawn (decoder, fused), or both
    coverage: float  # how much the crop shows: 1.0 is the template, 1.25 a quarter more
    licence: str  # of the weights, an SPDX name where there is one
    encoder: str = ""  # hex digest of the encoder's weights; empty for landmarks and who needs none
    identity: str = ""  # who a decoder, whole, dfm or fused draws; empty for the others
    kind: str = ""  # of an identity: "rendered" (a person who does not exist) or "person" (consent needed)
    precision: str = "fp32"  # of the weights: fp32, fp16 or int8
    template: str = TEMPLATE_NAME  # the alignment template that the crops follow
    colour: str = COLOUR
    consent: dict[str, Any] = field(default_factory=dict)  # the card, as swap/card.py has it; empty before signing
    training: dict[str, Any] = field(default_factory=dict)  # the training record: data, steps, numbers

    def __post_init__(self) -> None:
        wrong = _first_contradiction(self)
        if wrong:
            raise ModelError(f"{self.title} has {wrong}")

    @property
    def title(self) -> str:
        """The model in words, for messages: decoder 'ann', or just encoder."""
        return f"{self.role} '{self.identity}'" if self.identity else f"the {self.role} model"

    def to_metadata(self) -> dict[str, str]:
        """The contract as ONNX metadata_props, one "liveswap." key for each field."""
        values = {
            "contract": VERSION,
            "role": self.role,
            "size": str(self.size),
            "coverage": repr(float(self.coverage)),
            "template": self.template,
            "colour": self.colour,
            "encoder": self.encoder,
            "identity": self.identity,
            "kind": self.kind,
            "licence": self.licence,
            "precision": self.precision,
            "consent": json.dumps(self.consent, sort_keys=True),
            "training": json.dumps(self.training, sort_keys=True),
        }
        return {PREFIX + key: value for key, value in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str = "the model") -> "Contract":
        """The contract that a model's metadata holds; name says which model in messages.

        Raises ModelError when there is none, when it is of another version or when a value is missing or senseless.
        """
        version = metadata.get(PREFIX + "contract")
        if version is None:
            raise ModelError(
                f"{name} carries no liveswap contract in its metadata, so nothing is known about its crops"
            )
        if version != VERSION:
            raise ModelError(f"{name} has a contract of version {version!r}, this liveswap reads version {VERSION!r}")
        read = _Reader(metadata, name)
        try:
            return cls(
                role=read.text("role"),
                size=read.integer("size"),
                coverage=read.number("coverage"),
                template=read.text("template"),
                colour=read.text("colour"),
                encoder=read.text("encoder"),
                identity=read.text("identity"),
                kind=read.text("kind"),
                licence=read.text("licence"),
                precision=read.text("precision"),
                consent=read.record("consent"),
                training=read.record("training"),
            )
        except ModelError as error:
            message = str(error)
            raise ModelError(message if message.startswith(name) else f"{name}: {message}") from error


class HasMetadata(Protocol):
    """What read_contract needs of an onnxruntime.InferenceSession."""

    def get_modelmeta(self) -> Any: ...


def read_contract(session: HasMetadata, name: str = "the model") -> Contract:
    """The contract of a loaded model; name (usually the file's) says which in messages. Raises ModelError."""
    return Contract.from_metadata(session.get_modelmeta().custom_metadata_map, name)


def expect(contract: Contract, role: str, encoder: str | None = None) -> None:
    """Check that a model plays this role and, when given, belongs to the encoder of this digest. Raises ModelError."""
    if contract.role != role:
        raise ModelError(f"{contract.title} was given where a model with the role {role} is wanted")
    if encoder is not None and contract.encoder != encoder:
        raise ModelError(f"{contract.title} expects encoder {contract.encoder[:4]}, loaded {encoder[:4]}")


def _first_contradiction(contract: Contract) -> str:
    """What is wrong with the contract's values, in words; empty when nothing is."""
    checks = (
        (contract.role in ROLES, f"the unknown role {contract.role!r}, wanted one of {', '.join(ROLES)}"),
        (contract.size in SIZES, f"an absurd crop size of {contract.size} px, wanted {SIZES[0]} to {SIZES[-1]}"),
        (0.5 <= contract.coverage <= 4, f"an absurd coverage of {contract.coverage}, wanted 0.5 to 4"),
        (contract.template == TEMPLATE_NAME, f"the template {contract.template!r}, wanted {TEMPLATE_NAME!r}"),
        (contract.colour == COLOUR, f"the colour order {contract.colour!r}, wanted {COLOUR!r}"),
        (
            contract.precision in PRECISIONS,
            f"the precision {contract.precision!r}, wanted one of {', '.join(PRECISIONS)}",
        ),
        (bool(contract.licence), "no licence"),
        (set(contract.encoder) <= set(string.hexdigits), f"an encoder digest that is no hex: {contract.encoder!r}"),
        (contract.role in ("landmarks", *SELF_RELIANT) or len(contract.encoder) >= 4, "no encoder digest"),
        (contract.role not in DRAWING or bool(contract.identity), "no identity"),
        (contract.role not in DRAWING or contract.kind in KINDS, f"the kind {contract.kind!r}, wanted one of {KINDS}"),
        (contract.kind != "person" or bool(contract.consent), "no consent record, which the kind 'person' needs"),
    )
    return next((wrong for fine, wrong in checks if not fine), "")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to the "liveswap." keys of one model's metadata."""

    metadata: Mapping[str, str]
    name: str

    def text(self, key: str) -> str:
        try:
            return self.metadata[PREFIX + key]
        except KeyError:
            raise ModelError(f"{self.name} has a contract without {PREFIX}{key}") from None

    def integer(self, key: str) -> int:
        value = self.text(key)
        try:
            return int(value)
        except ValueError:
            raise ModelError(f"{self.name} has {PREFIX}{key} = {value!r}, wanted a whole number") from None

    def number(self, key: str) -> float:
        value = self.text(key)
        try:
            return float(value)
        except ValueError:
            raise ModelError(f"{self.name} has {PREFIX}{key} = {value!r}, wanted a number") from None

    def record(self, key: str) -> dict[str, Any]:
        value = self.text(key)
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError as error:
            raise ModelError(f"{self.name} has malformed JSON in {PREFIX}{key}: {error}") from None
        if not isinstance(parsed, dict):
            raise ModelError(f"{self.name} has {value!r} in {PREFIX}{key}, wanted a JSON object")
        return parsed
