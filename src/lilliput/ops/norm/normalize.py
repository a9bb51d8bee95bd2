"""Normalizations by the statistics of the input itself: layer, RMS, group and instance normalization."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import INT_RANGE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.norm import fixed_point
from lilliput.ops.norm.fixed_point import FixedNorm

HERE = Path(__file__).parent
MAX_HIGH = 1 << 12
"""How many values may be normalized together by high words alone."""


def _op(site: Site) -> Normalize:
    assert isinstance(site.op, Normalize)
    return site.op


def _known(site: Site, dtype: str) -> bool:
    constants = all(t.constant and t.dtype == "float32" for t in site.ins[1:])
    return constants and site.x.dtype == site.y.dtype == dtype and not site.x.constant


def _integer(dtype: str, high: bool) -> Callable[[Site], bool]:
    """With `high` where the high words of products are enough, which c/normal_value.h proves."""

    def when(site: Site) -> bool:
        quantized = site.x.quant is not None and site.y.quant is not None
        count = _op(site).count(site.x.shape)
        if not (quantized and count <= fixed_point.MAX_COUNT[dtype] and _known(site, dtype)):
            return False
        return not high or (count <= MAX_HIGH and _op(site).constants(site).shift >= 32)

    return when


def _is_f32(site: Site) -> bool:
    return _known(site, "float32")


def _sizes(site: Site) -> Params:
    outer, rows, groups, width = _op(site).split(site.x.shape)
    named = {"outer": outer, "rows": rows, "groups": groups, "width": width}
    return {**named, "centred": int(_op(site).centred)}


def _params_f32(site: Site) -> Params:
    count, epsilon = float(_op(site).count(site.x.shape)), float(_op(site).epsilon)
    constants = {"gamma": site.ins[1].data, "beta": site.ins[2].data}
    return {**constants, **_sizes(site), "count": count, "epsilon": epsilon}


def _params_integer(site: Site) -> Params:
    known = _op(site).constants(site)
    n, (lo, hi) = _op(site).count(site.x.shape), INT_RANGE[site.y.dtype]
    values = {"gamma": known.gamma, "beta": known.beta, "shift": known.shift, "epsilon": known.epsilon}
    return {**values, **_sizes(site), "n": n, "in_zp": site.x.q.z, "lo": lo, "hi": hi}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


def _kernels(dtype: str, squares: str) -> tuple[Kernel, ...]:
    """The one that needs only high words of products, and the one for all constants."""

    def kernel(form: str, result: str) -> Kernel:
        tokens = {"T": f"{dtype}_t", "S": squares, "F": form, "R": result}
        when = _integer(dtype, form == "high")
        return Kernel(HERE / "normalize.c", when, _params_integer, in_place=_in_place, tokens=tokens)

    return kernel("high", "int32_t"), kernel("any", "int64_t")


@dataclass(frozen=True)
class Normalize(Op):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta: x, and the constants gamma and beta."""

    epsilon: float = 1e-5

    centred: ClassVar[bool] = True
    """Without, nothing is subtracted and the mean square takes the variance's place."""
    operands: ClassVar[int | None] = 3
    float_constants: ClassVar[tuple[int, ...]] = (1, 2)
    kernels = (
        *_kernels("int8", "uint32_t"),
        *_kernels("int16", "uint64_t"),
        Kernel(HERE / "normalize_f32.c", _is_f32, _params_f32, in_place=_in_place),
    )

    def split(self, shape: Shape) -> tuple[int, int, int, int]:
        """The input as [outer, rows, groups, width]: statistics are taken over rows and width."""
        raise NotImplementedError

    def constant_shape(self, shape: Shape) -> Shape:
        """The shape of gamma and beta."""
        raise NotImplementedError

    def count(self, shape: Shape) -> int:
        """How many values are normalized together."""
        _, rows, _, width = self.split(shape)
        return rows * width

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0):
            return f"epsilon is {self.epsilon}; it must be finite and not negative"
        expected = self.constant_shape(site.x.shape)
        for what, t in zip(("gamma", "beta"), site.ins[1:], strict=True):
            if t.shape != expected:
                return f"{what} has shape {t.shape}, expected {expected}"
        return None

    def constants(self, site: Site) -> FixedNorm:
        """gamma and beta in the fixed-point form of the integers."""
        gamma, beta = site.ins[1].data, site.ins[2].data
        assert gamma is not None
        assert beta is not None
        count = self.count(site.x.shape)
        return fixed_point.pack(gamma, beta, site.x.q, site.y.q, count, self.epsilon)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, gamma, beta = xs
        outer, rows, groups, width = self.split(x.shape)
        values = x.reshape(outer, rows, groups, width)
        if site.integer:
            known = self.constants(site)
            packed = FixedNorm(
                known.gamma.reshape(groups, width),
                known.beta.reshape(groups, width),
                known.shift,
                known.epsilon,
            )
            shifted = values.astype(np.int64) - site.x.q.z
            y = fixed_point.normalize(shifted, (1, 3), self.centred, packed, site.y.dtype)
            return (y.reshape(x.shape),)
        mean = values.mean((1, 3), np.float32, keepdims=True) if self.centred else np.float32(0)
        variance = np.square(values - mean).mean((1, 3), np.float32, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # no spread and no epsilon: NaN, as in the C
            inverse = np.float32(1) / np.sqrt(variance + np.float32(self.epsilon))
            y = (values - mean) * inverse * gamma.reshape(groups, width) + beta.reshape(groups, width)
        return (np.asarray(y, np.float32).reshape(x.shape),)

    def macs(self, site: Site) -> int:
        return site.x.size

    def torch(self, site: Site, *xs: Any) -> Any:
        x, gamma, beta = xs
        values = x.reshape(-1, *self.split(tuple(x.shape))[1:])
        mean = values.mean((1, 3), keepdim=True) if self.centred else 0.0
        variance = (values - mean).square().mean((1, 3), keepdim=True)
        y = (values - mean) * (variance + self.epsilon).rsqrt()
        return (y * gamma.reshape(values.shape[2:]) + beta.reshape(values.shape[2:])).reshape(x.shape)


@dataclass(frozen=True)
class OverLast(Normalize):
    """Over the axes from `axis` on; gamma and beta have their shape."""

    axis: int = -1

    def split(self, shape: Shape) -> tuple[int, int, int, int]:
        axis = self.axis % len(shape)
        width = int(np.prod(shape[axis:], dtype=np.int64))
        return int(np.prod(shape[:axis], dtype=np.int64)), 1, 1, width

    def constant_shape(self, shape: Shape) -> Shape:
        return shape[self.axis % len(shape) :]

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if not -rank <= self.axis < rank:
            return f"axis {self.axis} is not one of {rank} dimensions"
        return super().check(site)

    def batchable(self, site: Site) -> bool:
        return self.axis % len(site.x.shape) != 0

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        gamma, beta = rng.normal(0, 1, (2, *shape[axis:])).astype(np.float32)
        return Example(cls(0.1, axis - len(shape)), (shape, gamma, beta))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(6)

        def case(shape: Shape, why: str, axis: int = -1, epsilon: float = 1e-5, size: float = 1.0) -> Example:
            gamma, beta = rng.normal(0, size, (2, *shape[axis:])).astype(np.float32)
            return Example(cls(epsilon, axis), (shape, gamma, beta), seed=len(why), why=why)

        yield case((1, 5, 32), "a row per token")
        yield case((1, 4, 3, 5), "whole planes", -3)
        yield case((2, 7), "everything, no batch", -2)
        yield case((1, 3, 2), "two values: always the same distance apart", epsilon=1e-12)
        yield case((1, 1, 9), "an epsilon larger than the spread", epsilon=100.0)
        yield case((1, 700), "many values", size=30.0)
        flat = np.array([0.0, 1e-6, -300.0, 1.0], np.float32)
        offset = np.array([5.0, 0.0, 100.0, -1e-3], np.float32)
        yield Example(cls(1e-5), ((1, 6, 4), flat, offset), why="constants decades apart, one zero")
        yield Example(cls(0.5), ((1, 6, 3), np.zeros(3, np.float32), np.zeros(3, np.float32)), why="all zero")


@register
@dataclass(frozen=True)
class LayerNorm(OverLast):
    name: ClassVar[str] = "layer_norm"


@register
@dataclass(frozen=True)
class RmsNorm(OverLast):
    """x / sqrt(mean square + epsilon) * gamma + beta."""

    name: ClassVar[str] = "rms_norm"
    centred: ClassVar[bool] = False


@register
@dataclass(frozen=True)
class GroupNorm(Normalize):
    """Over all positions and the channels of a group, channels last; gamma and beta are [C].

    As many groups as channels is instance normalization. `across_batch`: over dimension 0 as well.
    """

    groups: int = 1
    across_batch: bool = False

    name: ClassVar[str] = "group_norm"

    def split(self, shape: Shape) -> tuple[int, int, int, int]:
        outer = 1 if self.across_batch else shape[0]
        channels = shape[-1]
        rows = int(np.prod(shape, dtype=np.int64)) // (outer * channels)
        return outer, rows, self.groups, channels // self.groups

    def constant_shape(self, shape: Shape) -> Shape:
        return shape[-1:]

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) < 2:
            return f"the input has {len(site.x.shape)} dimensions, expected at least 2: batch and channels"
        if self.groups < 1 or site.x.shape[-1] % self.groups:
            return f"{site.x.shape[-1]} channels cannot be split into {self.groups} groups"
        return super().check(site)

    def batchable(self, site: Site) -> bool:
        return not self.across_batch

    def torch(self, site: Site, *xs: Any) -> Any:
        x, gamma, beta = xs
        outer = 1 if self.across_batch else x.shape[0]
        values = x.reshape(outer, -1, self.groups, x.shape[-1] // self.groups)
        mean = values.mean((1, 3), keepdim=True)
        variance = (values - mean).square().mean((1, 3), keepdim=True)
        y = ((values - mean) * (variance + self.epsilon).rsqrt()).reshape(x.shape)
        return y * gamma + beta

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        whole = [g for g in range(1, shape[-1] + 1) if shape[-1] % g == 0]
        gamma, beta = rng.normal(0, 1, (2, shape[-1])).astype(np.float32)
        return Example(cls(0.1, int(rng.choice(whole))), (shape, gamma, beta))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(8)

        def case(shape: Shape, groups: int, why: str, across: bool = False, epsilon: float = 1e-5) -> Example:
            gamma, beta = rng.normal(0, 1, (2, shape[-1])).astype(np.float32)
            return Example(cls(epsilon, groups, across), (shape, gamma, beta), seed=len(why), why=why)

        yield case((1, 5, 3, 6), 2, "two groups of a plane")
        yield case((1, 4, 3, 5), 5, "instance normalization")
        yield case((2, 6, 4), 1, "one group, two samples")
        yield case((2, 2, 3), 3, "across the batch", True)
        yield case((1, 3, 3, 4), 4, "an epsilon larger than the spread", epsilon=50.0)
        yield case((1, 8), 4, "no positions: two channels a group")
