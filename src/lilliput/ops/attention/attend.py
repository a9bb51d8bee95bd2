"""Scaled dot-product attention from matrix products, sums and softmax, for every framework."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.graph import Array
from lilliput.importers.builder import LARGEST, Builder, Value
from lilliput.op import Op
from lilliput.ops.attention.masked import MaskedSoftmax
from lilliput.ops.binary import Add, Mul
from lilliput.ops.matmul.product import multiplied
from lilliput.ops.shape.importing import permuted, view_as
from lilliput.ops.softmax.softmax import Softmax
from lilliput.ops.unary.smooth import Tanh

MASKED = -LARGEST
"""What stands for minus infinity: e to its power is 0."""


@dataclass(frozen=True)
class Attended:
    """The result, and the scores at every stage: as multiplied, capped, masked, as shares."""

    y: Value
    scores: Value
    capped: Value
    masked: Value
    shares: Value


def both(b: Builder, op: Op, x: Value, y: Value) -> Value:
    """An operator on two values that are broadcast together."""
    x, y = b.together([x, y])
    return b.add(op, [x, y], max(x.order, y.order, key=len))


def finite(mask: Array) -> Array:
    """A mask that is added, without infinities: from one of truths (True is seen), or from numbers."""
    if mask.dtype == bool:
        return np.where(mask, 0.0, MASKED).astype(np.float32)
    return np.maximum(mask, np.float32(MASKED)).astype(np.float32)


def causal(rows: int, columns: int, past: int = 0) -> Array:
    """A mask with which row i sees columns up to past + i."""
    return finite(np.arange(columns)[None, :] <= past + np.arange(rows)[:, None])


def heads(b: Builder, x: Value, count: int) -> Value:
    """[batch, steps, count * size] as [batch, count, steps, size]."""
    n, steps, width = b.shape(x)
    return permuted(view_as(b, x, (n, steps, count, width // count)), (0, 2, 1, 3))


def side_by_side(b: Builder, x: Value) -> Value:
    """The heads of every step in one row again."""
    n, count, steps, size = b.shape(x)
    return view_as(b, permuted(x, (0, 2, 1, 3)), (n, steps, count * size))


def attend(
    b: Builder,
    q: Value,
    k: Value,
    v: Value,
    masks: list[Value],
    scale: float,
    softcap: float = 0.0,
    *,
    show_masked: bool = False,
) -> Attended:
    """softmax(scale q k^T + masks) v of [batch, heads, steps, size].

    `show_masked` asks for the masked scores, which nobody needs where masks are constants that only hide.
    Heads of k and v may be fewer than those of q: each then serves as many neighbours of q.
    """
    if scale != 1.0:
        q = both(b, Mul(), q, b.constant(np.array(scale, np.float32)))
    scores = _grouped(b, q, permuted(k, (*range(len(k.order) - 2), -1, -2)))
    capped = scores
    if softcap > 0:
        narrow = both(b, Mul(), scores, b.constant(np.array(1 / softcap, np.float32)))
        capped = both(b, Mul(), b.add(Tanh(), [narrow]), b.constant(np.array(softcap, np.float32)))
    masked, seen = capped, _seen(b, masks)
    for mask in masks if seen is None or show_masked else ():
        masked = both(b, Add(), masked, mask)
    last = len(masked.order) - 1
    rows = b.reorder(masked, (*(d for d in masked.order if d != last), last))
    if seen is None:
        shares = b.add(Softmax(), [rows])
    else:
        every = seen.reshape((1,) * (last + 1 - seen.ndim) + seen.shape)
        shares = b.add(MaskedSoftmax(), [rows, b.constant(np.transpose(every, rows.order))])
    return Attended(_grouped(b, shares, v), scores, capped, masked, shares)


def _seen(b: Builder, masks: list[Value]) -> Array | None:
    """What all masks show, where they are known now and do nothing but hide."""
    seen = np.ones((1, 1), bool)
    for mask in masks:
        data = b.numbers(mask)
        if data is None or not ((data == 0) | (data == np.float32(MASKED))).all():
            return None
        seen = seen & (data == 0)
    return None if not masks else seen


def _grouped(b: Builder, x: Value, y: Value) -> Value:
    """A product in which each matrix of y serves as many neighbours of x as x has more."""
    many, few = b.shape(x), b.shape(y)
    if len(many) < 4 or many[1] == few[1] or few[1] == 1:
        return multiplied(b, x, y)
    x = view_as(b, x, (many[0], few[1], many[1] // few[1], *many[2:]))
    z = multiplied(b, x, view_as(b, y, (few[0], few[1], 1, *few[2:])))
    return view_as(b, z, (many[0], many[1], many[2], few[3]))
