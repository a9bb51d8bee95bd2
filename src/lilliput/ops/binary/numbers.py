"""Quotients, remainders, powers and other functions of two numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Site, register
from lilliput.ops.binary import kernels, tflm
from lilliput.ops.binary.common import Pairwise, is_plain
from lilliput.ops.binary.zip import INTEGERS, zip_integers, zip_kernel
from lilliput.ops.unary.functions import real_values, rounded, without_gradient


@dataclass(frozen=True)
class Numbers(Pairwise):
    """A function of two numbers of one type: real ones, or integers that stand for themselves and wrap.

    In int8 with one number constant: the real value in float64, the function in float64, rounded once.
    """

    plain_integers: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("float32", *INTEGERS)
    spans: ClassVar[dict[int, tuple[float, float]]] = {}
    """Between which values the examples draw their operands."""
    two_int8: ClassVar[bool] = False
    """Whether both operands may be quantized int8 of any shape."""

    def check(self, site: Site) -> str | None:
        types = {t.dtype for t in (*site.ins, site.y)}
        if is_plain(site):
            if len(types) > 1 or not types <= set(self.types):
                found = ", ".join(t.dtype for t in site.ins)
                return f"operands of {found} give {site.y.dtype}; all must be of one type of {', '.join(self.types)}"
            return super().check(site)
        return self.refuse_quantized(site) or super().check(site)

    def refuse_quantized(self, site: Site) -> str | None:
        """Why these quantized operands are not accepted, or None."""
        number = any(t.constant and t.size == 1 for t in site.ins)
        quantized = all(t.dtype == "int8" and t.quant is not None for t in (*site.ins, site.y))
        if quantized and (number or self.two_int8):
            return None
        found = ", ".join(t.dtype for t in site.ins)
        expected = "int8" if self.two_int8 else "int8 with a constant of one number"
        return f"quantized operands of {found}; defined is only {expected}"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # infinity and NaN are results, not accidents
            if not site.integer:
                return (np.asarray(self.real(*xs), np.float32),)
            if is_plain(site):
                return (self.whole(*(x.astype(np.int64) for x in xs)).astype(site.y.dtype),)
            return (self.integers(site, *xs),)

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        """Quantized int8, exactly."""
        x, y = (real_values(t, v) for t, v in zip(site.ins, (a, b), strict=True))
        return rounded(site, np.asarray(self.real(x, y)))

    def real(self, a: Array, b: Array) -> Array:
        raise NotImplementedError

    def whole(self, a: Array, b: Array) -> Array:
        """In int64, of integers that stand for themselves."""
        raise NotImplementedError

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        """A constant as the second operand, of one number or one per channel; random graphs feed any first one."""
        if 0 in cls.spans:
            return None
        second = rng.uniform(*cls.spans.get(1, (-3.0, 3.0)), () if rng.random() < 0.5 else shape[-1:])
        return Example(cls(), (shape, np.asarray(second, np.float32)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(17)
        lo, hi = cls.spans.get(1, (-3.0, 3.0))

        def constant(shape: Shape) -> Array:
            return np.asarray(rng.uniform(lo, hi, shape), np.float32)

        for shapes, why in SHAPES:
            yield Example(cls(), shapes, why=why, limits=cls.spans, integer=cls.two_int8)
        one = {i: span for i, span in cls.spans.items() if i == 0}
        yield Example(cls(), ((1, 5, 3, 7), constant(())), why="one number", limits=one)
        yield Example(cls(), ((1, 300), constant((1,))), why="more than the table has", limits=one)
        yield Example(cls(), ((1, 6, 5), constant((5,))), why="per channel", limits=one, integer=cls.two_int8)
        for dtype in cls.types[1:]:
            ins = (Tensor("a", (2, 3, 11), dtype), Tensor("b", (3, 1), dtype))
            yield Example(cls(), ins, why=f"plain {dtype}", integer=False)
            yield Example(
                cls(), ins, why=f"small {dtype}", integer=False, limits={i: small(dtype) for i in (0, 1)}
            )


SHAPES: tuple[tuple[tuple[Shape, Shape], str], ...] = (
    (((1, 5, 3, 7), (1, 5, 3, 7)), "same shape, odd size"),
    (((1, 1), (1, 1)), "one element"),
    (((1, 4, 1, 5), (1, 1, 6, 1)), "both operands repeated"),
)


def small(dtype: str) -> tuple[float, float]:
    """Numbers of both signs among which zero and one are frequent."""
    return (0.0, 5.0) if dtype == "uint8" else (-4.0, 4.0)


def _kernels(function: str, header: str, integers: tuple[str, ...] = INTEGERS) -> tuple[Kernel, ...]:
    whole = zip_integers(f"{function}_integers") if integers else ()
    return kernels.TABLE, zip_kernel(f"{function}_floats", header, "float32"), *whole


def whole_quotient(a: Array, b: Array) -> Array:
    """a / b towards zero; by zero zero, the least integer by -1 itself."""
    safe = np.where((b == 0) | (b == -1), 1, b)
    floor = a // safe
    towards_zero = floor + ((a % safe != 0) & ((a < 0) != (safe < 0)))
    return np.asarray(np.where(b == 0, 0, np.where(b == -1, -a, towards_zero)))


def whole_remainder(a: Array, b: Array) -> Array:
    """a - b (a / b), with the sign of a."""
    safe = np.where((b == 0) | (b == -1), 1, b)
    return np.asarray(np.fmod(a, safe))


@register
@dataclass(frozen=True)
class Div(Numbers):
    """a / b. Integers: towards zero, by zero zero."""

    name: ClassVar[str] = "div"
    spans: ClassVar[dict[int, tuple[float, float]]] = {1: (0.3, 5.0)}
    kernels = _kernels("div", "floats")

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray(a / b)

    def whole(self, a: Array, b: Array) -> Array:
        return whole_quotient(a, b)

    def torch(self, site: Site, *xs: Any) -> Any:
        if xs[0].is_floating_point():
            return xs[0] / xs[1]
        return without_gradient(self, site, *xs)


@register
@dataclass(frozen=True)
class FloorDiv(Numbers):
    """The quotient rounded towards minus infinity; integers by zero give zero."""

    name: ClassVar[str] = "floor_div"
    spans: ClassVar[dict[int, tuple[float, float]]] = {1: (0.3, 5.0)}
    kernels = _kernels("floor_div", "rounding_f32")

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray(np.floor(a / b))

    def whole(self, a: Array, b: Array) -> Array:
        rest = whole_remainder(a, b)
        return np.asarray(whole_quotient(a, b) - ((rest != 0) & ((rest < 0) != (b < 0))))

    def torch(self, site: Site, *xs: Any) -> Any:
        return without_gradient(self, site, *xs)


@register
@dataclass(frozen=True)
class Mod(Numbers):
    """The remainder with the sign of b (Python's %); integers modulo zero give zero."""

    name: ClassVar[str] = "mod"
    spans: ClassVar[dict[int, tuple[float, float]]] = {1: (0.3, 5.0)}
    kernels = _kernels("mod", "rounding_f32")

    def real(self, a: Array, b: Array) -> Array:
        rest = np.fmod(a, b)
        return np.asarray(np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest))

    def whole(self, a: Array, b: Array) -> Array:
        rest = whole_remainder(a, b)
        return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)

    def torch(self, site: Site, *xs: Any) -> Any:
        return without_gradient(self, site, *xs)


