"""AlexNet (Krizhevsky et al., 2012) at microcontroller size: five convolutions and three linear layers."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import scaled


class AlexNet(nn.Module):
    """The original's order of layers with 3x3 kernels (5x5 first), an eighth of its channels, and dropout."""

    def __init__(
        self, input_shape: tuple[int, int, int], classes: int, *, width: float = 1.0, dropout: float = 0.5
    ) -> None:
        super().__init__()
        height, wide, inputs = input_shape
        stride = 2 if min(height, wide) >= 48 else 1
        height, wide = (height - 1) // stride + 1, (wide - 1) // stride + 1
        layers: list[nn.Module] = []
        plan = ((8, 5, True), (24, 3, True), (48, 3, False), (32, 3, False), (32, 3, True))
        for index, (channels, kernel, pool) in enumerate(plan):
            outputs = scaled(channels, width)
            layers += [
                nn.Conv2d(inputs, outputs, kernel, stride if index == 0 else 1, padding=kernel // 2),
                nn.ReLU(),
            ]
            inputs = outputs
            if pool and min(height, wide) >= 2:
                layers.append(nn.MaxPool2d(2))
                height, wide = height // 2, wide // 2
        hidden = scaled(64, width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(inputs * height * wide, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.features(x))
        return y
