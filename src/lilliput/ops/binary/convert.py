"""How foreign sums, differences, products and quotients become ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
from lilliput.ops.binary.arithmetic import Add, Mul, Sub
from lilliput.ops.binary.numbers import Div, FloorDiv, Fmod, Mod, Pow, Prelu, SquaredDifference
from lilliput.ops.unary.elementary import Neg, Reciprocal, Rsqrt, Sqrt, Trunc
from lilliput.ops.unary.from_torch import converted

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def apply(b: Builder, op: Op, first: Value, second: Value) -> Value:
    """The operator on two values that are broadcast together; the smaller one moves where their orders differ."""
    x, y = b.together([first, second])
    return b.add(op, [x, y], max(x.order, y.order, key=len))


def _operands(b: TorchBuilder, call: Call) -> tuple[Value, Value]:
    """Of one type."""
    from lilliput.ops.logic.convert import same_type  # whose comparisons are made of what is here

    return same_type(b, b.value(call["self"]), b.value(call["other"]))


def _times(b: Builder, v: Value, factor: Any) -> Value:
    dtype = b.tensor(v).dtype if isinstance(factor, int) else "float32"
    return v if factor in (None, 1) else apply(b, Mul(), v, b.constant(np.asarray(factor, dtype)))


def variable_first(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """For operators that commute: a constant comes second, where the folding passes look for it."""
    return (y, x) if b.tensor(x).constant else (x, y)


def quotient(b: Builder, x: Value, y: Value) -> Value:
    """x / y; by constants a product, which the folding passes know what to do with."""
    divisor = b.tensor(y).data
    if divisor is None or divisor.dtype != np.float32:
        return apply(b, Div(), x, y)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / divisor
    if not np.isfinite(inverse).all():
        return apply(b, Div(), x, y)
    return apply(b, Mul(), x, replace(b.constant(inverse), order=y.order))


def power(b: Builder, x: Value, y: Value) -> Value:
    """x^y; the exponents that have a simpler form get it."""
    exponent = b.tensor(y).data
    if exponent is not None and exponent.size == 1 and exponent.dtype == np.float32:
        value = float(exponent.reshape(-1)[0])
        if value == 1.0 and len(y.order) <= len(x.order):
            return x
        if value == 2.0 and len(y.order) <= len(x.order):
            return b.add(Mul(), [x, x])
        simple: dict[float, Op] = {0.5: Sqrt(), -0.5: Rsqrt(), -1.0: Reciprocal()}
        if value in simple and len(y.order) <= len(x.order):
            return b.add(simple[value], [x])
    return apply(b, Pow(), x, y)


@aten("add")
def add(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return apply(b, Add(), *variable_first(b, x, _times(b, y, call.get("alpha"))))


@aten("sub")
def sub(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return apply(b, Sub(), x, _times(b, y, call.get("alpha")))


@aten("rsub")
def rsub(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return apply(b, Sub(), y, _times(b, x, call.get("alpha")))


@aten("mul")
def mul(b: TorchBuilder, call: Call) -> Value:
    return apply(b, Mul(), *variable_first(b, *_operands(b, call)))


@aten("div")
def div(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    rounding = call.get("rounding_mode")
    if rounding == "floor":
        return apply(b, FloorDiv(), x, y)
    if b.tensor(x).dtype != "float32":
        if rounding is not None:
            return apply(b, Div(), x, y)
        x, y = (converted(b, v, "float32") for v in (x, y))
    y = quotient(b, x, y)
    return y if rounding is None else b.add(Trunc(), [y])


@aten("neg")
def neg(b: TorchBuilder, call: Call) -> Value:
    """A product, which the folding passes know what to do with."""
    x = b.value(call["self"])
    return _times(b, x, -1.0) if b.tensor(x).dtype == "float32" else b.add(Neg(), [x])


@aten("floor_divide")
def floor_divide(b: TorchBuilder, call: Call) -> Value:
    return apply(b, FloorDiv(), *_operands(b, call))


@aten("remainder")
def remainder(b: TorchBuilder, call: Call) -> Value:
    return apply(b, Mod(), *_operands(b, call))


@aten("fmod")
def fmod(b: TorchBuilder, call: Call) -> Value:
    return apply(b, Fmod(), *_operands(b, call))


@aten("pow")
def pow_(b: TorchBuilder, call: Call) -> Value:
    return power(b, b.value(call["self"]), b.value(call["exponent"]))


@aten("square")
def square(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    return b.add(Mul(), [x, x])


@aten("prelu", "_prelu_kernel")
def prelu(b: TorchBuilder, call: Call) -> Value:
    """The slopes are one number, or one for each index of dimension 1."""
    x, slope = b.value(call["self"]), b.value(call["weight"])
    rank, count = len(x.order), b.tensor(slope).size
    if count > 1 and len(slope.order) == 1 and rank > 1:
        shape = tuple(count if d == 1 else 1 for d in range(rank))
        data = b.tensor(slope).data
        if data is None:
            raise UserError(f"layer '{b.where}': slopes that are computed at run time are not supported")
        slope = b.constant(data.reshape(shape))
    return apply(b, Prelu(), x, slope)


def _of_file(b: TfliteBuilder, o: TfliteOperator, op: Op) -> None:
    b.add(o, op, b.inputs(o))


@tflite("ADD")
def tflite_add(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Add(b.activation(o)))


@tflite("SUB")
def tflite_sub(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Sub(b.activation(o)))


@tflite("MUL")
def tflite_mul(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Mul(b.activation(o)))


@tflite("DIV")
def tflite_div(b: TfliteBuilder, o: TfliteOperator) -> None:
    if b.output(o).quant is not None and b.output(o).dtype in ("int8", "int16"):
        raise UserError(
            f"{b.where(o)}: a quotient of {b.output(o).dtype} is not supported, only of float32 and int32; "
            "keep the division in float32"
        )
    _without_activation(b, o, Div())


def _without_activation(b: TfliteBuilder, o: TfliteOperator, op: Op) -> None:
    if b.activation(o) is not None:
        raise UserError(
            f"{b.where(o)}: a fused activation is not supported here; convert the model without it"
        )
    _of_file(b, o, op)


@tflite("POW")
def tflite_pow(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Pow())


@tflite("FLOOR_DIV")
def tflite_floor_div(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, FloorDiv())


@tflite("FLOOR_MOD")
def tflite_floor_mod(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Mod())


@tflite("SQUARED_DIFFERENCE")
def tflite_squared_difference(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, SquaredDifference())


@tflite("PRELU")
def tflite_prelu(b: TfliteBuilder, o: TfliteOperator) -> None:
    _of_file(b, o, Prelu())
