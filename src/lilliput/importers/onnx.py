"""ONNX -> Graph: walks the nodes of a checked file; each operator's `from_onnx.py` knows its own.

Planes become channels-last on the way, by bookkeeping: `Value.order` says how a tensor is stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lilliput.errors import GraphError, UserError
from lilliput.graph import ITEM_SIZE, Array, Graph, Node, Shape, Tensor, verify
from lilliput.importers.bounded import MAX_ELEMENTS, BoundedBuilder
from lilliput.importers.builder import Value
from lilliput.importers.onnx_reader import (
    COMPUTED,
    OnnxInput,
    OnnxModel,
    OnnxNode,
    read_onnx,
    unsupported,
)
from lilliput.importers.registry import moves_axes, onnx_converters, wants_planes
from lilliput.ops.shape import Reshape

BROKEN = (GraphError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, MemoryError)
"""What a file that no exporter would write may lead to."""


class NeedsConstantError(UserError):
    """An operand that must be known when the model is compiled is computed at run time."""

    def __init__(self, where: str, name: str) -> None:
        super().__init__(
            f"{where}: '{name}' is computed at run time, but must be known when the model is compiled; "
            "make it a constant of the model, or give its value (constants={...})"
        )
        self.name = name


@dataclass
class OnnxBuilder(BoundedBuilder):
    """What converters use: the file's tensors by name, and the means to add nodes."""

    values: dict[str, Value] = field(default_factory=dict)

    def has(self, n: OnnxNode, i: int) -> bool:
        """Whether optional input i is given."""
        return i < len(n.inputs) and n.inputs[i] != ""

    def value(self, n: OnnxNode, i: int) -> Value:
        if not self.has(n, i):
            raise UserError(f"{n.where}: input {i} is missing")
        return self.values[n.inputs[i]]

    def inputs(self, n: OnnxNode) -> list[Value]:
        """Every input, for operators of any number of them."""
        return [self.value(n, i) for i in range(len(n.inputs))]

    def data(self, n: OnnxNode, i: int) -> Array:
        """The numbers of an input that must be known, in ONNX's dimension order."""
        found = self.numbers(self.value(n, i))
        if found is None:
            raise NeedsConstantError(n.where, n.inputs[i])
        return found

    def optional(self, n: OnnxNode, i: int) -> Array | None:
        """`data` of an input that may be left out."""
        return self.data(n, i) if self.has(n, i) else None

    def ints(self, n: OnnxNode, name: str, i: int) -> list[int] | None:
        """Whole numbers that older opsets have as attribute `name`, newer ones as input i; None where neither is."""
        if n.attr(name) is not None:
            return [int(v) for v in n.attr(name)]
        found = self.optional(n, i)
        return None if found is None else [int(v) for v in found.reshape(-1)]


def load_onnx(
    source: Path | bytes,
    *,
    shapes: Mapping[str, Shape] | None = None,
    constants: Mapping[str, Array] | None = None,
    external_data: bool = False,
) -> Graph:
    """The graph of an ONNX file. Planes are stored channels-last: `meta["orders"]` tells for inputs and outputs.

    `shapes` fixes the shapes of inputs that the file leaves open (a leading open dimension is 1 anyway); `constants`
    fixes the values of inputs. Reals of any width are computed in float32.
    """
    model = read_onnx(source, external_data=external_data)
    if reason := unsupported(model.nodes, onnx_converters()):
        raise UserError(reason)
    b = OnnxBuilder()
    names = {v.name for v in model.inputs}
    for name in (*(shapes or {}), *(constants or {})):
        if name not in names:
            raise UserError(f"the model has no input '{name}'; its inputs are {', '.join(sorted(names))}")
    given = {**model.constants, **(constants or {})}
    b.admit(sum(data.size for data in given.values()) + sum(map(_numbers_in, model.nodes)))
    for name, data in given.items():
        b.values[name] = _constant(b, name, data)
    inputs = tuple(
        _input(b, v, model, (shapes or {}).get(v.name)) for v in model.inputs if v.name not in given
    )
    for node in model.nodes:
        _convert(b, node)
    outputs = _outputs(b, model.outputs, inputs)
    orders = {
        name: list(v.order)
        for name, v in ((v.name, v) for v in (*inputs, *outputs))
        if v.order != tuple(range(len(v.order)))
    }
    graph = Graph(
        tuple(v.name for v in inputs),
        tuple(v.name for v in outputs),
        tuple(b.nodes),
        b.tensors,
        {"orders": orders} if orders else {},
    )
    try:
        return verify(graph.with_nodes(graph.nodes))
    except BROKEN as error:
        raise UserError(f"the model breaks a rule: {error}") from error


def _numbers_in(node: OnnxNode) -> int:
    """How many numbers the attributes of a node hold: weights of constants, trees."""
    found = 0
    for value in node.attributes.values():
        found += (
            value.size if isinstance(value, np.ndarray) else len(value) if isinstance(value, tuple) else 0
        )
    return found


def _constant(b: OnnxBuilder, name: str, data: Array) -> Value:
    b.where = name
    return b.constant(data)


