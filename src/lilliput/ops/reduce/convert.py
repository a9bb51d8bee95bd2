"""How foreign reductions become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
from lilliput.ops.extremum import Maximum, Minimum
from lilliput.ops.reduce.argmax import ArgExtreme, ArgMax, ArgMin
from lilliput.ops.reduce.mean import Mean
from lilliput.ops.reduce.reductions import (
    ReduceL1,
    ReduceL2,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReduceSum,
)
from lilliput.ops.reduce.two_pass import Deviation, ReduceLogSumExp, Spread, Variance

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


def _reduced(b: TorchBuilder, call: Call, cls: type[Any], **attributes: Any) -> Value:
    """A reduction over the dimensions that the call names."""
    x = b.value(call["self"])
    dims = _torch_dims(b, call, x)
    keep = bool(call.get("keepdim", False))
    axes = tuple(sorted(b.axis(x, d) for d in dims))
    op: Op = cls(axes, keep, **attributes)
    return b.add(op, [x], x.order if keep else _order_without(x.order, dims))


@aten("mean")
def mean(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, Mean)


@aten("sum")
def total(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, ReduceSum)


@aten("prod")
def product(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, ReduceProd)


@aten("amax")
def amax(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, ReduceMax)


@aten("amin")
def amin(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, ReduceMin)


@aten("logsumexp")
def logsumexp(b: TorchBuilder, call: Call) -> Value:
    return _reduced(b, call, ReduceLogSumExp)


@aten("norm", "linalg_vector_norm")
def norm(b: TorchBuilder, call: Call) -> Value:
    p = call.get("p", call.get("ord", 2))
    kinds: dict[float, type[Op]] = {1.0: ReduceL1, 2.0: ReduceL2}
    kind = kinds.get(2.0 if p is None else float(p))
    if kind is None:
        raise UserError(f"layer '{b.where}': a norm of order {p}, expected 1 or 2")
    return _reduced(b, call, kind)


def _spread(b: TorchBuilder, call: Call, cls: type[Spread]) -> Value:
    given = call.get("correction", 1.0 if call.get("unbiased", True) else 0.0)
    return _reduced(b, call, cls, correction=1.0 if given is None else float(given))


@aten("var")
def variance(b: TorchBuilder, call: Call) -> Value:
    return _spread(b, call, Variance)


@aten("std")
def deviation(b: TorchBuilder, call: Call) -> Value:
    return _spread(b, call, Deviation)


def _index(b: TorchBuilder, call: Call, cls: type[ArgExtreme]) -> Value:
    x = b.value(call["self"])
    dims = _torch_dims(b, call, x)
    keep = bool(call.get("keepdim", False))
    order = x.order if keep else _order_without(x.order, dims)
    return b.add(cls(b.axis(x, dims[0]), keep), [x], order)


@aten("argmax")
def argmax(b: TorchBuilder, call: Call) -> Value:
    return _index(b, call, ArgMax)


@aten("argmin")
def argmin(b: TorchBuilder, call: Call) -> Value:
    return _index(b, call, ArgMin)


def _extreme(b: TorchBuilder, call: Call, greatest: bool) -> Value | tuple[Value, ...]:
    """max and min: of two tensors, of everything, or of one dimension with the index."""
    if call.get("other") is not None:
        x, y = b.together([b.value(call["self"]), b.value(call["other"])])
        return b.add(Maximum() if greatest else Minimum(), [x, y], max(x.order, y.order, key=len))
    value = _reduced(b, call, ReduceMax if greatest else ReduceMin)
    if call.get("dim") is None:
        return value
    return value, _index(b, call, ArgMax if greatest else ArgMin)


@aten("max")
def greatest(b: TorchBuilder, call: Call) -> Value | tuple[Value, ...]:
    return _extreme(b, call, True)


@aten("min")
def least(b: TorchBuilder, call: Call) -> Value | tuple[Value, ...]:
    return _extreme(b, call, False)


def _axes(b: TfliteBuilder, o: TfliteOperator) -> tuple[int, ...]:
    rank = len(b.tensor(o, 0).shape)
    given = [int(a) for a in b.data(o, 1).reshape(-1)]
    if not given or not all(-rank <= a < rank for a in given):
        raise UserError(f"{b.where(o)}: axes {given} are not axes of an input of {rank} dimensions")
    return tuple(sorted({a % rank for a in given}))


TFLITE: dict[str, type[Any]] = {
    "MEAN": Mean,
    "SUM": ReduceSum,
    "REDUCE_PROD": ReduceProd,
    "REDUCE_MAX": ReduceMax,
    "REDUCE_MIN": ReduceMin,
    "REDUCE_ANY": ReduceMax,  # of booleans
    "REDUCE_ALL": ReduceMin,
}


@tflite(*TFLITE)
def tflite_reduction(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, TFLITE[o.op](_axes(b, o), bool(o.options["keep_dims"])), b.inputs(o)[:1])


def _tflite_index(b: TfliteBuilder, o: TfliteOperator, cls: type[ArgExtreme]) -> None:
    axes, y = _axes(b, o), b.output(o)
    if len(axes) != 1:
        raise UserError(f"{b.where(o)}: expected one axis, found {axes}")
    if y.dtype != "int32":
        raise UserError(
            f"{b.where(o)}: indices of type {y.dtype} are not supported; export with output_type int32"
        )
    b.add(o, cls(axes[0]), b.inputs(o)[:1])


@tflite("ARG_MAX")
def tflite_argmax(b: TfliteBuilder, o: TfliteOperator) -> None:
    _tflite_index(b, o, ArgMax)


@tflite("ARG_MIN")
def tflite_argmin(b: TfliteBuilder, o: TfliteOperator) -> None:
    _tflite_index(b, o, ArgMin)
