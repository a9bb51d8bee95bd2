"""Depthwise 2-D convolution: weights [1, kh, kw, out]; channel c of the output reads input channel c // m."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Shape
from lilliput.links import Link, Links
from lilliput.op import Example, Kernel, Params, Rows, Site, register
from lilliput.ops.conv import common, kernels, kernels_int4, kernels_int16
from lilliput.ops.conv.choice import DEPTHWISE_S8
from lilliput.ops.conv.common import Pair
from lilliput.ops.conv.examples_int16 import int16_layer
from lilliput.ops.conv.window import WindowedConv
from lilliput.ops.extreme import near_overflow

LARGEST_WINDOW = 25
"""Of dw_s8_4x1.c and dw_s4_4x1.c, whose list of taps has that length."""


def _op(site: Site) -> DepthwiseConv2d:
    assert isinstance(site.op, DepthwiseConv2d)
    return site.op


def _rows(site: Site) -> Rows:
    return _op(site).rows(site)


def _shape_params(site: Site) -> Params:
    op = _op(site)
    return {
        "w": site.ins[1].data,
        "bias": site.ins[2].data,
        **asdict(op.geometry(site)),
        "per_input": site.y.shape[3] // site.x.shape[3],
    }


def _dw_s8(site: Site) -> Params:
    return {**_shape_params(site), **kernels.quantized_params(site, site.y.shape[3])}


def _channel_rows(site: Site) -> tuple[Array, Array]:
    """Weights as [channel, taps], and the bias."""
    weights, bias = site.ins[1].data, site.ins[2].data
    assert weights is not None
    assert bias is not None
    return weights.reshape(-1, len(bias)).T, bias


def _fours(site: Site) -> bool:
    """One output per input channel, a whole block of four, and a window of at most LARGEST_WINDOW taps."""
    if site.y.shape[3] != site.x.shape[3] or site.y.shape[3] < 4:
        return False
    if site.ins[1].shape[1] * site.ins[1].shape[2] > LARGEST_WINDOW:
        return False
    return kernels.channels_of(site, *_channel_rows(site)).shift_right()


def _when_s8_4x1(site: Site) -> bool:
    return kernels.is_s8(site) and _fours(site)


def _when_s4_4x1(site: Site) -> bool:
    return kernels_int4.is_s4(site) and _fours(site)


def _dw_s4(site: Site) -> Params:
    return {**_dw_s8(site), "w": kernels_int4.packed(np.asarray(site.ins[1].data))}


def _dw_s4_4x1(site: Site) -> Params:
    params = _dw_s8_4x1(site)
    return {**params, "w": kernels_int4.packed(params["w"])}


def _dw_s8_4x1(site: Site) -> Params:
    channels = kernels.channels_of(site, *_channel_rows(site))
    count = len(channels.bias)
    starts = np.minimum(np.arange(0, count, 4), count - 4)  # the last block overlaps rather than being short
    order = (starts[:, None] + np.arange(4)).reshape(-1)
    return {
        **asdict(_op(site).geometry(site)),
        "pad_pixel": np.full(count, site.x.q.z, np.int8),
        **kernels.right_params(channels, order),
    }


def _dw_f32(site: Site) -> Params:
    return {**_shape_params(site), **common.clip_f32(_op(site).clamp)}


@register
@dataclass(frozen=True)
class DepthwiseConv2d(WindowedConv):
    clamp: Clamp = None

    name: ClassVar[str] = "depthwise_conv2d"
    weights: ClassVar = {1: 3}
    wide_biases: ClassVar[tuple[str, ...]] = ("int64",)
    kernels = (
        *DEPTHWISE_S8,
        Kernel(common.HERE / "dw_s8_4x1.c", _when_s8_4x1, _dw_s8_4x1, _rows),
        Kernel(common.HERE / "dw_s8.c", kernels.is_s8, _dw_s8, _rows),
        Kernel(common.HERE / "dw_s4_4x1.c", _when_s4_4x1, _dw_s4_4x1, _rows),
        Kernel(common.HERE / "dw_s4.c", kernels_int4.is_s4, _dw_s4, _rows),
        *kernels_int16.DW_S16,
        Kernel(common.HERE / "dw_f32.c", kernels.is_f32, _dw_f32, _rows),
    )

    def misfit(self, site: Site) -> str | None:
        one, _, _, o = site.ins[1].shape
        if one != 1 or o % site.x.shape[3]:
            return f"weights {site.ins[1].shape} do not fit {site.x.shape[3]} input channels"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, w, b = xs
        _, kh, kw, o = w.shape
        zero = site.x.q.z if site.integer else 0
        work = {"int16": np.int64, "float32": np.float32}.get(site.y.dtype, np.int32)
        patches = common.windows(x.astype(work) - work(zero), self, (kh, kw), 0)
        per_input = o // x.shape[3]
        acc = np.zeros((*patches.shape[:3], o), work)
        for ky in range(kh):
            for kx in range(kw):
                acc += np.repeat(patches[:, :, :, ky, kx], per_input, axis=3) * w[0, ky, kx].astype(work)
        return (common.finish(site, acc, b, self.clamp),)

    def channel_links(self, site: Site) -> Links:
        result = np.arange(site.y.shape[3])
        return (Link(result // (site.y.shape[3] // site.x.shape[3]), result), None, None)

    def macs(self, site: Site) -> int:
        return site.y.size * site.ins[1].shape[1] * site.ins[1].shape[2]

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.conv import learn

        return learn.depthwise(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        window = common.random_window(rng, shape)
        if window is None:
            return None
        kernel, attributes = window
        o = shape[3] * int(rng.choice([1, 1, 1, 2, 3]))
        w = rng.normal(0, 1, (1, *kernel, o)).astype(np.float32)
        b = rng.normal(0, 0.5, o).astype(np.float32)
        return Example(cls(**attributes, clamp=common.random_clamp(rng)), (shape, w, b))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(2)

        def case(x: Shape, kernel: Pair, why: str, multiplier: int = 1, **attributes: Any) -> Example:
            o = x[3] * multiplier
            weights = rng.normal(0, 0.4, (1, *kernel, o)).astype(np.float32)
            return Example(cls(**attributes), (x, weights, rng.normal(0, 0.3, o).astype(np.float32)), why=why)

        same = ((1, 1), (1, 1))
        yield case((1, 5, 6, 8), (3, 3), "the usual", padding=same, clamp=(0.0, 6.0))
        yield case((1, 7, 7, 5), (3, 3), "stride, odd channels", padding=((0, 1), (1, 0)), stride=(2, 2))
        below = ((0, 1), (0, 1))
        yield case((1, 7, 7, 5), (3, 3), "ReLU", padding=below, stride=(2, 2), clamp=(0.0, float("inf")))
        yield case((1, 6, 4, 3), (2, 5), "multiplier", 3, padding=((1, 0), (2, 2)))
        yield case((1, 8, 9, 4), (3, 2), "dilation", dilation=(2, 3), padding=((2, 2), (1, 2)))
        yield case((1, 25, 5, 2), (25, 5), "window as large as the plane")
        yield case((1, 4, 4, 1), (1, 1), "one tap, one channel")
        yield case((2, 4, 5, 4), (3, 3), "two samples", padding=same)
        yield near_overflow(cls(padding=same), (1, 4, 4, 8), rng.integers(-127, 128, (1, 3, 3, 8)))
        yield int16_layer(cls(padding=same), (1, 4, 4, 8), rng.integers(-127, 128, (1, 3, 3, 8)), "int64")
