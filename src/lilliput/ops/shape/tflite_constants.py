"""TensorFlow Lite's operators whose results are known when a model is compiled: shapes and filled tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.registry import tflite
from lilliput.ops.shape.broadcast import Broadcast
from lilliput.ops.shape.from_tflite import add

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator


def _known(b: TfliteBuilder, o: TfliteOperator, data: Array) -> None:
    """The result of o is this constant."""
    y = b.output(o)
    if data.shape != y.shape:
        raise UserError(f"{b.where(o)}: gives the shape {data.shape}, the file says {y.shape}")
    b.tensors[y.name] = replace(y, data=np.ascontiguousarray(data.astype(y.dtype)))


@tflite("SHAPE")
def shape(b: TfliteBuilder, o: TfliteOperator) -> None:
    _known(b, o, np.array(b.tensor(o, 0).shape))


@tflite("RANK")
def rank(b: TfliteBuilder, o: TfliteOperator) -> None:
    _known(b, o, np.array(len(b.tensor(o, 0).shape)))


@tflite("ZEROS_LIKE")
def zeros_like(b: TfliteBuilder, o: TfliteOperator) -> None:
    """Stored zeros, as TFLM writes them: in a quantized tensor not the real zero."""
    b.afford(o, b.output(o).size)
    _known(b, o, np.zeros(b.output(o).shape, b.output(o).dtype))


@tflite("FILL")
def fill(b: TfliteBuilder, o: TfliteOperator) -> None:
    value, y = b.tensor(o, 1), b.output(o)
    if value.data is not None:
        b.afford(o, y.size)
        _known(b, o, np.full(y.shape, value.data.reshape(-1)[0]))
    else:
        add(b, o, Broadcast(y.shape), (value.name,))


@tflite("RANGE")
def range_(b: TfliteBuilder, o: TfliteOperator) -> None:
    start, step = (b.data(o, i).reshape(()) for i in (0, 2))
    if step == 0:
        raise UserError(f"{b.where(o)}: the step is 0")
    b.afford(o, b.output(o).size)
    _known(b, o, (start + np.arange(b.output(o).size) * step).astype(start.dtype))


@tflite("BROADCAST_ARGS")
def broadcast_args(b: TfliteBuilder, o: TfliteOperator) -> None:
    shapes = [tuple(int(n) for n in b.data(o, i).reshape(-1)) for i in range(2)]
    _known(b, o, np.array(np.broadcast_shapes(*shapes)))
