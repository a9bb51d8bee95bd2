"""The logistic function and tanh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Quant
from lilliput.op import QuantRule, Site, register
from lilliput.ops.softmax.exponential import exp_negative, reciprocal_one_plus
from lilliput.ops.table import TABLE_S8
from lilliput.ops.unary import int16
from lilliput.ops.unary.common import Unary, float_kernel, refuse_output

INPUT_BITS = 4
"""Integer bits of the fixed-point argument: the functions are computed on (-16, 16) and saturate outside."""


def _argument(site: Site, x: Array) -> tuple[Array, Array, Array]:
    """The real argument in Q4.27, and where it is below or above the range that is computed."""
    fraction, shift = math.frexp(float(site.x.q.s) * 2.0 ** (31 - INPUT_BITS))
    m = round(fraction * 2**31)  # exact: a float32 fraction has 24 bits
    radius = math.floor(min((2**INPUT_BITS - 1) * 2.0 ** (31 - INPUT_BITS - shift), 512.0))  # |v| <= 255
    v = x.astype(np.int64) - site.x.q.z
    inside = np.clip(v, -radius + 1, radius - 1) if radius > 0 else np.zeros_like(v)
    return fixed.scale_by(inside, m, shift), v <= -radius, v >= radius


@register
@dataclass(frozen=True)
class Sigmoid(Unary):
    """1 / (1 + e^-x); TFLM's LOGISTIC, whose int8 result is in 256ths above -128."""

    name: ClassVar[str] = "sigmoid"
    out_quant: ClassVar[Quant | QuantRule] = Quant.per_tensor(1 / 256, -128)
    integer_types: ClassVar[tuple[str, ...]] = ("int8", "int16")
    kernels = (TABLE_S8, int16.SIGMOID_S16, float_kernel("sigmoid_f32"))

    def check(self, site: Site) -> str | None:
        return super().check(site) or refuse_output(site, 1 / 256, -128) or int16.refuse_argument(site)

    def integers(self, site: Site, x: Array) -> Array:
        if x.dtype == np.int16:
            return int16.sigmoid(x, *int16.argument(site.x.q.s, 0))
        a, below, above = _argument(site, x)
        positive = reciprocal_one_plus(exp_negative(-np.abs(a), INPUT_BITS))
        share = np.where(a == 0, 1 << 30, np.where(a > 0, positive, fixed.INT32.max - positive))
        y = np.clip(fixed.rounding_shift(share, 23) - 128, -128, 127)
        return np.where(below, -128, np.where(above, 127, y)).astype(np.int8)

    def real(self, x: Array) -> Array:
        e = np.exp(-np.abs(x))
        return np.where(x < 0, e, np.float32(1)) / (np.float32(1) + e)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].sigmoid()


@register
@dataclass(frozen=True)
class Tanh(Unary):
    """tanh(x); TFLM's TANH, whose int8 result is in 128ths."""

    name: ClassVar[str] = "tanh"
    out_quant: ClassVar[Quant | QuantRule] = Quant.per_tensor(1 / 128, 0)
    integer_types: ClassVar[tuple[str, ...]] = ("int8", "int16")
    kernels = (TABLE_S8, int16.TANH_S16, float_kernel("tanh_f32"))

    def check(self, site: Site) -> str | None:
        return super().check(site) or refuse_output(site, 1 / 128, 0) or int16.refuse_argument(site)

    def integers(self, site: Site, x: Array) -> Array:
        if x.dtype == np.int16:
            return int16.tanh(x, *int16.argument(site.x.q.s, 1))
        a, below, above = _argument(site, x)
        # tanh|a| = 2 / (1 + e^-2|a|) - 1, and -2|a| is -|a| read with one more integer bit. TFLM works on
        # the reciprocal before its last, saturating doubling; what the halving loses is below the last shift.
        half = reciprocal_one_plus(exp_negative(-np.abs(a), INPUT_BITS + 1)) >> 1
        size = (half - (1 << 29)) << 2
        share = np.where(a == 0, 0, np.where(a < 0, -size, size))
        y = np.clip(fixed.rounding_shift(share, 24), -128, 127)
        return np.where(below, -128, np.where(above, 127, y)).astype(np.int8)

    def real(self, x: Array) -> Array:
        return np.tanh(x)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].tanh()
