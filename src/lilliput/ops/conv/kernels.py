"""The C kernels of convolution and linear layers: when each may be used and how its constants are packed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol, cast

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common
from lilliput.ops.conv.channels import Channels


class ConvLike(Protocol):
    """What an operator offers to be computed by the convolution kernels."""

    clamp: Clamp
    groups: int

    def geometry(self, site: Site) -> common.Geometry: ...
    def rows(self, site: Site) -> Rows: ...
    def scale(self, site: Site) -> Array: ...


def _op(site: Site) -> ConvLike:
    return cast(ConvLike, site.op)


def _constant(site: Site) -> bool:
    return all(t.constant for t in site.ins[1:])


def is_s8(site: Site) -> bool:
    return _constant(site) and site.x.dtype == site.ins[1].dtype == site.y.dtype == "int8"


def is_f32(site: Site) -> bool:
    return _constant(site) and site.x.dtype == site.ins[1].dtype == site.y.dtype == "float32"


def _rows(site: Site) -> Rows:
    return _op(site).rows(site)


def constants(site: Site) -> tuple[Array, Array]:
    """Weights as [channel, taps] and the bias."""
    weights, bias = site.ins[1].data, site.ins[2].data
    assert weights is not None
    assert bias is not None
    return weights.reshape(len(weights), -1), bias


def quantized_params(site: Site, channels: int) -> Params:
    """The requantization and clamp of an int8 result."""
    op = _op(site)
    m, shift = common.requantization(channels, op.scale(site))
    lo, hi = common.bounds(site, op.clamp)
    return {
        "mult": m,
        "shift": shift.astype(np.int8),
        "in_zp": site.x.q.z,
        "out_zp": site.y.q.z,
        "lo": lo,
        "hi": hi,
    }


def _conv_s8(site: Site) -> Params:
    op = _op(site)
    weights, bias = constants(site)
    geometry = op.geometry(site)
    return {
        "w": weights,
        "bias": bias,
        **asdict(geometry),
        "groups": op.groups,
        **quantized_params(site, geometry.oc),
    }


def _conv_f32(site: Site) -> Params:
    op = _op(site)
    weights, bias = constants(site)
    return {
        "w": weights,
        "bias": bias,
        **asdict(op.geometry(site)),
        "groups": op.groups,
        **common.clip_f32(op.clamp),
    }


def channels_of(site: Site, weights: Array, bias: Array) -> Channels:
    """The channels of a layer whose weights are [channel, taps], constant ones simplified."""
    op = _op(site)
    m, shift = common.requantization(len(bias), op.scale(site))
    lo_hi = common.bounds(site, op.clamp)
    return Channels(weights, bias, m, shift, site.x.q.z, site.y.q.z, lo_hi).simplified()


def right_params(channels: Channels, order: Array | None = None) -> Params:
    """The constants as the fast kernels read them, and what all channels share.

    `order` lists the channels as they are packed; by default each comes once.
    """
    order = np.arange(len(channels.bias)) if order is None else order
    return {
        "w": common.pack_4(channels.weights[order]),
        "q": common.pack_quantization(
            channels.folded_bias()[order], channels.m[order], -channels.shift[order]
        ),
        "two_zp_1": 2 * channels.out_zp + 1,
        "lo": channels.clamp[0],
        "hi": channels.clamp[1],
    }


def two_pixels(site: Site) -> bool:
    """Two pixels at a time need two in a row."""
    if _op(site).groups != 1 or _op(site).geometry(site).ow < 2:
        return False
    return channels_of(site, *constants(site)).shift_right()


def _when_4x2(site: Site) -> bool:
    return is_s8(site) and two_pixels(site)


def _conv_s8_4x2(site: Site) -> Params:
    return {
        **asdict(_op(site).geometry(site)),
        "in_zp": site.x.q.z,
        **right_params(channels_of(site, *constants(site))),
    }


def _two_windows(item: int) -> Callable[[Site], int]:
    """Scratch: the taps of two pixels, `item` bytes each."""
    return lambda site: 2 * item * constants(site)[0].shape[1]


def overlap_of_blocks(pixels: int) -> Callable[[Site], int | None]:
    """`Kernel.overlap` of kernels that read so many pixels of one long row before they write them.

    What is not read yet begins behind the blocks that are done, and must lie above their results.
    """

    def overlap(site: Site) -> int | None:
        g = _op(site).geometry(site)
        if (g.kh, g.kw, g.stride, g.pad) != (1, 1, 1, 0) or _rows(site).out_rows != 1:
            return None
        gain = pixels * (g.ic - g.oc)
        between = -(-g.ow // pixels) - 1
        return min((site.x.nbytes, *(gain * i for i in {1, between} if between)))

    return overlap


def one_pixel(site: Site) -> bool:
    """A row of one pixel, whose window lies inside the input's row."""
    g = _op(site).geometry(site)
    inside = g.dilation == 1 and g.pad == 0 and g.kw <= g.iw
    if _op(site).groups != 1 or not inside or g.ow != 1:
        return False
    return channels_of(site, *constants(site)).shift_right()


def _when_4x1(site: Site) -> bool:
    return is_s8(site) and one_pixel(site)


def _conv_s8_4x1(site: Site) -> Params:
    g = _op(site).geometry(site)
    return {
        "length": g.kw * g.ic,
        "oc": g.oc,
        "kh": g.kh,
        **right_params(channels_of(site, *constants(site))),
    }


CONV_S8 = Kernel(common.HERE / "conv_s8.c", is_s8, _conv_s8, _rows)
CONV_S8_4X2 = Kernel(
    common.HERE / "conv_s8_4x2.c",
    _when_4x2,
    _conv_s8_4x2,
    _rows,
    scratch=_two_windows(1),
    overlap=overlap_of_blocks(2),
)
CONV_S8_PAIRS = Kernel(
    common.HERE / "conv_s8_pairs.c",
    _when_4x2,
    _conv_s8_4x2,
    _rows,
    scratch=_two_windows(2),
    isa=frozenset({"halfword_mac"}),  # plain C; pays where 16 x 16 + 32 is one instruction
    overlap=overlap_of_blocks(2),
)
CONV_S8_4X1 = Kernel(common.HERE / "conv_s8_4x1.c", _when_4x1, _conv_s8_4x1, _rows)
CONV_F32 = Kernel(common.HERE / "conv_f32.c", is_f32, _conv_f32, _rows)
CONV_S8_ALL = (CONV_S8_PAIRS, CONV_S8_4X2, CONV_S8_4X1, CONV_S8)
"""From the fastest to the simplest."""
