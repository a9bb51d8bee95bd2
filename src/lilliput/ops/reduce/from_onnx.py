"""How ONNX's reductions become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.op import REGISTRY
from lilliput.ops.reduce.argmax import ArgExtreme, ArgMax, ArgMin
from lilliput.ops.reduce.mean import LOOPS, Mean, loops
from lilliput.ops.reduce.reductions import (
    ReduceL1,
    ReduceL2,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
)
from lilliput.ops.reduce.two_pass import ReduceLogSumExp

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

KINDS: dict[str, type[Any]] = {
    "ReduceSum": ReduceSum,
    "ReduceMean": Mean,
    "ReduceMax": ReduceMax,
    "ReduceMin": ReduceMin,
    "ReduceProd": ReduceProd,
    "ReduceL1": ReduceL1,
    "ReduceL2": ReduceL2,
    "ReduceLogSum": ReduceSum,
    "ReduceLogSumExp": ReduceLogSumExp,
    "ReduceSumSquare": ReduceSumSquare,
}


def dims_of(n: OnnxNode, given: list[int], rank: int) -> tuple[int, ...]:
    """Dimensions counted from 0, each once."""
    if not all(-rank <= d < rank for d in given):
        raise UserError(f"{n.where}: axes {given} are not axes of an input of {rank} dimensions")
    return tuple(sorted({d % rank for d in given}))


def order_without(order: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """How the result is stored once the dimensions that are left have been renumbered."""
    left = [d for d in order if d not in dims]
    return tuple(sorted(left).index(d) for d in left)


@onnx(*KINDS)
def reduction(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, given = b.value(n, 0), b.ints(n, "axes", 1)
    rank = len(x.order)
    if not given and n.attr("noop_with_empty_axes", 0):
        return _of_one(b, n, x)
    dims = dims_of(n, given or list(range(rank)), rank)
    if not dims:
        return _of_one(b, n, x)
    keep = bool(n.attr("keepdims", 1))
    axes = tuple(sorted(b.axis(x, d) for d in dims))
    if n.op == "ReduceMean" and max(map(len, loops(b.tensor(x).shape, axes))) > LOOPS:
        axes, x = tuple(dims), b.logical(x)
    y = b.add(KINDS[n.op](axes, keep), [x], x.order if keep else order_without(x.order, dims))
    return b.add(REGISTRY["log"](), [y]) if n.op == "ReduceLogSum" else y


def _of_one(b: OnnxBuilder, n: OnnxNode, x: Value) -> Value:
    """Each value alone: most reductions leave it as it is."""
    if n.op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp"):
        return x
    raise UserError(f"{n.where}: without axes it is no reduction; use Abs, Log or Mul instead")


def _index(b: OnnxBuilder, n: OnnxNode, cls: type[ArgExtreme]) -> Value:
    x = b.value(n, 0)
    dims = dims_of(n, [int(n.attr("axis", 0))], len(x.order))
    keep = bool(n.attr("keepdims", 1))
    op = cls(b.axis(x, dims[0]), keep, bool(n.attr("select_last_index", 0)), "int64")
    return b.add(op, [x], x.order if keep else order_without(x.order, dims))


@onnx("ArgMax")
def argmax(b: OnnxBuilder, n: OnnxNode) -> Value:
    return _index(b, n, ArgMax)


@onnx("ArgMin")
def argmin(b: OnnxBuilder, n: OnnxNode) -> Value:
    return _index(b, n, ArgMin)
