"""What functions of one element share: shapes, the choice of integer or float form, float kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from lilliput.fixed import FLOAT_MAX
from lilliput.graph import Array, Graph, Shape, Tensor
from lilliput.interval import Interval
from lilliput.op import Example, Kernel, Op, Params, Site
from lilliput.ops import table

HERE = Path(__file__).parent


def finite(value: float) -> float:
    """A bound that has a C literal: infinity becomes the largest float32."""
    return max(-FLOAT_MAX, min(FLOAT_MAX, value))


def in_place(site: Site) -> tuple[int, ...]:
    return (0,)


def is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


def float_kernel(name: str) -> Kernel:
    """The kernel `name`, whose parameters are n and the operator's attributes that are numbers."""

    def params(site: Site) -> Params:
        numbers = {
            f.name: finite(value)
            for f in dataclasses.fields(site.op)
            if isinstance(value := getattr(site.op, f.name), float)
        }
        return {"n": site.x.size, **numbers}

    return Kernel(HERE / f"{name}.c", is_f32, params, in_place=in_place)


@dataclass(frozen=True)
class Unary(Op):
    """A function of one element, float32 -> float32 or int8 -> int8."""

    elementwise: ClassVar[bool] = True
    integer_types: ClassVar[tuple[str, ...]] = ("int8",)
    """The quantized types it is defined for."""

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        types = ("float32", *self.integer_types)
        if site.x.dtype != site.y.dtype or site.x.dtype not in types:
            return f"{site.x.dtype} to {site.y.dtype} is not supported, only {' and '.join(types)}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if site.integer:
            return (self.integers(site, xs[0]),)
        return (np.asarray(self.real(xs[0]), np.float32),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        few = site.integer and site.x.dtype in table.TRIED
        return (table.bounds(site, ins[0]),) if few else super().bounds(site, ins)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls(), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        yield Example(cls(), ((1, 5, 3, 7),), why="odd plane")
        yield Example(cls(), ((1, 300),), seed=1, why="more elements than the table has")
        yield Example(cls(), ((1, 1),), seed=2, why="one element")

    def integers(self, site: Site, x: Array) -> Array:
        """int8 -> int8 (or int16 -> int16) under the quantization of the site, exactly."""
        raise NotImplementedError

    def real(self, x: Array) -> Array:
        """float32 -> float32."""
        raise NotImplementedError


def refuse_output(site: Site, scale: float, zero_point: int) -> str | None:
    """Why an integer result is not quantized as its definition fixes it, or None; int16 is in 1/32768ths."""
    q = site.y.quant
    if site.y.dtype == "int16":
        scale, zero_point = 1 / 32768, 0
    if not site.integer or (q is not None and q.s == np.float32(scale) and q.z == zero_point):
        return None
    found = "no quantization" if q is None else f"scale {float(q.s):.9g} and zero point {q.z}"
    return f"the {site.y.dtype} result has {found}; defined is only scale 1/{round(1 / scale)}, zero point {zero_point}"
