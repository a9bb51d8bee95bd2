"""Functions between types: casts, tests for NaN and infinity, negation of bits and of truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Nan, Site, register
from lilliput.ops.unary.functions import INTEGERS, Plain, map_kernel

EVERY = ("float32", *INTEGERS, "bool")


def _cast(source: str, result: str) -> Kernel:
    if source == "float32":
        function = "nonzero_float" if result == "bool" else f"whole_{result}"
        return map_kernel(function, "conversions", source, result)
    return map_kernel("nonzero_integer" if result == "bool" else "same_integer", "integers", source, result)


@register
@dataclass(frozen=True)
class Cast(Plain):
    """Another type. Reals are cut towards zero and saturate (NaN gives 0); integers wrap; truth is 0 or 1.

    Quantized integers have to be dequantized first: what is converted are numbers that stand for themselves.
    """

    to: str = "float32"

    name: ClassVar[str] = "cast"
    types: ClassVar[tuple[str, ...]] = EVERY
    kernels = tuple(_cast(a, b) for a in EVERY for b in EVERY if a != b)

    def check(self, site: Site) -> str | None:
        if self.to not in EVERY or self.to == site.x.dtype:
            return f"to={self.to} from {site.x.dtype}, expected another one of {', '.join(EVERY)}"
        if site.x.quant is not None and site.x.dtype in ("int8", "int16"):
            return f"'{site.x.name}' is quantized ({site.x.quant}); dequantize it first"
        return super().check(site)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return self.to

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if x.dtype != np.float32 or self.to in ("bool", "float32"):
            return (x.astype(self.to),)
        lo, hi = (float(v) for v in (np.iinfo(self.to).min, np.iinfo(self.to).max))
        whole = np.trunc(np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=hi, neginf=lo))
        # 2^63 - 1 is no float64: saturation is decided before the conversion.
        result = np.where(whole >= hi, 0.0, np.maximum(whole, lo)).astype(self.to)
        return (np.where(whole >= hi, np.iinfo(self.to).max, result).astype(self.to),)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return None

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for a in EVERY:
            for b in EVERY:
                if a != b:
                    limits = {0: (-300.0, 300.0)} if a == "float32" else {}
                    yield Example(cls(b), (Tensor("x", (1, 19), a),), integer=False, limits=limits)
        yield Example(cls("int32"), ((1, 40),), why="beyond int32", integer=False, limits={0: (-4e9, 4e9)})
        yield Example(cls("int64"), ((1, 40),), why="beyond int64", integer=False, limits={0: (-2e19, 2e19)})


@register
@dataclass(frozen=True)
class IsNan(Plain):
    """Whether x is no number."""

    name: ClassVar[str] = "is_nan"
    types: ClassVar[tuple[str, ...]] = ("float32",)
    kernels = (map_kernel("is_nan", "conversions", "float32", "bool"),)

    def nan(self) -> Nan:
        return "understood"

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "bool"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (np.isnan(xs[0]),)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for n in (1, 7, 30):
            yield Example(cls(), ((1, n),), integer=False)


def _infinite(function: str, positive: bool, negative: bool) -> Kernel:
    kernel = map_kernel(function, "conversions", "float32", "bool")

    def when(site: Site) -> bool:
        op = site.op
        return (
            kernel.when(site) and isinstance(op, IsInf) and (op.positive, op.negative) == (positive, negative)
        )

    from dataclasses import replace

    return replace(kernel, when=when)


@register
@dataclass(frozen=True)
class IsInf(Plain):
    """Whether x is infinite, on the sides that count."""

    positive: bool = True
    negative: bool = True

    name: ClassVar[str] = "is_inf"
    types: ClassVar[tuple[str, ...]] = ("float32",)
    kernels = (
        _infinite("is_infinite", True, True),
        _infinite("is_positive_infinity", True, False),
        _infinite("is_negative_infinity", False, True),
    )

    def check(self, site: Site) -> str | None:
        if not (self.positive or self.negative):
            return "neither side counts: the result would be false everywhere"
        return super().check(site)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "bool"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        sides = (self.positive & (xs[0] > 0)) | (self.negative & (xs[0] < 0))
        return (np.isinf(xs[0]) & sides,)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for op in (cls(), cls(True, False), cls(False, True)):
            yield Example(op, ((1, 9),), integer=False)


@register
@dataclass(frozen=True)
class Not(Plain):
    """The other truth value."""

    name: ClassVar[str] = "logical_not"
    types: ClassVar[tuple[str, ...]] = ("bool",)
    kernels = (map_kernel("not_bool", "integers", "bool"),)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (~xs[0],)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for n in (1, 7, 30):
            yield Example(cls(), (Tensor("x", (1, n), "bool"),), integer=False)


@register
@dataclass(frozen=True)
class BitwiseNot(Plain):
    """Every bit of an integer turned over."""

    name: ClassVar[str] = "bitwise_not"
    types: ClassVar[tuple[str, ...]] = INTEGERS
    kernels = tuple(map_kernel("not_integer", "integers", dtype) for dtype in INTEGERS)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (~xs[0],)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for dtype in INTEGERS:
            yield Example(cls(), (Tensor("x", (1, 3, 11), dtype),), integer=False)
