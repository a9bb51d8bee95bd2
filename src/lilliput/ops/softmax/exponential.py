"""Fixed-point exponential and reciprocal as TensorFlow Lite Micro computes them; the maths is gemmlowp's."""

from __future__ import annotations

import numpy as np

from lilliput.fixed import INT32, doubling_high_mul, rounding_shift
from lilliput.graph import Array

EXP_MINUS_EIGHTH = 1895147668
"""e^(-1/8) in Q0.31, the centre of the polynomial's interval [-1/4, 0)."""
THIRD = 715827883
EXP_OF_POWERS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""(k, e^(-2^k) in Q0.31): one factor per bit of the argument above 1/4."""


def _shift_saturated(x: Array, n: int) -> Array:
    return np.asarray(np.clip(x.astype(np.int64) << n, INT32.min, INT32.max))


def exp_negative(a: Array, integer_bits: int) -> Array:
    """e^a in Q0.31 for a <= 0 with `integer_bits` integer bits (and 31 - integer_bits fractional ones)."""
    a = np.asarray(a, np.int64)
    fraction = 31 - integer_bits
    quarter = np.int64(1) << (fraction - 2)
    remainder = (a & (quarter - 1)) - quarter  # in [-1/4, 0)
    x = _shift_saturated(remainder, integer_bits) + (1 << 28)  # Q0.31, shifted by 1/8
    x2 = doubling_high_mul(x, x)
    x3, x4 = doubling_high_mul(x2, x), doubling_high_mul(x2, x2)
    cubic = doubling_high_mul(rounding_shift(x4, 2) + x3, THIRD) + x2
    tail = rounding_shift(cubic, 1)
    result = EXP_MINUS_EIGHTH + doubling_high_mul(EXP_MINUS_EIGHTH, x + tail)
    steps = remainder - a
    for power, factor in EXP_OF_POWERS:
        if power < integer_bits:
            bit = steps & (np.int64(1) << (fraction + power))
            result = np.where(bit, doubling_high_mul(result, factor), result)
    return np.where(a == 0, INT32.max, result)


def reciprocal_one_plus(a: Array) -> Array:
    """1 / (1 + a) in Q0.31 for a in Q0.31, 0 <= a < 1: three Newton steps on (1 + a) / 2."""
    half = (np.asarray(a, np.int64) + (1 << 31)) >> 1
    x = 1515870810 + doubling_high_mul(half, -1010580540)  # 48/17 - 32/17 d in Q2.29
    for _ in range(3):
        error = (1 << 29) - doubling_high_mul(half, x)
        x = x + _shift_saturated(doubling_high_mul(x, error), 2)
    return _shift_saturated(x, 1)
