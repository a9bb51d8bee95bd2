"""Layers of several inputs, and the arithmetic of tensors that users write with + and *."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.keras.activations import scaled
from lilliput.importers.keras.registry import keras
from lilliput.op import Op
from lilliput.ops.binary import Add, Mul, Sub
from lilliput.ops.binary.convert import apply, quotient, variable_first
from lilliput.ops.extremum import Maximum, Minimum
from lilliput.ops.shape.importing import joined

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer

PAIRS: dict[str, Op] = {
    "Add": Add(),
    "Average": Add(),
    "Multiply": Mul(),
    "Subtract": Sub(),
    "Maximum": Maximum(),
    "Minimum": Minimum(),
}


@keras(*PAIRS)
def merged(b: KerasBuilder, n: Layer) -> Value:
    found = [b.plain(b.real(v)) for v in n.inputs]
    exact = n.kind == "Subtract"
    if len(found) < 2 or (exact and len(found) != 2):
        raise UserError(f"{n.where}: {len(found)} inputs, expected {'2' if exact else 'at least 2'}")
    if len({len(v.order) for v in found}) != 1:
        shapes = ", ".join(str(b.shape(v)) for v in found)
        raise UserError(f"{n.where}: inputs of the shapes {shapes}, expected as many dimensions in all")
    total = found[0]
    for v in found[1:]:
        total = apply(b, PAIRS[n.kind], total, v)
    return scaled(b, total, 1 / len(found)) if n.kind == "Average" else total


@keras("Concatenate", "ops.Concatenate")
def concatenate(b: KerasBuilder, n: Layer) -> Value:
    found = [b.real(v) for v in n.inputs]
    if not found:
        raise UserError(f"{n.where}: no inputs")
    rank = len(found[0].order)
    axis = n.settings.integer("axis", least=1 - rank, most=rank - 1, default=-1) % rank
    if axis == 0:
        raise n.settings.wrong("axis", f"an axis from 1 to {rank - 1}")
    return joined(b, found, axis)


def _operand(b: KerasBuilder, n: Layer, found: object) -> Value:
    if isinstance(found, Value):
        return b.real(found)
    if isinstance(found, bool) or not isinstance(found, int | float) or abs(found) > 3e38:
        raise UserError(f"{n.where}: the operand {str(found)[:40]} is neither a tensor nor a number")
    return b.constant(np.asarray(found, np.float32))


@keras(
    "ops.Add", "ops.Subtract", "ops.Multiply", "ops.Divide", "ops.TrueDivide", "ops.Maximum", "ops.Minimum"
)
def arithmetic(b: KerasBuilder, n: Layer) -> Value:
    given = [*n.args, *(n.options.get(key) for key in ("x1", "x2") if n.options.get(key) is not None)]
    if len(given) != 2:
        raise UserError(f"{n.where}: {len(given)} operands, expected 2")
    x, y = (_operand(b, n, v) for v in given)
    kind = n.kind.removeprefix("ops.")
    if kind.endswith("Divide"):
        return quotient(b, x, y)
    return apply(b, PAIRS[kind], *((x, y) if kind == "Subtract" else variable_first(b, x, y)))
