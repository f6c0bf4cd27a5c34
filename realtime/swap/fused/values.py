"""Arithmetic that is written down as nodes of a graph instead of being done: what the steps are written in."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# As onnx.TensorProto numbers them; the package onnx is not there in every installation.
FLOAT: Final = 1
UINT8: Final = 2
INT64: Final = 7

Number = float | int


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


@dataclass(slots=True)
class Sheet:
    """Takes nodes and constants down, in the order in which they were asked for."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    marks: list[int] = field(default_factory=list)  # after how many nodes each network comes

    def given(self, name: str) -> "Value":
        """An input of the graph, or what a network gives."""
        return Value(self, name)

    def constant(self, array: NDArray[Any]) -> "Value":
        """An array that is always the same."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return Value(self, name)

    def node(self, kind: str, *inputs: "Value", **attributes: Any) -> "Value":
        """What an operation of ONNX makes of its inputs."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(kind, tuple(value.name for value in inputs), output, attributes))
        return Value(self, output)

    def mark(self) -> None:
        """Notes that a network comes here: nodes stand in the order in which they run."""
        self.marks.append(len(self.nodes))

    def named(self, value: "Value", name: str) -> None:
        """Makes a value an output of the graph."""
        self.nodes.append(Node("Identity", (value.name,), name, {}))

    def joined(self, values: Sequence["Value"], axis: int) -> "Value":
        """The values beside each other along an axis."""
        return self.node("Concat", *values, axis=axis)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph. Numbers beside it become constants of float32; shapes broadcast as NumPy's do."""

    sheet: Sheet
    name: str

    def __add__(self, other: "Value | Number") -> "Value":
        return self._with("Add", other)

    def __radd__(self, other: Number) -> "Value":
        return self._with("Add", other)

    def __sub__(self, other: "Value | Number") -> "Value":
        return self._with("Sub", other)

    def __rsub__(self, other: Number) -> "Value":
        return self._value(other)._with("Sub", self)

    def __mul__(self, other: "Value | Number") -> "Value":
        return self._with("Mul", other)

    def __rmul__(self, other: Number) -> "Value":
        return self._with("Mul", other)

    def __truediv__(self, other: "Value | Number") -> "Value":
        return self._with("Div", other)

    def __rtruediv__(self, other: Number) -> "Value":
        return self._value(other)._with("Div", self)

    def __pow__(self, power: Number) -> "Value":
        return self._with("Pow", power)

    def __neg__(self) -> "Value":
        return self.sheet.node("Neg", self)

    def __matmul__(self, other: "Value") -> "Value":
        return self._with("MatMul", other)

    def __lt__(self, other: "Value | Number") -> "Value":
        return self._with("Less", other)

    def __le__(self, other: "Value | Number") -> "Value":
        return self._with("LessOrEqual", other)

    def __gt__(self, other: "Value | Number") -> "Value":
        return self._with("Greater", other)

    def __ge__(self, other: "Value | Number") -> "Value":
        return self._with("GreaterOrEqual", other)

    def __and__(self, other: "Value") -> "Value":
        return self._with("And", other)

    def __or__(self, other: "Value") -> "Value":
        return self._with("Or", other)

    def abs(self) -> "Value":
        """The magnitude."""
        return self.sheet.node("Abs", self)

    def sqrt(self) -> "Value":
        """The square root."""
        return self.sheet.node("Sqrt", self)

    def exp(self) -> "Value":
        """e to the power of it."""
        return self.sheet.node("Exp", self)

    def log(self) -> "Value":
        """The natural logarithm."""
        return self.sheet.node("Log", self)

    def floor(self) -> "Value":
        """The next whole number below."""
        return self.sheet.node("Floor", self)

    def ceil(self) -> "Value":
        """The next whole number above."""
        return self.sheet.node("Ceil", self)

    def at_least(self, other: "Value | Number") -> "Value":
        """The larger of both."""
        return self._with("Max", other)

    def at_most(self, other: "Value | Number") -> "Value":
        """The smaller of both."""
        return self._with("Min", other)

    def within(self, least: Number, most: Number) -> "Value":
        """Clamped."""
        return self.sheet.node("Clip", self, self._value(least), self._value(most))

    def level(self) -> "Value":
        """Rounded and clamped to 0..255, as a grey level is, still of float32."""
        return self.sheet.node("Round", self).within(0, 255)

    def to(self, kind: int) -> "Value":
        """The same numbers as another kind: FLOAT, UINT8 or INT64."""
        return self.sheet.node("Cast", self, to=kind)

    def real(self) -> "Value":
        """The same numbers, or 0 and 1 of truths, in float32."""
        return self.to(FLOAT)

    def where(self, yes: "Value | Number", no: "Value | Number") -> "Value":
        """yes where this is true, no elsewhere."""
        return self.sheet.node("Where", self, self._value(yes), self._value(no))

    def sum(self, *axes: int) -> "Value":
        """Added up along axes, which stay as 1."""
        return self.sheet.node("ReduceSum", self, self._whole(axes), keepdims=1)

    def largest(self, *axes: int) -> "Value":
        """The largest along axes, which stay as 1."""
        return self.sheet.node("ReduceMax", self, self._whole(axes), keepdims=1)

    def smallest(self, *axes: int) -> "Value":
        """The smallest along axes, which stay as 1."""
        return self.sheet.node("ReduceMin", self, self._whole(axes), keepdims=1)

    def shaped(self, *shape: int) -> "Value":
        """The same numbers in another shape; -1 is whatever is left, 0 what was there."""
        return self.sheet.node("Reshape", self, self._whole(shape))

    def turned(self, *order: int) -> "Value":
        """The axes in another order."""
        return self.sheet.node("Transpose", self, perm=list(order))

    def with_axes(self, *axes: int) -> "Value":
        """With more axes, of length 1, at these places."""
        return self.sheet.node("Unsqueeze", self, self._whole(axes))

    def part(self, axis: int, start: int, end: int) -> "Value":
        """From start to before end along an axis."""
        return self.sheet.node("Slice", self, self._whole([start]), self._whole([end]), self._whole([axis]))

    def at(self, axis: int, place: int) -> "Value":
        """One place along an axis, which goes."""
        return self.sheet.node("Gather", self, self.sheet.constant(np.array(place, np.int64)), axis=axis)

    def picked(self, places: "Value") -> "Value":
        """The rows at these places."""
        return self.sheet.node("Gather", self, places, axis=0)

    def _with(self, kind: str, other: "Value | Number") -> "Value":
        return self.sheet.node(kind, self, self._value(other))

    def _value(self, other: "Value | Number") -> "Value":
        return other if isinstance(other, Value) else self.sheet.constant(np.array(other, np.float32))

    def _whole(self, numbers: Sequence[int]) -> "Value":
        return self.sheet.constant(np.array(numbers, np.int64))
