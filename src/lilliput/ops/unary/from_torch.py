"""How torch's later functions of one element become ours; `convert.py` imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.op import Op
from lilliput.ops.unary import activations, elementary, types

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder
    from lilliput.importers.torch import Call, TorchBuilder, Value

FUNCTIONS: dict[str, Op] = {
    "abs": elementary.Abs(),
    "sign": elementary.Sign(),
    "sgn": elementary.Sign(),
    "exp": elementary.Exp(),
    "log": elementary.Log(),
    "log1p": elementary.Log1p(),
    "expm1": elementary.Expm1(),
    "sqrt": elementary.Sqrt(),
    "rsqrt": elementary.Rsqrt(),
    "reciprocal": elementary.Reciprocal(),
    "sin": elementary.Sin(),
    "cos": elementary.Cos(),
    "tan": elementary.Tan(),
    "asin": elementary.Asin(),
    "acos": elementary.Acos(),
    "atan": elementary.Atan(),
    "sinh": elementary.Sinh(),
    "cosh": elementary.Cosh(),
    "asinh": elementary.Asinh(),
    "acosh": elementary.Acosh(),
    "atanh": elementary.Atanh(),
    "floor": elementary.Floor(),
    "ceil": elementary.Ceil(),
    "trunc": elementary.Trunc(),
    "erf": elementary.Erf(),
    "silu": activations.Silu(),
    "mish": activations.Mish(),
    "log_sigmoid": activations.LogSigmoid(),
    "isnan": types.IsNan(),
    "isinf": types.IsInf(),
    "logical_not": types.Not(),
}
ALSO = {
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "special_erf": "erf",
    "fix": "trunc",
}


@aten(*FUNCTIONS, *ALSO)
def function(b: TorchBuilder, call: Call) -> Value:
    name = call.target.rstrip("_") if call.target.rstrip("_") in {**FUNCTIONS, **ALSO} else call.target
    return b.add(FUNCTIONS[ALSO.get(name, name)], [b.value(call["self"])])


def converted(b: Builder, x: Value, dtype: str) -> Value:
    """x in another type of torch's; reals of any width are computed in float32."""
    wanted = "float32" if dtype in ("float16", "bfloat16", "float64") else dtype
    if wanted == b.tensor(x).dtype:
        return x
    if wanted not in types.EVERY:
        found = b.tensor(x).dtype
        raise UserError(
            f"layer '{b.where}': a conversion from {found} to {dtype} is not supported, only to "
            f"{', '.join(types.EVERY)}"
        )
    return b.add(types.Cast(wanted), [x])


@aten("round")
def round_(b: TorchBuilder, call: Call) -> Value:
    if call.get("decimals"):
        raise UserError(
            f"layer '{b.where}': round to {call['decimals']} decimals is not supported, only to 0"
        )
    return b.add(elementary.Round(), [b.value(call["self"])])


@aten("bitwise_not")
def bitwise_not(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    return b.add(types.Not() if b.tensor(x).dtype == "bool" else types.BitwiseNot(), [x])


@aten("gelu")
def gelu(b: TorchBuilder, call: Call) -> Value:
    tanh = call.get("approximate", "none") == "tanh"
    return b.add(activations.GeluTanh() if tanh else activations.Gelu(), [b.value(call["self"])])


@aten("elu")
def elu(b: TorchBuilder, call: Call) -> Value:
    """scale (x above zero, alpha (e^(input_scale x) - 1) below)."""
    if float(call.get("input_scale", 1)) != 1.0:
        raise UserError(f"layer '{b.where}': input_scale={call['input_scale']}, only 1 is supported")
    alpha, scale = float(call.get("alpha", 1)), float(call.get("scale", 1))
    return b.add(activations.Elu(alpha * scale, scale), [b.value(call["self"])])


@aten("selu")
def selu(b: TorchBuilder, call: Call) -> Value:
    return b.add(activations.Elu(*activations.SELU), [b.value(call["self"])])


@aten("celu")
def celu(b: TorchBuilder, call: Call) -> Value:
    return b.add(activations.Celu(float(call.get("alpha", 1))), [b.value(call["self"])])


@aten("softplus")
def softplus(b: TorchBuilder, call: Call) -> Value:
    """log(1 + e^(beta x)) / beta; beyond torch's threshold of 20 the difference from x is below float32."""
    from lilliput.ops.binary.arithmetic import Mul
    from lilliput.ops.binary.convert import apply

    x, beta = b.value(call["self"]), float(call.get("beta", 1))
    if float(call.get("threshold", 20)) < 17:
        raise UserError(f"layer '{b.where}': threshold={call['threshold']}, expected at least 17")
    if beta == 1.0:
        return b.add(activations.Softplus(), [x])
    scaled = apply(b, Mul(), x, b.constant(np.asarray(beta, np.float32)))
    return apply(
        b, Mul(), b.add(activations.Softplus(), [scaled]), b.constant(np.asarray(1 / beta, np.float32))
    )


@aten("threshold")
def threshold(b: TorchBuilder, call: Call) -> Value:
    op = activations.Threshold(float(call["threshold"]), float(call["value"]))
    return b.add(op, [b.value(call["self"])])


@aten("hardshrink")
def hardshrink(b: TorchBuilder, call: Call) -> Value:
    return b.add(activations.Shrink(float(call.get("lambd", 0.5)), 0.0), [b.value(call["self"])])


@aten("softshrink")
def softshrink(b: TorchBuilder, call: Call) -> Value:
    width = float(call.get("lambd", 0.5))
    return b.add(activations.Shrink(width, width), [b.value(call["self"])])


@aten("softsign")
def softsign(b: TorchBuilder, call: Call) -> Value:
    return b.add(activations.Softsign(), [b.value(call["self"])])
