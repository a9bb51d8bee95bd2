"""Between real and integer values: quantize (real or integer to integer) and dequantize (integer to float32)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from lilliput import fixed, interval
from lilliput.graph import INT_RANGE, Array, Graph, Node, Quant, Shape, Tensor
from lilliput.interval import Interval
from lilliput.op import Op, Site, register
from lilliput.ops.requantize import kernels
from lilliput.ops.table import TABLE_S8

Rounding = Literal["away", "even"]
"""Where halves go: away from zero, as in TFLM, or to the even neighbour."""

QUANTS = {
    "int8": Quant.per_tensor(0.07, -3),
    "uint8": Quant.per_tensor(0.05, 130),
    "int16": Quant.per_tensor(0.0003, 0),
    "int32": Quant.per_tensor(0.000002, 40),
}
"""Of the examples."""


def _alone(op: Op, x: Tensor, y: Tensor) -> Graph:
    return Graph(("x",), ("y",), (Node(op, ("x",), ("y",), op.name),), {"x": x, "y": y})


def _to_even(x: Array, y: Tensor) -> Array:
    """`Quant.quantize` with halves to even; ONNX's QuantizeLinear."""
    with np.errstate(over="ignore"):  # an infinite quotient saturates
        rounded = np.rint(x / y.q.s)
    total = np.where(np.isnan(rounded), 0.0, rounded).astype(np.float64) + y.q.z
    return np.asarray(np.clip(total, *INT_RANGE[y.dtype]).astype(y.dtype))


@register
@dataclass(frozen=True)
class Quantize(Op):
    """Real values (or integers under another scale) to the integers of the output's quantization; TFLM's QUANTIZE.

    ONNX rounds halves of real values to even.
    """

    rounding: Rounding = "away"

    name: ClassVar[str] = "quantize"
    elementwise: ClassVar[bool] = True
    kernels = (TABLE_S8, *kernels.QUANTIZE, *kernels.REQUANTIZE)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if not site.y.quant:
            return "the result carries no quantization"
        if site.x.dtype in INT_RANGE and site.x.quant is None:
            return f"the {site.x.dtype} input carries no quantization"
        pair = (site.x.dtype, site.y.dtype)
        if pair not in kernels.PAIRS and pair not in (("float32", "int8"), ("float32", "int16")):
            known = ", ".join(f"{x} to {y}" for x, y in (*kernels.PAIRS, ("float32", "int8 or int16")))
            return f"{pair[0]} to {pair[1]} is not supported, only {known}: what TFLM has"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        y = site.y
        if y.dtype == "float32":  # in a float graph: what the integers will stand for
            return (x,)
        if x.dtype == np.float32:
            return (y.q.quantize(x, y.dtype) if self.rounding == "away" else _to_even(x, y),)
        bounds = fixed.clamp_range(None, y.q, y.dtype)
        total = x.astype(np.int64) - site.x.q.z
        return (fixed.finish(total, *kernels.multiplier(site), y.q.z, bounds, y.dtype),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        if site.x.dtype == "float32" or site.y.dtype == "float32":
            return super().bounds(site, ins)
        limits = fixed.clamp_range(None, site.y.q, site.y.dtype)
        steps = ins[0].plus(-site.x.q.z)
        return (interval.finished(steps, *kernels.multiplier(site), site.y.q.z, limits),)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0]

    @classmethod
    def examples(cls) -> Iterator[Graph]:
        coarse, fine = QUANTS["int8"], Quant.per_tensor(0.011, 100)
        for shape in ((1, 1), (1, 7), (1, 3, 5, 4)):
            yield _alone(cls(), Tensor("x", shape), Tensor("y", shape, "int8", coarse))
        yield _alone(cls(), Tensor("x", (1, 300)), Tensor("y", (1, 300), "int16", QUANTS["int16"]))
        halves = Quant.per_tensor(
            0.25, 1
        )  # a drawn value rarely lies on one; test_onnx_quantized.py has them all
        for dtype in ("int8", "int16"):
            yield _alone(cls("even"), Tensor("x", (1, 300)), Tensor("y", (1, 300), dtype, halves))
        yield _alone(cls(), Tensor("x", (1, 300), "int8", coarse), Tensor("y", (1, 300), "int8", fine))
        yield _alone(cls(), Tensor("x", (1, 300), "int8", fine), Tensor("y", (1, 300), "int8", coarse))
        for a, b in kernels.PAIRS:
            x, y = Tensor("x", (1, 33), a, QUANTS[a]), Tensor("y", (1, 33), b, QUANTS[b])
            yield _alone(cls(), x, y)


@register
@dataclass(frozen=True)
class Dequantize(Op):
    """Integers to the real values they stand for, float32; TFLM's DEQUANTIZE."""

    name: ClassVar[str] = "dequantize"
    elementwise: ClassVar[bool] = True
    kernels = kernels.DEQUANTIZE

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if site.x.dtype not in (*kernels.REAL, "float32"):
            return f"{site.x.dtype} to real values is not supported, only {', '.join(kernels.REAL)}: what TFLM has"
        if site.x.dtype != "float32" and site.x.quant is None:
            return f"the {site.x.dtype} input carries no quantization"
        return None

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
        for dtype in kernels.REAL:
            yield _alone(cls(), Tensor("x", (1, 33), dtype, QUANTS[dtype]), Tensor("y", (1, 33)))
