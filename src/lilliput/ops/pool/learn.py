"""The differentiable forms of pooling, on channels-last torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lilliput.ops.conv.learn import clamped

if TYPE_CHECKING:
    from lilliput.ops.pool.pool2d import MaxPool2d, Pool2d


def _planes(op: Pool2d, x: Tensor, value: float) -> Tensor:
    (top, bottom), (left, right) = op.padding
    return F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), value=value)


def max_pool2d(op: MaxPool2d, x: Tensor) -> Tensor:
    planes = _planes(op, x, float("-inf"))
    y = F.max_pool2d(planes, op.window, op.stride, 0, op.dilation)
    return clamped(y.permute(0, 2, 3, 1), op.clamp)


def avg_pool2d(op: Pool2d, x: Tensor) -> Tensor:
    def sums(t: Tensor) -> Tensor:
        return F.avg_pool2d(_planes(op, t, 0.0), op.window, op.stride, divisor_override=1)

    y = sums(x) / sums(torch.ones_like(x[:1, :, :, :1]))
    return clamped(y.permute(0, 2, 3, 1), op.clamp)