def _input(b: OnnxBuilder, v: OnnxInput, model: OnnxModel, given: Shape | None) -> Value:
    dtype = COMPUTED.get(v.dtype, v.dtype)
    if dtype not in ITEM_SIZE:
        raise UserError(f"input '{v.name}' has the type {v.dtype}; known are {', '.join(ITEM_SIZE)}")
    shape = _fitting(v, given) if given else _known_shape(v)
    if any(d < 1 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise UserError(
            f"input '{v.name}' has the shape {shape}, expected dimensions of at least 1 and at most "
            f"{MAX_ELEMENTS} elements"
        )
    rank = len(shape)
    order = tuple(range(rank))
    if rank >= 3 and reaches_planes(model, v.name):
        order = (0, *range(2, rank), 1)
    b.tensors[v.name] = Tensor(v.name, tuple(shape[d] for d in order), dtype)
    value = Value(v.name, order)
    b.values[v.name] = value
    return value


def _fitting(v: OnnxInput, given: Shape) -> Shape:
    """A shape from outside, which must not contradict the file's."""
    fixed = v.dims or (None,) * len(given)
    if len(fixed) != len(given) or any(
        isinstance(d, int) and d != n for d, n in zip(fixed, given, strict=True)
    ):
        raise UserError(f"input '{v.name}' has the shape {v.dims}; the given {tuple(given)} does not fit it")
    return tuple(int(n) for n in given)


def _known_shape(v: OnnxInput) -> Shape:
    if v.dims is None:
        raise UserError(
            f"input '{v.name}' has no shape; give it (shapes={{'{v.name}': (1, ...)}}, --shape {v.name}=1,...)"
        )
    shape = tuple(1 if i == 0 and not isinstance(d, int) else d for i, d in enumerate(v.dims))
    for d in shape:
        if not isinstance(d, int):
            raise UserError(
                f"input '{v.name}' has the shape {v.dims}: '{d}' is open; give it "
                f"(shapes={{'{v.name}': ...}}, --shape {v.name}=...)"
            )
    return tuple(int(d) for d in shape if d is not None)


def reaches_planes(model: OnnxModel, name: str) -> bool:
    """Whether an input meets an operator over planes before its axes are moved: then it is stored channels-last."""
    readers: dict[str, list[OnnxNode]] = {}
    for node in model.nodes:
        for source in node.inputs[:1]:
            readers.setdefault(source, []).append(node)
    seen, front = {name}, [name]
    while front:
        for node in readers.get(front.pop(), ()):
            if wants_planes(node.op):
                return True
            fresh = [o for o in node.outputs[:1] if o not in seen and not moves_axes(node.op)]
            seen.update(fresh)
            front += fresh
    return False


def _convert(b: OnnxBuilder, node: OnnxNode) -> None:
    b.where = node.name
    try:
        results = onnx_converters()[node.op](b, node)
    except BROKEN as error:
        raise UserError(f"{node.where}: its operands or attributes do not fit: {error}") from error
    found = (results,) if isinstance(results, Value) else results
    if len(found) < max((i + 1 for i, name in enumerate(node.outputs) if name), default=0):
        raise UserError(
            f"{node.where}: {len(node.outputs)} outputs are asked for, {len(found)} are supported"
        )
    for name, value in zip(node.outputs, found, strict=False):
        if name and value is not None:
            b.values[name] = value
        elif name:
            raise UserError(f"{node.where}: its output '{name}' is not supported")


def _outputs(b: OnnxBuilder, names: tuple[str, ...], inputs: tuple[Value, ...]) -> list[Value]:
    """The outputs under their own names; planes stay channels-last, everything else has ONNX's order."""
    found: list[Value] = []
    taken = {v.name for v in inputs}
    for name in names:
        b.where = name
        v = b.values[name]
        rank = len(v.order)
        if rank < 3 or v.order != (0, *range(2, rank), 1):
            v = b.logical(v)
        if v.name in taken or b.tensor(v).constant:
            v = b.add(Reshape(b.tensor(v).shape), [v], v.order) if not b.tensor(v).constant else v
        taken.add(v.name)
        found.append(_renamed(b, v, name) if not b.tensor(v).constant else v)
        taken.add(found[-1].name)
    return found


def _renamed(b: OnnxBuilder, v: Value, name: str) -> Value:
    if name == v.name or name in b.tensors:
        return v
    b.tensors[name] = replace(b.tensors.pop(v.name), name=name)

    def swap(node: Node) -> Node:
        if v.name not in (*node.inputs, *node.outputs):
            return node
        return replace(
            node,
            inputs=tuple(name if i == v.name else i for i in node.inputs),
            outputs=tuple(name if o == v.name else o for o in node.outputs),
        )

    b.nodes = [swap(node) for node in b.nodes]
    b.values = {k: replace(w, name=name) if w.name == v.name else w for k, w in b.values.items()}
    return Value(name, v.order)


def stored(value: Array, order: list[int] | None) -> Array:
    """A tensor of the framework as the graph stores it."""
    return value if order is None else np.ascontiguousarray(np.transpose(value, order))
