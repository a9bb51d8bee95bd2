"""Linear layer: y = x w^T + b over the last axis, weights [out, in]; in integers a 1x1 convolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Shape, Tensor
from lilliput.interval import Interval
from lilliput.links import Mixing
from lilliput.op import Example, Op, Rows, Site, register
from lilliput.ops.conv import common, reach
from lilliput.ops.conv.choice import CONVOLUTIONS
from lilliput.ops.conv.examples_int16 import int16_layer
from lilliput.ops.conv.linear_float import LINEAR_F32
from lilliput.ops.conv.types import types_refused
from lilliput.ops.extreme import near_overflow


@register
@dataclass(frozen=True)
class Linear(Op):
    clamp: Clamp = None

    name: ClassVar[str] = "linear"
    operands: ClassVar[int | None] = 3
    fuses_clamp: ClassVar[bool] = True
    folds_affine: ClassVar[bool] = True
    weights: ClassVar = {1: 0}
    feature_weights: ClassVar[int | None] = 1
    bias: ClassVar[int | None] = 2
    kernels = (LINEAR_F32, *CONVOLUTIONS)
    groups: ClassVar[int] = 1

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return ((*ins[0].shape[:-1], ins[1].shape[0]),)

    def check(self, site: Site) -> str | None:
        if site.ins[1].shape[1] != site.x.shape[-1]:
            return f"input has {site.x.shape[-1]} features, the weights expect {site.ins[1].shape[1]}"
        if site.ins[2].shape != (site.ins[1].shape[0],):
            return f"bias has shape {site.ins[2].shape}, expected ({site.ins[1].shape[0]},)"
        return types_refused(site, ("int32", "int64"))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, w, b = xs
        if not site.integer:
            return (common.finish(site, x @ w.T, b, self.clamp),)
        acc = (x.astype(np.float64) - site.x.q.z) @ w.T.astype(np.float64)
        return (common.finish(site, acc, b, self.clamp),)

    def macs(self, site: Site) -> int:
        return site.y.size * site.ins[1].shape[1]

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.conv import learn

        return learn.linear(self, *xs)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (reach.results(site, self.accumulator_bounds(site, ins[0])),)

    def accumulator_bounds(self, site: Site, x: Interval) -> Interval | None:
        return reach.accumulators(site, x)

    def mixing(self, site: Site) -> Mixing | None:
        return reach.mixing(site)

    def geometry(self, site: Site) -> common.Geometry:
        return common.one_long_row(site)

    def rows(self, site: Site) -> Rows:
        return Rows(1, site.x.nbytes, 1, site.y.nbytes)

    def scale(self, site: Site) -> Array:
        return common.effective_scale(site)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        o = int(rng.integers(1, 14))
        w = rng.normal(0, 1, (o, shape[-1])).astype(np.float32)
        b = rng.normal(0, 0.5, o).astype(np.float32)
        return Example(cls(common.random_clamp(rng)), (shape, w, b))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(1)

        def case(x: Shape, out: int, why: str, clamp: Clamp = None) -> Example:
            weights = rng.normal(0, 0.3, (out, x[-1])).astype(np.float32)
            return Example(cls(clamp), (x, weights, rng.normal(0, 0.3, out).astype(np.float32)), why=why)

        yield case((1, 16), 4, "one vector, a whole block of channels")
        yield case((1, 33), 10, "odd length, two channels left over", (0.0, 6.0))
        yield case((1, 5, 7), 3, "several rows, no whole block", (0.0, float("inf")))
        yield case((1, 1), 1, "scalar")
        yield near_overflow(cls(), (1, 5, 6), rng.integers(-127, 128, (8, 6)))
        for bias in ("int32", "int64"):
            yield int16_layer(cls(), (1, 5, 6), rng.integers(-127, 128, (9, 6)), bias)
        yield int16_layer(cls(), (1, 3, 6), rng.integers(-127, 128, (7, 6)), "int32", 1 << 24)
