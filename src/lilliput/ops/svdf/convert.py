"""How TensorFlow Lite's SVDF becomes ours: its memory is a state of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import tflite
from lilliput.ops.svdf.svdf import Svdf

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator

BIAS, MEMORY = 3, 4


@tflite("SVDF")
def tflite_svdf(b: TfliteBuilder, o: TfliteOperator) -> None:
    rank = cast(int, o.options["rank"])
    x, memory, y = b.tensor(o, 0), b.tensor(o, MEMORY), b.output(o)
    if memory.constant or any(memory.name == before for before, _ in b.states):
        raise UserError(f"{b.where(o)}: its memory '{memory.name}' must be a variable of its own")
    if b.has(o, BIAS):
        bias = b.name(o.inputs[BIAS])
    else:
        bias = b.constant(o, np.zeros(y.shape[-1], np.float32 if x.dtype == "float32" else np.int32))
    after = replace(memory, name=f"{memory.name}.after")
    b.tensors[after.name] = after
    b.states.append((memory.name, after.name))
    inputs = (x.name, b.name(o.inputs[1]), b.name(o.inputs[2]), bias, memory.name)
    clamp = b.activation(o) if x.dtype == "float32" else None  # which TFLM leaves out of its int8 form
    b.add(o, Svdf(rank, clamp), inputs, (y.name, after.name))
