"""Broadcast: axes of one element repeated until the result has the given shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval, channels_of
from lilliput.op import Example, Op, QuantRule, Site, register
from lilliput.ops.shape import common


def _walk(site: Site) -> common.Walk:
    shape = (1,) * (len(site.y.shape) - len(site.x.shape)) + site.x.shape
    dense = common.dense_strides(shape)
    return common.Walk(site.y.shape, tuple(0 if n == 1 else s for n, s in zip(shape, dense, strict=True)))


@register
@dataclass(frozen=True)
class Broadcast(Op):
    """As numpy's broadcast_to: shapes are aligned at the last axis."""

    shape: Shape = ()

    name: ClassVar[str] = "broadcast"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = common.moving_kernels(_walk)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (self.shape,)

    def check(self, site: Site) -> str | None:
        missing = len(self.shape) - len(site.x.shape)
        if missing < 0 or any(
            n not in (1, m) for n, m in zip(site.x.shape, self.shape[missing:], strict=True)
        ):
            return f"{site.x.shape} cannot be repeated to {self.shape}"
        return common.too_many_axes(_walk(site))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (np.broadcast_to(xs[0], self._result(site, len(xs[0]) if xs[0].ndim else 1)),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (ins[0].spread(channels_of(self.shape)),)

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) == len(self.shape) and self.shape[:1] == (1,)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].expand(self._result(site, len(xs[0])))

    def _result(self, site: Site, samples: int) -> Shape:
        """The shape of the result for an input that may hold a batch."""
        return (samples, *self.shape[1:]) if self.batchable(site) else self.shape

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) > 3:
            return None
        return Example(cls((int(rng.integers(2, 4)), *shape)), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, shape: Shape, why: str) -> Example:
            return Example(cls(shape), (x,), why=why)

        yield case((1, 1, 5), (1, 7, 5), "rows repeated")
        yield case((1, 5, 1), (1, 5, 7), "every element repeated")
        yield case((1, 3, 1, 16), (1, 3, 4, 16), "long runs")
        yield case((1, 1, 4, 1, 3), (1, 2, 4, 3, 3), "two axes")
        yield case((1, 2, 1, 3, 1, 2), (4, 2, 3, 3, 2, 2), "six axes, three repeated")
        yield case((1, 1), (5, 3), "one element fills a matrix")
        yield case((3, 1), (1, 2, 3, 4), "leading axes")
        yield case((1, 7), (1, 7), "nothing to repeat")
        yield case((1, 1, 1), (1, 1, 1), "a single element")
