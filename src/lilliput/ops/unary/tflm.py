"""The integers of TFLM's ABS, ELU and RSQRT on int8; each becomes a table of 256 entries."""

from __future__ import annotations

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.op import Site

INT8 = (-128, 127)
Q3 = 28
"""Fractional bits of a fixed-point number with three integer bits."""


def absolute(site: Site, x: Array) -> Array:
    """|x - z_x| s_x / s_y + z_y."""
    m, shift = fixed.multiplier(float(site.x.q.s) / float(site.y.q.s))
    size = np.abs(x.astype(np.int64) - site.x.q.z)
    return np.asarray(np.clip(fixed.scale_by(size, m, shift) + site.y.q.z, *INT8), np.int8)


def elu(site: Site, x: Array) -> Array:
    """In float32: the value, the function, times the reciprocal of the result's scale, halves away from zero."""
    real = site.x.q.s * (x.astype(np.int32) - site.x.q.z).astype(np.float32)
    y = np.where(real < 0, np.expm1(real.astype(np.float64)).astype(np.float32), real)
    scaled = (y * (np.float32(1) / site.y.q.s)).astype(np.float64)
    nearest = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
    return np.asarray(np.clip(nearest + site.y.q.z, *INT8), np.int8)


def rsqrt(site: Site, x: Array) -> Array:
    """1 / sqrt(x - z_x) by five Newton steps in fixed point, times 1 / (sqrt(s_x) s_y). Not positive: 127."""
    scale = 1.0 / float(np.sqrt(site.x.q.s) * site.y.q.s)
    m, shift = fixed.multiplier(scale)
    every = np.arange(-128, 128) - site.x.q.z
    table = [127 if v <= 0 else _one_rsqrt(int(v), m, shift, site.y.q.z) for v in every]
    return np.array(table, np.int8)[x.astype(np.int64) + 128]


def _one_rsqrt(value: int, m: int, shift: int, zero_point: int) -> int:
    root, root_shift = inverse_root(value)
    data = int(fixed.scale_by(1, root, root_shift + 20))
    return int(np.clip(int(fixed.scale_by(data, m, shift - 20)) + zero_point, *INT8))


def inverse_root(value: int) -> tuple[int, int]:
    """(m, shift) of 1 / sqrt(value) as gemmlowp's fixed-point Newton iteration gives it."""
    if value <= 1:
        return int(fixed.INT32.max), 0
    shift = 11
    while value >= 1 << 29:
        value, shift = value // 4, shift + 1
    pairs = (32 - value.bit_length() - 1) // 2 - 1
    shift -= pairs
    value <<= 2 * pairs
    a = value >> 1  # Q3.28
    half = int(fixed.rounding_shift(a, 1))
    x = 1 << Q3
    for _ in range(5):
        x2 = _mul(x, x)  # Q6.25
        x3 = _left(_mul(x2, x), 6)  # Q9.22 to Q3.28
        x = _left(_mul((1 << 28) + (1 << 27), x) - _mul(half, x3), 3)
    x = _mul(x, 1518500250)
    if shift < 0:
        x, shift = x << -shift, 0
    return x, -shift


def _mul(a: int, b: int) -> int:
    """gemmlowp's saturating rounding doubling high multiply, which truncates towards zero after its nudge."""
    product = a * b
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    total = product + nudge
    size = abs(total) >> 31
    return size if total >= 0 else -size


def _left(x: int, n: int) -> int:
    """x 2^n, saturated."""
    return max(int(fixed.INT32.min), min(int(fixed.INT32.max), x << n))
