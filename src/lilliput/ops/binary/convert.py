"""How foreign sums, differences, products and quotients become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.binary.arithmetic import Add, Mul, Sub
from lilliput.ops.binary.common import Binary

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _aligned(b: TorchBuilder, v: Value, order: tuple[int, ...]) -> Value:
    """The operand with as many dimensions as the result, stored in its order; a single number has none."""
    from lilliput.importers.torch import Value as StoredValue
    from lilliput.ops.shape import Reshape

    missing = len(order) - len(v.order)
    data = b.tensor(v).data
    if data is not None and data.size == 1:
        return b.constant(data.reshape(()))
    if missing:
        v = b.logical(v)
        shape = (1,) * missing + b.tensor(v).shape
        whole = tuple(range(len(order)))
        data = b.tensor(v).data
        if data is not None:
            v = StoredValue(b.constant(data.reshape(shape)).name, whole)
        else:
            v = b.add(Reshape(shape), [v], whole)
    return b.reorder(v, order)


def _apply(b: TorchBuilder, op: Binary, first: Value, second: Value) -> Value:
    """The operator on two values that torch broadcasts; the smaller one moves where their orders differ."""

    def weight(v: Value) -> tuple[bool, int, int]:
        t = b.tensor(v)
        return (not t.constant, len(v.order), t.size)

    rank = max(len(first.order), len(second.order))
    whole = [v for v in (first, second) if len(v.order) == rank]
    order = max(whole, key=weight).order  # the first of equals
    return b.add(op, [_aligned(b, first, order), _aligned(b, second, order)], order)


def _operands(b: TorchBuilder, call: Call) -> tuple[Value, Value]:
    if call.get("rounding_mode") is not None:
        raise UserError(f"layer '{b.where}': division with rounding_mode is not supported")
    return b.value(call["self"]), b.value(call["other"])


def _times(b: TorchBuilder, v: Value, factor: Any) -> Value:
    return v if factor in (None, 1) else _apply(b, Mul(), v, b.constant(np.asarray(factor, np.float32)))


def _variable_first(b: TorchBuilder, x: Value, y: Value) -> tuple[Value, Value]:
    """For operators that commute: a constant comes second, where the folding passes look for it."""
    return (y, x) if b.tensor(x).constant else (x, y)


@aten("add")
def add(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return _apply(b, Add(), *_variable_first(b, x, _times(b, y, call.get("alpha"))))


@aten("sub")
def sub(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return _apply(b, Sub(), x, _times(b, y, call.get("alpha")))


@aten("rsub")
def rsub(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    return _apply(b, Sub(), y, _times(b, x, call.get("alpha")))


@aten("mul")
def mul(b: TorchBuilder, call: Call) -> Value:
    return _apply(b, Mul(), *_variable_first(b, *_operands(b, call)))


@aten("div")
def div(b: TorchBuilder, call: Call) -> Value:
    x, y = _operands(b, call)
    divisor = b.tensor(y).data
    if divisor is None or not divisor.all():
        raise UserError(f"layer '{b.where}': division is supported by constants other than zero only")
    from lilliput.importers.torch import Value as StoredValue

    return _apply(b, Mul(), x, StoredValue(b.constant(np.float32(1) / divisor).name, y.order))


@aten("neg")
def neg(b: TorchBuilder, call: Call) -> Value:
    return _times(b, b.value(call["self"]), -1.0)


def _of_file(b: TfliteBuilder, o: TfliteOperator, op: Binary) -> None:
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
