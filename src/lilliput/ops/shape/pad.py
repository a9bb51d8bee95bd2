"""Pad: constant elements before and after each axis; zero around a plane folds into the layer behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import INT_RANGE, ITEM_SIZE, Array, Shape, Tensor
from lilliput.interval import Interval, joined
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.shape import common

Pads = tuple[tuple[int, int], ...]


def _walk(site: Site) -> common.Walk:
    """Where the input's elements, in order, go in the output."""
    op = site.op
    assert isinstance(op, Pad)
    dense = common.dense_strides(site.y.shape)
    start = sum(before * s for (before, _), s in zip(op.pads, dense, strict=True))
    return common.Walk(site.x.shape, dense, start)


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, Pad)
    pattern = np.array([op.fill(site)], site.y.dtype).view(np.uint8)
    return {
        **common.in_bytes(_walk(site), ITEM_SIZE[site.y.dtype]),
        "fill": pattern,
        "item": pattern.size,
        "size": site.y.nbytes,
    }


@register
@dataclass(frozen=True)
class Pad(Op):
    """`pads[i]`: elements before and after axis i. `value` is real, quantized like the output."""

    pads: Pads = ()
    value: float = 0.0

    name: ClassVar[str] = "pad"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (Kernel(common.HERE / "pad_bytes.c", common.moves, _params),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (tuple(d + sum(pad) for d, pad in zip(ins[0].shape, self.pads, strict=False)),)

    def check(self, site: Site) -> str | None:
        if len(self.pads) != len(site.x.shape) or any(n < 0 for pad in self.pads for n in pad):
            return f"pads {self.pads} do not fit {site.x.shape}: one pair of counts >= 0 per axis is expected"
        if not math.isfinite(self.value):
            return f"the padding value {self.value} is not finite"
        return common.too_many_axes(_walk(site))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (np.pad(xs[0], self.pads, constant_values=self.fill(site)),)

    def fill(self, site: Site) -> Any:
        """The stored value of a padding element, of the output's type."""
        y = site.y
        if y.quant is not None:
            return y.quant.quantize(np.array([self.value], np.float32), y.dtype)[0]
        if y.dtype == "float32":
            return np.float32(self.value)
        return np.dtype(y.dtype).type(np.clip(round(self.value), *INT_RANGE[y.dtype]))

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        x = ins[0]
        if not site.integer:
            return super().bounds(site, ins)
        fill = int(self.fill(site))
        if any(n for pad in self.pads[:-1] for n in pad):
            x = x.including(fill, fill)
        before, after = (Interval.full(n, (fill, fill)) for n in self.pads[-1])
        return (joined([before, x, after]),)

    def channel_links(self, site: Site) -> Links | None:
        return None if any(self.pads[-1]) else (one_to_one(site.x.shape[-1]),)

    def as_padding(self, site: Site) -> Pads | None:
        return self.pads if self.value == 0.0 else None

    def batchable(self, site: Site) -> bool:
        return self.pads[0] == (0, 0)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.shape import learn

        return learn.pad(self, xs[0])

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        drawn = [(0, 0)] + [(int(a), int(b)) for a, b in rng.integers(0, 2, (len(shape) - 1, 2))]
        return Example(cls(tuple(drawn), float(rng.choice([0.0, 0.0, -0.5, 1.5]))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, pads: Pads, why: str, value: float = 0.0) -> Example:
            return Example(cls(pads, value), (x,), why=why)

        yield case((1, 5, 7, 3), ((0, 0), (1, 1), (1, 1), (0, 0)), "a plane on all sides")
        yield case((1, 4, 3, 2), ((0, 0), (0, 3), (2, 0), (0, 0)), "uneven")
        yield case((1, 3, 5, 4), ((0, 0), (0, 0), (0, 0), (1, 2)), "channels")
        yield case((1, 5, 4), ((0, 0), (2, 1), (0, 0)), "one run", -0.75)
        yield case((1, 3, 2, 5), ((0, 0), (1, 0), (0, 1), (1, 1)), "every axis, not zero", 1.25)
        yield case((2, 3), ((1, 2), (0, 1)), "first axis", 100.0)
        yield case((1, 2, 2, 3, 2), ((0, 0), (1, 1), (0, 2), (1, 0), (3, 1)), "five axes")
        yield case((1, 6), ((0, 0), (0, 0)), "nothing to add")
        yield case((1, 1), ((0, 0), (1, 0)), "a single element", -0.1)
