"""How ATen's and TensorFlow Lite's running sums and products become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.cumulative.cumulative import CumProd, CumSum

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("cumsum", "cumprod")
def cumulative(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    cls = CumSum if call.target.startswith("cumsum") else CumProd
    return b.add(cls(b.axis(x, int(call["dim"]))), [x], x.order)


@tflite("CUMSUM")
def tflite_cumsum(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, axis, rank = b.tensor(o, 0), b.data(o, 1), len(b.tensor(o, 0).shape)
    if axis.size != 1 or not -rank <= int(axis.reshape(-1)[0]) < rank:
        raise UserError(f"{b.where(o)}: axis {axis.tolist()} of a tensor of {rank}")
    exclusive, reverse = (bool(o.options.get(key)) for key in ("exclusive", "reverse"))
    op = CumSum(int(axis.reshape(-1)[0]) % rank, exclusive, reverse, tflm=x.dtype == "int8")
    b.add(o, op, (x.name,))
