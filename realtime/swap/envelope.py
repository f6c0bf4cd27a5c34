"""A model file seen from outside: its metadata, and a digest of everything but the metadata, without running it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from realtime.errors import ModelError

# Numbers of fields in onnx.proto.
_METADATA: Final = 14  # of a model: pairs of key (1) and value (2)
_EXTERNAL: Final = (13, 14)  # of a tensor: where outside of the file its numbers lie
# Which fields of a message hold messages in which a tensor may be.
_INSIDE: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType(
    {
        "model": {7: "graph", 20: "training", 25: "function"},
        "training": {1: "graph", 2: "graph"},
        "graph": {1: "node", 5: "tensor", 15: "sparse"},
        "function": {7: "node", 11: "attribute"},
        "node": {5: "attribute"},
        "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
        "sparse": {1: "tensor", 2: "tensor"},
    }
)
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # protobuf's wire types


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The bytes of an ONNX file and what its metadata says."""

    name: str  # of the file, for messages
    data: bytes
    metadata: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The file at path. Raises ModelError when it is missing, unreadable, truncated or no ONNX."""
        if not path.is_file():
            raise ModelError(f"there is no model file {path}")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
        return cls.of(data, path.name)

    @classmethod
    def of(cls, data: bytes, name: str) -> Self:
        """A model that is at hand as bytes. Raises ModelError."""
        try:
            return cls(name, data, MappingProxyType(_metadata(data)))
        except (_Malformed, UnicodeDecodeError) as error:
            raise ModelError(f"{name} is no ONNX model: {error}") from error

    def digest(self) -> str:
        """By what the model is known in marks, in hex: the SHA-256 of its file."""
        return hashlib.sha256(self.data).hexdigest()

    def weights(self) -> str:
        """Hex SHA-256 over everything but the metadata: its fields in the order of their numbers.

        Raises ModelError where weights lie outside of the file, since no digest of the file would cover them.
        """
        try:
            parts = sorted(_fields(self.data, 0, len(self.data)), key=lambda part: part.number)
            outside = _has_outside(self.data)
        except _Malformed as error:
            raise ModelError(f"{self.name} is no ONNX model: {error}") from error
        if outside:
            raise ModelError(f"{self.name} has weights in other files, wanted one file with all of them")
        said, view = hashlib.sha256(), memoryview(self.data)
        for part in parts:
            if part.number != _METADATA:
                said.update(view[part.start : part.end])
        return said.hexdigest()

    def with_metadata(self, metadata: Mapping[str, str]) -> bytes:
        """The bytes of the same model with this metadata in place of its own."""
        view = memoryview(self.data)
        kept = [view[part.start : part.end] for part in _fields(self.data, 0, len(self.data))
                if part.number != _METADATA]  # fmt: skip
        return b"".join([*kept, *(_entry(key, value) for key, value in metadata.items())])


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a message, as places in the bytes."""

    number: int
    wire: int
    start: int  # of its tag
    content: int  # of what follows the tag and the length
    end: int


class _Malformed(Exception):
    """The bytes are no protobuf message."""


def _fields(data: bytes, start: int, end: int) -> Iterator[_Part]:
    """The fields of the message between start and end."""
    while start < end:
        tag, content = _varint(data, start, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, after = _varint(data, content, end)
        elif wire == _BYTES:
            length, content = _varint(data, content, end)
            after = content + length
        elif wire in (_EIGHT, _FOUR):
            after = content + (8 if wire == _EIGHT else 4)
        else:
            raise _Malformed(f"byte {start} begins nothing that ONNX has")
        if after > end or number == 0:
            raise _Malformed(f"what begins at byte {start} does not end within the file")
        yield _Part(number, wire, start, content, after)
        start = after


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number at start and the place after it."""
    value = 0
    for place in range(start, min(start + 10, end)):
        value |= (data[place] & 0x7F) << (7 * (place - start))
        if data[place] < 0x80:
            return value, place + 1
    raise _Malformed(f"there is no number at byte {start}")


def _metadata(data: bytes) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in _fields(data, 0, len(data)):
        if part.number == _METADATA and part.wire == _BYTES:
            pair = {each.number: data[each.content : each.end] for each in _fields(data, part.content, part.end)}
            key = pair.get(1, b"").decode()
            if key in said:
                raise _Malformed(f"its metadata says {key!r:.80} twice")
            said[key] = pair.get(2, b"").decode()
    return said


def _has_outside(data: bytes) -> bool:
    """Whether any tensor's numbers lie in another file."""
    waiting = [("model", 0, len(data))]
    while waiting:
        kind, start, end = waiting.pop()
        for part in _fields(data, start, end):
            if kind == "tensor":
                if part.number in _EXTERNAL and data[part.content : part.end] != b"\0":
                    return True
            elif part.wire == _BYTES and (inner := _INSIDE[kind].get(part.number)):
                waiting.append((inner, part.content, part.end))
    return False


def _entry(key: str, value: str) -> bytes:
    return _long(_METADATA, _long(1, key.encode()) + _long(2, value.encode()))


def _long(number: int, content: bytes) -> bytes:
    return _written(number << 3 | _BYTES) + _written(len(content)) + content


def _written(value: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
