"""Exact integers of recurrent layers: gates in int16, states in int16; docs/quantization.md says it in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Quant, Tensor
from lilliput.ops.unary import int16

if TYPE_CHECKING:
    from lilliput.op import Site
    from lilliput.ops.recurrent.common import Recurrent, Step

ONE = 1 << 15
"""1 in Q0.15, the format of gates and of states within -1..1."""
GATE = 2.0**-12
"""The scale of a gate's argument: Q3.12, -8..8."""
UNIT = 2.0**-15
"""The scale of gates, and of states within -1..1."""
BIAS_BITS = 12
"""Fractional bits of the bias below a step of the sum that it is added to."""


def sigmoid(x: Array) -> Array:
    """Logistic function: Q3.12 -> Q0.15; TFLM's LOGISTIC of int16."""
    return int16.sigmoid(x, 3, 0).astype(np.int64)


def tanh(x: Array, power: int = -12) -> Array:
    """Hyperbolic tangent of x 2^power, in Q0.15; TFLM's TANH of int16."""
    return int16.tanh(x, *tanh_argument(power)).astype(np.int64)


def tanh_argument(power: int) -> tuple[int, int]:
    """(factor, right shift) that bring x 2^power to 12288ths, as TFLM's LSTM has them."""
    shift = 12 + power
    return (3 << shift, 0) if shift >= 0 else (3, -shift)


def clamp16(x: Array) -> Array:
    return np.clip(x, -ONE, ONE - 1)


def product(a: Array, b: Array) -> Array:
    """a b 2^-15, halves up: Q0.15 times anything."""
    return np.asarray((a * b + (1 << 14)) >> 15)


def matrix(x: Array, w: Array) -> Array:
    """x w^T in exact integers: float64 holds them."""
    return np.asarray((x.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64))


def power_of(quant: Quant) -> int | None:
    """The exponent of a scale that is a power of two, with zero point 0; None for any other."""
    fraction, exponent = math.frexp(float(quant.s))
    return exponent - 1 if fraction == 0.5 and quant.z == 0 and quant.axis is None else None


def constant(t: Tensor) -> Array:
    assert t.data is not None
    return t.data


@dataclass(frozen=True, eq=False)
class Sums:
    """(acc_x mx + acc_h mh + b 2^(n - 12)) >> n, row by row: sums of products in steps of the gates' arguments.

    mx and mh are int32, not negative; b is int32 and has half a step in it, for rounding; one n serves all rows.
    """

    mx: Array
    mh: Array
    b: Array
    n: int

    @property
    def mb(self) -> int:
        return 1 << (self.n - BIAS_BITS)


def sums(site: Site, scale: float, bias: Array) -> Sums:
    """The constants of a layer whose sums have `scale`; `bias` is real. Rows of zeros have multiplier 0."""
    _, w, r, _, h = site.ins[:5]
    fx, fh = _factors(site.x.q, w, scale), _factors(h.q, r, scale)
    largest = max(float(fx.max()), float(fh.max()), 2.0**-12)
    n = max(BIAS_BITS, min(30 - math.floor(math.log2(largest)), BIAS_BITS + 30))
    most = 2.0**31 - 1
    fine = np.round(bias.astype(np.float64) / scale * 2.0**BIAS_BITS) + 2.0 ** (BIAS_BITS - 1)
    mx, mh = (np.minimum(np.round(f * 2.0**n), most).astype(np.int32) for f in (fx, fh))
    return Sums(mx, mh, np.clip(fine, -most, most).astype(np.int32), n)


def _factors(x: Quant, w: Tensor, scale: float) -> Array:
    each = np.broadcast_to(float(x.s) * w.q.scale.astype(np.float64) / scale, w.shape[:1])
    return np.where(constant(w).any(axis=1), each, 0.0)


