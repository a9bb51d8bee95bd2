"""How ONNX's Where becomes ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.importers.registry import onnx
from lilliput.ops.choice.where import Where

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


def choose(b: Builder, condition: Value, yes: Value, no: Value) -> Value:
    """Where on three values that are broadcast together."""
    values = b.together([condition, yes, no])
    return b.add(Where(), values, max((v.order for v in values), key=len))


@onnx("Where")
def where(b: OnnxBuilder, n: OnnxNode) -> Value:
    return choose(b, b.value(n, 0), b.value(n, 1), b.value(n, 2))
