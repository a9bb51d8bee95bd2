"""Clamp between two real numbers: ReLU, ReLU6, hardtanh and their like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape
from lilliput.op import Example, Site, register
from lilliput.ops.table import TABLE_S8
from lilliput.ops.unary.common import Unary, finite, float_kernel
from lilliput.ops.unary.int16 import CLAMP_S16


@register
@dataclass(frozen=True)
class Clamp(Unary):
    """min(max(x, lo), hi). In int8 the result is requantized to the output's parameters, as TFLM's RELU does.

    With `raw` integers are only bounded, by the input's parameters; the output's are ignored: TFLM's RELU6.
    """

    lo: float = 0.0
    hi: float = float("inf")
    raw: bool = False

    name: ClassVar[str] = "clamp"
    integer_types: ClassVar[tuple[str, ...]] = ("int8", "int16")
    kernels = (TABLE_S8, CLAMP_S16, float_kernel("clamp_f32"))

    def check(self, site: Site) -> str | None:
        if not self.lo <= self.hi:
            return f"the bounds {self.lo} and {self.hi} are not in order"
        return super().check(site)

    def integers(self, site: Site, x: Array) -> Array:
        if self.raw:
            return np.clip(x, *self.limits(site)).astype(x.dtype)
        total = x.astype(np.int64) - site.x.q.z
        return fixed.finish(total, *self.multiplier(site), site.y.q.z, self.limits(site), site.y.dtype)

    def multiplier(self, site: Site) -> tuple[int, int]:
        """(m, shift) of input scale / output scale."""
        return fixed.multiplier(float(site.x.q.s) / float(site.y.q.s))

    def limits(self, site: Site) -> tuple[int, int]:
        """The integers between which the result lies."""
        t = site.x if self.raw else site.y
        return fixed.clamp_range((self.lo, self.hi), t.q, t.dtype)

    def real(self, x: Array) -> Array:
        return np.clip(x, np.float32(finite(self.lo)), np.float32(finite(self.hi)))

    def as_clamp(self) -> tuple[float, float] | None:
        return None if self.raw else (self.lo, self.hi)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].clamp(self.lo, self.hi)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        lo, hi = sorted(float(v) for v in rng.normal(0, 2, 2))
        bounds = ((0.0, float("inf")), (0.0, 6.0), (-1.0, 1.0), (lo, hi), (lo, float("inf")))
        return Example(cls(*bounds[int(rng.integers(len(bounds)))]), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        inf = float("inf")
        yield Example(cls(), ((1, 5, 3, 7),), why="ReLU")
        yield Example(cls(0.0, 6.0), ((1, 257),), seed=1, why="ReLU6, more elements than the table has")
        yield Example(cls(-1.0, 1.0), ((1, 3),), seed=2, why="both sides cut")
        yield Example(cls(0.25, 0.3), ((1, 17),), seed=3, why="a narrow band away from zero")
        yield Example(cls(-inf, -0.5), ((1, 9),), seed=4, why="only an upper bound, below zero")
        yield Example(cls(0.5, 0.5), ((1, 4),), seed=5, why="a constant result")
        yield Example(cls(-inf, inf), ((1, 1),), seed=6, why="no bound, one element")
        yield Example(cls(0.0, 6.0, raw=True), ((1, 33),), seed=7, why="bounded integers, not requantized")
