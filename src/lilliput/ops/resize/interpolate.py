"""Interpolate: one axis resampled with constant weights: linear, cubic, antialiased; planes take two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.resize.positions import Axis

HERE = Path(__file__).parent


def _params(site: Site) -> Params:
    op, (x, indices, weights) = site.op, site.ins
    assert isinstance(op, Interpolate)
    assert indices.data is not None
    assert weights.data is not None
    return {
        "indices": indices.data,
        "weights": weights.data,
        "outer": int(np.prod(x.shape[: op.axis], dtype=np.int64)),
        "n": x.shape[op.axis],
        "m": indices.shape[0],
        "inner": int(np.prod(x.shape[op.axis + 1 :], dtype=np.int64)),
        "taps": indices.shape[1],
    }


def _when(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


@register
@dataclass(frozen=True)
class Interpolate(Op):
    """y[o, i, c] = sum over t of weights[i, t] * x[o, indices[i, t], c]; both tables are constant."""

    axis: int

    name: ClassVar[str] = "interpolate"
    operands: ClassVar[int | None] = 3
    float_constants: ClassVar[tuple[int, ...]] = (2,)
    kernels = (Kernel(HERE / "interpolate_f32.c", _when, _params, reads=(0,)),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        x = ins[0].shape
        return ((*x[: self.axis], ins[1].shape[0], *x[self.axis + 1 :]),)

    def check(self, site: Site) -> str | None:
        x, indices, weights = site.ins
        if not 0 <= self.axis < len(x.shape):
            return f"axis {self.axis} is not one of {len(x.shape)} dimensions"
        if indices.data is None or weights.data is None or len(indices.shape) != 2:
            return "indices and weights must be constants of two axes"
        if indices.shape != weights.shape or indices.dtype != "int32":
            return f"indices {indices.dtype}{indices.shape} and weights {weights.shape} differ"
        if indices.data.min() < 0 or indices.data.max() >= x.shape[self.axis]:
            return f"an index is outside axis {self.axis} of {x.shape}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, indices, weights = xs
        along = [1] * x.ndim
        along[self.axis] = len(indices)
        y = np.zeros((*x.shape[: self.axis], len(indices), *x.shape[self.axis + 1 :]), np.float32)
        for chosen, w in zip(indices.T, weights.T, strict=True):
            y = y + w.reshape(along) * x.take(chosen, self.axis)
        return (y,)

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def macs(self, site: Site) -> int:
        return site.y.size * site.ins[1].shape[1]

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, indices, weights = xs
        along = [1] * x.dim()
        along[self.axis] = len(indices)
        parts = [
            torch.index_select(x, self.axis, i.to(torch.int64)) * w.reshape(along)
            for i, w in zip(indices.T, weights.T, strict=True)
        ]
        return torch.stack(parts).sum(0)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3:
            return None
        axis, count = int(rng.integers(1, len(shape) - 1)), int(rng.integers(1, 9))
        resized = Axis(shape[axis], count, count / shape[axis])
        taps = resized.taps(str(rng.choice(["linear", "cubic"])), antialias=bool(rng.integers(2)))
        return Example(cls(axis), (shape, taps.indices, taps.weights))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(axis: int, x: Shape, count: int, kind: str, why: str, antialias: bool = False) -> Example:
            taps = Axis(x[axis], count, count / x[axis]).taps(kind, antialias=antialias)
            return Example(cls(axis), (x, taps.indices, taps.weights), why=why)

        yield case(1, (1, 5, 3), 9, "linear", "larger")
        yield case(2, (1, 3, 8, 2), 3, "cubic", "smaller, cubic")
        yield case(2, (1, 2, 9), 4, "linear", "smaller, antialiased, single elements", True)
        yield case(1, (1, 1, 3), 4, "cubic", "from one element")
        yield case(0, (4, 3), 2, "cubic", "the first axis, antialiased", True)
