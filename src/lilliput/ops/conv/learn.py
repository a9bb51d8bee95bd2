"""The differentiable forms of the convolution family, on channels-last torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from lilliput.fixed import Clamp
    from lilliput.ops.conv.common import Padding
    from lilliput.ops.conv.conv2d import Conv2d
    from lilliput.ops.conv.depthwise import DepthwiseConv2d
    from lilliput.ops.conv.linear import Linear
    from lilliput.ops.conv.transposed import ConvTranspose2d


def clamped(y: Tensor, clamp: Clamp) -> Tensor:
    return torch.clamp(y, *clamp) if clamp else y


def _planes(x: Tensor, padding: Padding) -> Tensor:
    (top, bottom), (left, right) = padding
    return functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))


def conv2d(op: Conv2d, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    planes = _planes(x, op.padding)
    y = functional.conv2d(planes, w.permute(0, 3, 1, 2), b, op.stride, 0, op.dilation, op.groups)
    return clamped(y.permute(0, 2, 3, 1), op.clamp)


def depthwise(op: DepthwiseConv2d, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    planes = _planes(x, op.padding)
    y = functional.conv2d(planes, w.permute(3, 0, 1, 2), b, op.stride, 0, op.dilation, x.shape[3])
    return clamped(y.permute(0, 2, 3, 1), op.clamp)


def linear(op: Linear, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return clamped(functional.linear(x, w, b), op.clamp)


def conv_transpose(op: ConvTranspose2d, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    groups, o = op.groups, w.shape[0]
    # torch has [in, out / groups, kh, kw], the inputs of a group behind each other.
    planes = w.reshape(groups, o // groups, *w.shape[1:]).permute(0, 4, 1, 2, 3).flatten(0, 1)
    y = functional.conv_transpose2d(
        x.permute(0, 3, 1, 2), planes, b, op.stride, groups=groups, dilation=op.dilation
    )
    (top, bottom), (left, right) = op.crop
    # Added rows hold the bias, as all that nothing reaches.
    y = functional.pad(y - b.reshape(-1, 1, 1), (-left, -right, -top, -bottom)) + b.reshape(-1, 1, 1)
    return clamped(y.permute(0, 2, 3, 1), op.clamp)
