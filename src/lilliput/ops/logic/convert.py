"""How foreign comparisons and functions of bits become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
from lilliput.ops.binary.convert import apply
from lilliput.ops.logic import And, Equal, Less, LessEqual, NotEqual, Or, Xor
from lilliput.ops.unary.types import Cast

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder

ATEN: dict[str, tuple[Op, bool]] = {
    "eq": (Equal(), False),
    "ne": (NotEqual(), False),
    "lt": (Less(), False),
    "le": (LessEqual(), False),
    "gt": (Less(), True),
    "ge": (LessEqual(), True),
    "equal": (Equal(), False),
    "not_equal": (NotEqual(), False),
    "less": (Less(), False),
    "less_equal": (LessEqual(), False),
    "greater": (Less(), True),
    "greater_equal": (LessEqual(), True),
}
"""Operator, and whether its operands change places."""
BITS: dict[str, Op] = {
    "logical_and": And(),
    "logical_or": Or(),
    "logical_xor": Xor(),
    "bitwise_and": And(),
    "bitwise_or": Or(),
    "bitwise_xor": Xor(),
    "__and__": And(),
    "__or__": Or(),
    "__xor__": Xor(),
}
TFLITE: dict[str, tuple[Op, bool]] = {
    "EQUAL": (Equal(), False),
    "NOT_EQUAL": (NotEqual(), False),
    "LESS": (Less(), False),
    "LESS_EQUAL": (LessEqual(), False),
    "GREATER": (Less(), True),
    "GREATER_EQUAL": (LessEqual(), True),
    "LOGICAL_AND": (And(), False),
    "LOGICAL_OR": (Or(), False),
    "BITWISE_XOR": (Xor(), False),
}


def same_type(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Both in the type that holds either: real before whole before truth; a constant adds no width to integers."""
    types = [b.tensor(v).dtype for v in (x, y)]
    if types[0] == types[1]:
        return x, y
    kinds = [np.dtype(t).kind.replace("u", "i") for t in types]
    computed = [t for t, v in zip(types, (x, y), strict=True) if not b.tensor(v).constant]
    if kinds[0] == kinds[1] and len(computed) == 1:
        wider = computed[0]
    else:
        wider = max(types, key=lambda t: ("biuf".index(np.dtype(t).kind), np.dtype(t).itemsize))
    x, y = (v if b.tensor(v).dtype == wider else b.add(Cast(wider), [v]) for v in (x, y))
    return x, y


@aten(*ATEN)
def compare(b: TorchBuilder, call: Call) -> Value:
    op, swapped = ATEN[call.target]
    x, y = same_type(b, b.value(call["self"]), b.value(call["other"]))
    return apply(b, op, y, x) if swapped else apply(b, op, x, y)


def _truth(b: Builder, v: Value, *, wanted: bool) -> Value:
    return b.add(Cast("bool"), [v]) if wanted and b.tensor(v).dtype != "bool" else v


@aten(*BITS)
def bits(b: TorchBuilder, call: Call) -> Value:
    logical = call.target.startswith("logical")
    x, y = (_truth(b, b.value(call[k]), wanted=logical) for k in ("self", "other"))
    return apply(b, BITS[call.target], *same_type(b, x, y))


@tflite(*TFLITE)
def tflite_compare(b: TfliteBuilder, o: TfliteOperator) -> None:
    op, swapped = TFLITE[o.op]
    x, y = b.inputs(o)
    b.add(o, op, (y, x) if swapped else (x, y))
