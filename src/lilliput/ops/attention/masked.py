"""Softmax of the part of each row that a constant mask shows: attention that looks back only, for instance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.softmax.softmax import OUTPUT

HERE = Path(__file__).parent


def _is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant and site.ins[1].constant


def _params(site: Site) -> Params:
    mask, *lead, n = site.ins[1].data, *site.x.shape
    assert mask is not None
    mask = mask.reshape((1,) * (len(lead) + 1 - mask.ndim) + mask.shape)
    own = [axis for axis in range(len(lead)) if mask.shape[axis] != 1]
    first, last = (own[0], own[-1] + 1) if own else (0, 0)
    # Outside of these axes it is the same for all: it comes again and again, and each of its rows serves several.
    spread = np.broadcast_to(mask.reshape(*mask.shape[first:last], n), (*lead[first:last], n))
    return {
        "mask": np.ascontiguousarray(spread).astype(np.uint8),
        "rows": site.x.size // n,
        "n": n,
        "period": math.prod(lead[first:last]),
        "each": math.prod(lead[last:]),
    }


@register
@dataclass(frozen=True)
class MaskedSoftmax(Op):
    """(x, mask): the mask is bool and is broadcast to x; what it does not show counts for nothing and becomes 0.

    An int8 model computes it in float32: a score that stands for minus infinity has no place among 256 steps.
    """

    name: ClassVar[str] = "masked_softmax"
    operands: ClassVar[int | None] = 2
    out_quant: ClassVar[Quant | QuantRule] = OUTPUT
    kernels = (
        Kernel(HERE / "masked_softmax_f32.c", _is_f32, _params, in_place=lambda site: (0,), reads=(0,)),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        mask, shape = site.ins[1], site.x.shape
        fits = len(mask.shape) <= len(shape) and np.broadcast_shapes(mask.shape, shape) == shape
        if mask.dtype != "bool" or not mask.constant or not fits or mask.shape[-1:] != shape[-1:]:
            return (
                f"the mask is {mask.dtype}{mask.shape}, expected a bool constant that is broadcast to {shape}"
            )
        return None

    def batchable(self, site: Site) -> bool:
        mask = site.ins[1].shape
        return len(mask) < len(site.x.shape) or mask[0] == 1

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, mask = xs
        most = np.where(mask, x, -np.inf).max(-1, keepdims=True)
        shown = np.where(mask, np.exp(np.where(mask, x - most, 0), dtype=np.float32), np.float32(0))
        total = shown.sum(-1, keepdims=True)
        return ((shown / np.where(total == 0, np.float32(1), total)).astype(np.float32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        x, mask = xs
        mask = mask.bool()
        shares = x.masked_fill(~mask, -1e30).softmax(-1)
        return shares * mask

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        mask = rng.random(shape[-2:] if len(shape) > 2 else shape[-1:]) < 0.7
        return Example(cls(), (shape, mask), integer=False)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(7)
        yield Example(cls(), ((1, 2, 5, 5), np.tril(np.ones((5, 5), bool))), why="looks back", integer=False)
        many = rng.random((1, 3, 4, 6)) < 0.5
        many[0, 1, 2] = False
        yield Example(cls(), ((2, 3, 4, 6), many), why="a mask per head, a row of nothing", integer=False)
        wide = np.array([[True, False, True]])
        yield Example(cls(), ((1, 4, 3), wide), why="one for all rows", integer=False)
        yield Example(cls(), ((1, 2), np.array([True, True])), why="everything", integer=False)
        steps = np.tril(np.ones((3, 3), bool))[None, :, None]
        yield Example(cls(), ((1, 3, 4, 3), steps), why="heads between the steps", integer=False)
