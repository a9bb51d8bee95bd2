"""Batch normalization with its statistics folded: a scale and an offset per channel of the last axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Shape, Tensor
from lilliput.interval import Interval, finished
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.extreme import near_overflow

HERE = Path(__file__).parent


def _constants(site: Site, *dtypes: str) -> bool:
    return all(t.constant for t in site.ins[1:]) and tuple(t.dtype for t in (*site.ins, site.y)) == dtypes


def _is_s8(site: Site) -> bool:
    return _constants(site, "int8", "int8", "int32", "int8")


def _is_f32(site: Site) -> bool:
    return _constants(site, "float32", "float32", "float32", "float32")


def _sizes(site: Site) -> Params:
    channels = site.x.shape[-1]
    return {"w": site.ins[1].data, "bias": site.ins[2].data, "n": site.x.size // channels, "c": channels}


def _op(site: Site) -> BatchNorm:
    assert isinstance(site.op, BatchNorm)
    return site.op


def _params_s8(site: Site) -> Params:
    m, shift = _op(site).multipliers(site)
    lo, hi = fixed.clamp_range(_op(site).clamp, site.y.q, "int8")
    scaling = {"mult": m, "shift": shift.astype(np.int8), "in_zp": site.x.q.z, "out_zp": site.y.q.z}
    return {**_sizes(site), **scaling, "lo": lo, "hi": hi}


def _params_f32(site: Site) -> Params:
    lo, hi = fixed.float_range(_op(site).clamp)
    return {**_sizes(site), "lo": lo, "hi": hi}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


@register
@dataclass(frozen=True)
class BatchNorm(Op):
    """x * scale + offset along the last axis, both [C] constants that the importer makes of the statistics.

    The int8 form is TFLM's DEPTHWISE_CONV_2D with a window of one pixel: int8 scale quantized per channel (so
    -127, 0 or 127 after our quantizer), int32 offset in steps of input scale x channel scale.
    """

    clamp: Clamp = None

    name: ClassVar[str] = "batch_norm"
    operands: ClassVar[int | None] = 3
    elementwise: ClassVar[bool] = True
    fuses_clamp: ClassVar[bool] = True
    folds_affine: ClassVar[bool] = True
    weights: ClassVar = {1: 0}
    bias: ClassVar[int | None] = 2
    kernels = (
        Kernel(HERE / "batch_norm_s8.c", _is_s8, _params_s8, in_place=_in_place),
        Kernel(HERE / "batch_norm_f32.c", _is_f32, _params_f32, in_place=_in_place),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        channels = site.x.shape[-1:]
        for what, t in zip(("scale", "offset"), site.ins[1:], strict=True):
            if t.shape != channels:
                return f"{what} has shape {t.shape}, expected {channels}: one number per channel"
        return None

    def multipliers(self, site: Site) -> tuple[Array, Array]:
        """(m, shift) per channel, from input scale x channel scale / output scale in double."""
        scales = float(site.x.q.s) * site.ins[1].q.scale.astype(np.float64) / float(site.y.q.s)
        m, shift = fixed.multipliers(np.broadcast_to(scales, site.x.shape[-1:]))
        return m, shift

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, w, b = xs
        if not site.integer:
            lo, hi = fixed.float_range(self.clamp)
            return (np.clip(x * w + b, np.float32(lo), np.float32(hi)),)
        acc = (x.astype(np.int64) - site.x.q.z) * w + b
        bounds = fixed.clamp_range(self.clamp, site.y.q, "int8")
        return (fixed.finish(acc, *self.multipliers(site), site.y.q.z, bounds, "int8"),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        acc = self.accumulator_bounds(site, ins[0])
        if acc is None:
            return super().bounds(site, ins)
        limits = fixed.clamp_range(self.clamp, site.y.q, "int8")
        return (finished(acc, *self.multipliers(site), site.y.q.z, limits),)

    def accumulator_bounds(self, site: Site, x: Interval) -> Interval | None:
        w, b = (t.data for t in site.ins[1:])
        if not site.integer or w is None or b is None:
            return None
        products = x.plus(-site.x.q.z).times(w.astype(np.int64))
        return Interval(products.lo + b, products.hi + b)

    def macs(self, site: Site) -> int:
        return site.x.size

    def as_affine(self, site: Site) -> tuple[Array, Array] | None:
        scale, offset = site.ins[1].data, site.ins[2].data
        if site.integer or self.clamp is not None or scale is None or offset is None:
            return None
        return scale, offset

    def torch(self, site: Site, *xs: Any) -> Any:
        y = xs[0] * xs[1] + xs[2]
        return y.clamp(*self.clamp) if self.clamp else y

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        scale, offset = rng.normal(0, 1, (2, shape[-1])).astype(np.float32)
        return Example(cls((0.0, 6.0) if rng.random() < 0.3 else None), (shape, scale, offset))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(5)

        def case(shape: Shape, why: str, size: float = 1.0, clamp: Clamp = None) -> Example:
            scale, offset = rng.normal(0, size, (2, shape[-1])).astype(np.float32)
            return Example(cls(clamp), (shape, scale, offset), seed=len(why), why=why)

        yield case((1, 5, 3, 7), "odd plane, scales of both signs")
        yield case((1, 9), "one pixel")
        yield case((1, 6, 1), "one channel, three dimensions", clamp=(0.0, float("inf")))
        yield case((1, 3, 3, 4), "large scales, clamped", 40.0, (0.0, 6.0))
        spread = np.array([1e-6, 0.0, -1e3, 1.0, 0.0], np.float32)
        offset = np.array([0.5, 0.0, -3.0, 1e3, -7.0], np.float32)
        yield Example(cls(), ((1, 4, 5), spread, offset), seed=3, why="scales nine decades apart, two zero")
        yield near_overflow(cls(), (1, 6, 9), rng.choice([-127, 127], 9))
