"""Reshape: the same elements in the same order under another shape; costs nothing on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval, channels_of
from lilliput.links import Links, behind_view
from lilliput.op import Example, Op, QuantRule, Site, register


@register
@dataclass(frozen=True)
class Reshape(Op):
    shape: Shape = ()

    name: ClassVar[str] = "reshape"
    view: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (self.shape,)

    def check(self, site: Site) -> str | None:
        if site.x.size != int(np.prod(self.shape, dtype=np.int64)):
            return f"{site.x.shape} holds {site.x.size} elements and cannot become {self.shape}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (xs[0].reshape(self._result(site, xs[0].shape)),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (ins[0].laid_out(channels_of(self.shape)),)

    def channel_links(self, site: Site) -> Links:
        return (behind_view(site.x.shape, self.shape),)

    def with_channels(self, site: Site, channels: int) -> Reshape:
        return Reshape((*self.shape[:-1], channels)) if self.shape else self

    def batchable(self, site: Site) -> bool:
        return site.x.shape[:1] == self.shape[:1] == (1,)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].reshape(self._result(site, tuple(xs[0].shape)))

    def _result(self, site: Site, given: Shape) -> Shape:
        """The shape of the result for an input that may hold a batch."""
        return self.shape if given == site.x.shape else (given[0], *self.shape[1:])

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        rest, target = int(np.prod(shape)), [1]
        for _ in range(int(rng.integers(0, 3))):
            divisors = [d for d in range(1, rest + 1) if rest % d == 0]
            target.append(int(rng.choice(divisors)))
            rest //= target[-1]
        return Example(cls((*target, rest)), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls((1, 24)), ((1, 2, 3, 4),), why="flatten")
        yield Example(cls((1, 4, 3, 2)), ((1, 24),), why="to a plane")
        yield Example(cls((6, 5)), ((1, 5, 1, 6),), why="no batch axis")
        yield Example(cls((1, 1, 1)), ((1,),), why="a single element")
