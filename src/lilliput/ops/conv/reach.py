"""What the sums of a convolution or linear layer can reach, given between which integers its input lies.

A window at the border meets fewer inputs. Which taps meet the input depends on the row and on the column of the
result, so sums over the taps' rectangles are bounded one by one: [patterns of rows, patterns of columns].
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lilliput import fixed, interval
from lilliput.graph import Array
from lilliput.interval import Interval
from lilliput.links import Mixing
from lilliput.op import Site
from lilliput.ops.conv import common, kernels_int16
from lilliput.ops.conv.common import Padding, Pair


def _op(site: Site) -> Any:
    """An operator of this family: a clamp, and unless it is linear stride, padding and dilation."""
    return site.op


def constant(site: Site) -> bool:
    """Integers, with weights and bias that are known."""
    return site.integer and all(t.constant for t in site.ins[1:])


def filters(site: Site) -> Array:
    """Weights as [groups, out / groups, kh, kw, in / groups], in float64: every sum below is exact in it."""
    w = np.asarray(site.ins[1].data, np.float64)
    if w.ndim == 2:
        return w[None, :, None, None, :]
    if site.op.weights[1] == 3:  # depthwise: each input channel is a group
        _, kh, kw, o = w.shape
        channels = site.x.shape[3]
        return np.reshape(w[0].transpose(2, 0, 1), (channels, o // channels, kh, kw, 1))
    groups = _op(site).groups
    return w.reshape(groups, len(w) // groups, *w.shape[1:])


@cache
def meeting(size: int, taps: int, stride: int, dilation: int, pad: Pair) -> Array:
    """Which taps along one axis lie inside the input, for the positions of the window: every pattern once."""
    first = np.arange(common.out_size(size, taps, stride, dilation, pad)) * stride - pad[0]
    places = first[:, None] + np.arange(taps) * dilation
    return np.unique((places >= 0) & (places < size), axis=0)


def patterns(site: Site) -> tuple[Array, Array]:
    """`meeting` of the rows and of the columns of the window."""
    if site.ins[1].data is not None and site.ins[1].data.ndim == 2:
        return np.ones((1, 1), bool), np.ones((1, 1), bool)
    op, kernel = _op(site), site.ins[1].shape[1:3]
    rows, columns = (
        meeting(site.x.shape[1 + i], kernel[i], op.stride[i], op.dilation[i], op.padding[i]) for i in (0, 1)
    )
    return rows, columns


def _products(site: Site, x: Interval) -> tuple[Array, Array]:
    """The least and greatest sum of products of every tap, over its input channels: [out, kh, kw]."""
    w = filters(site)
    groups, outs, kh, kw, ins = w.shape
    low, high = ((end - site.x.q.z).astype(np.float64).reshape(groups, ins, 1) for end in (x.lo, x.hi))
    up, down = (pick(w, 0).reshape(groups, -1, ins) for pick in (np.maximum, np.minimum))
    shape = (groups * outs, kh, kw)
    return (up @ low + down @ high).reshape(shape), (up @ high + down @ low).reshape(shape)


def accumulators(site: Site, x: Interval) -> Interval | None:
    """Per output channel, over all positions of the window."""
    if not constant(site):
        return None
    rows, columns = (p.astype(np.float64) for p in patterns(site))
    bias = np.asarray(site.ins[2].data, np.int64)
    lo, hi = (rows @ (ends @ columns.T) for ends in _products(site, x))  # [out, patterns, patterns]
    return Interval(bias + lo.min((1, 2)).astype(np.int64), bias + hi.max((1, 2)).astype(np.int64))


def scattered(site: Site, x: Interval) -> Interval | None:
    """The same where a result may lack any of its taps: a transposed convolution."""
    if not constant(site):
        return None
    bias = np.asarray(site.ins[2].data, np.int64)
    lo, hi = _products(site, x)
    least, most = np.minimum(lo, 0).sum((1, 2)), np.maximum(hi, 0).sum((1, 2))
    return Interval(bias + least.astype(np.int64), bias + most.astype(np.int64))


def results(site: Site, acc: Interval | None) -> Interval:
    """What becomes of accumulators: scaled, moved to the zero point, clamped."""
    if acc is None:
        return Interval.of(site.y)
    limits = common.bounds(site, _op(site).clamp)
    m, shift = common.requantization(len(acc), common.effective_scale(site))
    if site.y.dtype == "int16" and kernels_int16.wide(site):
        return interval.finished_wide(acc, fixed.reduced(m), shift, limits)
    return interval.finished(acc, m, shift, site.y.q.z, limits)


def mixing(site: Site) -> Mixing | None:
    """How output channels weigh input channels, where there is one group of them."""
    if not constant(site):
        return None
    w = filters(site)
    if len(w) != 1 or site.op.weights[1] != 0:
        return None
    rows, columns = patterns(site)
    ever = np.multiply.outer(rows.any(0), columns.any(0))
    always = np.multiply.outer(rows.all(0), columns.all(0))
    met = w[0] * ever[..., None]
    bordered = (met != 0) & ~always[..., None]
    return Mixing(met.sum((1, 2)).astype(np.int64), (met != 0).any((1, 2)), bordered.any((1, 2)))


def mixing_scattered(site: Site) -> Mixing | None:
    """The same for a transposed convolution, any tap of which may be missing."""
    if not constant(site) or _op(site).groups != 1:
        return None
    w = filters(site)[0]
    weighs = (w != 0).any((1, 2))
    return Mixing(w.sum((1, 2)).astype(np.int64), weighs, weighs)


def trimmed(site: Site) -> tuple[Padding, Array] | None:
    """Padding and weights without the outer taps that are zero in every channel or never meet the input; None if all
    have to stay."""
    if not constant(site):
        return None
    w = np.asarray(site.ins[1].data)
    rows, columns = patterns(site)
    used = (w != 0).any((0, 3)) & np.multiply.outer(rows.any(0), columns.any(0))
    (down, vertical), (across, horizontal) = (_inner(site, i, used.any(1 - i)) for i in (0, 1))
    smaller = w[:, down, across]
    return None if smaller.shape == w.shape else ((vertical, horizontal), np.ascontiguousarray(smaller))


def _inner(site: Site, i: int, used: Array) -> tuple[slice, Pair]:
    """Which taps along one axis stay, and the padding that gives as many results without the others."""
    op, size, results = _op(site), site.x.shape[1 + i], site.y.shape[1 + i]
    (before, after), dilation = op.padding[i], op.dilation[i]
    wanted = np.flatnonzero(used) if used.any() else [min(before // dilation, len(used) - 1)]
    first = min(int(wanted[0]), before // dilation)
    for last in range(int(wanted[-1]) + 1, len(used)):
        pad = (before - first * dilation, max(0, after - (len(used) - last) * dilation))
        if common.out_size(size, last - first, op.stride[i], dilation, pad) == results:
            return slice(first, last), pad
    return slice(first, len(used)), (before - first * dilation, after)
