"""Functions of one int16 value as TFLM computes them: logistic function and tanh by a table, the others by scaling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.op import Kernel, Params, Site
from lilliput.ops.requantize.kernels import requantize, types
from lilliput.ops.unary.common import HERE, in_place

if TYPE_CHECKING:
    from lilliput.ops.unary.clamp import Clamp
    from lilliput.ops.unary.piecewise import LeakyRelu

ONE_MORE = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43),
    *(44, 45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)
"""Where TFLM's table is one above the nearest value, so that lines between its points fit better."""
LOGISTIC = np.round(65536 / (1 + np.exp(-np.arange(256) / 24))).astype(np.uint16)
LOGISTIC[list(ONE_MORE)] += 1
MAX_SCALE = 5.0
"""Beyond it the scaled argument leaves 32 bits."""


def argument(scale: np.float32, most: int) -> tuple[int, int]:
    """(m, shift): x * m / 2^shift is the real argument in 1/12288ths, as TFLM's LOGISTIC and TANH round it.

    Scales that are powers of two to a thousandth of their logarithm, 2^-12 up to 2^(most - 12), are taken as such.
    """
    log2 = np.log(scale) * (np.float32(1) / np.log(np.float32(2)))
    power = round(float(log2)) + 12
    if abs(log2 - np.float32(round(float(log2)))) < np.float32(1e-3) and 0 <= power <= most:
        return 3 << power, 0
    m, shift = float(scale) * 4096 * 3, 0
    while m <= 32767 / 2 and shift <= 30:
        m, shift = m * 2, shift + 1
    return int(m), shift


def _scaled(x: Array, m: int, shift: int) -> Array:
    rounding = 1 << (shift - 1) if shift else 0
    return np.asarray((x.astype(np.int64) * m + rounding) >> shift)


def _between(size: Array, bits: int) -> Array:
    """The logistic function of `size` >= 0 in Q0.16, `bits` more for the line between two points of the table."""
    place = np.minimum(size >> bits, 254)
    low, high = (LOGISTIC.astype(np.int64)[place + i] for i in (0, 1))
    return np.asarray((low << bits) + (size & ((1 << bits) - 1)) * (high - low))


def sigmoid(x: Array, m: int, shift: int) -> Array:
    """Q0.15; symmetric about a half."""
    v = _scaled(x, m, shift)
    size = np.abs(v)
    share = np.where(size >> 9 >= 255, 0x7FFF << 10, _between(size, 9))
    both = np.where(v >= 0, share + (1 << 9), (1 << 25) - share + (1 << 9) - 1)
    return (both >> 10).astype(np.int16)


def tanh(x: Array, m: int, shift: int) -> Array:
    """Q0.15: 2 sigmoid(2 x) - 1."""
    v = _scaled(x, m, shift)
    size = np.abs(v)
    share = np.where(size >> 8 >= 255, 0xFFFF << 8, _between(size, 8)) - (1 << 23)
    both = np.where(v >= 0, share + (1 << 7), -share + (1 << 7) - 1)
    return (both >> 8).astype(np.int16)


def refuse_argument(site: Site) -> str | None:
    """Why the tables cannot serve an int16 input, or None."""
    if site.x.dtype != "int16" or (site.x.q.z == 0 and site.x.q.s <= MAX_SCALE):
        return None
    found = f"scale {float(site.x.q.s):.4g} and zero point {site.x.q.z}"
    return f"the int16 input has {found}; the zero point must be 0 and the scale at most {MAX_SCALE:g}"


def _logistic_kernel(name: str, most: int) -> Kernel:
    def params(site: Site) -> Params:
        m, shift = argument(site.x.q.s, most)
        rounding = 1 << (shift - 1) if shift else 0
        return {"table": LOGISTIC, "n": site.x.size, "mult": m, "shift": shift, "rounding": rounding}

    return Kernel(HERE / f"{name}.c", types("int16", "int16"), params, in_place=in_place)


def factors(site: Site, alpha: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """(m, shift) of a leaky ReLU for positive and for negative values."""
    ratio = float(site.x.q.s) / float(site.y.q.s)
    slope = float(site.x.q.s) * float(np.float32(alpha)) / float(site.y.q.s)
    m, shift = fixed.multiplier(abs(slope))
    return fixed.multiplier(ratio), (int(math.copysign(m, slope)), shift)


def _leaky(site: Site) -> Params:
    (m, shift), (m_alpha, shift_alpha) = factors(site, cast("LeakyRelu", site.op).alpha)
    return {
        "n": site.x.size,
        "in_zp": site.x.q.z,
        "mult": m,
        "shift": shift,
        "mult_alpha": m_alpha,
        "shift_alpha": shift_alpha,
        "out_zp": site.y.q.z,
    }


def _clamp(site: Site) -> Params:
    op = cast("Clamp", site.op)
    zero, (m, shift) = (site.x.q.z, (1 << 30, 1)) if op.raw else (site.y.q.z, op.multiplier(site))
    lo, hi = op.limits(site)
    return {
        "n": site.x.size,
        "from": -site.x.q.z,
        "mult": m,
        "shift": shift,
        "out_zp": zero,
        "lo": lo,
        "hi": hi,
    }


SIGMOID_S16 = _logistic_kernel("sigmoid_s16", 0)
TANH_S16 = _logistic_kernel("tanh_s16", 1)
LEAKY_RELU_S16 = Kernel(HERE / "leaky_relu_s16.c", types("int16", "int16"), _leaky, in_place=in_place)
CLAMP_S16 = requantize("int16", "int16", _clamp)
