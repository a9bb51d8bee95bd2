"""Between real and integer values: quantize (float32 or int8 to int8) and dequantize (int8 to float32)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Kernel, Op, Params, Site, register
from lilliput.ops.table import TABLE_S8

HERE = Path(__file__).parent


def _types(x: str, y: str) -> Any:
    def when(site: Site) -> bool:
        return (site.x.dtype, site.y.dtype) == (x, y) and not site.x.constant

    return when


def _quantize_params(site: Site) -> Params:
    return {"n": site.x.size, "scale": float(site.y.q.s), "zero_point": site.y.q.z}


def _dequantize_params(site: Site) -> Params:
    return {"n": site.x.size, "scale": float(site.x.q.s), "zero_point": site.x.q.z}


def _alone(op: Op, x: Tensor, y: Tensor) -> Graph:
    return Graph(("x",), ("y",), (Node(op, ("x",), ("y",), op.name),), {"x": x, "y": y})


@register
@dataclass(frozen=True)
class Quantize(Op):
    """Real values (or integers under another scale) to the integers of the output's quantization; TFLM's QUANTIZE."""

    name: ClassVar[str] = "quantize"
    elementwise: ClassVar[bool] = True
    kernels = (TABLE_S8, Kernel(HERE / "quantize_f32.c", _types("float32", "int8"), _quantize_params))

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        return None if site.y.quant else "the result carries no quantization"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        y = site.y
        if y.dtype == "float32":  # in a float graph: what the integers will stand for
            return (x,)
        if x.dtype == np.float32:
            return (y.q.quantize(x, y.dtype),)
        m, shift = fixed.multiplier(float(np.float64(site.x.q.s) / np.float64(y.q.s)))
        bounds = fixed.clamp_range(None, y.q, y.dtype)
        return (fixed.finish(x.astype(np.int64) - site.x.q.z, m, shift, y.q.z, bounds, y.dtype),)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0]

    @classmethod
    def examples(cls) -> Iterator[Graph]:
        coarse, fine = Quant.per_tensor(0.07, -3), Quant.per_tensor(0.011, 100)
        for shape in ((1, 1), (1, 7), (1, 3, 5, 4)):
            yield _alone(cls(), Tensor("x", shape), Tensor("y", shape, "int8", coarse))
        yield _alone(cls(), Tensor("x", (1, 300), "int8", coarse), Tensor("y", (1, 300), "int8", fine))
        yield _alone(cls(), Tensor("x", (1, 300), "int8", fine), Tensor("y", (1, 300), "int8", coarse))


@register
@dataclass(frozen=True)
class Dequantize(Op):
    """Integers to the real values they stand for, float32; TFLM's DEQUANTIZE."""

    name: ClassVar[str] = "dequantize"
    elementwise: ClassVar[bool] = True
    kernels = (Kernel(HERE / "dequantize_f32.c", _types("int8", "float32"), _dequantize_params),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "float32"

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (xs[0],) if site.x.quant is None else (site.x.q.dequantize(xs[0]),)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0]

    @classmethod
    def examples(cls) -> Iterator[Graph]:
        for shape in ((1, 1), (1, 5), (1, 2, 3, 40)):
            x = Tensor("x", shape, "int8", Quant.per_tensor(0.03, 11))
            yield _alone(cls(), x, Tensor("y", shape))
