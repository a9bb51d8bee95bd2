"""How foreign functions of one element become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
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


def _bound(b: TorchBuilder, call: Call, name: str, default: float) -> float:
    given = call.get(name)
    if given is None:
        return default
    if not isinstance(given, int | float):
        raise UserError(
            f"layer '{b.where}': a clamp whose '{name}' is a tensor is not supported, only a number"
        )
    return float(given)


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
    lo, hi = _bound(b, call, "min", -INF), _bound(b, call, "max", INF)
    return _on_input(b, call, Clamp(min(lo, hi), hi))  # torch: where they cross, the upper bound wins


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
