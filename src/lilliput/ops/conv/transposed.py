"""Transposed 2-D convolution: every input pixel adds a window, weighted, to the result; TFLM's TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Shape, Tensor
from lilliput.interval import Interval
from lilliput.links import Mixing
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.conv import common, kernels, reach
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.extreme import near_overflow


def _op(site: Site) -> ConvTranspose2d:
    assert isinstance(site.op, ConvTranspose2d)
    return site.op


def _shape(site: Site) -> Params:
    op = _op(site)
    n, ih, iw, ic = site.x.shape
    _, oh, ow, oc = site.y.shape
    weights, bias = kernels.constants(site)
    return {
        "w": weights,
        "bias": bias,
        "n": n,
        "ih": ih,
        "iw": iw,
        "ic": ic,
        "oh": oh,
        "ow": ow,
        "oc": oc,
        "kh": site.ins[1].shape[1],
        "kw": site.ins[1].shape[2],
        "groups": op.groups,
        "stride_h": op.stride[0],
        "stride_w": op.stride[1],
        "dilation_h": op.dilation[0],
        "dilation_w": op.dilation[1],
        "top": op.crop[0][0],
        "left": op.crop[1][0],
    }


def _s8(site: Site) -> Params:
    return {**_shape(site), **kernels.quantized_params(site, site.y.shape[3])}


def _f32(site: Site) -> Params:
    return {**_shape(site), **common.clip_f32(_op(site).clamp)}


@register
@dataclass(frozen=True)
class ConvTranspose2d(Op):
    """Weights [out, kh, kw, in / groups]; `crop` cuts rows and columns off the result, at the end -n adds n.

    Pixel iy reaches row iy * stride + ky * dilation - crop[0][0] of the result.
    """

    stride: Pair = (1, 1)
    crop: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    clamp: Clamp = None

    name: ClassVar[str] = "conv_transpose2d"
    operands: ClassVar[int | None] = 3
    fuses_clamp: ClassVar[bool] = True
    folds_affine: ClassVar[bool] = True
    whole_windows: ClassVar[bool] = False
    weights: ClassVar = {1: 0}
    bias: ClassVar[int | None] = 2
    kernels = (
        Kernel(common.HERE / "transpose_s8.c", kernels.is_s8, _s8),
        Kernel(common.HERE / "transpose_f32.c", kernels.is_f32, _f32),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, *plane, _ = ins[0].shape
        o, *window, _ = ins[1].shape
        sizes = zip(plane, self.stride, self.dilation, window, self.crop, strict=True)
        return ((n, *((d - 1) * s + r * (k - 1) + 1 - sum(cut) for d, s, r, k, cut in sizes), o),)

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) != 4:
            return f"the input has shape {site.x.shape}, expected (batch, height, width, channels)"
        c, (o, _, _, per_group) = site.x.shape[3], site.ins[1].shape
        if c != per_group * self.groups or o % self.groups:
            return (
                f"{c} input channels, {o} filters of {per_group} channels and {self.groups} groups do not fit"
            )
        if self.crop[0][0] < 0 or self.crop[1][0] < 0:
            return f"crop {self.crop} adds rows or columns before the first, expected counts of at least 0"
        return None if site.ins[2].shape == (o,) else f"bias has shape {site.ins[2].shape}, expected ({o},)"

    def scale(self, site: Site) -> Array:
        return common.effective_scale(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, w, b = xs
        (n, _, _, _), (o, kh, kw, gi) = x.shape, w.shape
        work = np.float64 if site.integer else np.float32  # float64 holds every int8 sum exactly
        real = np.subtract(x, site.x.q.z if site.integer else 0, dtype=work)
        _, oh, ow, _ = site.y.shape
        (top, bottom), (left, right) = self.crop
        acc = np.zeros((n, oh + top + max(bottom, 0), ow + left + max(right, 0), o), work)
        go = o // self.groups
        for ky in range(kh):
            for kx in range(kw):
                rows = slice(ky * self.dilation[0], None, self.stride[0])
                columns = slice(kx * self.dilation[1], None, self.stride[1])
                for g in range(self.groups):
                    part = real[..., g * gi : (g + 1) * gi] @ w[g * go : (g + 1) * go, ky, kx].T.astype(work)
                    to = acc[:, rows, columns, g * go : (g + 1) * go]
                    to[:, : x.shape[1], : x.shape[2]] += part[:, : to.shape[1], : to.shape[2]]
        acc = acc[:, top : top + oh, left : left + ow]
        return (common.finish(site, acc, b, self.clamp),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (reach.results(site, self.accumulator_bounds(site, ins[0])),)

    def accumulator_bounds(self, site: Site, x: Interval) -> Interval | None:
        return reach.scattered(site, x)

    def mixing(self, site: Site) -> Mixing | None:
        return reach.mixing_scattered(site)

    def macs(self, site: Site) -> int:
        return site.x.size * site.ins[1].size // site.ins[1].shape[3] // self.groups

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.conv import learn

        return learn.conv_transpose(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        drawn = common.random_window(rng, shape)
        if drawn is None:
            return None
        kernel, attributes = drawn
        groups = int(rng.choice([g for g in (1, 2, 3) if shape[3] % g == 0]))
        o = groups * int(rng.integers(1, 10 // groups + 1))
        w = rng.normal(0, 1, (o, *kernel, shape[3] // groups)).astype(np.float32)
        b = rng.normal(0, 0.5, o).astype(np.float32)
        plain = cls(attributes["stride"], dilation=attributes["dilation"], groups=groups)
        (whole,) = plain.infer([Tensor("x", shape), Tensor("w", w.shape)])
        crop = tuple(
            (int(rng.integers(0, (d + 2) // 3)), int(rng.integers(-1, (d + 2) // 3))) for d in whole[1:3]
        )
        op = cls(plain.stride, (crop[0], crop[1]), plain.dilation, groups, common.random_clamp(rng))
        return Example(op, (shape, w, b))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(4)

        def case(x: Shape, w: Shape, why: str, **attributes: Any) -> Example:
            weights = rng.normal(0, 0.4, w).astype(np.float32)
            return Example(
                cls(**attributes), (x, weights, rng.normal(0, 0.3, w[0]).astype(np.float32)), why=why
            )

        yield case((1, 4, 5, 3), (2, 3, 3, 3), "windows that overlap", stride=(2, 2))
        yield case((1, 4, 5, 3), (4, 3, 3, 3), "cropped on all sides", stride=(2, 1), crop=((1, 0), (2, 1)))
        yield case((1, 3, 3, 4), (6, 2, 2, 2), "groups, holes between windows", stride=(3, 3), groups=2)
        yield case((1, 3, 2, 2), (3, 2, 3, 2), "dilation", dilation=(2, 3), clamp=(0.0, 6.0))
        yield case(
            (2, 2, 3, 1), (2, 2, 2, 1), "two samples, rows added", stride=(2, 2), crop=((0, -1), (0, -2))
        )
        yield case((1, 1, 1, 1), (1, 1, 1, 1), "a single pixel", clamp=(0.0, float("inf")))
        yield case((1, 1, 6, 3), (3, 1, 4, 1), "depthwise, one row", stride=(1, 2), groups=3)
        yield near_overflow(cls(), (1, 4, 4, 2), rng.integers(-127, 128, (9, 3, 3, 2)))
