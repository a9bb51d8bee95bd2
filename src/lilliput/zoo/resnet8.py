"""ResNet8, the image classification network of MLPerf Tiny: three residual stages of two 3x3 convolutions."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import conv_bn, scaled


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(inputs, outputs, 3, stride), conv_bn(outputs, outputs, 3, act=None))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, act=None)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.act(self.body(x) + self.shortcut(x))
        return y


class ResNet8(nn.Module):
    """Stem, three stages of 16, 32 and 64 channels at `width` 1, average pooling, linear classifier."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        first, second, third = (scaled(channels, width) for channels in (16, 32, 64))
        self.features = nn.Sequential(
            conv_bn(input_shape[2], first),
            Residual(first, first, 1),
            Residual(first, second, 2),
            Residual(second, third, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(third, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return y
