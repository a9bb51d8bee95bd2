"""The differentiable forms of data movement, on torch tensors of our layout (N samples first)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lilliput.graph import Array

if TYPE_CHECKING:
    from lilliput.ops.shape.concat import Concat
    from lilliput.ops.shape.pad import Pad


def take(indices: Sequence[Array | None], x: Tensor) -> Tensor:
    """Along each axis the elements at the given indices; None leaves an axis as it is."""
    for axis, chosen in enumerate(indices):
        if chosen is not None:
            x = x.index_select(axis, torch.as_tensor(chosen, device=x.device))
    return x


def pad(op: Pad, x: Tensor) -> Tensor:
    widths = [n for pair in reversed(op.pads) for n in pair]  # torch lists the last axis first
    return torch.nn.functional.pad(x, widths, value=op.value)


def concat(op: Concat, *xs: Tensor) -> Tensor:
    batch = max(len(x) for x in xs)
    spread = [x.expand(batch, *x.shape[1:]) if op.axis and len(x) != batch else x for x in xs]
    return torch.cat(spread, op.axis)