def overflow(site: Site, scale: float, bias: Array) -> str | None:
    """Why the sums of a layer might not fit, for some input; None is the proof that the C relies on."""
    s = sums(site, scale, bias)
    w, r = (np.abs(constant(t).astype(np.int64)).sum(axis=1) for t in site.ins[1:3])
    if (
        max(_factors(site.x.q, site.ins[1], scale).max(), _factors(site.ins[4].q, site.ins[2], scale).max())
        >= 2**18
    ):
        return f"scales of input {float(site.x.q.s):.3g} and weights give sums far beyond any gate"
    if int(r.max()) * ONE >= 2**31 or int(w.max()) * 255 >= 2**31:
        return f"the weights of one row add up to {max(int(r.max()), int(w.max()))} steps, at most 65535 fit"
    total = max(255 * int(a) * int(m) for a, m in zip(w, s.mx, strict=True))
    total += max(ONE * int(a) * int(m) for a, m in zip(r, s.mh, strict=True)) + 2**31 * s.mb
    if total >= min(2**62, 2 ** (31 + s.n)):
        return f"sums may reach {total / 2.0**s.n * scale:.3g}, which the integers cannot hold"
    return None


@dataclass(frozen=True, eq=False)
class Layer:
    """What the integer step of a layer needs: weights, constants of the sums, bounds of a gate's argument."""

    w: Array
    r: Array
    sums: Sums
    x_zero: int
    bounds: tuple[int, int]

    def inputs(self, x: Array) -> Array:
        """The input's share of the sums with the bias of these rows, in fractions of a step: int64."""
        s = self.sums
        share: Array = matrix(x.astype(np.int64) - self.x_zero, self.w) * s.mx
        return share + s.b[: len(self.w)].astype(np.int64) * s.mb

    def states(self, h: Array, rows: slice = slice(None)) -> Array:
        """The state's share of some rows."""
        return np.asarray(matrix(h, self.r[rows]) * self.sums.mh[rows])

    def whole(self, fine: Array) -> Array:
        """To whole steps."""
        return np.asarray(fine >> self.sums.n)

    def argument(self, fine: Array) -> Array:
        """To whole steps, clipped: what a gate's function takes."""
        return np.clip(self.whole(fine), *self.bounds)


def layer(site: Site, op: Recurrent) -> Layer:
    scale, bias = op.sum_scale(site), op.sum_bias(constant(site.ins[3]))
    w, r = (constant(t) for t in site.ins[1:3])
    return Layer(w, r, sums(site, scale, bias), site.x.q.z, bounds(op, scale))


def bounds(op: Recurrent, scale: float) -> tuple[int, int]:
    """The clip of the sums in steps; without one the range of int16."""
    most = min(round(op.clip / scale), ONE - 1) if op.clip else ONE
    return -most, min(most, ONE - 1)


def shown(site: Site, h: Array) -> Array:
    """The int8 result of an int16 state."""
    return fixed.finish(h, *shown_multiplier(site), site.y.q.z, (-128, 127), "int8")


def shown_multiplier(site: Site) -> tuple[int, int]:
    return fixed.multiplier(float(site.outs[1].q.s) / float(site.y.q.s))


def stepping(step: Step) -> Step:
    """A step of int64 as one of int16 states."""
    return lambda x, states: [s.astype(np.int16) for s in step(x, [v.astype(np.int64) for v in states])]


def state_types(site: Site, states: Any) -> str | None:
    """Why the tensors of an integer layer are not what it computes with, or None."""
    x, w, r, b = site.ins[:4]
    found = [t.dtype for t in (x, w, r, b, site.y)]
    if found != ["int8", "int8", "int8", "float32", "int8"]:
        return f"input, weights, bias and result are {', '.join(found)}; expected int8, int8, int8, float32, int8"
    for i, o in states.items():
        a, z = site.ins[i], site.outs[o]
        if a.dtype != "int16" or z.dtype != "int16" or not z.q.same(a.q) or power_of(z.q) is None:
            return f"state '{z.name}' must be int16 from call to call, with one scale that is a power of two"
    return None
