"""Maximum and minimum of two operands with broadcasting; all three tensors share one quantization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.fixed import Clamp
from lilliput.graph import Array, Shape
from lilliput.interval import Interval
from lilliput.op import Example, Kernel, Site, register
from lilliput.ops.binary.common import Binary, is_plain
from lilliput.ops.binary.zip import INTEGERS, typed_examples, zip_integers
from lilliput.ops.extremum import kernels


@dataclass(frozen=True)
class Extremum(Binary):
    """sign * max(sign * a, sign * b). In float32 a NaN in either operand gives NaN."""

    sign: ClassVar[int]
    plain: ClassVar[tuple[str, ...]] = INTEGERS
    quantized: ClassVar[tuple[str, ...]] = ("int8", "int16")
    same_quant_inputs: ClassVar[bool] = True
    kernels: ClassVar[tuple[Kernel, ...]] = (kernels.TABLE, *kernels.EXTREMUM)

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        for t in site.ins if site.integer and not is_plain(site) else ():
            if t.quant is None or not t.quant.same(site.y.quant):
                return (
                    f"'{t.name}' is quantized as {t.quant}, the result as {site.y.quant}: they must be equal"
                )
        return None

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        """With one quantization the larger integer is the larger number: nothing is rounded."""
        return self.real(a, b).astype(np.int64) - site.y.q.z

    def quantized_bounds(self, site: Site, a: Interval, b: Interval, limits: tuple[int, int]) -> Interval:
        return Interval(self.real(a.lo, b.lo), self.real(a.hi, b.hi)).clipped(limits)

    def real(self, a: Array, b: Array) -> Array:
        larger: Array = np.maximum(a, b) if self.sign > 0 else np.minimum(a, b)
        return larger

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.extremum import learn

        return learn.extremum(self.sign, self.clamp, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(5)

        def constant(shape: Shape) -> Array:
            return np.asarray(rng.normal(0, 1, shape), np.float32)

        def case(a: Shape | Array, b: Shape | Array, why: str, clamp: Clamp = None) -> Example:
            return Example(cls(clamp), (a, b), seed=len(why), why=why)

        yield case((1, 5, 3, 7), (1, 5, 3, 7), "same shape, odd size")
        yield case((1, 1), (1, 1), "one element")
        yield case((1, 4, 4, 8), (1, 4, 4, 8), "same shape, clamped", (0.0, float("inf")))
        yield case((1, 5, 3, 7), constant(()), "one number")
        yield case(np.array([0.25], np.float32), (1, 9), "one number first", (-1.0, 1.0))
        yield case((1, 9), np.array([1000.0], np.float32), "one number beyond every other")
        yield case((1, 5, 3, 7), constant((7,)), "a number per channel")
        yield case(constant((1, 3, 7)), (1, 3, 7), "a constant of the same size, first")
        yield case((1, 4, 6, 3), (1, 4, 6, 1), "per pixel")
        yield case((1, 4, 1, 5), (1, 1, 6, 1), "both operands repeated", (0.0, 6.0))
        yield case((2, 1, 3, 1), (1, 4, 1, 5), "four loops")
        yield from typed_examples(cls())


@register
@dataclass(frozen=True)
class Maximum(Extremum):
    """The larger of a and b; TFLM's MAXIMUM."""

    name: ClassVar[str] = "maximum"
    sign: ClassVar[int] = 1
    kernels = (*Extremum.kernels, *zip_integers("max_integers"))


@register
@dataclass(frozen=True)
class Minimum(Extremum):
    """The smaller of a and b; TFLM's MINIMUM."""

    name: ClassVar[str] = "minimum"
    sign: ClassVar[int] = -1
    kernels = (*Extremum.kernels, *zip_integers("min_integers"))
