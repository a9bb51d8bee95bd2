"""Addition, subtraction and multiplication with broadcasting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape
from lilliput.op import Example, Site, register
from lilliput.ops.binary import kernels
from lilliput.ops.binary.common import Binary
from lilliput.ops.binary.kernels import Multiplier

LEFT = 20
"""TFLM's ADD and SUB scale their operands up by 2^20 before they bring them to one scale."""


@dataclass(frozen=True)
class Sum(Binary):
    """a + sign * b."""

    sign: ClassVar[int] = 1
    kernels = (kernels.TABLE, kernels.ADD_S8_FLAT, kernels.ADD_S8, kernels.ADD_F32)

    def least_scale(self, scales: Sequence[float]) -> float:
        """Twice the larger operand over 2^20, and a thousandth: equal operands may leave a result of almost nothing."""
        return 1.001 * 2 * max(scales) / (1 << LEFT)

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        if site.integer and self.multipliers(site)[2][1] > 0:
            found = ", ".join(f"{float(t.q.s):.4g}" for t in (*site.ins, site.y))
            return f"scales {found} (a, b, result): the result's is too small by far, TFLM refuses it as well"
        return None

    def multipliers(self, site: Site) -> tuple[Multiplier, Multiplier, Multiplier]:
        """(m, shift) of both operands and of the result, computed in double."""
        a, b, y = (float(t.q.s) for t in (*site.ins, site.y))
        twice = 2 * max(a, b)
        return (
            fixed.multiplier(a / twice),
            fixed.multiplier(b / twice),
            fixed.multiplier(twice / ((1 << LEFT) * y)),
        )

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        ma, mb, m = self.multipliers(site)
        wide_a = fixed.scale_by((a.astype(np.int64) - site.ins[0].q.z) << LEFT, *ma)
        wide_b = fixed.scale_by((b.astype(np.int64) - site.ins[1].q.z) << LEFT, *mb)
        return fixed.scale_by(wide_a + self.sign * wide_b, *m)

    def real(self, a: Array, b: Array) -> Array:
        return a + b if self.sign > 0 else a - b

    def as_affine(self, site: Site) -> tuple[Array, Array] | None:
        found = self.channel_constant(site)
        if found is None:
            return None
        i, c = found
        scale, offset = (self.sign, c) if i else (1, self.sign * c)
        return np.full_like(c, scale), offset

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from _examples(cls)


@register
@dataclass(frozen=True)
class Add(Sum):
    """a + b; TFLM's ADD."""

    name: ClassVar[str] = "add"


@register
@dataclass(frozen=True)
class Sub(Sum):
    """a - b; TFLM's SUB."""

    name: ClassVar[str] = "sub"
    sign: ClassVar[int] = -1


@register
@dataclass(frozen=True)
class Mul(Binary):
    """a * b; TFLM's MUL."""

    name: ClassVar[str] = "mul"
    kernels = (kernels.TABLE, kernels.MUL_S8_FLAT, kernels.MUL_S8, kernels.MUL_F32)

    def multiplier(self, site: Site) -> Multiplier:
        a, b, y = (float(t.q.s) for t in (*site.ins, site.y))
        return fixed.multiplier(a * b / y)

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        product = (a.astype(np.int64) - site.ins[0].q.z) * (b.astype(np.int64) - site.ins[1].q.z)
        return fixed.scale_by(product, *self.multiplier(site))

    def real(self, a: Array, b: Array) -> Array:
        return a * b

    def as_affine(self, site: Site) -> tuple[Array, Array] | None:
        found = self.channel_constant(site)
        return None if found is None else (found[1], np.zeros_like(found[1]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from _examples(cls)


def _examples(cls: type[Binary]) -> Iterator[Example]:
    rng = np.random.default_rng(11)

    def constant(shape: Shape, size: float = 1.0) -> Array:
        return np.asarray(rng.normal(0, size, shape), np.float32)

    def case(a: Shape | Array, b: Shape | Array, why: str, **attributes: Any) -> Example:
        return Example(cls(**attributes), (a, b), seed=len(why), why=why)

    yield case((1, 5, 3, 7), (1, 5, 3, 7), "same shape, odd size")
    yield case((1, 1), (1, 1), "one element")
    yield case((1, 4, 4, 8), (1, 4, 4, 8), "same shape, clamped", clamp=(0.0, float("inf")))
    yield case((1, 33), constant((1, 33), 0.001), "a scale 1000 times smaller")
    yield case(constant((1, 33), 300.0), (1, 33), "a scale 300 times larger, constant first")
    yield case((1, 5, 3, 7), constant(()), "one number", clamp=(-1.0, 1.0))
    yield case(np.array([-2.5], np.float32), (1, 9), "one number first")
    yield case((1, 5, 3, 7), constant((7,)), "a number per channel")
    yield case(constant((1, 1, 1, 7)), (1, 5, 3, 7), "a number per channel, first", clamp=(0.0, 6.0))
    yield case((1, 5, 3, 7), (1, 1, 1, 7), "per channel, computed")
    yield case((1, 4, 6, 3), (1, 4, 6, 1), "per pixel")
    yield case((1, 1, 6, 5), (1, 4, 6, 5), "one row repeated")
    yield case((1, 4, 1, 5), (1, 1, 6, 1), "both operands repeated")
    yield case((1, 3, 1, 5), (1, 1, 4, 5), "both repeated, rows against columns")
    yield case((2, 1, 3, 1), (1, 4, 1, 5), "four loops")
    yield case((1, 4, 5, 6), constant((5, 1)), "fewer dimensions, per column")
