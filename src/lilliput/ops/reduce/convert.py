"""How foreign reductions become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.reduce.argmax import ArgMax
from lilliput.ops.reduce.mean import Mean

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _torch_dims(b: TorchBuilder, call: Call, x: Value) -> tuple[int, ...]:
    """The dimensions to reduce, torch's numbers; never the batch."""
    rank = len(x.order)
    given = call.get("dim")
    dims = [given] if isinstance(given, int) else given
    found = tuple(sorted({int(d) % rank for d in dims})) if dims else tuple(range(rank))
    if 0 in found:
        raise UserError(
            f"layer '{b.where}': {call.target} over dimension 0 mixes the samples of a batch; name the "
            f"dimensions to reduce, of 1 to {rank - 1}"
        )
    return found


def _order_without(order: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """How the result is stored once torch has renumbered the dimensions that are left."""
    left = [d for d in order if d not in dims]
    return tuple(sorted(left).index(d) for d in left)


@aten("mean")
def mean(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    dims = _torch_dims(b, call, x)
    keep = bool(call.get("keepdim", False))
    axes = tuple(sorted(b.axis(x, d) for d in dims))
    return b.add(Mean(axes, keep), [x], x.order if keep else _order_without(x.order, dims))


@aten("argmax")
def argmax(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    dims = _torch_dims(b, call, x)
    keep = bool(call.get("keepdim", False))
    order = x.order if keep else _order_without(x.order, dims)
    return b.add(ArgMax(b.axis(x, dims[0]), keep), [x], order)


def _axes(b: TfliteBuilder, o: TfliteOperator) -> tuple[int, ...]:
    rank = len(b.tensor(o, 0).shape)
    given = [int(a) for a in b.data(o, 1).reshape(-1)]
    if not given or not all(-rank <= a < rank for a in given):
        raise UserError(f"{b.where(o)}: axes {given} are not axes of an input of {rank} dimensions")
    return tuple(sorted({a % rank for a in given}))


@tflite("MEAN")
def tflite_mean(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, Mean(_axes(b, o), bool(o.options["keep_dims"])), b.inputs(o)[:1])


@tflite("ARG_MAX")
def tflite_argmax(b: TfliteBuilder, o: TfliteOperator) -> None:
    axes, y = _axes(b, o), b.output(o)
    if len(axes) != 1:
        raise UserError(f"{b.where(o)}: expected one axis, found {axes}")
    if y.dtype != "int32":
        raise UserError(
            f"{b.where(o)}: indices of type {y.dtype} are not supported; export with output_type int32"
        )
    b.add(o, ArgMax(axes[0]), b.inputs(o)[:1])
