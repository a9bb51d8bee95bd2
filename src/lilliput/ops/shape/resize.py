"""Nearest-neighbour resizing of a plane: row i of the result is row rows[i] of the input, columns alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.interval import Interval
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.shape import common

MAX_SIDE = 65535
"""Tables are of uint16."""


def nearest(
    count: int, size: int, scale: np.float32, *, align: bool = False, half: bool = False
) -> tuple[int, ...]:
    """The source index of each of `count` results, in float32 like TFLM and PyTorch; `scale` is in / out."""
    chosen = []
    for i in range(count):
        at = float(np.float32((np.float32(i) + np.float32(0.5 if half else 0.0)) * scale))
        index = math.floor(at + 0.5) if align else math.floor(at)
        chosen.append(max(0, min(index, size - 1)))
    return tuple(chosen)


def tflite_scale(size: int, count: int, align: bool) -> np.float32:
    """How far one step in the result goes in the input; TFLM's float32 arithmetic."""
    if align and count > 1:
        return np.float32(np.float32(size - 1) / np.float32(count - 1))
    return np.float32(np.float32(size) / np.float32(count))


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, ResizeNearest)
    item = ITEM_SIZE[site.y.dtype]
    _, _, w, c = site.x.shape
    return {
        "rows": np.array(op.rows, np.uint16),
        "columns": np.array(op.columns, np.uint16),
        "oh": len(op.rows),
        "ow": len(op.columns),
        "pitch": w * c * item,
        "pixel": c * item,
    }


@register
@dataclass(frozen=True)
class ResizeNearest(Op):
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    name: ClassVar[str] = "resize_nearest"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (Kernel(common.HERE / "resize_nearest.c", common.moves, _params),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, _, _, c = ins[0].shape
        return ((n, len(self.rows), len(self.columns), c),)

    def check(self, site: Site) -> str | None:
        n, h, w, _ = site.x.shape
        if n != 1:
            return f"one sample at a time is resized, the input has shape {site.x.shape}"
        for chosen, size in ((self.rows, h), (self.columns, w)):
            if not chosen or min(chosen) < 0 or max(chosen) >= size or max(len(chosen), size) > MAX_SIDE:
                return f"the indices {chosen[:8]} do not fit an input of shape {site.x.shape}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (xs[0].take(self.rows, 1).take(self.columns, 2),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (ins[0],)

    def channel_links(self, site: Site) -> Links:
        return (one_to_one(site.x.shape[3]),)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.shape import learn

        return learn.take([None, np.array(self.rows), np.array(self.columns)], xs[0])

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 4 or shape[0] != 1:
            return None
        tables = (
            nearest(count, size, tflite_scale(size, count, False))
            for size, count in zip(shape[1:3], (int(n) for n in rng.integers(1, 13, 2)), strict=True)
        )
        return Example(cls(*tables), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, rows: tuple[int, ...], columns: tuple[int, ...], why: str) -> Example:
            return Example(cls(rows, columns), (x,), why=why)

        yield case((1, 3, 5, 4), (0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 2, 2, 3, 3, 4, 4), "twice as large")
        yield case((1, 2, 3, 1), (0, 0, 0, 1, 1, 1), (0, 1, 2), "three times as tall, one channel")
        yield case((1, 7, 5, 3), (0, 2, 4), (0, 1, 3), "smaller")
        yield case((1, 4, 4, 17), (0, 0, 1, 3, 3), (0, 1, 1, 2, 3, 3), "uneven steps, long pixels")
        yield case((1, 1, 1, 2), (0, 0, 0), (0, 0), "one pixel becomes a plane")
        yield case((1, 1, 1, 1), (0,), (0,), "a single element")
