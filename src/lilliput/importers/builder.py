"""What importers of frameworks with planes first share: tensors stored in an order of their own, and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Node, Shape, Tensor
from lilliput.op import Op, Site
from lilliput.ops.shape import Reshape, Transpose

NHWC = (0, 2, 3, 1)
LARGEST = 1e38
"""What stands for infinity among constants: C has no literal of it, and three of these can still be added up."""


@dataclass(frozen=True)
class Value:
    """A tensor of ours that stands for one of the framework's: stored axis j holds its dimension order[j]."""

    name: str
    order: tuple[int, ...]


@dataclass
class Builder:
    """What converters use to add nodes. What is known when a model is imported is computed then."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    where: str = ""

    def tensor(self, value: Value) -> Tensor:
        return self.tensors[value.name]

    def shape(self, value: Value) -> Shape:
        """The framework's shape: dimensions in its order."""
        stored = self.tensor(value).shape
        return tuple(stored[value.order.index(d)] for d in range(len(stored)))

    def numbers(self, value: Value) -> Array | None:
        """What a constant holds, in the framework's dimension order; None where it is computed at run time."""
        found = self.tensor(value).data
        return (
            None if found is None else np.transpose(found, [value.order.index(d) for d in range(found.ndim)])
        )

    def afford(self, elements: int) -> None:
        """Called before constants are made that a file only describes: importers of files bound them."""

    def constant(self, data: Array, order: tuple[int, ...] | None = None) -> Value:
        """A new constant, stored as it is given."""
        name = self._fresh(f"c{len(self.tensors)}")
        data = np.array(data, order="C")
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), data=data)
        return Value(name, tuple(range(data.ndim)) if order is None else order)

    def _fresh(self, suffix: str) -> str:
        """A name for a tensor of this layer that no other has: a file may hold any."""
        name = f"{self.where or 'constant'}.{suffix}"
        while name in self.tensors:
            name += "_"
        return name

    def add(self, op: Op, ins: Sequence[Value], order: tuple[int, ...] | None = None) -> Value:
        """The one result of an operator, see `add_many`."""
        (result,) = self.add_many(op, ins, order)
        return result

    def add_many(
        self, op: Op, ins: Sequence[Value], order: tuple[int, ...] | None = None
    ) -> tuple[Value, ...]:
        """The results of an operator; they keep the first input's dimension order unless another is given.

        With constants only there is no node: the reference computes the results now.
        """
        sources = tuple(self.tensor(v) for v in ins)
        shapes, dtypes = op.infer(sources), op.result_dtypes(sources)
        names = [self._fresh(f"{op.name}{len(self.nodes)}{f'.{i}' if i else ''}") for i in range(len(shapes))]
        outs = tuple(Tensor(n, s, t) for n, s, t in zip(names, shapes, dtypes, strict=True))
        orders = [self._order(ins, shape, order) for shape in shapes]
        known = [t.data for t in sources if t.data is not None]
        if sources and len(known) == len(sources):
            site = Site(op, sources, outs, self.where)
            if reason := op.check(site):
                raise UserError(f"layer '{self.where}' ({op.name}): {reason}")
            results = op.run(site, *known)
            return tuple(self.constant(r, o) for r, o in zip(results, orders, strict=True))
        if any(d < 1 for shape in shapes for d in shape):
            raise UserError(f"layer '{self.where}' ({op.name}): its result has the empty shape {shapes}")
        self.tensors.update({t.name: t for t in outs})
        operands = tuple((v if op.weights else self._without_infinity(v)).name for v in ins)
        self.nodes.append(Node(op, operands, tuple(names), self.where))
        return tuple(Value(n, o) for n, o in zip(names, orders, strict=True))

    def _without_infinity(self, v: Value) -> Value:
        """A constant whose infinities, which hide positions from a softmax, are finite; of weights they are refused."""
        t = self.tensor(v)
        if t.data is None or t.dtype != "float32" or not np.isinf(t.data).any():
            return v
        finite = np.where(np.isinf(t.data), np.copysign(np.float32(LARGEST), t.data), t.data)
        return self.constant(finite.astype(np.float32), v.order)

    @staticmethod
    def _order(ins: Sequence[Value], shape: Shape, order: tuple[int, ...] | None) -> tuple[int, ...]:
        order = ins[0].order if order is None and ins else order
        return order if order is not None and len(order) == len(shape) else tuple(range(len(shape)))

    def axis(self, value: Value, dim: int) -> int:
        """Where the framework's dimension `dim` is stored."""
        return value.order.index(dim % len(value.order))

    def reorder(self, value: Value, order: tuple[int, ...]) -> Value:
        """The same value stored in another order of dimensions; free where only axes of size one move."""
        if value.order == order:
            return value
        perm = tuple(value.order.index(d) for d in order)
        t = self.tensor(value)
        if t.data is not None:
            return self.constant(np.transpose(t.data, perm), order)
        moving = [p for p in perm if t.shape[p] != 1]
        if moving == sorted(moving):
            return self.add(Reshape(tuple(t.shape[p] for p in perm)), [value], order)
        return self.add(Transpose(perm), [value], order)

    def logical(self, value: Value) -> Value:
        """Stored in the framework's own order, for operators that count elements (reshape)."""
        return self.reorder(value, tuple(range(len(value.order))))

    def channels_last(self, value: Value) -> Value:
        """Stored as NHWC, for operators over planes; dimension 1 last for any other number of dimensions."""
        rank = len(value.order)
        if rank < 3:
            raise UserError(f"layer '{self.where}': expected at least 3 dimensions, found {rank}")
        return self.reorder(value, (0, *range(2, rank), 1))

    def as_rank(self, value: Value, rank: int) -> Value:
        """With dimensions of one in front until there are `rank`, as numpy broadcasts."""
        missing = rank - len(value.order)
        if missing <= 0:
            return value
        order = (*range(missing), *(d + missing for d in value.order))
        t = self.tensor(value)
        shape = (1,) * missing + t.shape
        if t.data is not None:
            return self.constant(t.data.reshape(shape), order)
        return self.add(Reshape(shape), [value], order)

    def together(self, values: Sequence[Value]) -> list[Value]:
        """Operands that are broadcast together, stored alike: in the order of the largest one that is computed.

        A constant of one element becomes a scalar; the others get as many dimensions as the result.
        """

        def weight(v: Value) -> tuple[bool, int, int]:
            t = self.tensor(v)
            return (not t.constant, len(v.order), t.size)

        rank = max(len(v.order) for v in values)
        order = max((v for v in values if len(v.order) == rank), key=weight).order
        return [self._beside(v, order) for v in values]

    def _beside(self, v: Value, order: tuple[int, ...]) -> Value:
        data = self.tensor(v).data
        if data is not None and data.size == 1:
            return self.constant(data.reshape(()))
        missing = len(order) - len(v.order)
        if not missing:
            return self.reorder(v, order)
        whole = tuple(range(len(order)))
        v = self.logical(v)
        return self.reorder(replace(self.as_rank(v, len(order)), order=whole), order)
