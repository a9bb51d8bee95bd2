"""The integer form of normalizations by their own statistics: exact sums, an integer root, fixed-point scales.

Our own definition (docs/quantization.md), for TensorFlow Lite Micro has none. The C twin is `normalize.c`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lilliput.graph import INT_RANGE, Array, Quant

FRACTION = 22
"""Bits of a normalized value behind the point; it is at most 2^8, the root of the number of values."""
MAX_COUNT = {"int8": 1 << 16, "int16": 1 << 12}
"""Values normalized together: their number times their differences stays in 32 bits, with the squares in 62."""
MAX_EPSILON = (1 << 61) - 1
REACH = 61
"""|beta| in fixed point stays below 2^61, so that adding the product cannot overflow."""


@dataclass(frozen=True, eq=False)
class FixedNorm:
    """gamma and beta in steps of the result: int32 times 2^(shift - 22), int64 times 2^shift."""

    gamma: Array
    beta: Array
    shift: int
    epsilon: int


def pack(gamma: Array, beta: Array, x: Quant, y: Quant, count: int, epsilon: float) -> FixedNorm:
    """Fixed-point constants as fine as 30 bits of gamma and 61 of beta allow."""
    g = gamma.astype(np.float64) / float(y.s)
    b = beta.astype(np.float64) / float(y.s) + y.z
    room = [30.0]
    for values, bits in ((g, 30), (b, REACH - FRACTION)):
        largest = float(np.abs(values).max())
        if largest > 0:
            room.append(bits - 1 - math.frexp(largest)[1])
    fine = int(max(min(room), 1 - FRACTION))
    shift = FRACTION + fine
    whole = np.clip(np.rint(g * 2.0**fine), -(2**31) + 1, 2**31 - 1).astype(np.int32)
    offset = np.clip(np.rint(b * 2.0**shift), -(2.0**REACH), 2.0**REACH).astype(np.int64) + (1 << (shift - 1))
    wide = count * count * epsilon / float(x.s) ** 2
    return FixedNorm(whole, offset, shift, MAX_EPSILON if wide >= MAX_EPSILON else round(wide))


def inverse_root(w: Array) -> tuple[Array, Array]:
    """(2^61 / sqrt(w 4^k), k) with k such that the root has 31 bits; (0, 0) where w is 0. 0 <= w < 2^62."""
    w, k = w.astype(np.int64), np.zeros(w.shape, np.int64)
    for step in (16, 8, 4, 2, 1):
        small = (w >> (62 - 2 * step)) == 0
        w, k = np.where(small, w << (2 * step), w), k + np.where(small, step, 0)
    root = np.sqrt(w.astype(np.float64)).astype(np.int64)
    root -= root * root > w
    root += (root + 1) * (root + 1) <= w
    inverse = np.minimum((1 << 61) // np.maximum(root, 1), (1 << 31) - 1)
    none = w == 0
    return np.where(none, 0, inverse), np.where(none, 0, k)


def normalize(d: Array, axes: tuple[int, ...], centred: bool, constants: FixedNorm, dtype: str) -> Array:
    """Integer results from x - zero point; statistics are taken over `axes`."""
    count = int(np.prod([d.shape[a] for a in axes]))
    d = d.astype(np.int64)
    squares = np.square(d).sum(axes, keepdims=True)
    total = d.sum(axes, keepdims=True) if centred else np.zeros_like(squares)
    inverse, k = inverse_root(count * squares - total * total + constants.epsilon)
    down = 61 - FRACTION - k
    t = ((count * d - total) * inverse + (np.int64(1) << (down - 1))) >> down
    scaled = (t * constants.gamma + constants.beta) >> constants.shift
    return np.asarray(np.clip(scaled, *INT_RANGE[dtype]).astype(dtype))
