"""DS-CNN (Zhang et al., 2017), the keyword spotting network: one wide convolution, then separable blocks."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import scaled, separable


class DSCNN(nn.Module):
    """A stem of 10 frames by 4 features with stride 2, `blocks` separable blocks, pooling, linear.

    Rows are frames, columns features (49 x 10 in the original); a shorter input shrinks the kernel.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: float = 1.0,
        channels: int = 64,
        blocks: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        height, wide, inputs = input_shape
        size = scaled(channels, width)
        kernel = (min(10, height), min(4, wide))
        stem = nn.Sequential(
            nn.Conv2d(inputs, size, kernel, 2, padding=(kernel[0] // 2, kernel[1] // 2), bias=False),
            nn.BatchNorm2d(size),
            nn.ReLU(),
        )
        self.features = nn.Sequential(stem, *(separable(size, size) for _ in range(blocks)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.flatten(self.pool(self.features(x)), 1)
        z: torch.Tensor = self.classifier(self.dropout(y))
        return z
