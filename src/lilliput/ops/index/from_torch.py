"""How ATen's operators with indices become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.ops.index.elements import GatherElements, ScatterElements
from lilliput.ops.index.importing import gathered, narrow, reduction
from lilliput.ops.shape.importing import expanded

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _indices(b: TorchBuilder, argument: Any) -> Value:
    """A tensor of whole numbers."""
    found = b.value(argument)
    t = b.tensor(found)
    if t.dtype not in ("int32", "int64"):
        raise UserError(f"layer '{b.where}': the indices are {t.dtype}, expected int32 or int64")
    return narrow(b, found)


@aten("embedding")
def embedding(b: TorchBuilder, call: Call) -> Value:
    return gathered(b, b.value(call["weight"]), 0, _indices(b, call["indices"]))


@aten("index_select")
def index_select(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    return gathered(b, x, int(call["dim"]) % len(x.order), _indices(b, call["index"]))


@aten("index")
def index(b: TorchBuilder, call: Call) -> Value:
    """x[:, indices]: one dimension by one tensor of indices."""
    x = b.value(call["self"])
    given = [(dim, argument) for dim, argument in enumerate(call["indices"]) if argument is not None]
    if len(given) != 1:
        raise UserError(
            f"layer '{b.where}': {len(given)} dimensions are indexed by tensors at once, only one is supported"
        )
    dim, argument = given[0]
    return gathered(b, x, dim, _indices(b, argument))


@aten("gather", "take_along_dim")
def gather(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["self"])
    indices = _indices(b, call["index"] if "index" in call.arguments else call["indices"])
    if call.target == "take_along_dim":
        dim = int(call["dim"]) % len(x.order)
        shape = list(b.shape(x))
        shape[dim] = b.shape(indices)[dim]
        indices = expanded(b, indices, tuple(shape))
    return b.add(GatherElements(b.axis(x, int(call["dim"]))), [x, b.reorder(indices, x.order)], x.order)


@aten("scatter", "scatter_add", "scatter_reduce")
def scatter(b: TorchBuilder, call: Call) -> Value:
    x, indices = b.value(call["self"]), _indices(b, call["index"])
    how = "add" if call.target.startswith("scatter_add") else str(call.get("reduce") or "none")
    if call.get("include_self", True) is not True or how == "mean":
        raise UserError(
            f"layer '{b.where}': scatter_reduce of '{how}' without what is there is not supported"
        )
    if "src" in call.arguments:
        updates = b.reorder(b.value(call["src"]), x.order)
    else:
        shape = tuple(b.shape(indices)[d] for d in x.order)
        updates = b.constant(np.full(shape, call["value"], b.tensor(x).dtype), x.order)
    indices = b.reorder(indices, x.order)
    if b.tensor(updates).shape != b.tensor(indices).shape:
        raise UserError(
            f"layer '{b.where}': {b.shape(updates)} updates for {b.shape(indices)} indices, expected as many"
        )
    return b.add(
        ScatterElements(b.axis(x, int(call["dim"])), reduction(b, how)), [x, indices, updates], x.order
    )
