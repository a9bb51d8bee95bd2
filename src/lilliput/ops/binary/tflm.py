"""The integers of TFLM's SQUARED_DIFFERENCE and PRELU on int8, with any broadcasting, and their kernels."""

from __future__ import annotations

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.op import Kernel, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.binary.kernels import is_s8

Multiplier = tuple[int, int]
UP = 7
"""SQUARED_DIFFERENCE scales its operands up by 2^7 before it brings them to one scale."""


def difference_multipliers(site: Site) -> tuple[Multiplier, Multiplier, Multiplier]:
    """(m, shift) of both operands and of the squared result."""
    a, b, y = (float(t.q.s) for t in (*site.ins, site.y))
    twice = 2 * max(a, b)
    square = twice * twice / ((1 << 2 * UP) * y)
    return fixed.multiplier(a / twice), fixed.multiplier(b / twice), fixed.multiplier(square)


def squared_difference(site: Site, a: Array, b: Array) -> Array:
    ma, mb, m = difference_multipliers(site)
    wide_a = fixed.scale_by((a.astype(np.int64) - site.ins[0].q.z) << UP, *ma)
    wide_b = fixed.scale_by((b.astype(np.int64) - site.ins[1].q.z) << UP, *mb)
    return _finished(site, fixed.scale_by((wide_a - wide_b) ** 2, *m))


def prelu_multipliers(site: Site) -> tuple[Multiplier, Multiplier]:
    """(m, shift) of x where it is positive, and of its product with the slope."""
    x, slope, y = (float(t.q.s) for t in (*site.ins, site.y))
    return fixed.multiplier(x / y), fixed.multiplier(x * slope / y)


def prelu(site: Site, a: Array, b: Array) -> Array:
    above, below = prelu_multipliers(site)
    x = a.astype(np.int64) - site.ins[0].q.z
    slope = b.astype(np.int64) - site.ins[1].q.z
    return _finished(site, np.where(x >= 0, fixed.scale_by(x, *above), fixed.scale_by(x * slope, *below)))


def _finished(site: Site, scaled: Array) -> Array:
    return np.clip(fixed.wrap32(scaled + site.y.q.z), -128, 127).astype(np.int8)


def _ends(site: Site) -> Params:
    zeros = {"a_zp": site.ins[0].q.z, "b_zp": site.ins[1].q.z}
    return {"walk": common.walk(site), **zeros, **common.bounds(site, None)}


def _difference_params(site: Site) -> Params:
    (ma, sa), (mb, sb), (m, s) = difference_multipliers(site)
    numbers = {"a_mult": ma, "a_shift": sa, "b_mult": mb, "b_shift": sb, "mult": m, "shift": s}
    return {**_ends(site), **numbers}


def _prelu_params(site: Site) -> Params:
    (m, s), (slope_m, slope_s) = prelu_multipliers(site)
    return {**_ends(site), "mult": m, "shift": s, "slope_mult": slope_m, "slope_shift": slope_s}


SQUARED_DIFFERENCE_S8 = Kernel(
    common.HERE / "squared_difference_s8.c", is_s8, _difference_params, in_place=common.in_place, reads=(0, 1)
)
PRELU_S8 = Kernel(common.HERE / "prelu_s8.c", is_s8, _prelu_params, in_place=common.in_place, reads=(0, 1))
