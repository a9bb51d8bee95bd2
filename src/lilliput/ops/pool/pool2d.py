"""Maximum and mean of every window, padding skipped; TFLM's MAX_POOL_2D and AVERAGE_POOL_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import FLOAT_MAX, Clamp
from lilliput.graph import INT_RANGE, Array, Graph, Node, Quant, Shape, Tensor
from lilliput.interval import Interval
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Limits, Op, QuantRule, Site, register
from lilliput.ops.conv import common
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.pool import kernels
from lilliput.ops.pool.covered import covered_pixels

MAX_PIXELS = 65535
"""The int16 sum of as many stays inside int32."""


def quants_differ(x: Tensor, y: Tensor) -> str | None:
    """Why the integers of x cannot be those of y; TFLM's own tolerance on the scales."""
    near = abs(float(x.q.s) - float(y.q.s)) <= 1e-6
    if near and x.q.z == y.q.z:
        return None
    return (
        f"the result's quantization (scale {float(y.q.s):g}, zero point {y.q.z}) differs from the input's "
        f"(scale {float(x.q.s):g}, zero point {x.q.z}); pooling keeps the integers and needs them equal"
    )


@dataclass(frozen=True)
class Pool2d(Op):
    """What both have in common. A window may hang over the border; only its part inside counts."""

    window: Pair
    stride: Pair
    padding: Padding = ((0, 0), (0, 0))
    clamp: Clamp = None

    dilation: ClassVar[Pair] = (1, 1)
    fuses_clamp: ClassVar[bool] = True
    out_quant: ClassVar[Quant | QuantRule] = "like input"

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, h, w, c = ins[0].shape
        oh = common.out_size(h, self.window[0], self.stride[0], self.dilation[0], self.padding[0])
        ow = common.out_size(w, self.window[1], self.stride[1], self.dilation[1], self.padding[1])
        return ((n, oh, ow, c),)

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) != 4:
            return f"the input has shape {site.x.shape}, expected (batch, height, width, channels)"
        if (self.counts(site.x.shape) == 0).any():
            return f"a window of {self.window} with padding {self.padding} lies entirely in the padding"
        if site.integer and int(self.counts(site.x.shape).max()) > MAX_PIXELS:
            return f"a window of {self.window} covers more than {MAX_PIXELS} pixels"
        return quants_differ(site.x, site.y) if site.integer and site.y.quant is not None else None

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        """No window lies in the padding alone: its maximum and its rounded mean are between values of the input."""
        return (ins[0].clipped(kernels.bounds(site)),) if site.integer else super().bounds(site, ins)

    def channel_links(self, site: Site) -> Links:
        return (one_to_one(site.x.shape[3]),)

    def counts(self, shape: Shape) -> Array:
        """How many pixels of an NHWC input each window covers: [OH, OW]."""
        return covered_pixels(self, self.window, shape)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        drawn = common.random_window(rng, shape)
        if drawn is None:
            return None
        window, attributes = drawn
        known = {f.name: attributes[f.name] for f in fields(cls) if f.name in attributes}
        op = cls(window, **known, clamp=common.random_clamp(rng))
        return Example(op, (shape,)) if (op.counts(shape) > 0).all() else None


def _examples(cls: type[Pool2d], clamped: tuple[float, float]) -> Iterator[Example]:
    def case(x: Shape, window: Pair, stride: Pair, why: str, **attributes: Any) -> Example:
        return Example(cls(window, stride, **attributes), (x,), why=why)

    yield case((1, 4, 6, 8), (2, 2), (2, 2), "the usual")
    yield case((1, 7, 9, 3), (3, 3), (2, 2), "overlap, uneven padding", padding=((0, 1), (1, 0)))
    yield case((1, 5, 6, 4), (4, 5), (1, 1), "larger than half the plane", padding=((1, 2), (2, 2)))
    yield case((1, 11, 10, 2), (2, 3), (5, 4), "stride greater than the window")
    yield case((1, 25, 5, 3), (25, 5), (25, 5), "the whole plane", clamp=clamped)
    yield case((1, 3, 3, 5), (3, 3), (1, 1), "a border all around", padding=((1, 1), (1, 1)), clamp=clamped)
    yield case((1, 1, 1, 1), (1, 1), (1, 1), "a single pixel of one channel")
    yield case((1, 2, 2, 1), (4, 4), (1, 1), "window over everything and more", padding=((2, 2), (2, 2)))
    yield case((1, 1, 9, 1), (1, 4), (1, 3), "one row", padding=((0, 0), (1, 2)))


