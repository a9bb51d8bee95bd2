"""How ONNX's functions of two and of any number of operands become ours."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.op import Op
from lilliput.ops.binary.arithmetic import Add, Mul, Sub
from lilliput.ops.binary.convert import apply, power, quotient, variable_first
from lilliput.ops.binary.numbers import Fmod, Mod, Prelu
from lilliput.ops.extremum import Maximum, Minimum
from lilliput.ops.logic import And, Equal, Less, LessEqual, Or, ShiftLeft, ShiftRight, Xor
from lilliput.ops.unary.from_onnx import cast_to

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

COMMUTE: dict[str, Op] = {"Add": Add(), "Mul": Mul()}
OTHERS: dict[str, Op] = {
    "Sub": Sub(),
    "PRelu": Prelu(),
    "And": And(),
    "Or": Or(),
    "Xor": Xor(),
    "BitwiseAnd": And(),
    "BitwiseOr": Or(),
    "BitwiseXor": Xor(),
    "Equal": Equal(),
    "Less": Less(),
    "LessOrEqual": LessEqual(),
}
SWAPPED: dict[str, Op] = {"Greater": Less(), "GreaterOrEqual": LessEqual()}
VARIADIC: dict[str, Op] = {"Max": Maximum(), "Min": Minimum(), "Sum": Add(), "Mean": Add()}


@onnx(*COMMUTE)
def commuting(b: OnnxBuilder, n: OnnxNode) -> Value:
    return apply(b, COMMUTE[n.op], *variable_first(b, b.value(n, 0), b.value(n, 1)))


@onnx(*OTHERS)
def other(b: OnnxBuilder, n: OnnxNode) -> Value:
    return apply(b, OTHERS[n.op], b.value(n, 0), b.value(n, 1))


@onnx(*SWAPPED)
def swapped(b: OnnxBuilder, n: OnnxNode) -> Value:
    return apply(b, SWAPPED[n.op], b.value(n, 1), b.value(n, 0))


@onnx("Div")
def div(b: OnnxBuilder, n: OnnxNode) -> Value:
    return quotient(b, b.value(n, 0), b.value(n, 1))


@onnx("Mod")
def mod(b: OnnxBuilder, n: OnnxNode) -> Value:
    return apply(b, Fmod() if n.attr("fmod", 0) else Mod(), b.value(n, 0), b.value(n, 1))


@onnx("Pow")
def pow_(b: OnnxBuilder, n: OnnxNode) -> Value:
    """In the wider of both types, real before whole; the result has the type of the base."""
    x, y = b.value(n, 0), b.value(n, 1)
    types = [b.tensor(v).dtype for v in (x, y)]
    common = "float32" if "float32" in types else max(types, key=lambda t: np.dtype(t).itemsize)
    return cast_to(b, power(b, cast_to(b, x, common), cast_to(b, y, common)), types[0])


@onnx("BitShift")
def bit_shift(b: OnnxBuilder, n: OnnxNode) -> Value:
    kinds: dict[str, Op] = {"LEFT": ShiftLeft(), "RIGHT": ShiftRight()}
    direction = n.attr("direction")
    if direction not in kinds:
        raise UserError(f"{n.where}: direction {direction!r}, expected LEFT or RIGHT")
    return apply(b, kinds[direction], b.value(n, 0), b.value(n, 1))


@onnx(*VARIADIC)
def variadic(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Pair by pair, the first two first."""
    values = b.inputs(n)
    total = reduce(lambda x, y: apply(b, VARIADIC[n.op], x, y), values)
    if n.op != "Mean" or len(values) == 1:
        return total
    return apply(b, Mul(), total, b.constant(np.asarray(1 / len(values), np.float32)))
