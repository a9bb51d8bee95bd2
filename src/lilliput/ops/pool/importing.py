"""Pooling over one, two or three axes from that over two, for every framework."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Builder, Value
from lilliput.op import Op
from lilliput.ops.binary import Mul
from lilliput.ops.conv.axes import NOTHING, Axis, as_plane, as_stored, pairs
from lilliput.ops.conv.depthwise import DepthwiseConv2d
from lilliput.ops.pool.covered import covered
from lilliput.ops.pool.pool2d import AvgPool2d, MaxPool2d
from lilliput.ops.shape import Pad

Make = Callable[[list[Axis], int], tuple[Op, list[Array]]]
"""The operator over two axes of planes with so many channels, and its constants."""


def ends(b: Builder, x: Value, window: list[Axis], *, ceil: bool) -> list[Axis]:
    """The padding behind each axis such that the last window ends with it: beyond the input where `ceil` asks."""
    found = []
    for size, a in zip(b.tensor(x).shape[1:-1], window, strict=True):
        free = size + sum(a.pad) - a.span
        count = (-(-free // a.stride) if ceil else free // a.stride) + 1
        if ceil and (count - 1) * a.stride >= size + a.pad[0]:  # no window starts behind the input
            count -= 1
        if free < 0 or count < 1:
            raise UserError(
                f"layer '{b.where}': a window over {a.span} elements does not fit {size} with padding {a.pad}"
            )
        found.append(replace(a, pad=(a.pad[0], max((count - 1) * a.stride + a.span - size - a.pad[0], 0))))
    return found


def pooled(b: Builder, x: Value, window: list[Axis], make: Make) -> Value:
    """Channels-last pooling by planes; the first of three axes comes after the others."""
    *lead, width, channels = b.tensor(x).shape
    height = 1 if len(lead) == 1 else lead.pop()
    plane = as_plane(b, x, (math.prod(lead), height, width, channels))
    if make is total:
        b.afford(math.prod(a.kernel for a in window) * channels)
    op, constants = make([NOTHING, *window][-2:], channels)
    y = b.add(op, [plane, *map(b.constant, constants)], plane.order)
    oh, ow = b.tensor(y).shape[1:3]
    if len(window) == 3:
        n, d = lead
        column = as_plane(b, y, (n, d, oh * ow, channels))
        op, constants = make([window[0], NOTHING], channels)
        y = b.add(op, [column, *map(b.constant, constants)], column.order)
        lead = list(b.tensor(y).shape[:2])
    return as_stored(b, y, (*lead, *(oh, ow)[2 - min(len(window), 2) :], channels))


def maximum(two: list[Axis], channels: int) -> tuple[Op, list[Array]]:
    window, stride, padding, dilation = pairs(two)
    return MaxPool2d(window, stride, padding, dilation=dilation), []


def mean(two: list[Axis], channels: int) -> tuple[Op, list[Array]]:
    window, stride, padding, _ = pairs(two)
    return AvgPool2d(window, stride, padding), []


def total(two: list[Axis], channels: int) -> tuple[Op, list[Array]]:
    window, stride, padding, dilation = pairs(two)
    ones = np.ones((1, *window, channels), np.float32)
    return DepthwiseConv2d(stride, padding, dilation), [ones, np.zeros(channels, np.float32)]


def averaged(b: Builder, x: Value, window: list[Axis], to: list[Axis], *, padding: bool) -> Value:
    """The mean of what a window covers, of the padding too where `padding` says so, never of what `ends` added."""
    if padding and any(any(a.pad) for a in window):
        x = b.add(Pad(((0, 0), *(a.pad for a in window), (0, 0))), [x], x.order)
        to = [replace(end, pad=(0, max(end.pad[1] - a.pad[1], 0))) for a, end in zip(window, to, strict=True)]
    if all(a.dilation == 1 for a in window):
        return pooled(b, x, to, mean)
    counts = np.ones((1, 1))
    for size, a in zip(b.tensor(x).shape[1:-1], to, strict=True):
        counts = np.multiply.outer(counts, _counts(size, a))
    if not counts.all():
        raise UserError(f"layer '{b.where}': a window lies entirely in the padding")
    share = b.constant((1 / counts[0]).astype(np.float32)[..., None], x.order)
    return b.add(Mul(), [pooled(b, x, to, total), share], x.order)


def _counts(size: int, a: Axis) -> Array:
    """How many elements of an axis each window covers."""
    return covered(size, a.kernel, a.stride, a.dilation, a.pad)
