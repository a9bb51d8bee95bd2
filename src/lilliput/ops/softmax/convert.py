"""How foreign softmax becomes ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.softmax.softmax import OUTPUT, Softmax

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("softmax", "_softmax")
def softmax(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    dim = int(call["dim"]) % len(x.order)
    if dim == 0:
        raise UserError(f"layer '{b.where}': softmax over dimension 0 mixes the samples of a batch")
    last = (*(d for d in x.order if d != dim), dim)
    return b.add(Softmax(), [b.reorder(x, last)])


@tflite("SOFTMAX")
def tflite_softmax(b: TfliteBuilder, o: TfliteOperator) -> None:
    y = b.output(o)
    if y.dtype == "int8" and not OUTPUT.same(y.quant):
        raise UserError(
            f"{b.where(o)}: the result's quantization is {y.quant}, expected scale 1/256 and zero point "
            "-128; convert the model again with TensorFlow's own converter"
        )
    beta = o.options["beta"]
    assert isinstance(beta, float)  # the reader's schema says so
    b.add(o, Softmax(beta), b.inputs(o))
