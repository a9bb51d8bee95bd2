"""What the converters of PyTorch and ONNX share: elements chosen by indices, in the framework's dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.ops.index.elements import Reduction
from lilliput.ops.index.gather import Gather
from lilliput.ops.shape import importing

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value


def gathered(b: Builder, x: Value, dim: int, indices: Value) -> Value:
    """The indices' dimensions in the place of `dim`; the others stay as they are stored."""
    shape, taken = b.shape(x), b.shape(indices)
    known = b.numbers(indices)
    if known is not None:
        y = importing.taken(b, x, dim, known.astype(np.int64).reshape(-1))
    elif b.tensor(x).constant:  # a table keeps its order: the result has the indices first
        order = tuple(range(len(shape) + len(taken) - 1))
        return b.add(Gather(dim), [b.logical(x), b.logical(indices)], order)
    else:
        flat = importing.view_as(b, indices, (math.prod(taken),))
        y = b.add(Gather(b.axis(x, dim)), [x, flat], x.order)
    return y if len(taken) == 1 else importing.view_as(b, y, (*shape[:dim], *taken, *shape[dim + 1 :]))


def narrow(b: Builder, indices: Value) -> Value:
    """Indices that are known take 32 bits: a dimension has no more."""
    data = b.tensor(indices).data
    if data is None or data.dtype == np.int32:
        return indices
    return b.constant(np.clip(data, -(2**31), 2**31 - 1).astype(np.int32), indices.order)


def reduction(b: Builder, name: str) -> Reduction:
    """A framework's name for what a scattered element does."""
    known: dict[str, Reduction] = {
        "none": "none",
        "add": "add",
        "sum": "add",
        "mul": "mul",
        "multiply": "mul",
        "prod": "mul",
        "max": "max",
        "amax": "max",
        "min": "min",
        "amin": "min",
    }
    if name not in known:
        raise UserError(f"layer '{b.where}': reduction '{name}' is not one of {', '.join(known)}")
    return known[name]
