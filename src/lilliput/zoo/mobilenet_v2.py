"""MobileNetV2 (Sandler et al., 2018) at microcontroller size: inverted residuals, linear bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lilliput.zoo.layers import conv_bn, scaled

#: One stage: expansion factor, output channels, number of blocks, stride of the first block.
Stage = tuple[float, int, int, int]
STAGES: tuple[Stage, ...] = ((1, 16, 1, 1), (3, 24, 2, 2), (3, 32, 2, 2))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation; the input is added where shapes allow it."""

    def __init__(
        self, inputs: int, outputs: int, hidden: int, stride: int, kernel: int, act: type[nn.Module]
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(conv_bn(inputs, hidden, 1, act=act))
        layers.append(conv_bn(hidden, hidden, kernel, stride, groups=hidden, act=act))
        layers.append(conv_bn(hidden, outputs, 1, act=None))
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Stem, inverted residual stages, an optional 1x1 head, global average pooling, a linear classifier."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: float = 1.0,
        stem: int = 16,
        stem_stride: int = 2,
        stages: Sequence[Stage] = STAGES,
        head: int = 64,
        kernel: int = 3,
        relu6: bool = False,
    ) -> None:
        super().__init__()
        act = nn.ReLU6 if relu6 else nn.ReLU
        channels = scaled(stem, width)
        layers: list[nn.Module] = [conv_bn(input_shape[2], channels, 3, stem_stride, act=act)]
        for expansion, outputs, count, stride in stages:
            for index in range(count):
                wide = channels if expansion == 1 else scaled(round(channels * expansion), 1.0)
                out = scaled(outputs, width)
                layers.append(InvertedResidual(channels, out, wide, stride if index == 0 else 1, kernel, act))
                channels = out
        if head:
            layers.append(conv_bn(channels, scaled(head, width), 1, act=act))
            channels = scaled(head, width)
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return y
