"""How TensorFlow Lite's operators with indices become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import tflite
from lilliput.ops.index.gather import Gather
from lilliput.ops.index.tuples import GatherND, ScatterND
from lilliput.ops.index.write import WriteSlice
from lilliput.ops.shape.from_tflite import add, between, one_axis, option
from lilliput.ops.shape.reshape import Reshape

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator


@tflite("GATHER")
def gather(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, indices = b.tensor(o, 0), b.tensor(o, 1)
    axis = one_axis(b, o, option(o, "axis"), len(x.shape))
    lead = option(o, "batch_dims")
    add(b, o, Gather(axis, lead + len(indices.shape) if lead < 0 else lead), (x.name, indices.name))


@tflite("EMBEDDING_LOOKUP")
def embedding(b: TfliteBuilder, o: TfliteOperator) -> None:
    indices, table = b.tensor(o, 0), b.tensor(o, 1)
    if table.quant is not None and not table.quant.same(b.output(o).quant):
        raise UserError(f"{b.where(o)}: a table of another quantization than its result is not supported")
    add(b, o, Gather(0), (table.name, indices.name))


@tflite("GATHER_ND")
def gather_nd(b: TfliteBuilder, o: TfliteOperator) -> None:
    add(b, o, GatherND(), (b.tensor(o, 0).name, b.tensor(o, 1).name))


@tflite("SCATTER_ND")
def scatter_nd(b: TfliteBuilder, o: TfliteOperator) -> None:
    """Places met twice are added up; only real numbers and 32 or 64-bit integers can be."""
    indices, updates, y = b.tensor(o, 0), b.tensor(o, 1), b.output(o)
    if y.quant is not None:
        raise UserError(f"{b.where(o)}: sums of quantized numbers are not supported")
    zeros = b.constant(o, np.zeros(y.shape, y.dtype))
    add(b, o, ScatterND("add"), (zeros, indices.name, updates.name))


@tflite("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(b: TfliteBuilder, o: TfliteOperator) -> None:
    """At most one axis may start anywhere: that of which the update has less than the whole."""
    x, updates, starts = (b.tensor(o, i) for i in range(3))
    if len(updates.shape) != len(x.shape) or starts.size != len(x.shape):
        raise UserError(f"{b.where(o)}: {updates.shape} at {starts.shape} does not fit {x.shape}")
    partial = [i for i, (n, m) in enumerate(zip(x.shape, updates.shape, strict=True)) if n != m]
    if len(partial) > 1:
        raise UserError(f"{b.where(o)}: axes {partial} are written in part, at most one is supported")
    axis = partial[0] if partial else 0
    start = between(b, o, Gather(0), starts.name, b.constant(o, np.array([axis], np.int32)))
    b.tensors[start] = type(starts)(start, (1,), starts.dtype)
    whole = between(b, o, Reshape((1, *x.shape)), x.name)
    part = between(b, o, Reshape((1, *updates.shape)), updates.name)
    written = between(b, o, WriteSlice(axis + 1), whole, part, start)
    add(b, o, Reshape(x.shape), (written,))
