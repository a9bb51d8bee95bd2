"""Products of values, whatever framework they come from: a constant second factor makes a linear layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Shape
from lilliput.importers.builder import Builder, Value
from lilliput.ops.conv.linear import Linear
from lilliput.ops.matmul.matmul import MatMul
from lilliput.ops.requantize.stored import rearranged, stored
from lilliput.ops.shape import Reshape


def multiplied(b: Builder, x: Value, y: Value) -> Value:
    """The product of two values as numpy's matmul has it."""
    ranks = len(x.order), len(y.order)
    if 0 in ranks:
        raise UserError(f"layer '{b.where}': a product of numbers without dimensions")
    if ranks[1] == 2 and ranks[0] > 1 and symmetric(b, y):
        return linear(b, x, y, None)
    x = reshaped(b, x, (1, *b.shape(x))) if ranks[0] == 1 else x
    y = reshaped(b, y, (*b.shape(y), 1)) if ranks[1] == 1 else y
    x, adj_x, order_x = _matrices(b, x)
    y, adj_y, order_y = _matrices(b, y)
    rank = max(len(x.order), len(y.order))
    usual = tuple(range(rank))
    # Rows and batch stay in the order of the first factor, the columns lie innermost.
    order = (*(d for d in order_x if d != rank - 1), rank - 1) if len(order_x) == rank else usual
    op = MatMul(adj_x, adj_y, order_x, order_y, () if order == usual else order)
    z = b.add(op, [x, y], order)
    *batch, rows, columns = b.shape(z)
    shape = (*batch, *((rows,) if ranks[0] > 1 else ()), *((columns,) if ranks[1] > 1 else ()))
    return reshaped(b, z, shape) if 1 in ranks else z


def symmetric(b: Builder, y: Value) -> bool:
    """Whether a factor can be the weights of a linear layer: a constant, and in integers without zero point."""
    t = b.tensor(y)
    if t.data is None or t.dtype != "float32":
        return False
    integers = stored(b, y)
    return integers is None or not integers.q.zero_point.any()


def linear(b: Builder, x: Value, y: Value, bias: Value | None) -> Value:
    """x y + bias, y a constant matrix [features, results]. Only the features of x must lie innermost."""
    features = len(x.order) - 1
    x = b.reorder(x, (*(d for d in x.order if d != features), features))
    o = b.shape(y)[1]
    weights = rearranged(b, y, np.transpose, o, 0)
    bias = b.constant(np.zeros(o, np.float32)) if bias is None else bias
    return b.add(Linear(), [x, weights, bias], x.order)


def reshaped(b: Builder, x: Value, shape: Shape) -> Value:
    x = b.logical(x)
    data = b.numbers(x)
    if data is not None:
        return b.constant(data.reshape(shape))
    return b.add(Reshape(shape), [x], tuple(range(len(shape))))


def _matrices(b: Builder, x: Value) -> tuple[Value, bool, tuple[int, ...]]:
    """A factor, whether each matrix of it lies transposed, and the order of its axes where they lie otherwise."""
    usual = tuple(range(len(x.order)))
    if b.tensor(x).constant:
        return b.logical(x), False, ()
    if x.order in (usual, (*usual[:-2], usual[-1], usual[-2])):
        return replace(x, order=usual), x.order != usual, ()
    return x, False, x.order
