"""How foreign softmax becomes ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.op import Op
from lilliput.ops.softmax.log_softmax import OUTPUT, LogSoftmax
from lilliput.ops.softmax.softmax import FORMS, Softmax, in_words

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _last(b: TorchBuilder, call: Call, op: Op) -> Value:
    """An operator over the last axis, applied to the dimension that the call names."""
    x = b.value(call["self"])
    dim = int(call["dim"]) % len(x.order)
    if dim == 0:
        raise UserError(f"layer '{b.where}': softmax over dimension 0 mixes the samples of a batch")
    return b.add(op, [b.reorder(x, (*(d for d in x.order if d != dim), dim))])


@aten("softmax", "_softmax")
def softmax(b: TorchBuilder, call: Call) -> Value:
    return _last(b, call, Softmax())


@aten("log_softmax", "_log_softmax")
def log_softmax(b: TorchBuilder, call: Call) -> Value:
    return _last(b, call, LogSoftmax())


@tflite("LOG_SOFTMAX")
def tflite_log_softmax(b: TfliteBuilder, o: TfliteOperator) -> None:
    y = b.output(o)
    if y.dtype == "int8" and not OUTPUT.same(y.quant):
        raise UserError(f"{b.where(o)}: the result's quantization is {y.quant}, expected {OUTPUT}")
    b.add(o, LogSoftmax(), b.inputs(o))


@tflite("SOFTMAX")
def tflite_softmax(b: TfliteBuilder, o: TfliteOperator) -> None:
    y = b.output(o)
    if y.dtype in FORMS and not FORMS[y.dtype][0].same(y.quant):
        raise UserError(
            f"{b.where(o)}: the result's quantization is {y.quant}, expected {in_words(FORMS[y.dtype][0])}; "
            "convert the model again with TensorFlow's own converter"
        )
    beta = o.options["beta"]
    assert isinstance(beta, float)  # the reader's schema says so
    b.add(o, Softmax(beta), b.inputs(o))
