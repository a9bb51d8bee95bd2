"""Recurrent layers out of their directions: what the importers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.graph import Array
from lilliput.importers.builder import Builder, Value
from lilliput.ops.recurrent.common import Recurrent
from lilliput.ops.shape import Concat, Reshape, Slice

GATES = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 2, 3, 1)}
"""Where ONNX has our gates: its GRU says update, reset, new; its LSTM input, output, forget, cell."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Of one direction, in our order of gates."""

    w: Array
    r: Array
    b: Array
    p: Array | None = None


def add_direction(
    b: Builder,
    op: Recurrent,
    x: Value,
    weights: Weights,
    states: Sequence[Value | None],
    lengths: Value | None,
) -> tuple[Value, ...]:
    """(y stored [N, T, H], final states stored [N, H]); x is stored [N, T, I]. A state of None starts at zero."""
    n, t, _ = b.tensor(x).shape
    zero = np.zeros((n, op.hidden), np.float32)
    started = [b.constant(zero) if s is None else s for s in states]
    ends = lengths or b.constant(np.full(n, t, np.int32))
    constants = [b.constant(np.ascontiguousarray(a, np.float32)) for a in (weights.w, weights.r, weights.b)]
    extra = [] if weights.p is None else [b.constant(np.ascontiguousarray(weights.p, np.float32))]
    return b.add_many(op, [x, *constants, *started, ends, *extra])


def state_of(b: Builder, value: Value, i: int) -> Value:
    """The i-th of stacked states: value is stored [D, N, H] or [N, D, H], the result [N, H]."""
    v = b.reorder(value, (0, 1, 2))
    d, n, h = b.tensor(v).shape
    if d > 1:
        v = b.add(Slice((i, 0, 0), (1, n, h), (1, 1, 1)), [v])
    return b.add(Reshape((n, h)), [v], (0, 1))


def stacked(b: Builder, states: Sequence[Value], order: tuple[int, ...] = (1, 0, 2)) -> Value:
    """States [N, H] as one value stored [N, D, H] whose dimensions are those of `order`."""
    n, h = b.tensor(states[0]).shape
    v = states[0] if len(states) == 1 else b.add(Concat(1), states)
    return b.add(Reshape((n, len(states), h)), [v], order)


def side_by_side(b: Builder, ys: Sequence[Value]) -> Value:
    """The results of both directions, features joined."""
    return ys[0] if len(ys) == 1 else b.add(Concat(2), ys, ys[0].order)


def gate_order(a: Array, kind: str) -> Array:
    """Rows of ONNX's gates in our order; a is [G H, ...]."""
    order = GATES[kind]
    return a.reshape(len(order), -1, *a.shape[1:])[list(order)].reshape(a.shape)


def bias(kind: str, w: Array, r: Array) -> Array:
    """The bias operand from those of input and state [G H], in our order of gates."""
    if kind != "gru":
        return np.asarray(w + r, np.float32)
    k = len(w) // 3
    return np.concatenate([w[: 2 * k] + r[: 2 * k], w[2 * k :], r[2 * k :]]).astype(np.float32)
