"""The differentiable forms of operators with indices, on torch tensors of our layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lilliput.ops.index.elements import GatherElements, ScatterElements
    from lilliput.ops.index.gather import Gather
    from lilliput.ops.index.tuples import GatherND, ScatterND
    from lilliput.ops.index.write import WriteSlice


def within(indices: Tensor, n: int) -> Tensor:
    """Counted from the end when negative, then kept inside."""
    wide = indices.detach().to(torch.int64)
    return torch.where(wide < 0, wide + n, wide).clamp(0, n - 1)


def gather(op: Gather, x: Tensor, indices: Tensor) -> Tensor:
    chosen = within(indices, x.shape[op.axis])
    lead = op.batch_dims
    if not lead:
        flat = x.index_select(op.axis, chosen.reshape(-1))
        return flat.reshape(*x.shape[: op.axis], *chosen.shape, *x.shape[op.axis + 1 :])
    flat_x, flat_i = x.reshape(-1, *x.shape[lead:]), chosen.reshape(-1, *chosen.shape[lead:])
    axis = op.axis - lead
    parts = [
        a.index_select(axis, i.reshape(-1)).reshape(*a.shape[:axis], *i.shape, *a.shape[axis + 1 :])
        for a, i in zip(flat_x, flat_i, strict=True)
    ]
    return torch.stack(parts).reshape(*x.shape[:lead], *parts[0].shape)


def _places(axis: int, size: int, indices: Tensor) -> tuple[Tensor, ...]:
    """The coordinates of every index."""
    places = list(torch.meshgrid(*(torch.arange(n) for n in indices.shape), indexing="ij"))
    places[axis] = within(indices, size)
    return tuple(places)


def gather_elements(op: GatherElements, x: Tensor, indices: Tensor) -> Tensor:
    return x[_places(op.axis, x.shape[op.axis], indices)]


def scatter_elements(op: ScatterElements, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    return _combined(x, _places(op.axis, x.shape[op.axis], indices), updates, op.reduction)


def gather_nd(op: GatherND, x: Tensor, indices: Tensor) -> Tensor:
    lead, k = op.batch_dims, indices.shape[-1]
    flat_x = x.reshape(-1, *x.shape[lead:])
    flat_i = indices.reshape(len(flat_x), -1, k)
    parts = [a[_tuples(a.shape[:k], i)] for a, i in zip(flat_x, flat_i, strict=True)]
    return torch.stack(parts).reshape(*indices.shape[:-1], *x.shape[lead + k :])


def _tuples(sizes: Sequence[int], indices: Tensor) -> tuple[Tensor, ...]:
    flat = indices.reshape(-1, len(sizes))
    return tuple(within(flat[:, i], n) for i, n in enumerate(sizes))


def scatter_nd(op: ScatterND, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    k = indices.shape[-1]
    return _combined(x, _tuples(x.shape[:k], indices), updates.reshape(-1, *x.shape[k:]), op.reduction)


def _combined(x: Tensor, places: tuple[Tensor, ...], updates: Tensor, reduction: str) -> Tensor:
    """As the reference: one after the other, later ones win."""
    if reduction == "add":
        return x.index_put(places, updates, accumulate=True)
    functions = {"mul": torch.mul, "max": torch.maximum, "min": torch.minimum}
    y = list(x.reshape(-1, *x.shape[len(places) :]).unbind(0))
    flat = torch.zeros_like(places[0])
    for size, place in zip(x.shape, places, strict=False):
        flat = flat * size + place
    rows = updates.reshape(-1, *x.shape[len(places) :])
    for at, row in zip(flat.reshape(-1).tolist(), rows, strict=True):
        y[at] = functions[reduction](y[at], row) if reduction in functions else row
    return torch.stack(y).reshape(x.shape)


def write_slice(op: WriteSlice, x: Tensor, updates: Tensor, starts: Tensor) -> Tensor:
    n, m = x.shape[op.axis], updates.shape[op.axis]
    samples = []
    for b, start in enumerate(starts.tolist()):
        first = int(start) % n if op.circular else min(max(int(start), 0), n - m)
        chosen = (first + torch.arange(m)) % n
        samples.append(x[b].index_copy(op.axis - 1, chosen, updates[b]))
    return torch.stack(samples)
