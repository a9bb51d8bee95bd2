"""LeNet-5 (LeCun et al., 1998) with ReLU and max pooling; inputs too small for a pooling skip it."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import scaled


class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling and three linear layers; `width` scales all of them."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int, *, width: float = 1.0) -> None:
        super().__init__()
        height, wide, inputs = input_shape
        layers: list[nn.Module] = []
        for channels in (scaled(8, width), scaled(16, width)):
            layers += [nn.Conv2d(inputs, channels, 5, padding=2), nn.ReLU()]
            inputs = channels
            if min(height, wide) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, wide = height // 2, wide // 2
        first, second = scaled(64, width), scaled(32, width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * height * wide, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.features(x))
        return y
