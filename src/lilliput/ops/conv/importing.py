"""Convolutions of one, two or three axes from those of two, for every framework."""

from __future__ import annotations

import math

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Builder, Value
from lilliput.ops.conv.axes import NOTHING, Axis, as_plane, as_stored, pairs
from lilliput.ops.conv.common import Pair
from lilliput.ops.conv.conv2d import Conv2d
from lilliput.ops.conv.depthwise import DepthwiseConv2d
from lilliput.ops.conv.transposed import ConvTranspose2d
from lilliput.ops.requantize.stored import rearranged
from lilliput.ops.shape import Concat, Pad, Slice


def convolved(b: Builder, x: Value, weights: Value, bias: Value, window: list[Axis], groups: int) -> Value:
    """The convolution of a channels-last value of one to three axes; weights are [O, I / groups, *window]."""
    if len(window) == 3:
        x, weights = _depth_as_channels(b, x, weights, window.pop(0), groups)
    *lead, width, channels = b.tensor(x).shape
    _, stride, padding, dilation = pairs([NOTHING, *window][-2:])
    height = 1 if len(lead) == 1 else lead.pop()
    plane = as_plane(b, x, (math.prod(lead), height, width, channels))
    w = b.numbers(weights)
    assert w is not None
    o, per_group = w.shape[:2]
    flat = (o, per_group, *([NOTHING, *window][-2 + i].kernel for i in range(2)))

    def last(data: Array) -> Array:
        return data.reshape(flat).transpose(0, 2, 3, 1)

    def depthwise(data: Array) -> Array:
        return data.reshape(flat).transpose(1, 2, 3, 0)

    if groups == channels and per_group == 1 and groups > 1:
        filters = rearranged(b, weights, depthwise, o, 3)
        y = b.add(DepthwiseConv2d(stride, padding, dilation), [plane, filters, bias])
    else:
        filters = rearranged(b, weights, last, o, 0)
        y = b.add(Conv2d(stride, padding, dilation, groups), [plane, filters, bias])
    return as_stored(b, y, (*lead, *b.tensor(y).shape[3 - len(window) : 3], o))


def _depth_as_channels(b: Builder, x: Value, weights: Value, depth: Axis, groups: int) -> tuple[Value, Value]:
    """Three axes as two: the planes that a window reaches, one behind the other in the channels."""
    if groups != 1:
        raise UserError(f"layer '{b.where}': a convolution of three axes in {groups} groups is not supported")
    if any(depth.pad):
        x = b.add(Pad(((0, 0), depth.pad, (0, 0), (0, 0), (0, 0))), [x], x.order)
    n, d, *rest = b.tensor(x).shape
    count = (d - depth.span) // depth.stride + 1
    if count < 1:
        raise UserError(f"layer '{b.where}': a window over {depth.span} planes of an input of {d}")
    parts = []
    for tap in range(depth.kernel):
        op = Slice((0, tap * depth.dilation, 0, 0, 0), (n, count, *rest), (1, depth.stride, 1, 1, 1))
        parts.append(b.add(op, [x], x.order))
    joined = b.add(Concat(4), parts, x.order) if len(parts) > 1 else parts[0]
    o = b.shape(weights)[0]

    def flat(data: Array) -> Array:  # [O, I, depth, h, w] -> [O, depth I, h, w]
        return data.transpose(0, 2, 1, 3, 4).reshape(o, -1, *data.shape[3:])

    return joined, rearranged(b, weights, flat, o, 0)


def transposed(
    b: Builder, x: Value, weights: Value, bias: Value, window: list[Axis], crops: list[Pair], groups: int
) -> Value:
    """The transposed convolution of a channels-last value; weights are [I, O / groups, *window].

    `crops` is what is cut off the whole result before and after each axis.
    """
    w = b.numbers(weights)
    assert w is not None
    if groups < 1 or w.shape[0] % groups:
        raise UserError(f"layer '{b.where}': weights {w.shape} do not fit {groups} groups")
    o = w.shape[1] * groups

    def ours(data: Array) -> Array:  # [O, *window, I / groups]
        split = data.reshape(groups, -1, *data.shape[1:])
        return np.moveaxis(split, 1, -1).reshape(o, *data.shape[2:], -1)

    filters = rearranged(b, weights, ours, o, 0) if groups == 1 else b.constant(ours(w))
    if len(window) == 3:
        return _in_three_axes(b, x, filters, bias, window, crops, groups)
    shape = b.tensor(x).shape
    plane = as_plane(b, x, (shape[0], *((1,) if len(window) == 1 else ()), *shape[1:]))
    two, cut = [NOTHING, *window][-2:], [(0, 0), *crops][-2:]
    filters = rearranged(b, filters, lambda d: d.reshape(o, two[0].kernel, two[1].kernel, -1), o, 0)
    _, stride, _, dilation = pairs(two)
    y = b.add(ConvTranspose2d(stride, (cut[0], cut[1]), dilation, groups), [plane, filters, bias])
    return as_stored(b, y, (shape[0], *b.tensor(y).shape[3 - len(window) : 3], o))


def _in_three_axes(
    b: Builder,
    x: Value,
    weights: Value,
    bias: Value,
    window: list[Axis],
    crops: list[Pair],
    groups: int,
) -> Value:
    """Planes first, with the results of every tap along the depth as channels; then these along the depth."""
    if groups != 1:
        raise UserError(
            f"layer '{b.where}': a transposed convolution of three axes in {groups} groups is not supported"
        )
    n, d, *_, c = b.tensor(x).shape
    o, taps, kh, kw, _ = b.shape(weights)
    w = b.numbers(weights)
    assert w is not None
    filters = b.constant(w.transpose(1, 0, 2, 3, 4).reshape(taps * o, kh, kw, c))
    _, stride, _, dilation = pairs(window[1:])
    plane = as_plane(b, x, (n * d, *b.tensor(x).shape[2:]))
    none = b.constant(np.zeros(taps * o, np.float32))
    y = b.add(ConvTranspose2d(stride, (crops[1], crops[2]), dilation), [plane, filters, none])
    _, oh, ow, _ = b.tensor(y).shape
    gather = np.eye(taps * o, dtype=np.float32).reshape(taps, o, 1, taps * o).transpose(1, 0, 2, 3)
    column = as_plane(b, y, (n, d, oh * ow, taps * o))
    depth = ConvTranspose2d((window[0].stride, 1), (crops[0], (0, 0)), (window[0].dilation, 1))
    z = b.add(depth, [column, b.constant(gather), bias])
    return as_stored(b, z, (n, b.tensor(z).shape[1], oh, ow, o))
