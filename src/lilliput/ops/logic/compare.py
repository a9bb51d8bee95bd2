"""Comparisons of two operands of one type, with a truth value as the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Params, Site, register
from lilliput.ops.binary import common
from lilliput.ops.binary.common import Pairwise, is_plain
from lilliput.ops.binary.zip import INTEGERS, typed_examples, zip_integers_to, zip_kernel
from lilliput.ops.unary.functions import without_gradient

LEFT = 8
"""TFLM scales both operands up by 2^8 and by their scales before it compares them."""


@dataclass(frozen=True)
class Comparison(Pairwise):
    """Truth of a relation. Quantized int8 is compared as TFLM does: (x - z) 2^8 s of both, rounded to integers."""

    plain_integers: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("float32", *INTEGERS, "bool")

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "bool"

    def check(self, site: Site) -> str | None:
        found = [t.dtype for t in site.ins]
        if len(set(found)) > 1 or found[0] not in self.types or site.y.dtype != "bool":
            return (
                f"{' and '.join(found)} give {site.y.dtype}; expected one type of {', '.join(self.types)} "
                "for both, and bool"
            )
        if not is_plain(site) and (found[0] != "int8" or any(t.quant is None for t in site.ins)):
            return f"operands of {' and '.join(found)}, some quantized; defined is only int8 where both are"
        return super().check(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if not is_plain(site):
            xs = tuple(
                fixed.scale_by((x.astype(np.int64) - t.q.z) << LEFT, *multiplier(t))
                for t, x in zip(site.ins, xs, strict=True)
            )
        return (np.asarray(self.holds(*xs)),)

    def holds(self, a: Array, b: Array) -> Array:
        raise NotImplementedError

    def torch(self, site: Site, *xs: Any) -> Any:
        return without_gradient(self, site, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls(), (shape, shape))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(23)
        yield Example(cls(), ((1, 5, 3, 7), (1, 5, 3, 7)), why="same shape, odd size")
        yield Example(cls(), ((1, 1), (1, 1)), why="one element")
        yield Example(cls(), ((1, 4, 1, 5), (1, 1, 6, 1)), why="both operands repeated")
        yield Example(cls(), ((1, 30), np.array([0.5], np.float32)), why="one number")
        first = np.asarray(rng.normal(0, 1, (7,)), np.float32)
        yield Example(cls(), (first, (1, 4, 7)), why="constant first")
        yield from typed_examples(cls(), cls.types[1:])
        for dtype in INTEGERS:
            ins = tuple(Tensor(n, (1, 40), dtype) for n in "ab")
            limits = dict.fromkeys((0, 1), (0.0, 3.0))
            yield Example(cls(), ins, why=f"equal {dtype} are frequent", integer=False, limits=limits)


def multiplier(t: Tensor) -> tuple[int, int]:
    return fixed.multiplier(float(t.q.s))


def _quantized(function: str) -> Kernel:
    def when(site: Site) -> bool:
        computed = not all(t.constant for t in site.ins)
        return computed and not is_plain(site) and {t.dtype for t in site.ins} == {"int8"}

    def params(site: Site) -> Params:
        (a, b), ((ma, sa), (mb, sb)) = site.ins, (multiplier(t) for t in site.ins)
        return {
            "walk": common.walk(site),
            "a_zp": a.q.z,
            "b_zp": b.q.z,
            "a_mult": ma,
            "a_shift": sa,
            "b_mult": mb,
            "b_shift": sb,
        }

    source = Path(__file__).parent / "compare_s8.c"
    return Kernel(source, when, params, reads=(0, 1), tokens={"F": f"{function}_integers"})


def _kernels(function: str) -> tuple[Kernel, ...]:
    return (
        zip_kernel(f"{function}_floats", "floats", "float32", "bool"),
        _quantized(function),
        *zip_integers_to(f"{function}_integers", "bool", (*INTEGERS, "bool")),
    )


@register
@dataclass(frozen=True)
class Equal(Comparison):
    """a = b; NaN equals nothing."""

    name: ClassVar[str] = "equal"
    kernels = _kernels("equal")

    def holds(self, a: Array, b: Array) -> Array:
        return np.asarray(a == b)


@register
@dataclass(frozen=True)
class NotEqual(Comparison):
    """a != b."""

    name: ClassVar[str] = "not_equal"
    kernels = _kernels("not_equal")

    def holds(self, a: Array, b: Array) -> Array:
        return np.asarray(a != b)


@register
@dataclass(frozen=True)
class Less(Comparison):
    """a < b."""

    name: ClassVar[str] = "less"
    kernels = _kernels("less")

    def holds(self, a: Array, b: Array) -> Array:
        return np.asarray(a < b)


@register
@dataclass(frozen=True)
class LessEqual(Comparison):
    """a <= b."""

    name: ClassVar[str] = "less_equal"
    kernels = _kernels("less_equal")

    def holds(self, a: Array, b: Array) -> Array:
        return np.asarray(a <= b)
