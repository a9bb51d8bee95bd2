"""The differentiable forms of recurrent layers on torch tensors; the steps are a Python loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from lilliput.ops.recurrent.common import Recurrent
    from lilliput.ops.recurrent.gru import Gru
    from lilliput.ops.recurrent.lstm import Lstm
    from lilliput.ops.recurrent.rnn import Rnn

Step = Callable[[Tensor, list[Tensor]], list[Tensor]]

FUNCTIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "sigmoid": lambda x, a, b: x.sigmoid(),
    "tanh": lambda x, a, b: x.tanh(),
    "relu": lambda x, a, b: x.relu(),
    "affine": lambda x, a, b: a * x + b,
    "leaky_relu": lambda x, a, b: functional.leaky_relu(x, a),
    "thresholded_relu": lambda x, a, b: torch.where(x > a, x, 0.0),
    "scaled_tanh": lambda x, a, b: a * (b * x).tanh(),
    "hard_sigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "elu": lambda x, a, b: functional.elu(x, a),
    "softsign": lambda x, a, b: functional.softsign(x),
    "softplus": lambda x, a, b: functional.softplus(x),
}


def _gate(op: Recurrent, i: int, x: Tensor) -> Tensor:
    name, alpha, beta = op.activations[i]
    return FUNCTIONS[name](x.clamp(-op.clip, op.clip) if op.clip else x, alpha, beta)


def _walk(op: Recurrent, xs: tuple[Tensor, ...], step: Step) -> tuple[Tensor, ...]:
    """`walk` of common.py, without writing into tensors."""
    x = xs[0]
    n, t, _ = x.shape
    states = [xs[i].expand(n, op.hidden) for i in op.states]
    ends = xs[op.lengths].clamp(0, t).expand(n).long()
    rows = torch.arange(n)
    shown = []
    for k in range(t):
        at = (ends - 1 - k).clamp(min=0) if op.reverse else torch.full((n,), k)
        active = (k < ends)[:, None]
        new = step(x[rows, at], states)
        states = [torch.where(active, b, a) for a, b in zip(states, new, strict=True)]
        shown.append(torch.where(active, states[0], 0.0))
    if op.last:
        return (states[0].clone(), *states)
    y = torch.stack(shown, 1)  # in the order of the steps
    if op.reverse:
        order = (ends[:, None] - 1 - torch.arange(t)[None]).clamp(min=0)
        inside = torch.arange(t)[None] < ends[:, None]
        y = torch.where(inside[:, :, None], y[rows[:, None], order], 0.0)
    return (y, *states)


def rnn(op: Rnn, *xs: Tensor) -> tuple[Tensor, ...]:
    _, w, r, b = xs[:4]
    return _walk(op, xs, lambda x, s: [_gate(op, 0, x @ w.T + s[0] @ r.T + b)])


def gru(op: Gru, *xs: Tensor) -> tuple[Tensor, ...]:
    _, w, r, b = xs[:4]
    k = op.hidden

    def step(x: Tensor, states: list[Tensor]) -> list[Tensor]:
        (h,) = states
        px = x @ w.T + b[: 3 * k]
        ph = h @ r[: 2 * k].T
        reset = _gate(op, 0, px[:, :k] + ph[:, :k])
        z = _gate(op, 0, px[:, k : 2 * k] + ph[:, k:])
        rn, d = r[2 * k :].T, b[3 * k :]
        inner = reset * (h @ rn + d) if op.linear_before_reset else (reset * h) @ rn + d
        new = _gate(op, 1, px[:, 2 * k :] + inner)
        return [(1 - z) * new + z * h]

    return _walk(op, xs, step)


def lstm(op: Lstm, *xs: Tensor) -> tuple[Tensor, ...]:
    _, w, r, b = xs[:4]
    k = op.hidden
    p = xs[op.lengths + 1] if op.peepholes else torch.zeros(3 * k)

    def step(x: Tensor, states: list[Tensor]) -> list[Tensor]:
        h, c = states
        i, f, g, o = (x @ w.T + h @ r.T + b).chunk(4, 1)
        i = _gate(op, 0, i + p[:k] * c)
        f = 1 - i if op.coupled else _gate(op, 0, f + p[k : 2 * k] * c)
        c = f * c + i * _gate(op, 1, g)
        if op.cell_clip:
            c = c.clamp(-op.cell_clip, op.cell_clip)
        o = _gate(op, 0, o + p[2 * k :] * c)
        return [o * _gate(op, 2, c), c]

    return _walk(op, xs, step)
