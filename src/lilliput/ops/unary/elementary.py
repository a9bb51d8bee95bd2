"""Exponentials, logarithms, roots, roundings, signs, and the functions of angles and hyperbolas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Graph, Tensor
from lilliput.op import Example, Limits, Site, register
from lilliput.ops.unary import tflm
from lilliput.ops.unary.functions import INTEGERS, Function, kernels_of, map_kernel


@dataclass(frozen=True)
class Numpy(Function):
    """A function that numpy has under the name `like`."""

    like: ClassVar[Callable[..., Any]]

    def real(self, x: Array) -> Array:
        return np.asarray(type(self).like(x))


@register
@dataclass(frozen=True)
class Exp(Numpy):
    """e^x."""

    name: ClassVar[str] = "exp"
    like = np.exp
    span: ClassVar[tuple[float, float] | None] = (-6.0, 4.0)
    kernels = kernels_of("exp_f32", "math_f32")


@register
@dataclass(frozen=True)
class Log(Numpy):
    """The natural logarithm; minus infinity of zero, NaN below."""

    name: ClassVar[str] = "log"
    like = np.log
    span: ClassVar[tuple[float, float] | None] = (0.01, 9.0)
    kernels = kernels_of("log_of", "logarithm_f32")


@register
@dataclass(frozen=True)
class Log1p(Numpy):
    """log(1 + x), exact for small x too; minus infinity of -1, NaN below."""

    name: ClassVar[str] = "log1p"
    like = np.log1p
    span: ClassVar[tuple[float, float] | None] = (-0.9, 9.0)
    kernels = kernels_of("log1p_of", "logarithm_f32")


@register
@dataclass(frozen=True)
class Expm1(Numpy):
    """e^x - 1, exact for small x too."""

    name: ClassVar[str] = "expm1"
    like = np.expm1
    span: ClassVar[tuple[float, float] | None] = (-6.0, 4.0)
    kernels = kernels_of("expm1_of", "logarithm_f32")


@register
@dataclass(frozen=True)
class Sqrt(Numpy):
    """The square root, correctly rounded; NaN below zero."""

    name: ClassVar[str] = "sqrt"
    like = np.sqrt
    span: ClassVar[tuple[float, float] | None] = (0.01, 9.0)
    kernels = kernels_of("sqrt_of", "logarithm_f32")


@register
@dataclass(frozen=True)
class Reciprocal(Numpy):
    """1 / x."""

    name: ClassVar[str] = "reciprocal"
    like = np.reciprocal
    span: ClassVar[tuple[float, float] | None] = (0.2, 9.0)
    kernels = kernels_of("reciprocal_of", "floats")


@register
@dataclass(frozen=True)
class Sin(Numpy):
    """The sine of any finite angle in radians."""

    name: ClassVar[str] = "sin"
    like = np.sin
    kernels = kernels_of("sin_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Cos(Numpy):
    """The cosine of any finite angle in radians."""

    name: ClassVar[str] = "cos"
    like = np.cos
    kernels = kernels_of("cos_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Tan(Numpy):
    """The tangent of any finite angle in radians."""

    name: ClassVar[str] = "tan"
    like = np.tan
    span: ClassVar[tuple[float, float] | None] = (-1.4, 1.4)
    kernels = kernels_of("tan_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Asin(Numpy):
    """The angle whose sine is x; NaN beyond 1."""

    name: ClassVar[str] = "asin"
    like = np.arcsin
    span: ClassVar[tuple[float, float] | None] = (-0.99, 0.99)
    kernels = kernels_of("asin_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Acos(Numpy):
    """The angle whose cosine is x; NaN beyond 1."""

    name: ClassVar[str] = "acos"
    like = np.arccos
    span: ClassVar[tuple[float, float] | None] = (-0.99, 0.99)
    kernels = kernels_of("acos_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Atan(Numpy):
    """The angle whose tangent is x."""

    name: ClassVar[str] = "atan"
    like = np.arctan
    kernels = kernels_of("atan_of", "trigonometry_f32")


@register
@dataclass(frozen=True)
class Sinh(Numpy):
    """(e^x - e^-x) / 2."""

    name: ClassVar[str] = "sinh"
    like = np.sinh
    span: ClassVar[tuple[float, float] | None] = (-4.0, 4.0)
    kernels = kernels_of("sinh_of", "hyperbolic_f32")


@register
@dataclass(frozen=True)
class Cosh(Numpy):
    """(e^x + e^-x) / 2."""

    name: ClassVar[str] = "cosh"
    like = np.cosh
    span: ClassVar[tuple[float, float] | None] = (-4.0, 4.0)
    kernels = kernels_of("cosh_of", "hyperbolic_f32")


@register
@dataclass(frozen=True)
class Asinh(Numpy):
    """The inverse of sinh."""

    name: ClassVar[str] = "asinh"
    like = np.arcsinh
    kernels = kernels_of("asinh_of", "hyperbolic_f32")


@register
@dataclass(frozen=True)
class Acosh(Numpy):
    """The inverse of cosh; NaN below 1."""

    name: ClassVar[str] = "acosh"
    like = np.arccosh
    span: ClassVar[tuple[float, float] | None] = (1.01, 9.0)
    kernels = kernels_of("acosh_of", "hyperbolic_f32")


@register
@dataclass(frozen=True)
class Atanh(Numpy):
    """The inverse of tanh; NaN beyond 1."""

    name: ClassVar[str] = "atanh"
    like = np.arctanh
    span: ClassVar[tuple[float, float] | None] = (-0.99, 0.99)
    kernels = kernels_of("atanh_of", "hyperbolic_f32")


@register
@dataclass(frozen=True)
class Floor(Numpy):
    """The largest whole number that is not above x."""

    name: ClassVar[str] = "floor"
    like = np.floor
    kernels = kernels_of("floor_of", "rounding_f32")


@register
@dataclass(frozen=True)
class Ceil(Numpy):
    """The least whole number that is not below x."""

    name: ClassVar[str] = "ceil"
    like = np.ceil
    kernels = kernels_of("ceil_of", "rounding_f32")


@register
@dataclass(frozen=True)
class Round(Numpy):
    """The nearest whole number, halves to even."""

    name: ClassVar[str] = "round"
    like = np.round
    kernels = kernels_of("round_of", "rounding_f32")


@register
@dataclass(frozen=True)
class Trunc(Numpy):
    """The whole number towards zero."""

    name: ClassVar[str] = "trunc"
    like = np.trunc
    kernels = kernels_of("trunc_of", "rounding_f32")


@dataclass(frozen=True)
class OfNumbers(Numpy):
    """A function of real numbers and of integers that stand for themselves; results that leave the type wrap."""

    plain_integers: ClassVar[bool] = True

    def check(self, site: Site) -> str | None:
        if site.x.dtype in INTEGERS and site.x.quant is None:
            same = site.y.dtype == site.x.dtype and site.y.quant is None
            return None if same else f"plain {site.x.dtype} gives {site.y.dtype}, expected the same"
        return super().check(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if site.integer and site.x.quant is None:
            return (self.real(xs[0]),)
        return super().run(site, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        yield from super().examples()
        for dtype in INTEGERS:
            yield Example(cls(), (Tensor("x", (1, 33), dtype),), why=f"plain {dtype}", integer=False)


def _of_numbers(function: str, header: str) -> tuple[Any, ...]:
    plain = (map_kernel(f"{function}_integer", "integers", dtype) for dtype in INTEGERS)
    return (*kernels_of(f"{function}_of", header), *plain)


@register
@dataclass(frozen=True)
class Abs(OfNumbers):
    """|x|; TFLM's ABS."""

    name: ClassVar[str] = "abs"
    like = np.abs
    kernels = _of_numbers("abs", "bits_f32")

    def integers(self, site: Site, x: Array) -> Array:
        return tflm.absolute(site, x)


