"""How ONNX's operators with indices become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.index.elements import GatherElements, ScatterElements
from lilliput.ops.index.importing import gathered, narrow, reduction
from lilliput.ops.index.tuples import GatherND, ScatterND
from lilliput.ops.index.write import WriteSlice

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


def _dim(n: OnnxNode, default: int, rank: int) -> int:
    d = int(n.attr("axis", default))
    if not -rank <= d < rank:
        raise UserError(f"{n.where}: dimension {d} of a tensor of {rank}")
    return d % rank


@onnx("Gather", moves=True)
def gather(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    return gathered(b, x, _dim(n, 0, len(x.order)), b.value(n, 1))


@onnx("GatherElements")
def gather_elements(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    dim = _dim(n, 0, len(x.order))
    return b.add(GatherElements(b.axis(x, dim)), [x, b.reorder(narrow(b, b.value(n, 1)), x.order)], x.order)


@onnx("GatherND", moves=True)
def gather_nd(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, indices = b.logical(b.value(n, 0)), b.logical(narrow(b, b.value(n, 1)))
    op = GatherND(int(n.attr("batch_dims", 0)))
    return b.add(op, [x, indices], tuple(range(len(op.infer([b.tensor(x), b.tensor(indices)])[0]))))


@onnx("ScatterElements", "Scatter")
def scatter_elements(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    dim = _dim(n, 0, len(x.order))
    others = [b.reorder(v, x.order) for v in (narrow(b, b.value(n, 1)), b.value(n, 2))]
    op = ScatterElements(b.axis(x, dim), reduction(b, str(n.attr("reduction", "none"))))
    return b.add(op, [x, *others], x.order)


@onnx("ScatterND", moves=True)
def scatter_nd(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, indices, updates = (b.logical(b.value(n, i)) for i in range(3))
    op = ScatterND(reduction(b, str(n.attr("reduction", "none"))))
    return b.add(op, [x, narrow(b, indices), updates], x.order)


@onnx("TensorScatter", moves=True)
def tensor_scatter(b: OnnxBuilder, n: OnnxNode) -> Value:
    import numpy as np

    x, update = (b.logical(b.value(n, i)) for i in range(2))
    starts = b.value(n, 2) if b.has(n, 2) else b.constant(np.zeros(b.shape(x)[0], np.int32))
    op = WriteSlice(_dim(n, -2, len(x.order)), str(n.attr("mode", "linear")) == "circular")
    return b.add(op, [x, update, narrow(b, starts)], x.order)
