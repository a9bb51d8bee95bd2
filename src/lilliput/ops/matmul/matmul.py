"""Matrix product over the last two axes, the others a batch that is broadcast; TFLM's BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Shape, Tensor
from lilliput.op import Example, Op, Site, register
from lilliput.ops.matmul import kernels


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(d) for d in range(len(order)))


def _dims(shape: Shape, order: tuple[int, ...]) -> Shape:
    """Dimensions in the usual order, from a stored shape."""
    if order and sorted(order) != list(range(len(shape))):
        raise UserError(f"matmul: the order {order} is none of the axes of {shape}")
    return tuple(shape[j] for j in _inverse(order)) if order else shape


def _stored(shape: Shape, order: tuple[int, ...]) -> Shape:
    if order and sorted(order) != list(range(len(shape))):
        raise UserError(f"matmul: the order {order} is none of the axes of {shape}")
    return tuple(shape[d] for d in order) if order else shape


def _turned(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2])


@register
@dataclass(frozen=True)
class MatMul(Op):
    """a b, where `adj_a` and `adj_b` say that a factor is given transposed. Either may be a constant.

    Stored axis j of a is its dimension `order_a`[j], and so for b and the result; () is the usual order. Heads of
    attention stay where they are: between the steps and the features.
    """

    adj_a: bool = False
    adj_b: bool = False
    order_a: tuple[int, ...] = ()
    order_b: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    name: ClassVar[str] = "matmul"
    operands: ClassVar[int | None] = 2
    kernels = (kernels.MATMUL_S8_1X4, kernels.MATMUL_S8, kernels.MATMUL_F32, kernels.MATMUL_I32)

    def given(self, ins: Sequence[Tensor]) -> tuple[Shape, Shape]:
        """The shapes of the factors, dimensions in the usual order: batch, rows, columns."""
        a, b = (_dims(t.shape, order) for t, order in zip(ins, (self.order_a, self.order_b), strict=True))
        if min(len(a), len(b)) < 2:
            raise UserError(f"matmul: shapes {a} and {b}, expected at least 2 dimensions each")
        return _turned(a) if self.adj_a else a, _turned(b) if self.adj_b else b

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        a, b = self.given(ins)
        try:
            shape = (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
        except ValueError as error:
            raise UserError(f"matmul: the batches of {a} and {b} do not broadcast together") from error
        return (_stored(shape, self.order),)

    def depth(self, ins: Sequence[Tensor]) -> int:
        """How many products each sum has."""
        return self.given(ins)[0][-1]

    def check(self, site: Site) -> str | None:
        types = {t.dtype for t in (*site.ins, site.y)}
        if types not in ({"float32"}, {"int8"}, {"int32"}):
            found = ", ".join(t.dtype for t in site.ins)
            return f"operands of {found} give {site.y.dtype}; all must be float32, all int8 or all int32"
        a, b = self.given(site.ins)
        if a[-1] != b[-2]:
            return f"{a} times {b}: sums of {a[-1]} and of {b[-2]}"
        if (count := len(kernels.loops(site)) - 2) > kernels.WALK:
            return f"a batch of {count} nested loops, expected at most {kernels.WALK}"
        return None

    def batchable(self, site: Site) -> bool:
        """Dimension 0 of every computed operand must be that of the result, and no axis of a matrix."""
        rank = len(site.y.shape)
        orders = (self.order_a, self.order_b, self.order)
        computed = [order[:1] for t, order in zip((*site.ins, site.y), orders, strict=True) if not t.constant]
        if any(first not in ((), (0,)) for first in computed):
            return False
        if rank == 2:
            return site.ins[1].constant and not self.adj_a
        alike = all(len(t.shape) == rank for t in site.ins if not t.constant)
        return alike and all(len(t.shape) < rank or t.shape[0] == 1 for t in site.ins if t.constant)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        a, b = self._factors(np.transpose, *xs)
        if site.y.dtype != "int8":
            return (self._result(np.transpose, np.asarray(np.matmul(a, b), site.y.dtype)),)
        za, zb = (t.q.z for t in site.ins)
        # float64 holds every sum of products of int8 exactly and runs on BLAS.
        sums = np.matmul(a.astype(np.float64) - za, b.astype(np.float64) - zb).astype(np.int64)
        y = site.y
        bounds = fixed.clamp_range(None, y.q, y.dtype)
        done = fixed.finish(sums, *kernels.multiplier(site), y.q.z, bounds, y.dtype)
        return (self._result(np.transpose, done),)

    def _factors(self, transpose: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """On numpy's arrays or torch's tensors."""
        a = transpose(a, _inverse(self.order_a)) if self.order_a else a
        b = transpose(b, _inverse(self.order_b)) if self.order_b else b
        return a.swapaxes(-1, -2) if self.adj_a else a, b.swapaxes(-1, -2) if self.adj_b else b

    def _result(self, transpose: Any, y: Any) -> Any:
        return transpose(y, self.order) if self.order else y

    def macs(self, site: Site) -> int:
        return site.y.size * self.depth(site.ins)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        a, b = self._factors(torch.permute, *xs)
        return self._result(torch.permute, a @ b)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        adj_a, adj_b = (bool(v) for v in rng.integers(0, 2, 2))
        depth, n = shape[-2 if adj_a else -1], int(rng.integers(1, 6))
        batch = (1, *shape[1:-2]) if len(shape) > 2 else ()
        batch = tuple(1 if rng.random() < 0.3 else d for d in batch)
        other = (*batch, n, depth) if adj_b else (*batch, depth, n)
        if len(shape) == 2 or rng.random() < 0.5:
            return Example(cls(adj_a, adj_b), (shape, rng.normal(0, 1, other).astype(np.float32)))
        return Example(cls(adj_a, adj_b), (shape, other))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(3)
        yield Example(cls(), ((1, 5, 7), (1, 7, 4)), why="two computed matrices")
        yield Example(cls(adj_b=True), ((1, 2, 3, 9), (1, 2, 5, 9)), why="rows with rows, as in attention")
        yield Example(cls(adj_a=True), ((1, 6, 3), (1, 6, 2)), why="the first one transposed")
        yield Example(cls(True, True), ((1, 6, 3), (1, 2, 6)), why="both transposed")
        yield Example(
            cls(), ((2, 1, 3, 2, 3, 4), (1, 4, 1, 1, 4, 5)), why="a batch in which both are repeated"
        )
        yield Example(cls(), ((1, 3), (3, 1)), why="a product of vectors")
        yield Example(
            cls(), ((3, 2, 4), rng.normal(0, 1, (4, 5)).astype(np.float32)), why="one constant for all"
        )
        yield Example(cls(), (rng.normal(0, 1, (3, 4)).astype(np.float32), (1, 4, 2)), why="a constant first")
        yield Example(cls(), ((1, 1), (1, 1)), why="two numbers")
        heads = (0, 2, 1, 3)
        yield Example(
            cls(False, True, heads, heads, heads), ((1, 5, 3, 4), (1, 6, 3, 4)), why="heads in their places"
        )
        yield Example(
            cls(order_a=heads, order_b=heads), ((1, 5, 2, 6), (1, 6, 2, 3)), why="heads come to the front"
        )
        yield Example(
            cls(True, False, (1, 3, 2, 0), (2, 0, 1), (3, 1, 2, 0)),
            ((2, 4, 3, 1), (5, 2, 3)),
            why="every axis elsewhere",
        )
        yield Example(
            cls(adj_b=True), ((1, 2, 3, 16), (1, 2, 9, 16)), why="fours of rows with rows, one left over"
        )
        yield Example(cls(), ((1, 3, 7), (1, 7, 10)), why="fours of columns, two left over")
        yield Example(
            cls(order=(0, 2, 1)), ((1, 6, 5), (1, 5, 3)), why="a result that lies transposed, in fours"
        )
        whole = {n: Tensor(n, s, "int32") for n, s in (("a", (2, 3)), ("b", (3, 4)), ("y", (2, 4)))}
        yield Graph(("a", "b"), ("y",), (Node(cls(), ("a", "b"), ("y",), "wraps"),), whole)