@register
@dataclass(frozen=True)
class Neg(OfNumbers):
    """-x."""

    name: ClassVar[str] = "neg"
    like = np.negative
    kernels = _of_numbers("neg", "rounding_f32")

    def operand_limits(self, limits: Limits, ranges: Sequence[Limits]) -> tuple[Limits, ...] | None:
        return ((-limits[1], -limits[0]),)


@register
@dataclass(frozen=True)
class Sign(OfNumbers):
    """-1, 0 or 1."""

    name: ClassVar[str] = "sign"
    like = np.sign
    kernels = _of_numbers("sign", "rounding_f32")


@register
@dataclass(frozen=True)
class Rsqrt(Function):
    """1 / sqrt(x); TFLM's RSQRT, which is not defined below zero: there it is the largest integer."""

    name: ClassVar[str] = "rsqrt"
    span: ClassVar[tuple[float, float] | None] = (0.05, 9.0)
    kernels = kernels_of("rsqrt_of", "logarithm_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(1 / np.sqrt(x))

    def integers(self, site: Site, x: Array) -> Array:
        return tflm.rsqrt(site, x)


@register
@dataclass(frozen=True)
class Erf(Function):
    """2 / sqrt(pi) times the integral of e^-t^2 from 0 to x."""

    name: ClassVar[str] = "erf"
    kernels = kernels_of("erf_of", "erf_f32")

    def real(self, x: Array) -> Array:
        return erf(x)


def erf(x: Array) -> Array:
    """The error function in the precision of x, from the standard library's."""
    import math

    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), x.dtype)


def erfc(x: Array) -> Array:
    """1 - erf(x) without cancellation."""
    import math

    return np.asarray(np.vectorize(math.erfc, otypes=[np.float64])(x), x.dtype)
