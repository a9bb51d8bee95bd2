"""MobileNetV1 (Howard et al., 2017) at microcontroller size: depthwise separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lilliput.zoo.layers import conv_bn, scaled, separable

#: Channels of the stem, then output channels and stride of each separable block; the original's at width 8.
BLOCKS: tuple[tuple[int, int], ...] = ((8, 1), (16, 2), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1))


class MobileNetV1(nn.Module):
    """Stem with stride 2, separable blocks, global average pooling, a linear classifier."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: float = 1.0,
        stem: int = 8,
        blocks: Sequence[tuple[int, int]] = BLOCKS,
    ) -> None:
        super().__init__()
        channels = scaled(stem, width)
        layers: list[nn.Module] = [conv_bn(input_shape[2], channels, 3, 2)]
        for outputs, stride in blocks:
            layers.append(separable(channels, scaled(outputs, width), stride))
            channels = scaled(outputs, width)
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(torch.flatten(self.pool(self.features(x)), 1))
        return y
