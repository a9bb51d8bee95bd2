"""Fixed-point arithmetic of the int8 and int16 semantics, exactly as TensorFlow Lite Micro computes it.

The source of the maths is gemmlowp's fixed-point library as TFLM uses it, with double rounding. The C twins of these
functions are `c/requantize.h` and, for 64-bit accumulators, `c/requantize_wide.h`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lilliput.graph import INT_RANGE, Array, Quant

INT32 = np.iinfo(np.int32)
FLOAT_MAX = float(np.finfo(np.float32).max)
Clamp = tuple[float, float] | None
"""Bounds of a real value; None is no clamp."""


def multiplier(real: float) -> tuple[int, int]:
    """Split a positive real factor into (m, shift): real = m / 2^31 * 2^shift with 2^30 <= m < 2^31."""
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    m = math.floor(fraction * (1 << 31) + 0.5)
    if m == 1 << 31:
        m, shift = m // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return (1 << 31) - 1, 30
    return m, shift


def multipliers(reals: Array) -> tuple[Array, Array]:
    """`multiplier` of each element: two int32 arrays."""
    pairs = [multiplier(float(r)) for r in np.asarray(reals, np.float64).reshape(-1)]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int32)


def doubling_high_mul(a: Any, b: Any) -> Array:
    """Saturating rounding doubling high multiply of int32: round(a * b / 2^31), halves towards +infinity."""
    a, b = np.asarray(a, np.int64), np.asarray(b, np.int64)
    return np.asarray(np.minimum((a * b + (1 << 30)) >> 31, INT32.max))


def rounding_shift(x: Any, n: Any) -> Array:
    """Divide by 2^n, rounding to nearest, halves away from zero."""
    x, n = np.asarray(x, np.int64), np.asarray(n, np.int64)
    mask = (np.int64(1) << n) - 1
    threshold = (mask >> 1) + (x < 0)
    return np.asarray((x >> n) + ((x & mask) > threshold))


def wrap32(x: Array) -> Array:
    """Integers as int32 arithmetic of two's complement leaves them."""
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def scale_by(x: Any, m: Any, shift: Any) -> Array:
    """Multiply int32 by a quantized multiplier: left shift (wraps as in C), doubling high multiply, rounding shift."""
    shift = np.asarray(shift, np.int64)
    left = wrap32(np.asarray(x, np.int64) << np.maximum(shift, 0))
    return rounding_shift(doubling_high_mul(left, m), np.maximum(-shift, 0))


WIDE_REACH = 1 << 47
"""64-bit accumulators stay below this in size, so that their product with 15 bits of multiplier fits in 63."""
WIDE_SHIFT = 7
"""The largest left shift of a 64-bit accumulator; TFLM asserts both bounds."""


def reduced(m: Any) -> Array:
    """The 15 bits of a multiplier that a 64-bit accumulator is scaled with, rounded, saturated."""
    m = np.asarray(m, np.int64)
    return np.asarray(np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF).astype(np.int32))


def scale_wide(x: Any, r: Any, shift: Any) -> Array:
    """Multiply int64 by a reduced multiplier r: x * r / 2^15 * 2^shift, halves up, the low 32 bits of it."""
    x, r, shift = (np.asarray(v, np.int64) for v in (x, r, shift))
    return wrap32((x * r + (np.int64(1) << (14 - shift))) >> (15 - shift))


def clamp_range(clamp: Clamp, quant: Quant, dtype: str) -> tuple[int, int]:
    """The integer bounds of a real-valued clamp on a tensor; TFLM's activation range, in float32."""
    lo, hi = INT_RANGE[dtype]
    if clamp is None:
        return lo, hi

    def integer(real: float) -> int:
        scaled = np.float32(real) / quant.s
        if not np.isfinite(scaled):
            return hi if scaled > 0 else lo
        return quant.z + int(math.copysign(math.floor(abs(float(scaled)) + 0.5), float(scaled)))

    return max(lo, min(hi, integer(clamp[0]))), min(hi, max(lo, integer(clamp[1])))


def float_range(clamp: Clamp) -> tuple[float, float]:
    """Float results saturate at the largest float32, so that a bound always has a C literal."""
    lo, hi = clamp or (-FLOAT_MAX, FLOAT_MAX)
    return max(lo, -FLOAT_MAX), min(hi, FLOAT_MAX)


def finish(acc: Array, m: Any, shift: Any, zero_point: int, bounds: tuple[int, int], dtype: str) -> Array:
    """Requantize accumulators: scale, add the output's zero point, clamp, narrow. All sums wrap at 32 bits, as in C."""
    scaled = scale_by(wrap32(np.asarray(acc, np.int64)), m, shift)
    return np.asarray(np.clip(wrap32(scaled + zero_point), *bounds).astype(dtype))
