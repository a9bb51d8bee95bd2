"""2-D convolution: weights [out, kh, kw, in / groups], any stride, dilation, padding and groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Shape
from lilliput.links import Mixing
from lilliput.op import Example, Rows, Site, register
from lilliput.ops.conv import common, reach
from lilliput.ops.conv.choice import CONVOLUTIONS
from lilliput.ops.conv.examples_int16 import int16_layer
from lilliput.ops.conv.window import WindowedConv
from lilliput.ops.extreme import near_overflow


@register
@dataclass(frozen=True)
class Conv2d(WindowedConv):
    groups: int = 1
    clamp: Clamp = None

    name: ClassVar[str] = "conv2d"
    weights: ClassVar = {1: 0}
    kernels = CONVOLUTIONS

    def misfit(self, site: Site) -> str | None:
        c, (o, _, _, per_group) = site.x.shape[3], site.ins[1].shape
        if c != per_group * self.groups or o % self.groups:
            return (
                f"{c} input channels, {o} filters of {per_group} channels and {self.groups} groups do not fit"
            )
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, w, b = xs
        o, kh, kw, gi = w.shape
        zero = site.x.q.z if site.integer else 0
        # float64 holds every int8 sum of products exactly and runs on BLAS.
        work = np.float64 if site.integer else np.float32
        patches = common.windows(np.subtract(x, zero, dtype=work), self, (kh, kw), 0.0)
        filters = w.reshape(self.groups, o // self.groups, -1).astype(work)
        n, oh, ow = patches.shape[:3]
        parts = []
        for g in range(self.groups):
            columns = patches[..., g * gi : (g + 1) * gi].reshape(n * oh * ow, -1)
            parts.append(columns @ filters[g].T)
        acc = np.concatenate(parts, axis=1).reshape(n, oh, ow, o)
        return (common.finish(site, acc, b, self.clamp),)

    def mixing(self, site: Site) -> Mixing | None:
        return reach.mixing(site)

    def macs(self, site: Site) -> int:
        return site.y.size * int(np.prod(site.ins[1].shape[1:]))

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.conv import learn

        return learn.conv2d(self, *xs)

    def pointwise(self, site: Site) -> bool:
        """Every pixel is computed from the one at its place."""
        kernel = site.ins[1].shape[1:3]
        return (*kernel, self.stride, self.padding) == (1, 1, (1, 1), ((0, 0), (0, 0)))

    def geometry(self, site: Site) -> common.Geometry:
        if self.pointwise(site):
            return common.one_long_row(site)
        return super().geometry(site)

    def rows(self, site: Site) -> Rows:
        if self.pointwise(site):
            return Rows(1, site.x.nbytes, 1, site.y.nbytes)
        return super().rows(site)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        window = common.random_window(rng, shape)
        if window is None:
            return None
        kernel, attributes = window
        channels = shape[3]
        groups = int(rng.choice([g for g in (1, 2, 3) if channels % g == 0]))
        o = groups * int(rng.integers(1, 10 // groups + 1))
        w = rng.normal(0, 1, (o, *kernel, channels // groups)).astype(np.float32)
        b = rng.normal(0, 0.5, o).astype(np.float32)
        return Example(cls(**attributes, groups=groups, clamp=common.random_clamp(rng)), (shape, w, b))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(0)

        def case(x: Shape, w: Shape, why: str, **attributes: Any) -> Example:
            weights = rng.normal(0, 0.4, w).astype(np.float32)
            return Example(
                cls(**attributes), (x, weights, rng.normal(0, 0.3, w[0]).astype(np.float32)), why=why
            )

        same = ((1, 1), (1, 1))
        yield case((1, 5, 5, 3), (4, 3, 3, 3), "four channels, odd plane", padding=same)
        yield case(
            (1, 6, 7, 2), (5, 3, 3, 2), "stride and uneven padding", stride=(2, 2), padding=((0, 1), (0, 1))
        )
        yield case((1, 4, 5, 8), (6, 1, 1, 8), "pointwise, two channels left over")
        yield case((1, 5, 5, 8), (9, 1, 1, 8), "strided pointwise", stride=(2, 2))
        yield case(
            (1, 9, 4, 1), (7, 5, 2, 1), "tall window, one channel", padding=((4, 0), (0, 1)), stride=(2, 1)
        )
        yield case((1, 7, 8, 4), (8, 3, 3, 2), "two groups", groups=2, padding=same)
        yield case((1, 9, 9, 3), (3, 3, 3, 3), "dilation", dilation=(2, 3), padding=((2, 2), (3, 3)))
        yield case(
            (1, 3, 3, 5), (2, 3, 3, 5), "padding wider than the window's reach", padding=((2, 2), (2, 2))
        )
        yield case((1, 1, 1, 17), (4, 1, 1, 17), "a single pixel", clamp=(0.0, 6.0))
        yield case((1, 4, 4, 3), (3, 2, 2, 3), "even window", clamp=(0.0, float("inf")))
        above = ((1, 0), (0, 0))
        yield case(
            (1, 1, 5, 3), (4, 1, 1, 3), "one row that lies in the padding", stride=(2, 1), padding=above
        )
        yield case((3, 4, 5, 2), (5, 3, 2, 2), "three samples", padding=same, stride=(1, 2))
        yield case((1, 4, 5, 3), (5, 3, 5, 3), "a window as wide as the input")
        yield case((1, 3, 3, 4), (6, 3, 3, 4), "one pixel, padded", stride=(3, 3), padding=same)
        yield near_overflow(cls(padding=same), (1, 4, 4, 2), rng.integers(-127, 128, (9, 3, 3, 2)))
        dead = (rng.normal(0, 0.3, (4, 3, 3, 4)).astype(np.float32), np.array([-90, 0.1, -90, 0], np.float32))
        yield Example(
            cls(padding=same, clamp=(0.0, 6.0)), ((1, 5, 5, 4), *dead), why="channels that never act"
        )
        deep = np.resize([127, -127, -128, 126], (5, 3, 3, 17))
        yield near_overflow(cls(padding=same), (1, 5, 7, 17), deep)
        for bias in ("int32", "int64"):
            yield int16_layer(cls(padding=same), (1, 4, 4, 2), rng.integers(-127, 128, (9, 3, 3, 2)), bias)
        yield int16_layer(
            cls(padding=same), (1, 3, 5, 2), rng.integers(-127, 128, (6, 3, 3, 2)), "int32", 1 << 24
        )
