"""How foreign maxima and minima of two tensors become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.importers.registry import aten, tflite
from lilliput.ops.binary.convert import apply
from lilliput.ops.extremum.extremum import Maximum, Minimum

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("maximum")
def maximum(b: TorchBuilder, call: Call) -> Value:
    return apply(b, Maximum(), b.value(call["self"]), b.value(call["other"]))


@aten("minimum")
def minimum(b: TorchBuilder, call: Call) -> Value:
    return apply(b, Minimum(), b.value(call["self"]), b.value(call["other"]))


@tflite("MAXIMUM")
def tflite_maximum(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, Maximum(), b.inputs(o))


@tflite("MINIMUM")
def tflite_minimum(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, Minimum(), b.inputs(o))
