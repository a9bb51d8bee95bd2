"""Multi-layer perceptron: hidden layers with ReLU over the flattened input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class MLP(nn.Module):
    """Linear layers of the `hidden` sizes, each with ReLU, and a linear output."""

    def __init__(
        self, input_shape: tuple[int, int, int], classes: int, *, hidden: Sequence[int] = (64, 32)
    ) -> None:
        super().__init__()
        height, width, channels = input_shape
        features = height * width * channels
        layers: list[nn.Module] = [nn.Flatten()]
        for size in hidden:
            layers += [nn.Linear(features, size), nn.ReLU()]
            features = size
        self.layers = nn.Sequential(*layers, nn.Linear(features, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y
