"""Slice: `size[i]` elements of axis i, from `begin[i]` on in steps of `strides[i]`, which may be negative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval
from lilliput.op import Example, Op, QuantRule, Site, register
from lilliput.ops.shape import common


def _walk(site: Site) -> common.Walk:
    op = site.op
    assert isinstance(op, Slice)
    dense = common.dense_strides(site.x.shape)
    start = sum(b * s for b, s in zip(op.begin, dense, strict=True))
    return common.Walk(op.size, tuple(d * s for d, s in zip(dense, op.strides, strict=True)), start)


@register
@dataclass(frozen=True)
class Slice(Op):
    """Indices are absolute: importers resolve masks, negative indices and open ends."""

    begin: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    name: ClassVar[str] = "slice"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = common.moving_kernels(_walk)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (self.size,)

    def check(self, site: Site) -> str | None:
        shape = site.x.shape
        if {len(self.begin), len(self.size), len(self.strides)} != {len(shape)}:
            return f"begin {self.begin}, size {self.size} and strides {self.strides} do not fit {shape}"
        for axis, (dim, first, count, step) in enumerate(
            zip(shape, self.begin, self.size, self.strides, strict=True)
        ):
            last = first + (count - 1) * step
            if count < 1 or step == 0:
                return f"axis {axis}: {count} elements in steps of {step}; the result would be empty"
            if not (0 <= first < dim and 0 <= last < dim):
                return f"axis {axis}: elements {first} to {last} are asked for, the input has {dim}"
        return common.too_many_axes(_walk(site))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x = xs[0]
        for axis, indices in enumerate(self._indices(site)):
            if indices is not None:
                x = x.take(indices, axis)
        return (x,)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        (taken,) = self._indices(site)[-1:] or [None]
        return (ins[0] if taken is None else ins[0].take(taken),)

    def batchable(self, site: Site) -> bool:
        return self._indices(site)[0] is None

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.shape import learn

        return learn.take(self._indices(site), xs[0])

    def whole(self, shape: Shape) -> bool:
        """Whether nothing is left out or turned around."""
        return self.size == shape and all(s == 1 or n == 1 for s, n in zip(self.strides, shape, strict=True))

    def _indices(self, site: Site) -> list[Array | None]:
        """Per axis which indices are taken, None for all of them as they are."""
        taken: list[Array | None] = []
        for dim, first, count, step in zip(site.x.shape, self.begin, self.size, self.strides, strict=True):
            everything = count == dim and (step == 1 or dim == 1)
            taken.append(None if everything else first + step * np.arange(count))
        return taken

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        chosen = [(0, 1, 1)]
        for dim in shape[1:]:
            step = int(rng.choice([1, 1, 2, -1]))
            first = int(rng.integers(0, (dim + 1) // 2))
            count = -(-(dim - first) // abs(step))
            chosen.append(
                (first if step > 0 else dim - 1 - first, max(1, count - int(rng.integers(0, 2))), step)
            )
        begin, size, strides = zip(*chosen, strict=True)
        return Example(cls(begin, size, strides), (shape,)) if size != shape else None

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, begin: Shape, size: Shape, why: str, strides: tuple[int, ...] = ()) -> Example:
            return Example(cls(begin, size, strides or (1,) * len(x)), (x,), why=why)

        yield case((1, 9), (0, 2), (1, 5), "part of a vector")
        yield case((1, 9), (0, 8), (1, 9), "reversed", (1, -1))
        yield case((1, 5, 7, 3), (0, 1, 2, 0), (1, 3, 4, 3), "window of a plane")
        yield case((1, 5, 7, 16), (0, 1, 2, 0), (1, 3, 4, 16), "window in long runs")
        yield case((1, 6, 5, 4), (0, 2, 0, 0), (1, 3, 5, 4), "outer axis: one run")
        yield case((1, 6, 5, 4), (0, 5, 4, 3), (1, 3, 2, 2), "negative strides everywhere", (1, -2, -3, -2))
        yield case((1, 7, 7, 2), (0, 0, 1, 1), (1, 4, 3, 1), "every second element", (1, 2, 2, 1))
        yield case((1, 4, 4, 5), (0, 0, 0, 2), (1, 4, 4, 1), "one channel")
        yield case((4, 3, 5), (2, 0, 0), (1, 3, 5), "part of the first axis")
        yield case((3, 2, 3, 2, 3), (2, 0, 2, 0, 0), (2, 1, 3, 2, 2), "five axes", (-2, 1, -1, 1, 2))
        yield case((1, 3), (0, 1), (1, 1), "a single element")
