"""How torch's and TensorFlow Lite's choices become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.choice.from_onnx import choose
from lilliput.ops.choice.where import Where
from lilliput.ops.logic.convert import same_type

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("where")
def where(b: TorchBuilder, call: Call) -> Value:
    if call.get("self") is None or call.get("other") is None:
        raise UserError(
            f"layer '{b.where}': where with a condition alone is not supported: its shape would depend on data"
        )
    yes, no = same_type(b, b.value(call["self"]), b.value(call["other"]))
    return choose(b, b.value(call["condition"]), yes, no)


@aten("masked_fill")
def masked_fill(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    filling = b.constant(np.asarray(b.data(call["value"]), b.tensor(x).dtype).reshape(()))
    return choose(b, b.value(call["mask"]), filling, x)


@tflite("SELECT_V2")
def tflite_select_v2(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, Where(), b.inputs(o))


@tflite("SELECT")
def tflite_select(b: TfliteBuilder, o: TfliteOperator) -> None:
    """A condition of one dimension chooses along the first one."""
    condition, x = b.tensor(o, 0), b.tensor(o, 1)
    names = b.inputs(o)
    if len(condition.shape) == 1 and len(x.shape) > 1:
        raise UserError(f"{b.where(o)}: a condition of shape {condition.shape} for {x.shape}; use SELECT_V2")
    b.add(o, Where(), names)
