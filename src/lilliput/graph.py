"""The graph: tensors, nodes and their quantization, as immutable values that can be printed and verified."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lilliput.errors import GraphError, UserError

if TYPE_CHECKING:
    from lilliput.op import Op, Site

Array = NDArray[Any]
Shape = tuple[int, ...]

ITEM_SIZE = {"float32": 4, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1}
"""Bytes of an element in memory. Constants may also be int4: numpy's int8 here, two to a byte in flash."""
INT_RANGE = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


def numpy_type(dtype: str) -> str:
    """The numpy type that holds the values of a tensor type."""
    return "int8" if dtype == "int4" else dtype


@dataclass(frozen=True, eq=False)
class Quant:
    """real = scale * (integer - zero_point): float32 and int32 arrays of one element, or of one per index of `axis`."""

    scale: Array
    zero_point: Array
    axis: int | None = None

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int) -> Quant:
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int32))

    @property
    def s(self) -> np.float32:
        """The scale of a per-tensor quantization, float32 as TensorFlow Lite stores it."""
        return np.float32(self.scale[0])

    @property
    def z(self) -> int:
        """The zero point of a per-tensor quantization."""
        return int(self.zero_point[0])

    def same(self, other: Quant | None) -> bool:
        """Equal to the last bit."""
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def quantize(self, real: Array, dtype: str) -> Array:
        """Nearest integer, halves away from zero, saturated; TFLM's QUANTIZE (float32 division, then round).

        NaN becomes the zero point, as in the C.
        """
        lo, hi = INT_RANGE[dtype]
        with np.errstate(over="ignore"):  # an infinite quotient saturates
            scaled = real.astype(np.float32) / self._along(self.scale, real.ndim)
        rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
        # The largest float below 0.5 must not round up: adding 0.5 to it gives 1.0 in float32.
        rounded = np.where((np.abs(scaled) < 0.5) | np.isnan(scaled), 0.0, rounded)
        shifted = np.clip(rounded.astype(np.float64) + self._along(self.zero_point, real.ndim), lo, hi)
        return shifted.astype(numpy_type(dtype))

    def dequantize(self, integers: Array) -> Array:
        """The real values, float32."""
        zero = self._along(self.zero_point, integers.ndim)
        shifted = (integers.astype(np.int64) - zero).astype(np.float32)
        return np.asarray(shifted * self._along(self.scale, integers.ndim), np.float32)

    def _along(self, values: Array, rank: int) -> Array:
        if self.axis is None or rank == 0:
            return values.reshape(-1)[0]  # type: ignore[no-any-return]  # numpy calls an element Any
        shape = [1] * rank
        shape[self.axis] = len(values)
        return values.reshape(shape)

    def __str__(self) -> str:
        if self.axis is None:
            return f"{float(self.s):.6g}·(q{-self.z:+d})"
        return f"per-channel[{len(self.scale)}] axis {self.axis}"


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named array of the graph; `data` is set for constants. Activations are channels-last with batch 1 first."""

    name: str
    shape: Shape
    dtype: str = "float32"
    quant: Quant | None = None
    data: Array | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """In the firmware."""
        return (self.size + 1) // 2 if self.dtype == "int4" else self.size * ITEM_SIZE[self.dtype]

    @property
    def constant(self) -> bool:
        return self.data is not None

    @property
    def q(self) -> Quant:
        """The quantization of a tensor that must have one."""
        if self.quant is None:
            raise GraphError(
                f"tensor '{self.name}' ({self.dtype}) carries no quantization where one is needed"
            )
        return self.quant

    def __str__(self) -> str:
        shape = "×".join(map(str, self.shape)) or "scalar"
        return f"{self.name}: {self.dtype}[{shape}]" + (f" {self.quant}" if self.quant else "")


@dataclass(frozen=True, eq=False)
class Node:
    """An operator applied to named tensors. `name` says where it came from (a module path, a file's operator)."""

    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in execution order. `meta` holds what travels with a model as JSON: labels, preprocessing.

    `states` are pairs (tensor that a run starts from, tensor that holds it in the end), alike in shape, type and
    quantization: what a run leaves the next one finds. Neither is an input or output. After a reset they are real zero.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    meta: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[tuple[str, str], ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """What is there before a run: the inputs, and what the states start from."""
        return (*self.inputs, *(before for before, _ in self.states))

    @property
    def kept(self) -> tuple[str, ...]:
        """What is needed after a run: the outputs, and what the states have become."""
        return (*self.outputs, *(after for _, after in self.states))

    def site(self, node: Node) -> Site:
        from lilliput.op import Site

        ins = tuple(self.tensors[i] for i in node.inputs)
        return Site(node.op, ins, tuple(self.tensors[o] for o in node.outputs), node.name)

    def sites(self) -> list[Site]:
        return [self.site(node) for node in self.nodes]

    def producer(self) -> dict[str, Node]:
        return {o: node for node in self.nodes for o in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for i in dict.fromkeys(node.inputs):
                found[i].append(node)
        return found

    def with_nodes(self, nodes: Iterable[Node], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """The same graph with other nodes; tensors that nothing uses any more are dropped."""
        nodes = tuple(nodes)
        everything = {**self.tensors, **(tensors or {})}
        used = dict.fromkeys(self.given)
        for node in nodes:
            used.update(dict.fromkeys((*node.inputs, *node.outputs)))
        used.update(dict.fromkeys(self.kept))
        return replace(self, nodes=nodes, tensors={name: everything[name] for name in used})

    def macs(self) -> int:
        return sum(site.op.macs(site) for site in self.sites())

    def weight_bytes(self) -> int:
        return sum(t.nbytes for t in self.tensors.values() if t.constant)

    def __str__(self) -> str:
        head = ", ".join(str(self.tensors[i]) for i in self.given)
        lines = [f"graph({head})"]
        for site in self.sites():
            outs = ", ".join(map(str, site.outs))
            ins = ", ".join(
                f"{t.dtype}[{'×'.join(map(str, t.shape))}]" if t.constant else t.name for t in site.ins
            )
            lines.append(f"  {outs} = {site.op}({ins})" + (f"  # {site.name}" if site.name else ""))
        lines += [f"  {before} := {after}" for before, after in self.states]
        return "\n".join([*lines, f"  return {', '.join(self.outputs)}"])


def _once(graph: Graph) -> str | None:
    for kind, names in (("input", graph.inputs), ("output", graph.outputs)):
        if len(set(names)) != len(names):
            return f"a tensor is {kind} of the graph twice: {', '.join(names)}"
    if len(set(graph.given)) != len(graph.given):
        return f"a tensor is given twice, as input or state: {', '.join(graph.given)}"
    seen: set[str] = set(graph.given)
    for node in graph.nodes:
        for name in node.outputs:
            if graph.tensors[name].constant:
                return f"'{node.name}' writes the constant '{name}'"
            if name in seen:
                return f"tensor '{name}' is produced twice (second time by '{node.name}')"
            seen.add(name)
    return None


def _ordered(graph: Graph) -> str | None:
    known = set(graph.given) | {name for name, t in graph.tensors.items() if t.constant}
    for node in graph.nodes:
        for name in node.inputs:
            if name not in known:
                return f"'{node.name}' reads '{name}' before anything wrote it"
        known.update(node.outputs)
    missing = [name for name in graph.outputs if name not in known]
    return f"output '{missing[0]}' is never written" if missing else None


def _states(graph: Graph) -> str | None:
    written = {name for node in graph.nodes for name in node.outputs}
    for before, after in graph.states:
        a, b = graph.tensors[before], graph.tensors[after]
        alike = (a.shape, a.dtype) == (b.shape, b.dtype) and (
            b.quant is None if a.quant is None else a.quant.same(b.quant)
        )
        if a.constant or not alike:
            return f"state '{before}' is {a} and becomes '{after}', {b}; they must be alike and computed"
        if after not in written:
            return f"state '{before}' becomes '{after}', which no operator computes"
    return None


def _guarded(site: Site, ask: Callable[[Site], str | None]) -> str | None:
    """What `ask` finds wrong; an operator may also stumble over shapes that no importer would give it."""
    try:
        reason = ask(site)
    except (UserError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError) as error:
        reason = f"its operands or attributes do not fit: {error}"
    return f"layer '{site.name}' ({site.op.name}): {reason}" if reason else None


def _each(ask: Callable[[Site], str | None]) -> Rule:
    """The rule that `ask` holds for every site."""
    return lambda graph: next(filter(None, (_guarded(site, ask) for site in graph.sites())), None)


def _counts(site: Site) -> str | None:
    wanted, found = site.op.operands, len(site.ins)
    if found == 0 or (wanted is not None and found != wanted):
        return f"has {found} inputs, expected {wanted or 'at least 1'}"
    return None


LEAST = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "window": 1}
"""What the attributes of sliding windows are at least."""


def _attributes(site: Site) -> str | None:
    for f in fields(site.op):
        value = getattr(site.op, f.name)
        numbers = list(_flat(value))
        if any(v != v for v in numbers):
            return f"{f.name}={value} holds NaN"
        if f.name in LEAST and any(v < LEAST[f.name] for v in numbers):
            return f"{f.name}={value}, expected at least {LEAST[f.name]}"
    return None


def _flat(value: Any) -> Iterable[int | float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, int | float):
        yield value


def _shapes(site: Site) -> str | None:
    inferred = site.op.infer(site.ins)
    found = tuple(t.shape for t in site.outs)
    return None if inferred == found else f"gives {inferred}, but its tensors say {found}"


def _data(graph: Graph) -> str | None:
    for t in graph.tensors.values():
        if numpy_type(t.dtype) not in ITEM_SIZE:
            return f"tensor '{t.name}' has the unknown type {t.dtype}"
        if any(d <= 0 for d in t.shape):
            return f"tensor '{t.name}' has the empty shape {t.shape}"
        if t.nbytes >= 2**31:
            return f"tensor '{t.name}' {t.shape} takes {t.nbytes} bytes; the C counts them in int32"
        if t.data is not None and (t.data.shape != t.shape or t.data.dtype != numpy_type(t.dtype)):
            return f"tensor '{t.name}' says {t.dtype}{t.shape}, its data are {t.data.dtype}{t.data.shape}"
        if t.data is not None and t.dtype == "int4" and (t.data.min() < -8 or t.data.max() > 7):
            return f"constant '{t.name}' is int4 and holds values from {t.data.min()} to {t.data.max()}"
        if t.data is not None and t.data.dtype.kind == "f" and not np.isfinite(t.data).all():
            return f"constant '{t.name}' holds NaN or infinite values"
    return None


def _quants(graph: Graph) -> str | None:
    for t in graph.tensors.values():
        q = t.quant
        if q is None:
            continue
        if t.dtype not in INT_RANGE:
            return f"tensor '{t.name}' is {t.dtype} and yet quantized"
        if not (np.isfinite(q.scale).all() and (q.scale > 0).all()):
            return f"tensor '{t.name}' has a scale that is not positive and finite"
        lo, hi = INT_RANGE[t.dtype]
        if (q.zero_point < lo).any() or (q.zero_point > hi).any():
            return f"tensor '{t.name}' has a zero point outside {t.dtype}"
        if len(q.scale) != len(q.zero_point) or (q.axis is None and len(q.scale) != 1):
            along = "no axis" if q.axis is None else f"axis {q.axis}"
            return f"tensor '{t.name}' has {len(q.scale)} scales, {len(q.zero_point)} zero points and {along}"
        if q.axis is not None and (not 0 <= q.axis < len(t.shape) or t.shape[q.axis] != len(q.scale)):
            return f"tensor '{t.name}' has {len(q.scale)} scales along axis {q.axis} of {t.shape}"
    return None


def _types(site: Site) -> str | None:
    if site.op.view and site.x.dtype != site.y.dtype:
        return f"a view of {site.x.dtype} cannot be {site.y.dtype}"
    axes = {id(site.ins[index]): axis for index, axis in site.op.weights.items()}
    for t in (*site.ins, *site.outs):
        if t.dtype not in ("int4", "int8", "int16"):
            continue
        if t.quant is None:
            if site.op.plain_integers or site.op.view:
                continue
            return f"{t.dtype} tensor '{t.name}' carries no quantization"
        if t.quant.axis is not None and t.quant.axis != axes.get(id(t)):
            return (
                f"'{t.name}' is quantized along axis {t.quant.axis}, expected {axes.get(id(t), 'per tensor')}"
            )
        if id(t) in axes and t.quant.zero_point.any():
            return f"weights '{t.name}' need zero points of 0, found {t.quant.zero_point[:4].tolist()}"
    bias = site.op.bias
    if site.y.dtype == "int8" and bias is not None and site.ins[bias].dtype != "int32":
        return f"the bias of an int8 result is int32, found {site.ins[bias].dtype}"
    return None


def _accepts(site: Site) -> str | None:
    return site.op.check(site)


Rule = Callable[[Graph], "str | None"]
RULES: dict[str, Rule] = {
    "every tensor is written once": _once,
    "nothing is read before it is written": _ordered,
    "tensors have the type and shape they claim": _data,
    "states are alike before and after": _states,
    "operators have their operands": _each(_counts),
    "attributes are in range": _each(_attributes),
    "operators and tensors agree on shapes": _each(_shapes),
    "quantization fits the type": _quants,
    "integers are quantized as the operator wants them": _each(_types),
    "every operator accepts its operands": _each(_accepts),
}


def verify(graph: Graph) -> Graph:
    """Return the graph when every rule holds, or raise GraphError with the rule, the layer and the value."""
    for rule, broken in RULES.items():
        if reason := broken(graph):
            raise GraphError(f"{reason} [rule: {rule}]")
    return graph
