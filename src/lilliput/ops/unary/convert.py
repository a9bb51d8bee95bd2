"""How foreign functions of one element become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
from lilliput.ops.unary import elementary, types
from lilliput.ops.unary import from_torch as from_torch
from lilliput.ops.unary.activations import Elu, Gelu, GeluTanh
from lilliput.ops.unary.clamp import Clamp
from lilliput.ops.unary.piecewise import HardSigmoid, HardSwish, LeakyRelu
from lilliput.ops.unary.smooth import Sigmoid, Tanh

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value

INF = float("inf")


def _on_input(b: TorchBuilder, call: Call, op: Op) -> Value:
    return b.add(op, [b.value(call["self"])])


@aten("relu")
def relu(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, Clamp(0.0, INF))


@aten("relu6")
def relu6(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, Clamp(0.0, 6.0))


@aten("hardtanh")
def hardtanh(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, Clamp(float(call["min_val"]), float(call["max_val"])))


@aten("clamp", "clip", "clamp_min", "clamp_max")
def clamp(b: TorchBuilder, call: Call) -> Value:
    """Where the bounds cross, the upper one wins; they may be tensors."""
    given = [call.get(name) for name in ("min", "max")]
    if all(v is None or isinstance(v, int | float) for v in given):
        lo = -INF if given[0] is None else float(given[0])
        hi = INF if given[1] is None else float(given[1])
        return _on_input(b, call, Clamp(min(lo, hi), hi))
    from lilliput.ops.binary.convert import apply
    from lilliput.ops.extremum import Maximum, Minimum

    x = b.value(call["self"])
    for bound, op in zip(given, (Maximum(), Minimum()), strict=True):
        x = x if bound is None else apply(b, op, x, b.value(bound))
    return x


@aten("leaky_relu")
def leaky_relu(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, LeakyRelu(float(call["negative_slope"])))


@aten("hardswish")
def hardswish(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, HardSwish())


@aten("hardsigmoid")
def hardsigmoid(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, HardSigmoid())


@aten("sigmoid")
def sigmoid(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, Sigmoid())


@aten("tanh")
def tanh(b: TorchBuilder, call: Call) -> Value:
    return _on_input(b, call, Tanh())


@aten("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(b: TorchBuilder, call: Call) -> Value:
    if call.get("train"):
        raise UserError(f"layer '{b.where}': dropout in training mode cannot be compiled; call model.eval()")
    return b.value(call["input"])


def _one_to_one(b: TfliteBuilder, o: TfliteOperator, op: Op) -> None:
    b.add(o, op, b.inputs(o)[:1])


@tflite("RELU")
def tflite_relu(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, Clamp(0.0, INF))


@tflite("RELU6")
def tflite_relu6(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, y = b.tensor(o, 0), b.output(o)
    # With equal parameters requantizing is the identity, and a plain clamp can be fused.
    _one_to_one(b, o, Clamp(0.0, 6.0, raw=x.quant is not None and not x.quant.same(y.quant)))


@tflite("RELU_N1_TO_1")
def tflite_relu_n1_to_1(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, Clamp(-1.0, 1.0))


@tflite("LEAKY_RELU")
def tflite_leaky_relu(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, LeakyRelu(float(cast(float, o.options["alpha"]))))


@tflite("HARD_SWISH")
def tflite_hard_swish(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, HardSwish())


@tflite("LOGISTIC")
def tflite_logistic(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, Sigmoid())


@tflite("TANH")
def tflite_tanh(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, Tanh())


FUNCTIONS: dict[str, Op] = {
    "ABS": elementary.Abs(),
    "NEG": elementary.Neg(),
    "SIGN": elementary.Sign(),
    "EXP": elementary.Exp(),
    "LOG": elementary.Log(),
    "SQRT": elementary.Sqrt(),
    "RSQRT": elementary.Rsqrt(),
    "SIN": elementary.Sin(),
    "COS": elementary.Cos(),
    "FLOOR": elementary.Floor(),
    "CEIL": elementary.Ceil(),
    "ROUND": elementary.Round(),
    "ELU": Elu(),
    "LOGICAL_NOT": types.Not(),
}


def _register(name: str, op: Op) -> None:
    @tflite(name)
    def convert(b: TfliteBuilder, o: TfliteOperator) -> None:
        _one_to_one(b, o, op)


for _name, _op in FUNCTIONS.items():
    _register(_name, _op)


@tflite("GELU")
def tflite_gelu(b: TfliteBuilder, o: TfliteOperator) -> None:
    _one_to_one(b, o, GeluTanh() if o.options.get("approximate") else Gelu())


@tflite("SQUARE")
def tflite_square(b: TfliteBuilder, o: TfliteOperator) -> None:
    from lilliput.ops.binary import Mul

    x = b.inputs(o)[0]
    b.add(o, Mul(), (x, x))


@tflite("CAST")
def tflite_cast(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, y = b.tensor(o, 0), b.output(o)
    if x.dtype == y.dtype:
        from lilliput.ops.shape import Reshape

        b.add(o, Reshape(y.shape), b.inputs(o)[:1])
    else:
        _one_to_one(b, o, types.Cast(y.dtype))
