"""How ONNX's RNN, GRU and LSTM become ours: directions are nodes of their own, gates are put into our order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.recurrent import build
from lilliput.ops.recurrent.activations import NUMPY, PARAMETERS, Function
from lilliput.ops.recurrent.common import Recurrent
from lilliput.ops.recurrent.gru import Gru
from lilliput.ops.recurrent.lstm import Lstm
from lilliput.ops.recurrent.rnn import Rnn
from lilliput.ops.shape import Reshape

if TYPE_CHECKING:
    from lilliput.graph import Array
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

SAME = {name.replace("_", ""): name for name in NUMPY}
"""ONNX's names, which come in any case, without our underscores."""


@onnx("RNN")
def rnn(b: OnnxBuilder, n: OnnxNode) -> tuple[Value | None, ...]:
    return _layer(b, n, Rnn())


@onnx("GRU")
def gru(b: OnnxBuilder, n: OnnxNode) -> tuple[Value | None, ...]:
    return _layer(b, n, Gru(linear_before_reset=bool(n.attr("linear_before_reset", 0))))


@onnx("LSTM")
def lstm(b: OnnxBuilder, n: OnnxNode) -> tuple[Value | None, ...]:
    return _layer(b, n, Lstm(coupled=bool(n.attr("input_forget", 0)), peepholes=b.has(n, 7)))


def _layer(b: OnnxBuilder, n: OnnxNode, kind: Recurrent) -> tuple[Value | None, ...]:
    """(Y, final states); inputs X, W, R, B, sequence_lens, initial states, P."""
    steps_first = int(n.attr("layout", 0)) == 0
    reversed_by = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    name = str(n.attr("direction", "forward"))
    if name not in reversed_by:
        raise UserError(f"{n.where}: the direction is '{name}', expected {', '.join(reversed_by)}")
    directions = reversed_by[name]
    x = b.reorder(b.value(n, 0), (1, 0, 2) if steps_first else (0, 1, 2))
    w, r = b.data(n, 1), b.data(n, 2)
    biases = b.optional(n, 3)
    lengths = b.value(n, 4) if b.has(n, 4) else None
    p = b.optional(n, 7) if isinstance(kind, Lstm) else None
    if len(w) != len(directions) or len(r) != len(directions):
        raise UserError(f"{n.where}: weights of {len(w)} directions, expected {len(directions)}")
    hidden = int(r.shape[2])
    if int(n.attr("hidden_size", hidden)) != hidden:
        raise UserError(f"{n.where}: hidden_size is {n.attr('hidden_size')}, the weights have {hidden}")
    functions = _functions(n, kind, len(directions))
    per_direction = []
    for d, reverse in enumerate(directions):
        op = replace(
            kind, hidden=hidden, reverse=reverse, clip=float(n.attr("clip", 0.0)), activations=functions[d]
        )
        weights = _weights(
            kind.name, w[d], r[d], None if biases is None else biases[d], None if p is None else p[d]
        )
        starts = [_start(b, n, 5 + i, d, steps_first) for i in range(len(kind.states))]
        per_direction.append(build.add_direction(b, op, x, weights, starts, lengths))
    ys, *finals = zip(*per_direction, strict=True)
    order = (1, 0, 2) if steps_first else (0, 1, 2)
    return (_result(b, ys, steps_first), *(build.stacked(b, states, order) for states in finals))


def _start(b: OnnxBuilder, n: OnnxNode, i: int, direction: int, steps_first: bool) -> Value | None:
    """The initial state of a direction; with `layout` 1 the samples come first."""
    if not b.has(n, i):
        return None
    v = b.value(n, i)
    if not steps_first:  # ours has the directions first
        v = replace(v, order=tuple((1, 0, 2)[d] for d in v.order))
    return build.state_of(b, v, direction)


def _result(b: OnnxBuilder, ys: Sequence[Value], steps_first: bool) -> Value:
    """Y: [T, D, N, H], or with `layout` 1 [N, T, D, H]."""
    v = build.side_by_side(b, ys)
    samples, steps, features = b.tensor(v).shape
    shape = (samples, steps, len(ys), features // len(ys))
    return b.add(Reshape(shape), [v], (2, 0, 1, 3) if steps_first else (0, 1, 2, 3))


def _weights(kind: str, w: Array, r: Array, b: Array | None, p: Array | None) -> build.Weights:
    b = np.zeros(2 * len(w), np.float32) if b is None else b
    halves = (build.gate_order(half, kind) for half in np.split(b, 2))
    if p is not None:  # input, output, forget
        p = p.reshape(3, -1)[[0, 2, 1]].reshape(-1)
    return build.Weights(build.gate_order(w, kind), build.gate_order(r, kind), build.bias(kind, *halves), p)


def _functions(n: OnnxNode, kind: Recurrent, directions: int) -> list[tuple[Function, ...]]:
    """The activation functions of every direction; alphas and betas go to the functions that take them, in order."""
    default = [name for name, _, _ in kind.activations] * directions
    names = [str(v) for v in n.attr("activations", default)]
    alphas, betas = list(n.attr("activation_alpha", [])), list(n.attr("activation_beta", []))
    found: list[Function] = []
    for given in names:
        name = SAME.get(given.lower().replace("_", ""))
        if name is None:
            raise UserError(
                f"{n.where}: the activation '{given}' is unknown, expected one of {', '.join(SAME)}"
            )
        a, c = PARAMETERS.get(name, (None, None))
        alpha = 0.0 if a is None else float(alphas.pop(0) if alphas else a)
        beta = 0.0 if c is None else float(betas.pop(0) if betas else c)
        found.append((name, alpha, beta))
    if len(found) != kind.functions * directions:
        raise UserError(f"{n.where}: {len(found)} activations, expected {kind.functions * directions}")
    return [tuple(found[i * kind.functions : (i + 1) * kind.functions]) for i in range(directions)]
