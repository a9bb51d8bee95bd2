"""Features on scales of their own brought to one scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Nan, Op, Params, Site, register

HERE = Path(__file__).parent


def _is_float(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


def _params(site: Site) -> Params:
    offsets, factors = (np.asarray(t.data) for t in site.ins[1:])
    return {"offsets": offsets, "factors": factors, "rows": site.x.size // len(offsets), "n": len(offsets)}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


@register
@dataclass(frozen=True)
class Scaler(Op):
    """(x - offset) factor along the last axis; constants [F]. ONNX's ai.onnx.ml Scaler.

    There is no integer form, on purpose: features of different size would share one int8 scale. A quantized model keeps
    this in float32 and has one scale behind it, where all features are of one size.
    """

    name: ClassVar[str] = "scaler"
    operands: ClassVar[int | None] = 3
    float_constants: ClassVar[tuple[int, ...]] = (1, 2)
    kernels = (Kernel(HERE / "scaler_f32.c", _is_float, _params, in_place=_in_place),)

    def nan(self) -> Nan:
        return "passed on"

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        for t in site.ins[1:]:
            if not t.constant or t.dtype != "float32" or t.shape != site.x.shape[-1:]:
                return (
                    f"offsets and factors must be float32 constants of shape {site.x.shape[-1:]}, found {t}"
                )
        return None if site.x.dtype == "float32" else f"the input is {site.x.dtype}, expected float32"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, offsets, factors = xs
        return ((x - offsets) * factors,)

    def as_affine(self, site: Site) -> tuple[Array, Array] | None:
        offsets, factors = (cast(Array, t.data).astype(np.float64) for t in site.ins[1:])
        return factors, -offsets * factors

    def torch(self, site: Site, *xs: Any) -> Any:
        x, offsets, factors = xs
        return (x - offsets) * factors

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return _case(rng, shape, "drawn") if shape else None

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(1)
        for shape in ((1, 1), (1, 13), (1, 4, 3, 5)):
            yield _case(rng, shape, f"shape {shape}")


def _case(rng: np.random.Generator, shape: Shape, why: str) -> Example:
    constants = (rng.normal(0, 1, shape[-1:]), rng.uniform(-2, 2, shape[-1:]))
    return Example(Scaler(), (shape, *(np.asarray(c, np.float32) for c in constants)), why=why, integer=False)
