"""How ONNX's quantization operators become ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import INT_RANGE, Array, Quant, Tensor
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.requantize.qdq import dequantized, producer, quantized
from lilliput.ops.requantize.stored import remember

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

OF_ONNX = {2: "uint8", 3: "int8", 5: "int16", 6: "int32"}
"""onnx.TensorProto.DataType."""
FOUR_BITS = {21: "uint4", 22: "int4"}
"""Computed as integers of eight bits, and saturated at four."""
RANGE = {**INT_RANGE, "uint4": (0, 15)}
TO_ONNX = {name: number for number, name in OF_ONNX.items()}


def _per_tensor(scale: Array | None, zero: Array | None, where: str) -> Quant | None:
    """The quantization, where it is known now and the same for every element."""
    if scale is None or scale.size != 1 or (zero is not None and zero.size != 1):
        return None
    s = float(scale.reshape(()))
    if not (math.isfinite(s) and s > 0):
        raise UserError(f"{where}: scale {s}, expected a positive number")
    return Quant.per_tensor(s, 0 if zero is None else int(zero.reshape(())))


def _known(b: OnnxBuilder, n: OnnxNode, i: int) -> Array | None:
    """A scale or zero point; None where it is computed on the device. One that is given to the model must be known."""
    if not b.has(n, i):
        return None
    v = b.value(n, i)
    return b.data(n, i) if producer(b, v.name) is None else b.numbers(v)


def _along(b: OnnxBuilder, n: OnnxNode, v: Value, x: Value) -> Value:
    """A scale or zero point per index of an axis, or per block of them, laid out like x."""
    data = b.numbers(v)
    shape, axis, block = b.shape(x), int(n.attr("axis", 1)), int(n.attr("block_size", 0))
    if data is None or data.size == 1:
        return v
    axis %= len(shape)
    if block:
        data = np.repeat(data, block, axis)[tuple(slice(d) for d in shape)]
    elif data.ndim == 1:
        if len(data) != shape[axis]:
            raise UserError(f"{n.where}: {len(data)} scales or zero points along axis {axis} of {shape}")
        data = data.reshape(*(-1 if d == axis else 1 for d in range(len(shape))))
    return b.constant(data)


@onnx("DequantizeLinear")
def dequantize_linear(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, scale = b.value(n, 0), b.value(n, 1)
    quant = _per_tensor(_known(b, n, 1), _known(b, n, 2), n.where)
    t = b.tensor(x)
    if t.data is not None and b.numbers(scale) is not None:
        return _constant(b, n, x)
    fixed = quant is not None and (not b.has(n, 2) or _known(b, n, 2) is not None)
    if fixed and quant is not None and t.dtype in ("int8", "uint8", "int16"):
        return dequantized(b, x, quant)
    real = ask(b, n, "Cast", [x], to=1)
    if b.has(n, 2):
        real = ask(b, n, "Sub", [real, ask(b, n, "Cast", [_along(b, n, b.value(n, 2), x)], to=1)])
    return ask(b, n, "Mul", [real, _along(b, n, scale, x)])


def _constant(b: OnnxBuilder, n: OnnxNode, x: Value) -> Value:
    """The real numbers, and beside them the integers they are made of."""
    data, scale = b.numbers(x), b.data(n, 1)
    zero = b.data(n, 2) if b.has(n, 2) else np.zeros(1, np.int64)
    assert data is not None
    spread_scale, spread_zero = (b.numbers(_along(b, n, b.constant(v), x)) for v in (scale, zero))
    assert spread_scale is not None
    assert spread_zero is not None
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise UserError(f"{n.where}: scales of {scale.reshape(-1)[:4]}, expected positive numbers")
    shifted = data.astype(np.int64) - spread_zero.astype(np.int64)
    real = b.constant((shifted.astype(np.float32) * spread_scale.astype(np.float32)).astype(np.float32))
    axis = None if scale.size == 1 else int(n.attr("axis", 1)) % max(data.ndim, 1)
    if n.attr("block_size", 0) or (axis is None and zero.size != 1):
        return real
    lo, hi = INT_RANGE["int8"]
    count = scale.size
    if shifted.size and lo <= shifted.min() and shifted.max() <= hi:
        kept, zeros = shifted.astype(np.int8), np.zeros(count, np.int32)
    elif data.dtype in (np.int8, np.uint8) and axis is None:
        kept, zeros = data, np.broadcast_to(zero.reshape(-1), count).astype(np.int32)
    else:
        return real
    quant = Quant(scale.reshape(-1).astype(np.float32), zeros, axis)
    remember(b, real, Tensor("", kept.shape, str(kept.dtype), quant, kept))
    return real


@onnx("QuantizeLinear")
def quantize_linear(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, scale = b.value(n, 0), b.value(n, 1)
    kind = int(n.attr("output_dtype", 0))
    if kind and kind not in {**OF_ONNX, **FOUR_BITS}:
        raise UserError(
            f"{n.where}: results of element type {kind}; supported are "
            f"{', '.join((*OF_ONNX.values(), *FOUR_BITS.values()))}"
        )
    dtype = b.tensor(b.value(n, 2)).dtype if b.has(n, 2) else OF_ONNX.get(kind, "uint8")
    if dtype not in ("int8", "uint8", "int16"):
        raise UserError(f"{n.where}: results of {dtype}; supported are int8, uint8 and int16")
    if kind in FOUR_BITS:
        dtype = FOUR_BITS[kind].replace("4", "8")
    quant = _per_tensor(_known(b, n, 1), _known(b, n, 2), n.where)
    if quant is not None and (not b.has(n, 2) or _known(b, n, 2) is not None) and kind not in FOUR_BITS:
        return quantized(b, x, quant, dtype)
    steps = ask(b, n, "Round", [ask(b, n, "Div", [x, _along(b, n, scale, x)])])
    if b.has(n, 2):
        steps = ask(b, n, "Add", [steps, ask(b, n, "Cast", [_along(b, n, b.value(n, 2), x)], to=1)])
    return _saturated(b, n, steps, dtype, FOUR_BITS.get(kind, dtype))


def _saturated(b: OnnxBuilder, n: OnnxNode, x: Value, dtype: str, reach: str = "") -> Value:
    """Whole numbers as integers of `dtype`, with the least and greatest of type `reach`."""
    lo, hi = (b.constant(np.array(v, np.float32)) for v in RANGE[reach or dtype])
    return ask(b, n, "Cast", [ask(b, n, "Clip", [x, lo, hi])], to=TO_ONNX[dtype])


@onnx("DynamicQuantizeLinear")
def dynamic_quantize(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, Value, Value]:
    """uint8 whose scale comes from the values themselves, on the device."""
    x, none = b.value(n, 0), b.constant(np.array(0, np.float32))
    least = ask(b, n, "Min", [ask(b, n, "ReduceMin", [x], keepdims=0), none])
    most = ask(b, n, "Max", [ask(b, n, "ReduceMax", [x], keepdims=0), none])
    scale = ask(b, n, "Div", [ask(b, n, "Sub", [most, least]), b.constant(np.array(255, np.float32))])
    zero = ask(b, n, "Round", [ask(b, n, "Div", [ask(b, n, "Neg", [least]), scale])])
    steps = ask(b, n, "Add", [ask(b, n, "Round", [ask(b, n, "Div", [x, scale])]), zero])
    return _saturated(b, n, steps, "uint8"), scale, _saturated(b, n, zero, "uint8")


def _real(b: OnnxBuilder, n: OnnxNode, i: int) -> Value:
    """Operand i of a QLinear operator, with its scale and zero point behind it, as real numbers."""
    values = [b.value(n, j) if b.has(n, j) else None for j in range(i, i + 3)]
    axis = 0 if b.shape(b.value(n, i + 1)) not in ((), (1,)) else 1
    if n.op == "QLinearMatMul":
        rank = len(b.value(n, i).order)
        axis = rank - 2 if i == 0 else rank - 1
    return ask(b, n, "DequantizeLinear", values, axis=axis)


def _result(b: OnnxBuilder, n: OnnxNode, y: Value, i: int) -> Value:
    values = [y, b.value(n, i), b.value(n, i + 1) if b.has(n, i + 1) else None]
    return ask(b, n, "QuantizeLinear", values)


@onnx("QLinearConv", planes=True)
def qlinear_conv(b: OnnxBuilder, n: OnnxNode) -> Value:
    b.data(n, 3)  # says so where the weights are not known
    x, w = _real(b, n, 0), _real(b, n, 3)
    operands: list[Value | None] = [x, w]
    if b.has(n, 8):
        scales = b.data(n, 1).astype(np.float32).reshape(-1) * b.data(n, 4).astype(np.float32).reshape(-1)
        operands.append(b.constant((b.data(n, 8) * scales).astype(np.float32)))
    return _result(b, n, ask(b, n, "Conv", operands, **n.attributes), 6)


@onnx("QLinearMatMul")
def qlinear_matmul(b: OnnxBuilder, n: OnnxNode) -> Value:
    return _result(b, n, ask(b, n, "MatMul", [_real(b, n, 0), _real(b, n, 3)]), 6)


@onnx("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul")
def qlinear_pair(b: OnnxBuilder, n: OnnxNode) -> Value:
    kind = n.op.removeprefix("com.microsoft:QLinear")
    return _result(b, n, ask(b, n, kind, [_real(b, n, 0), _real(b, n, 3)]), 6)


@onnx("com.microsoft:QLinearGlobalAveragePool", planes=True)
def qlinear_mean(b: OnnxBuilder, n: OnnxNode) -> Value:
    if n.attr("channels_last", 0):
        raise UserError(f"{n.where}: channels_last=1 is not supported; quantize the model without it")
    return _result(b, n, ask(b, n, "GlobalAveragePool", [_real(b, n, 0)]), 3)


@onnx("com.microsoft:QGemm")
def qgemm(b: OnnxBuilder, n: OnnxNode) -> Value:
    b.data(n, 3)  # says so where the weights are not known
    operands: list[Value | None] = [_real(b, n, 0)]
    per_column = [b.value(n, j) if b.has(n, j) else None for j in range(3, 6)]
    operands.append(ask(b, n, "DequantizeLinear", per_column, axis=0 if n.attr("transB", 0) else 1))
    if b.has(n, 6):
        scales = b.data(n, 1).astype(np.float32).reshape(-1) * b.data(n, 4).astype(np.float32).reshape(-1)
        real = b.data(n, 6) * scales * float(n.attr("alpha", 1.0))
        operands.append(b.constant(real.astype(np.float32)))
    y = ask(b, n, "Gemm", operands, **n.attributes)
    return _result(b, n, y, 7) if b.has(n, 7) else y
