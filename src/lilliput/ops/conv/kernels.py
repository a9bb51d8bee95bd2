"""The C kernels of convolution and linear layers: when each may be used and how its constants are packed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Protocol, cast

import numpy as np

from lilliput.graph import Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common


class ConvLike(Protocol):
    """What an operator offers to be computed by the convolution kernels."""

    clamp: common.Clamp
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


def _folded_bias(site: Site) -> Array:
    """Bias with the input's zero point folded in: sum((x - z) w) + b = sum(x w) + (b - z sum(w))."""
    weights, bias = constants(site)
    return bias.astype(np.int64) - site.x.q.z * weights.astype(np.int64).sum(1)


def _when_4x2(site: Site) -> bool:
    if not is_s8(site) or _op(site).groups != 1:
        return False
    weights, bias = constants(site)
    folded = np.abs(_folded_bias(site)) < 2**31
    scale = np.broadcast_to(_op(site).scale(site), len(weights))
    return bool(folded.all()) and common.right_shifts_only(bias, weights, scale, site.x.q.z, site.y.q.z)


def _gathers(g: common.Geometry) -> bool:
    """Whether a window must be gathered: more than one pixel of one row, or a border."""
    beyond = (g.ow - 1) * g.stride + (g.kw - 1) * g.dilation - g.pad >= g.iw
    return g.kh > 1 or g.kw > 1 or g.pad > 0 or beyond


def _conv_s8_4x2(site: Site) -> Params:
    op = _op(site)
    weights, _ = constants(site)
    g = op.geometry(site)
    quantized = dict(quantized_params(site, g.oc))
    return {
        "w": common.pack_4(weights),
        "bias": _folded_bias(site).astype(np.int32),
        **asdict(g),
        "gather": int(_gathers(g)),
        **quantized,
        "shift": (-quantized["shift"]).astype(np.uint8),
    }


def _scratch_4x2(site: Site) -> int:
    """Two gathered windows."""
    g = _op(site).geometry(site)
    return 2 * g.kh * g.kw * g.ic if _gathers(g) else 0


CONV_S8 = Kernel(common.HERE / "conv_s8.c", is_s8, _conv_s8, _rows)
CONV_S8_4X2 = Kernel(common.HERE / "conv_s8_4x2.c", _when_4x2, _conv_s8_4x2, _rows, scratch=_scratch_4x2)
CONV_F32 = Kernel(common.HERE / "conv_f32.c", is_f32, _conv_f32, _rows)
