"""Softmax of int16 as TFLM computes it: tables of e^x and of 1 / (1 + x), lines between their points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Quant

STEPS = 512
REACH = 10.0
"""Below -10 an exponential counts as nothing."""
OUTPUT = Quant.per_tensor(1 / 32768, 0)
MAX_CLASSES = 65535
"""Terms below one whose sum in Q16.15 stays inside 31 bits."""
MAX_SHIFT = 15
"""A difference of two int16 shifted left by more would leave 32 bits."""


def _rounded(x: Array) -> Array:
    return np.asarray(np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)), np.float32)


def _table(function: Callable[[Array], Array], step: float, zero_point: int) -> Array:
    """513 points of a function of int16 in Q0.15, moved where that halves the error in the middle of a line.

    All in float32, for that is what TFLM calculates with; the argument is step * (integer - zero_point).
    """
    one, out = np.float32(step), np.float32(2.0 / 65535)
    first, last = (one * np.float32(end - zero_point) for end in (-32768, 32767))
    stride = (last - first) / np.float32(STEPS)
    unit = np.float32(65536) / (out * np.float32(32767) - out * np.float32(-32768))

    def scaled(x: Array) -> Array:
        return np.asarray(function(x).astype(np.float32) * unit)

    i = np.arange(STEPS, dtype=np.float32)
    here, following = _rounded(scaled(first + i * stride)), scaled(first + (i + 1) * stride)
    middle = _rounded(scaled(first + i * stride + stride / np.float32(2)))
    error = _rounded((following + here) / np.float32(2)) - middle
    points = np.append(here - _rounded(error / np.float32(2)), _rounded(scaled(np.array([last]))))
    return np.asarray(np.clip(points, -32768, 32767), np.int16)


EXPONENTIAL = _table(np.exp, REACH / 65535, 32767)
RECIPROCAL = _table(lambda x: 1 / (1 + x), 1.0 / 65535, -32768)


def multiplier(x: Quant, beta: float) -> tuple[int, int]:
    """(m, shift) that brings a difference of 10 to 65535 steps of the table's argument."""
    return fixed.multiplier(float(x.s) * float(np.float32(beta)) / (REACH / 65535.0))


def _between(table: Array, place: Array) -> Array:
    """On the line between two points; every int16 is a place."""
    index = 256 + (place >> 7)
    low, high = (table.astype(np.int64)[index + i] for i in (0, 1))
    return np.asarray(low + (((high - low) * (place & 127) + 64) >> 7))


def softmax(x: Array, m: int, shift: int) -> Array:
    """Shares in Q0.15 along the last axis."""
    difference = x.astype(np.int64) - x.max(-1, keepdims=True)
    place = np.clip(fixed.scale_by(difference, m, shift) + 32767, -32768, 32767)
    powers = _between(EXPONENTIAL, place)
    total = powers.sum(-1, keepdims=True)
    zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    share = ((total << (zeros - 1)) + (1 << 13)) >> 14
    inverse = _between(RECIPROCAL, np.clip(share - 3 * (1 << 15), -32768, 32767))
    right = 31 - zeros
    return np.asarray(np.clip((powers * inverse + (1 << (right - 1))) >> right, 0, 32767), np.int16)
