"""Addition, subtraction and multiplication with broadcasting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape
from lilliput.interval import Interval, finished, union
from lilliput.op import Example, Kernel, Limits, Site, register
from lilliput.ops.binary import kernels, kernels_dsp, kernels_mve, plane
from lilliput.ops.binary.common import Binary, is_plain
from lilliput.ops.binary.kernels import Multiplier
from lilliput.ops.binary.zip import INTEGERS, typed_examples, zip_integers

LEFT = {"int8": 20, "int16": 15}
"""TFLM's ADD and SUB scale their operands up by 2^20 or 2^15 before they bring them to one scale."""


@dataclass(frozen=True)
class Sum(Binary):
    """a + sign * b."""

    sign: ClassVar[int] = 1
    plain: ClassVar[tuple[str, ...]] = INTEGERS
    kernels: ClassVar[tuple[Kernel, ...]] = (
        kernels.TABLE,
        kernels_mve.ADD_S8_FLAT_MVE,
        kernels_dsp.ADD_S8_DSP,
        plane.ADD_S8_PLANE,
        kernels.ADD_S8_FLAT,
        kernels.ADD_S8,
        kernels.ADD_S16,
        kernels.ADD_F32,
    )

    def least_scale(self, scales: Sequence[float]) -> float:
        """Twice the larger operand over 2^20, and a thousandth: equal operands may leave a result of almost nothing."""
        return 1.001 * 2 * max(scales) / (1 << LEFT["int8"])

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        if site.integer and not is_plain(site) and self.multipliers(site)[2][1] > 0:
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
            fixed.multiplier(twice / ((1 << LEFT[site.y.dtype]) * y)),
        )

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        ma, mb, m = self.multipliers(site)
        left = LEFT[site.y.dtype]
        wide_a = fixed.scale_by((a.astype(np.int64) - site.ins[0].q.z) << left, *ma)
        wide_b = fixed.scale_by((b.astype(np.int64) - site.ins[1].q.z) << left, *mb)
        return fixed.scale_by(wide_a + self.sign * wide_b, *m)

    def quantized_bounds(self, site: Site, a: Interval, b: Interval, limits: tuple[int, int]) -> Interval:
        """int8 sums stay far below 32 bits, and rise with a and with sign * b."""
        if site.y.dtype != "int8":
            return super().quantized_bounds(site, a, b, limits)
        b_ends = (b.lo, b.hi) if self.sign > 0 else (b.hi, b.lo)
        ends = (self.integers(site, *pair) for pair in zip((a.lo, a.hi), b_ends, strict=True))
        return Interval(*ends).plus(site.y.q.z).clipped(limits)

    def real(self, a: Array, b: Array) -> Array:
        return a + b if self.sign > 0 else a - b

    def operand_limits(self, limits: Limits, ranges: Sequence[Limits]) -> tuple[Limits, ...] | None:
        """Where the sum is beyond a limit whatever the other operand is."""
        (lo, hi), (a_lo, a_hi), (b_lo, b_hi) = limits, *ranges
        if self.sign > 0:
            return (lo - b_hi, hi - b_lo), (lo - a_hi, hi - a_lo)
        return (lo + b_lo, hi + b_hi), (a_lo - hi, a_hi - lo)

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
    """a + b; TFLM's ADD. Integers that stand for themselves wrap."""

    name: ClassVar[str] = "add"
    kernels = (*Sum.kernels, *zip_integers("add_integers"))


@register
@dataclass(frozen=True)
class Sub(Sum):
    """a - b; TFLM's SUB. Integers that stand for themselves wrap."""

    name: ClassVar[str] = "sub"
    sign: ClassVar[int] = -1
    kernels = (*Sum.kernels, *zip_integers("sub_integers"))


@register
@dataclass(frozen=True)
class Mul(Binary):
    """a * b; TFLM's MUL. Integers that stand for themselves wrap."""

    name: ClassVar[str] = "mul"
    plain: ClassVar[tuple[str, ...]] = INTEGERS
    kernels = (
        kernels.TABLE,
        kernels_mve.MUL_S8_FLAT_MVE,
        kernels_dsp.MUL_S8_DSP,
        kernels.MUL_S8_FLAT,
        kernels.MUL_S8,
        kernels.MUL_S16,
        kernels.MUL_F32,
        *zip_integers("mul_integers"),
    )

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        quantized = site.y.dtype == "int16" and not is_plain(site)
        zeros = [t.q.z for t in (*site.ins, site.y)] if quantized else []
        return f"int16 with zero points {zeros}, expected 0: TFLM refuses it as well" if any(zeros) else None

    def multiplier(self, site: Site) -> Multiplier:
        a, b, y = (float(t.q.s) for t in (*site.ins, site.y))
        return fixed.multiplier(a * b / y)

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        product = (a.astype(np.int64) - site.ins[0].q.z) * (b.astype(np.int64) - site.ins[1].q.z)
        return fixed.scale_by(product, *self.multiplier(site))

    def quantized_bounds(self, site: Site, a: Interval, b: Interval, limits: tuple[int, int]) -> Interval:
        """The least and the greatest product are those of ends."""
        (a, b) = (v.plus(-t.q.z) for v, t in zip((a, b), site.ins, strict=True))
        products = union([b.times(a.lo), b.times(a.hi)])
        return finished(products, *self.multiplier(site), site.y.q.z, limits)

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
    yield from typed_examples(cls())
