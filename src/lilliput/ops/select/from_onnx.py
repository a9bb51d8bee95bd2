"""How ONNX's selections become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.index.importing import narrow
from lilliput.ops.select.one_hot import OneHot
from lilliput.ops.select.reverse_sequence import ReverseSequence
from lilliput.ops.select.topk import TopK
from lilliput.ops.select.triangle import Triangle

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("TopK")
def topk(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    x = b.value(n, 0)
    rank = len(x.order)
    dim, wanted = int(n.attr("axis", -1)), b.ints(n, "k", 1) or [0]
    if not -rank <= dim < rank:
        raise UserError(f"{n.where}: dimension {dim} of a tensor of {rank}")
    largest = bool(n.attr("largest", 1))
    return b.add_many(TopK(b.axis(x, dim), wanted[0], largest, "int64"), [x], x.order)


@onnx("OneHot", moves=True)
def one_hot(b: OnnxBuilder, n: OnnxNode) -> Value:
    indices, depth, values = b.logical(b.value(n, 0)), int(b.data(n, 1).reshape(-1)[0]), b.data(n, 2)
    rank = len(indices.order) + 1
    axis = int(n.attr("axis", -1))
    if not -rank <= axis < rank or values.size != 2:
        raise UserError(f"{n.where}: axis {axis} and {values.size} values for a result of {rank} dimensions")
    off, on = (float(v) for v in values.reshape(-1))
    return b.add(OneHot(axis % rank, depth, off, on, str(values.dtype)), [indices], tuple(range(rank)))


@onnx("Trilu", moves=True)
def trilu(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    k = int(b.data(n, 1).reshape(-1)[0]) if b.has(n, 1) else 0
    # A diagonal far outside keeps all or nothing: the same as one just outside.
    far = max(b.shape(x)[-2:]) + 1
    return b.add(Triangle(bool(n.attr("upper", 1)), max(-far, min(k, far))), [x], x.order)


@onnx("ReverseSequence")
def reverse_sequence(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    op = ReverseSequence(b.axis(x, int(n.attr("time_axis", 0))), b.axis(x, int(n.attr("batch_axis", 1))))
    return b.add(op, [x, narrow(b, b.value(n, 1))], x.order)
