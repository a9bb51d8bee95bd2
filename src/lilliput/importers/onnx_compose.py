"""Operators that are made of others: a converter asks for them as ONNX nodes, whoever knows how to convert them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.onnx_reader import OnnxNode
from lilliput.importers.registry import onnx_converters

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder

OPSET = 21
"""What the parts are written in, whatever the file is: all of their operands are inputs."""


def ask(b: OnnxBuilder, n: OnnxNode, op: str, values: Sequence[Value | None], **attributes: Any) -> Value:
    """The first result of an ONNX operator on `values`, as a part of node n; None is an input left out."""
    converter = onnx_converters().get(op)
    if converter is None:
        raise UserError(f"{n.where}: it is made of '{op}', which is not supported")
    names = tuple("" if v is None else f"\0{i}" for i, v in enumerate(values))  # no file can hold these names
    outer = {name: b.values[name] for name in names if name in b.values}
    b.values.update({name: v for name, v in zip(names, values, strict=True) if v is not None})
    from lilliput.importers.onnx import NeedsConstantError

    try:
        found = converter(b, OnnxNode(op, n.name, names, ("",), attributes, OPSET))
    except NeedsConstantError as error:
        missing = values[names.index(error.name)] if error.name in names else None
        raise NeedsConstantError(n.where, missing.name if missing else error.name) from error
    finally:
        for name in names:
            b.values.pop(name, None)
        b.values.update(outer)
    result = found if isinstance(found, Value) else found[0]
    if result is None:
        raise UserError(f"{n.where}: '{op}', of which it is made, gives no result")
    return result
