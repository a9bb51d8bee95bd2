"""Transpose: axis i of the result is axis perm[i] of the input, at most six axes that truly move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval, channels_of
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Op, QuantRule, Site, register
from lilliput.ops.shape import common


def _walk(site: Site) -> common.Walk:
    assert isinstance(site.op, Transpose)
    strides = common.dense_strides(site.x.shape)
    return common.Walk(site.y.shape, tuple(strides[p] for p in site.op.perm))


@register
@dataclass(frozen=True)
class Transpose(Op):
    perm: tuple[int, ...] = ()

    name: ClassVar[str] = "transpose"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = common.moving_kernels(_walk)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (tuple(ins[0].shape[p] for p in self.perm),)

    def check(self, site: Site) -> str | None:
        if sorted(self.perm) != list(range(len(site.x.shape))):
            return f"{self.perm} is not a permutation of the {len(site.x.shape)} axes of {site.x.shape}"
        return common.too_many_axes(_walk(site))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (xs[0].transpose(self.perm),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (ins[0] if self._keeps_channels() else ins[0].whole(channels_of(site.y.shape)),)

    def channel_links(self, site: Site) -> Links | None:
        return (one_to_one(site.x.shape[-1]),) if self._keeps_channels() else None

    def _keeps_channels(self) -> bool:
        return self.perm[-1:] == (len(self.perm) - 1,)

    def as_permutation(self) -> tuple[int, ...] | None:
        return self.perm

    def batchable(self, site: Site) -> bool:
        return self.perm[0] == 0

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].permute(self.perm)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls((0, *(int(p) + 1 for p in rng.permutation(len(shape) - 1)))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, perm: tuple[int, ...], why: str) -> Example:
            return Example(cls(perm), (x,), why=why)

        yield case((1, 5, 7), (0, 2, 1), "matrix with odd sides")
        yield case((1, 4, 3, 5), (0, 3, 1, 2), "channels last to first")
        yield case((1, 4, 3, 5), (0, 2, 1, 3), "short rows stay whole")
        yield case((1, 3, 2, 16), (0, 2, 1, 3), "long rows stay whole")
        yield case((1, 3, 2, 5), (3, 2, 1, 0), "everything reversed")
        yield case((1, 2, 3, 4, 5), (0, 4, 2, 1, 3), "five axes")
        yield case((2, 3, 2, 3, 2, 3), (5, 3, 1, 4, 2, 0), "six axes, none stays")
        yield case((3, 5), (1, 0), "no batch axis")
        yield case((1, 6, 1, 1), (0, 2, 3, 1), "only axes of size one move: one run")
        yield case((1, 1), (1, 0), "a single element")