@register
@dataclass(frozen=True)
class MaxPool2d(Pool2d):
    dilation: Pair = (1, 1)  # type: ignore[misc]  # an attribute here, a constant in the base

    name: ClassVar[str] = "max_pool2d"
    plain_integers: ClassVar[bool] = True
    kernels = (
        kernels.MAX_S8_MVE,
        kernels.MAX_S8_DSP,
        kernels.MAX_S8,
        kernels.MAX_S16,
        kernels.MAX_U8,
        kernels.MAX_F32,
    )

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if site.integer:
            lo, hi = kernels.bounds(site)
            best = common.windows(x, self, self.window, INT_RANGE[site.y.dtype][0]).max((3, 4))
            return (np.clip(best, lo, hi).astype(x.dtype),)
        lowest = np.float32(-FLOAT_MAX)
        # fmax: NaN loses against any number, as in the C.
        best = np.fmax.reduce(
            common.windows(x, self, self.window, float(lowest)), axis=(3, 4), initial=lowest
        )
        return (np.clip(best, *common.float_bounds(self.clamp)).astype(np.float32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.pool import learn

        return learn.max_pool2d(self, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        yield from _examples(cls, (-0.5, 1.0))
        dilated = cls((2, 3), (1, 2), ((1, 0), (1, 1)), dilation=(3, 2))
        yield Example(dilated, ((1, 7, 8, 3),), why="dilation")
        yield Example(cls((2, 2), (2, 1), ((1, 0), (0, 1))), ((3, 5, 4, 2),), why="three samples")
        for dtype in ("uint8", "int8"):
            x, y = Tensor("x", (1, 4, 5, 3), dtype), Tensor("y", (1, 3, 4, 3), dtype)
            node = Node(cls((2, 2), (2, 1), ((1, 1), (0, 0))), ("x",), ("y",), "integers for themselves")
            yield Graph(("x",), ("y",), (node,), {"x": x, "y": y})


@register
@dataclass(frozen=True)
class AvgPool2d(Pool2d):
    """The sum of a window's integers divided by their number, halves away from zero."""

    name: ClassVar[str] = "avg_pool2d"
    kernels = (
        kernels.AVG_S8_MVE,
        kernels.AVG_S8_DSP,
        kernels.AVG_S8_MUL,
        kernels.AVG_S8,
        kernels.AVG_S16,
        kernels.AVG_F32,
    )

    def operand_limits(self, limits: Limits, ranges: Sequence[Limits]) -> tuple[Limits, ...] | None:
        """A value that counts for nothing by itself still pulls the average down."""
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        n = self.counts(x.shape)[..., None]
        work = np.int64 if site.integer else np.float32
        total = common.windows(x.astype(work), self, self.window, 0).sum((3, 4))
        if not site.integer:
            mean = total / n.astype(np.float32)
            return (np.clip(mean, *common.float_bounds(self.clamp)).astype(np.float32),)
        rounded = np.sign(total) * ((np.abs(total) + n // 2) // n)
        return (np.clip(rounded, *common.bounds(site, self.clamp)).astype(x.dtype),)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.pool import learn

        return learn.avg_pool2d(self, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from _examples(cls, (-0.1, 0.1))
        yield Example(cls((2, 3), (2, 1)), ((2, 4, 5, 3),), why="two samples")
        yield Example(cls((20, 19), (1, 1)), ((1, 21, 19, 2),), why="more pixels than the reciprocal serves")
        yield Example(cls((19, 19), (1, 1)), ((1, 19, 20, 1),), why="as many pixels as the reciprocal serves")
