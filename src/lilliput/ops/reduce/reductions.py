"""Sums, products, norms and extremes over any axes.

Integers without quantization wrap like their type. In int8 the sum is TFLM's SUM and the extremes are its REDUCE_MAX
and REDUCE_MIN; the others stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array, Quant, Shape, Tensor
from lilliput.interval import Interval, finished
from lilliput.op import Example, Kernel, Params, QuantRule, Site, register
from lilliput.ops.reduce.common import HERE, Reduction, generic
from lilliput.ops.reduce.mean import LOOPS as MEAN_LOOPS
from lilliput.ops.reduce.mean import MAX_COUNT, behind_reduction, float_sum, loops

WRAPS = "uint64_t"
"""What integer sums and products are accumulated in: the low bits are those of any narrower type."""


def _wrapping(function: str) -> tuple[Kernel, ...]:
    """float32, and the integers that ONNX and TensorFlow Lite sum."""
    return (
        generic(("float32",), "float", function),
        generic(("int32",), WRAPS, function),
        generic(("int64",), WRAPS, function),
    )


def _extreme(function: str) -> tuple[Kernel, ...]:
    return (
        generic(("float32",), "float", f"real_{function}"),
        generic(("int8",), "int8_t", function),
        generic(("uint8", "bool"), "uint8_t", function),
        generic(("int16",), "int16_t", function),
        generic(("int32",), "int32_t", function),
        generic(("int64",), "int64_t", function),
    )


def _typed(case: Example, dtype: str) -> Example:
    (shape,) = case.ins
    assert isinstance(shape, tuple)
    return Example(case.op, (Tensor("x", shape, dtype),), case.seed, f"{case.why}, {dtype}", integer=False)


def _quantized(site: Site) -> bool:
    fits = all(len(group) <= MEAN_LOOPS for group in loops(site.x.shape, _op(site).axes))
    known = site.x.quant is not None and site.y.quant is not None
    few = _op(site).count(site.x.shape) <= MAX_COUNT["int8"]
    return fits and known and few and site.x.dtype == site.y.dtype == "int8" and not site.x.constant


def _op(site: Site) -> Reduction:
    assert isinstance(site.op, Reduction)
    return site.op


def _sum(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    """float32 in the order of the kernels; integers in 64 bits, which wrap when they are stored."""
    return (
        float_sum(x, axes, keep) if x.dtype.kind == "f" else np.asarray(x.sum(axes, np.int64, keepdims=keep))
    )


def multiplier(site: Site) -> tuple[int, int]:
    """(m, shift) of input scale / output scale."""
    return fixed.multiplier(float(np.float64(site.x.q.s) / np.float64(site.y.q.s)))


def _sum_s8(site: Site) -> Params:
    named: dict[str, int] = {}
    for letter, group in zip("kr", loops(site.x.shape, _op(site).axes), strict=True):
        for i, (count, stride) in enumerate([(1, 0)] * (MEAN_LOOPS - len(group)) + group):
            named |= {f"{letter}{i}": count, f"{letter}{i}_stride": stride}
    m, shift = multiplier(site)
    lo, hi = INT_RANGE["int8"]
    offset = -site.x.q.z * _op(site).count(site.x.shape)
    return {**named, "offset": offset, "mult": m, "shift": shift, "out_zp": site.y.q.z, "lo": lo, "hi": hi}


@register
@dataclass(frozen=True)
class ReduceSum(Reduction):
    name: ClassVar[str] = "reduce_sum"
    kernels = (Kernel(HERE / "mean.c", _quantized, _sum_s8, tokens={"T": "int8_t"}), *_wrapping("sum"))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if site.y.dtype != "int8":
            return super().run(site, *xs)
        (x,) = xs
        total = x.sum(self.axes, np.int64, keepdims=self.keep_dims) - site.x.q.z * self.count(x.shape)
        bounds = fixed.clamp_range(None, site.y.q, "int8")
        return (fixed.finish(total, *multiplier(site), site.y.q.z, bounds, "int8"),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        if site.y.dtype != "int8":
            return super().bounds(site, ins)
        values = behind_reduction(site, self.axes, ins[0]).plus(-site.x.q.z)
        limits = fixed.clamp_range(None, site.y.q, "int8")
        total = values.times(self.count(site.x.shape))
        return (finished(total, *multiplier(site), site.y.q.z, limits),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return _sum(x, axes, keep)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].sum(self.axes, keepdim=self.keep_dims, dtype=xs[0].dtype)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from super().examples()
        yield Example(cls((1,)), ((1, 3000),), why="many values")
        for case in list(super().examples())[:2]:
            yield from (_typed(case, dtype) for dtype in ("int32", "int64"))


@dataclass(frozen=True)
class Wrapping(Reduction):
    """A reduction of float32 or of integers that wrap."""

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from super().examples()
        for case in list(super().examples())[:2]:
            yield from (_typed(case, dtype) for dtype in ("int32", "int64"))


@register
@dataclass(frozen=True)
class ReduceProd(Wrapping):
    name: ClassVar[str] = "reduce_prod"
    kernels = _wrapping("prod")

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        drawn = super().sample(rng, shape)
        few = drawn is not None and cast(Reduction, drawn.op).count(shape) <= 4
        return drawn if few else None  # a product of many soon leaves float32

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(x.prod(axes, np.float32 if x.dtype.kind == "f" else np.int64, keepdims=keep))

    def torch(self, site: Site, *xs: Any) -> Any:
        y = xs[0]
        for axis in sorted(self.axes, reverse=True):
            y = y.prod(axis, keepdim=self.keep_dims, dtype=xs[0].dtype)
        return y


@register
@dataclass(frozen=True)
class ReduceL1(Wrapping):
    """The sum of the magnitudes."""

    name: ClassVar[str] = "reduce_l1"
    kernels = _wrapping("absolutes")

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return _sum(np.abs(x if x.dtype.kind == "f" else x.astype(np.int64)), axes, keep)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].to(_wide(xs[0])).abs().sum(self.axes, keepdim=self.keep_dims).to(xs[0].dtype)


@register
@dataclass(frozen=True)
class ReduceSumSquare(Wrapping):
    name: ClassVar[str] = "reduce_sum_square"
    kernels = _wrapping("squares")

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return _sum(np.square(x if x.dtype.kind == "f" else x.astype(np.int64)), axes, keep)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].to(_wide(xs[0])).square().sum(self.axes, keepdim=self.keep_dims).to(xs[0].dtype)


def _wide(x: Any) -> Any:
    """The type in which torch sums as the kernels do: int32 values may leave int32."""
    import torch

    return x.dtype if x.is_floating_point() else torch.int64


@register
@dataclass(frozen=True)
class ReduceL2(Reduction):
    """The square root of the sum of squares, float32."""

    name: ClassVar[str] = "reduce_l2"
    kernels = (generic(("float32",), "float", "length"),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(np.sqrt(float_sum(np.square(x), axes, keep)))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].norm(2, self.axes, keepdim=self.keep_dims)


@dataclass(frozen=True)
class Extreme(Reduction):
    """The greatest or least value; the result keeps the quantization. In float32 a NaN anywhere is the result."""

    out_quant: ClassVar[Quant | QuantRule] = "like input"
    plain_integers: ClassVar[bool] = True

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        x, y = site.x, site.y
        if (x.quant is None) != (y.quant is None) or (x.quant is not None and not x.quant.same(y.quant)):
            return f"the result's quantization is {y.quant}, expected the input's, {x.quant}"
        return None

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (behind_reduction(site, self.axes, ins[0]),)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from super().examples()
        cases = list(super().examples())
        for i, dtype in enumerate(("int32", "int64", "uint8", "int8", "int16", "bool")):
            yield _typed(cases[i % 3], dtype)


@register
@dataclass(frozen=True)
class ReduceMax(Extreme):
    name: ClassVar[str] = "reduce_max"
    kernels = _extreme("max")

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(x.max(axes, keepdims=keep))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].amax(self.axes, keepdim=self.keep_dims)


@register
@dataclass(frozen=True)
class ReduceMin(Extreme):
    name: ClassVar[str] = "reduce_min"
    kernels = _extreme("min")

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(x.min(axes, keepdims=keep))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].amin(self.axes, keepdim=self.keep_dims)
