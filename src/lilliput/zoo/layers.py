"""Building blocks of the model families: convolution + batch-norm + activation, and the depthwise pair."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """A convolution with "same" padding (odd kernels) and batch-norm; `act=None` leaves the output linear."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if act is not None:
        layers.append(act())
    return nn.Sequential(*layers)


def separable(inputs: int, outputs: int, stride: int = 1, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Depthwise 3x3, then pointwise 1x1, each with batch-norm and activation."""
    return nn.Sequential(
        conv_bn(inputs, inputs, 3, stride, groups=inputs, act=act), conv_bn(inputs, outputs, 1, act=act)
    )


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, as a multiple of 4, at least 4: C kernels compute four at a time."""
    return max(4, round(channels * width / 4) * 4)


def steps(x: torch.Tensor) -> torch.Tensor:
    """Samples (N, C, T, F) as sequences (N, T, F·C): rows are steps in time, columns what is measured in each."""
    return x.permute(0, 2, 3, 1).flatten(2)


def columns(x: torch.Tensor) -> torch.Tensor:
    """The same sequences as planes of one column (N, F·C, T, 1), for convolutions over time."""
    return steps(x).transpose(1, 2)[..., None]
