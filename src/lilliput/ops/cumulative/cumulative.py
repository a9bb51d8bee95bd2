"""Running sums and products along one axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
TYPES = {"float32": "float", "int32": "int32_t", "int64": "int64_t"}


def _extents(site: Site) -> Params:
    op, shape = site.op, site.x.shape
    assert isinstance(op, Cumulative)
    return {
        "outer": int(np.prod(shape[: op.axis], dtype=np.int64)),
        "n": shape[op.axis],
        "inner": int(np.prod(shape[op.axis + 1 :], dtype=np.int64)),
        "exclusive": int(op.exclusive),
        "reverse": int(op.reverse),
    }


def _params(site: Site) -> Params:
    assert isinstance(site.op, Cumulative)
    return {**_extents(site), "neutral": site.op.neutral}


def _plain(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == site.y.dtype == dtype and not site.x.constant and site.y.quant is None

    return when


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


def _kernels(function: str) -> tuple[Kernel, ...]:
    return tuple(
        Kernel(
            HERE / "cumulative.c",
            _plain(t),
            _params,
            tokens={"T": c, "F": f"combine_{function}_{c}"},
            in_place=_in_place,
        )
        for t, c in TYPES.items()
    )


@dataclass(frozen=True)
class Cumulative(Op):
    """`exclusive`: every result is without its own element. `reverse`: from the end of the axis."""

    axis: int
    exclusive: bool = False
    reverse: bool = False

    neutral: ClassVar[int]
    plain_integers: ClassVar[bool] = True

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        return None if 0 <= self.axis < rank else f"axis {self.axis} is not one of {rank} dimensions"

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        with np.errstate(over="ignore"):
            return (self.accumulated(xs[0]),)

    def accumulated(self, x: Array) -> Array:
        """The running sums of an array, in its own type: integers wrap."""
        x = np.flip(x, self.axis) if self.reverse else x
        function = np.multiply if self.neutral else np.add
        y = function.accumulate(x, self.axis, dtype=x.dtype)
        if self.exclusive:
            first = np.full_like(y.take([0], self.axis), self.neutral)
            y = np.concatenate([first, y.take(np.arange(y.shape[self.axis] - 1), self.axis)], self.axis)
        return np.flip(y, self.axis) if self.reverse else y

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x = torch.flip(xs[0], [self.axis]) if self.reverse else xs[0]
        y = (torch.cumprod if self.neutral else torch.cumsum)(x, self.axis, dtype=x.dtype)
        if self.exclusive:
            first = x.narrow(self.axis, 0, 1) * 0 + self.neutral
            y = torch.cat([first, y.narrow(self.axis, 0, y.shape[self.axis] - 1)], self.axis)
        return torch.flip(y, [self.axis]) if self.reverse else y

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        return Example(
            cls(int(rng.integers(1, len(shape))), bool(rng.integers(2)), bool(rng.integers(2))), (shape,)
        )

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(1), ((1, 9),), why="a vector")
        yield Example(cls(2, True), ((1, 3, 5, 2),), why="without the element itself, an axis in the middle")
        yield Example(cls(1, False, True), ((1, 6, 3),), why="from the end")
        yield Example(cls(0, True, True), ((4, 3),), why="both, the first axis")
        for dtype in ("int32", "int64"):
            yield Example(cls(1), (Tensor("x", (2, 5), dtype),), integer=False, why="integers that wrap")


def _s8(site: Site) -> Params:
    m, shift = _multiplier(site)
    return {**_extents(site), "zx": site.x.q.z, "zy": site.y.q.z, "m": m, "shift": shift}


def _multiplier(site: Site) -> tuple[int, int]:
    """Of the result: twice the input's scale / (2^20 x the result's scale)."""
    return fixed.multiplier(2 * float(site.x.q.s) / (2**20 * float(site.y.q.s)))


def _is_tflm(site: Site) -> bool:
    assert isinstance(site.op, CumSum)
    quantized = site.x.quant is not None and site.y.quant is not None
    return site.op.tflm and site.x.dtype == site.y.dtype == "int8" and quantized and not site.x.constant


@register
@dataclass(frozen=True)
class CumSum(Cumulative):
    """`tflm`: int8 is computed as TFLM does, which starts at minus the zero point. Else the sum stays in float32."""

    tflm: bool = False

    name: ClassVar[str] = "cumsum"
    neutral: ClassVar[int] = 0
    kernels = (Kernel(HERE / "cumsum_s8.c", _is_tflm, _s8, in_place=_in_place), *_kernels("add"))

    def check(self, site: Site) -> str | None:
        if self.tflm and site.x.quant is not None and site.y.quant is not None:
            m, shift = _multiplier(site)
            if shift > 0 or m == 0:
                return f"the scales {site.x.q.s} and {site.y.q.s} do not fit TFLM's arithmetic"
        return super().check(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if not self.tflm or site.x.quant is None or site.y.quant is None:
            return super().run(site, *xs)
        zx, zy = site.x.q.z, site.y.q.z
        wide = self.accumulated((xs[0].astype(np.int64) - zx) << 19) - (zx << 19)
        scaled = fixed.scale_by(fixed.wrap32(wide), *_multiplier(site))
        return (np.clip(fixed.wrap32(scaled + zy), -128, 127).astype(np.int8),)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from super().examples()
        yield Example(cls(1, False, False, True), ((1, 40),), why="TFLM's int8, more than int32 holds")
        yield Example(cls(2, True, True, True), ((1, 2, 5, 3),), why="TFLM's int8, exclusive, from the end")


@register
@dataclass(frozen=True)
class CumProd(Cumulative):
    name: ClassVar[str] = "cumprod"
    neutral: ClassVar[int] = 1
    kernels = _kernels("mul")
