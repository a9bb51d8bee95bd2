"""What the kernels in assembly share: channels in whole blocks, windows of four pixels, depthwise rows by column."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

import numpy as np

from lilliput.graph import Array
from lilliput.op import Params, Rows, Site
from lilliput.ops.conv import common
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels import ConvLike, channels_of, constants, is_s8

FILLED = 0.6
"""At least this part of the pixels that are computed in fours must be wanted."""


def op_of(site: Site) -> ConvLike:
    return cast(ConvLike, site.op)


def rows_of(site: Site) -> Rows:
    return op_of(site).rows(site)


def layer_channels(site: Site) -> Channels:
    """The channels of a convolution without groups."""
    return channels_of(site, *constants(site))


def least(site: Site) -> int:
    """The least result."""
    return common.bounds(site, op_of(site).clamp)[0]


def in_blocks(count: int, size: int) -> Array:
    """The channels as they are packed: `size` to a block, the last one overlapping rather than being short."""
    starts = np.minimum(np.arange(0, count, size), count - size)
    return np.asarray((starts[:, None] + np.arange(size)).reshape(-1))


def blockable(site: Site, channels: int, pixels: int) -> bool:
    """int8 without groups, at least a block of channels, and blocks of pixels that are well filled."""
    if not is_s8(site) or op_of(site).groups != 1:
        return False
    g = op_of(site).geometry(site)
    return g.oc >= channels and g.ow >= FILLED * (-(-g.ow // pixels) * pixels)


def window(site: Site) -> Params:
    """The fields of four_pixels_t."""
    fields = {**asdict(op_of(site).geometry(site)), "in_zp": site.x.q.z}
    return {f"window.{name}": value for name, value in fields.items()}


def taps_of(site: Site) -> int:
    """The taps of a window."""
    g = op_of(site).geometry(site)
    return g.kh * g.kw * g.ic


def words(site: Site) -> int:
    """Scratch bytes of four_pixels.h: two words per tap, and a pixel where windows reach beyond the row."""
    g = op_of(site).geometry(site)
    behind = (g.ow - 1) * g.stride - g.pad + (g.kw - 1) * g.dilation + 1
    return 8 * taps_of(site) + (g.ic if g.pad > 0 or behind > g.iw else 0)


def depthwise_channels(site: Site) -> Channels:
    """The channels of a depthwise convolution."""
    weights, bias = np.asarray(site.ins[1].data), np.asarray(site.ins[2].data)
    return channels_of(site, weights.reshape(-1, len(bias)).T, bias)


def _right(g: common.Geometry) -> int:
    """Columns of padding behind the row that the last window reaches."""
    return max((g.ow - 1) * g.stride + g.kw - g.pad - g.iw, 0)


def by_column(site: Site) -> bool:
    """int8, a 3x3 window that reaches at most one column beyond its row, and one output per input channel."""
    if not is_s8(site) or site.y.shape[3] != site.x.shape[3]:
        return False
    g = op_of(site).geometry(site)
    return (g.kh, g.kw, g.dilation) == (3, 3, 1) and g.stride in (1, 2) and max(g.pad, _right(g)) <= 1


def column_params(site: Site, channels: Channels) -> Params:
    """What the kernels that go through a row column by column want to know."""
    g, count = op_of(site).geometry(site), len(channels.bias)
    small = np.concatenate([channels.weights, -channels.shift[:, None], np.zeros((count, 2))], axis=1)
    large = np.stack([channels.folded_bias(), channels.m], axis=1).astype(np.int32)
    return {
        "q": np.concatenate([large, small.astype(np.int8).view("<i4")], axis=1).astype(np.int32),
        "channels": count,
        "ow": g.ow,
        "left": g.pad,
        "right": _right(g),
        "stride": g.stride,
        "in_zp": channels.in_zp,
    }
