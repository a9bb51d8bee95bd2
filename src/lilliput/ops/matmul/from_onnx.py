"""How ONNX's matrix products become ours: a constant second factor makes a linear layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Builder, Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.matmul.einsum import einsum
from lilliput.ops.matmul.product import linear, multiplied, reshaped, symmetric

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("MatMul")
def matmul(b: OnnxBuilder, n: OnnxNode) -> Value:
    return multiplied(b, b.value(n, 0), b.value(n, 1))


def _transposed(b: Builder, x: Value) -> Value:
    """The other view of a matrix: nothing moves."""
    if len(x.order) != 2:
        raise UserError(f"layer '{b.where}': a factor of shape {b.shape(x)}, expected 2 dimensions")
    return replace(x, order=tuple(1 - d for d in x.order))


@onnx("Gemm")
def gemm(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, y = b.value(n, 0), b.value(n, 1)
    x = _transposed(b, x) if n.attr("transA", 0) else x
    y = _transposed(b, y) if n.attr("transB", 0) else y
    alpha, beta = float(n.attr("alpha", 1.0)), float(n.attr("beta", 1.0))
    if len(x.order) != 2 or len(y.order) != 2:
        raise UserError(
            f"{n.where}: factors of shapes {b.shape(x)} and {b.shape(y)}, expected 2 dimensions each"
        )
    c = b.value(n, 2) if b.has(n, 2) else None
    c = c if c is None or beta == 1.0 else _times(b, n, c, beta)
    numbers = None if c is None else b.numbers(c)
    o = b.shape(y)[1]
    if symmetric(b, y):
        y = y if alpha == 1.0 else _times(b, n, y, alpha)
        if (
            c is not None
            and numbers is not None
            and numbers.size in (1, o)
            and b.shape(c)[-1:] in ((), (1,), (o,))
        ):
            return linear(
                b, x, y, c if numbers.shape == (o,) else b.constant(np.broadcast_to(numbers.reshape(-1), o))
            )
        z = linear(b, x, y, None)
    else:
        z = multiplied(b, x, y)
        z = z if alpha == 1.0 else _times(b, n, z, alpha)
    return z if c is None else ask(b, n, "Add", [z, c])


def _times(b: OnnxBuilder, n: OnnxNode, x: Value, factor: float) -> Value:
    return ask(b, n, "Mul", [x, b.constant(np.array(factor, np.float32))])


@onnx("MatMulInteger")
def matmul_integer(b: OnnxBuilder, n: OnnxNode) -> Value:
    """In int32, each factor less its zero point."""
    factors = []
    for i in (0, 1):
        x = ask(b, n, "Cast", [b.value(n, i)], to=6)
        if b.has(n, i + 2):
            zero = ask(b, n, "Cast", [b.value(n, i + 2)], to=6)
            if i == 0 and b.tensor(zero).size > 1 and len(zero.order) == 1:  # one per row
                zero = reshaped(b, zero, (b.tensor(zero).size, 1))
            x = ask(b, n, "Sub", [x, zero])
        factors.append(x)
    return multiplied(b, *factors)


@onnx("Einsum")
def einstein(b: OnnxBuilder, n: OnnxNode) -> Value:
    def summed(x: Value, dims: list[int]) -> Value:
        return ask(b, n, "ReduceSum", [x, b.constant(np.array(dims, np.int64))], keepdims=0)

    return einsum(b, str(n.attr("equation", "")), b.inputs(n), summed)
