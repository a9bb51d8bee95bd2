"""How ONNX's functions of one element become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.op import Op
from lilliput.ops.unary import activations, elementary, types
from lilliput.ops.unary.clamp import Clamp
from lilliput.ops.unary.piecewise import HardSigmoid, HardSwish, LeakyRelu
from lilliput.ops.unary.smooth import Sigmoid, Tanh

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

FUNCTIONS: dict[str, Op] = {
    "Relu": Clamp(0.0, float("inf")),
    "Sigmoid": Sigmoid(),
    "Tanh": Tanh(),
    "HardSwish": HardSwish(),
    "Abs": elementary.Abs(),
    "Neg": elementary.Neg(),
    "Sign": elementary.Sign(),
    "Exp": elementary.Exp(),
    "Log": elementary.Log(),
    "Sqrt": elementary.Sqrt(),
    "Reciprocal": elementary.Reciprocal(),
    "Sin": elementary.Sin(),
    "Cos": elementary.Cos(),
    "Tan": elementary.Tan(),
    "Asin": elementary.Asin(),
    "Acos": elementary.Acos(),
    "Atan": elementary.Atan(),
    "Sinh": elementary.Sinh(),
    "Cosh": elementary.Cosh(),
    "Asinh": elementary.Asinh(),
    "Acosh": elementary.Acosh(),
    "Atanh": elementary.Atanh(),
    "Floor": elementary.Floor(),
    "Ceil": elementary.Ceil(),
    "Round": elementary.Round(),
    "Erf": elementary.Erf(),
    "Softplus": activations.Softplus(),
    "Softsign": activations.Softsign(),
    "Mish": activations.Mish(),
    "IsNaN": types.IsNan(),
    "Not": types.Not(),
    "BitwiseNot": types.BitwiseNot(),
}
TYPES = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool"}
"""onnx.TensorProto.DataType of what a cast may lead to."""
REALS = (1, 10, 11, 16)
"""float32, float16, float64, bfloat16: all are computed in float32."""


@onnx(*FUNCTIONS)
def function(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(FUNCTIONS[n.op], [b.value(n, 0)])


def _number(n: OnnxNode, name: str, default: float) -> float:
    return float(np.float32(n.attr(name, default)))


@onnx("LeakyRelu")
def leaky_relu(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(LeakyRelu(_number(n, "alpha", 0.01)), [b.value(n, 0)])


@onnx("Elu")
def elu(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(activations.Elu(_number(n, "alpha", 1.0)), [b.value(n, 0)])


@onnx("Selu")
def selu(b: OnnxBuilder, n: OnnxNode) -> Value:
    alpha, gamma = _number(n, "alpha", 1.6732632423543772), _number(n, "gamma", 1.0507009873554805)
    return b.add(activations.Elu(alpha * gamma, gamma), [b.value(n, 0)])


@onnx("Celu")
def celu(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(activations.Celu(_number(n, "alpha", 1.0)), [b.value(n, 0)])


@onnx("Gelu", "com.microsoft:Gelu", "com.microsoft:FastGelu")
def gelu(b: OnnxBuilder, n: OnnxNode) -> Value:
    tanh = n.attr("approximate", "none") == "tanh" or n.op == "com.microsoft:FastGelu"
    if len(n.inputs) > 1:
        raise UserError(f"{n.where}: a bias is not supported")
    return b.add(activations.GeluTanh() if tanh else activations.Gelu(), [b.value(n, 0)])


@onnx("Swish", "com.microsoft:QuickGelu")
def swish(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(activations.Silu(_number(n, "alpha", 1.0 if n.op == "Swish" else 1.702)), [b.value(n, 0)])


@onnx("HardSigmoid")
def hard_sigmoid(b: OnnxBuilder, n: OnnxNode) -> Value:
    alpha, beta = _number(n, "alpha", 0.2), _number(n, "beta", 0.5)
    torchs = abs(alpha - 1 / 6) < 1e-6 and beta == 0.5
    return b.add(HardSigmoid() if torchs else activations.HardSigmoidBy(alpha, beta), [b.value(n, 0)])


@onnx("ThresholdedRelu")
def thresholded_relu(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(activations.Threshold(_number(n, "alpha", 1.0), 0.0), [b.value(n, 0)])


@onnx("Shrink")
def shrink(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(activations.Shrink(_number(n, "lambd", 0.5), _number(n, "bias", 0.0)), [b.value(n, 0)])


@onnx("IsInf")
def is_inf(b: OnnxBuilder, n: OnnxNode) -> Value:
    op = types.IsInf(bool(n.attr("detect_positive", 1)), bool(n.attr("detect_negative", 1)))
    return b.add(op, [b.value(n, 0)])


@onnx("Identity")
def identity(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.value(n, 0)


@onnx("Dropout")
def dropout(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    """Nothing in inference. The mask, where it is asked for, is all true: a comparison that always holds."""
    if b.has(n, 2) and b.data(n, 2).any():
        raise UserError(
            f"{n.where}: dropout in training mode cannot be compiled; export the model for inference"
        )
    x = b.value(n, 0)
    if len(n.outputs) < 2 or not n.outputs[1]:
        return (x,)
    from lilliput.ops.logic import Equal

    missing = b.add(types.IsNan(), [x])
    return x, b.add(Equal(), [missing, missing])


def cast_to(b: OnnxBuilder, x: Value, dtype: str) -> Value:
    """x in another type, or itself."""
    return x if b.tensor(x).dtype == dtype else b.add(types.Cast(dtype), [x])


@onnx("Cast")
def cast(b: OnnxBuilder, n: OnnxNode) -> Value:
    to = int(n.attr("to", 0))
    dtype = "float32" if to in REALS else TYPES.get(to)
    if dtype is None:
        known = ", ".join(sorted(set(TYPES.values())))
        raise UserError(f"{n.where}: a cast to type {to} is not supported, only {known}")
    return cast_to(b, b.value(n, 0), dtype)


@onnx("CastLike")
def cast_like(b: OnnxBuilder, n: OnnxNode) -> Value:
    return cast_to(b, b.value(n, 0), b.tensor(b.value(n, 1)).dtype)


def _bound(b: OnnxBuilder, n: OnnxNode, name: str, i: int) -> Value | None:
    """A bound of Clip: an attribute before opset 11, an input since."""
    if n.attr(name) is not None:
        return b.constant(np.asarray(n.attr(name), np.float32))
    return b.value(n, i) if b.has(n, i) else None


@onnx("Clip")
def clip(b: OnnxBuilder, n: OnnxNode) -> Value:
    """min(max(x, lo), hi); where the bounds cross, the upper one wins."""
    from lilliput.ops.binary.convert import apply
    from lilliput.ops.extremum import Maximum, Minimum

    x, lo, hi = b.value(n, 0), _bound(b, n, "min", 1), _bound(b, n, "max", 2)
    known = [None if v is None else b.numbers(v) for v in (lo, hi)]
    fixed = all(v is None or k is not None for v, k in zip((lo, hi), known, strict=True))
    if fixed and b.tensor(x).dtype == "float32":
        low = -float("inf") if known[0] is None else float(known[0].reshape(-1)[0])
        high = float("inf") if known[1] is None else float(known[1].reshape(-1)[0])
        return b.add(Clamp(min(low, high), high), [x])
    x = x if lo is None else apply(b, Maximum(), x, lo)
    return x if hi is None else apply(b, Minimum(), x, hi)