@register
@dataclass(frozen=True)
class Fmod(Numbers):
    """The remainder with the sign of a (C's fmod); integers modulo zero give zero."""

    name: ClassVar[str] = "fmod"
    spans: ClassVar[dict[int, tuple[float, float]]] = {1: (0.3, 5.0)}
    kernels = _kernels("fmod", "rounding_f32")

    def real(self, a: Array, b: Array) -> Array:
        return np.fmod(a, b)

    def whole(self, a: Array, b: Array) -> Array:
        return whole_remainder(a, b)

    def torch(self, site: Site, *xs: Any) -> Any:
        return without_gradient(self, site, *xs)


@register
@dataclass(frozen=True)
class Pow(Numbers):
    """a^b. Integers wrap; negative exponents give zero but for the bases 1 and -1."""

    name: ClassVar[str] = "pow"
    spans: ClassVar[dict[int, tuple[float, float]]] = {0: (0.2, 4.0), 1: (-2.0, 3.0)}
    kernels = _kernels("pow", "logarithm_f32")

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray(np.power(a, b))

    def whole(self, a: Array, b: Array) -> Array:
        a, b = np.broadcast_arrays(a, b)
        base, result, left = a.astype(np.uint64), np.ones(a.shape, np.uint64), np.maximum(b, 0)
        while (left > 0).any():
            result = np.where(left & 1, result * base, result)
            base, left = base * base, left >> 1
        inverse = np.where(a == 1, 1, np.where(a == -1, 1 - 2 * (b & 1), 0))
        return np.where(b < 0, inverse, result.astype(np.int64))

    def torch(self, site: Site, *xs: Any) -> Any:
        if xs[0].is_floating_point():
            return xs[0] ** xs[1]
        return without_gradient(self, site, *xs)


@register
@dataclass(frozen=True)
class SquaredDifference(Numbers):
    """(a - b)^2; TFLM's SQUARED_DIFFERENCE."""

    name: ClassVar[str] = "squared_difference"
    two_int8: ClassVar[bool] = True
    kernels = (*_kernels("squared_difference", "floats"), tflm.SQUARED_DIFFERENCE_S8)

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        return tflm.squared_difference(site, a, b)

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray((a - b) * (a - b))

    def whole(self, a: Array, b: Array) -> Array:
        return np.asarray((a - b) * (a - b))

    def torch(self, site: Site, *xs: Any) -> Any:
        return (xs[0] - xs[1]) ** 2


@register
@dataclass(frozen=True)
class Prelu(Numbers):
    """x where it is positive, slope x elsewhere, with computed or learned slopes; TFLM's PRELU."""

    name: ClassVar[str] = "prelu"
    types: ClassVar[tuple[str, ...]] = ("float32",)
    two_int8: ClassVar[bool] = True
    kernels = (*_kernels("prelu", "floats", ()), tflm.PRELU_S8)

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        return tflm.prelu(site, a, b)

    def real(self, a: Array, b: Array) -> Array:
        return np.asarray(np.where(a < 0, a * b, a))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].clamp(min=0) + xs[1] * xs[0].clamp(max=0)
