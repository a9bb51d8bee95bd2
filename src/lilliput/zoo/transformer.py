"""Transformer encoder (Vaswani et al., 2017) over windows, at microcontroller size."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import steps


class Transformer(nn.Module):
    """Each step becomes a vector of `size` with a learned position, `layers` encoder layers, mean over time, linear.

    `stride` steps side by side become one vector, which divides the work of attention by its square.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        size: int = 32,
        heads: int = 4,
        layers: int = 2,
        hidden: int = 64,
        stride: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        length, columns, planes = input_shape
        count = max(1, length // stride)
        self.embed = nn.Conv1d(columns * planes, size, min(stride, length), min(stride, length))
        self.position = nn.Parameter(0.02 * torch.randn(count, size))
        layer = nn.TransformerEncoderLayer(size, heads, hidden, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classifier = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.embed(steps(x).transpose(1, 2)).transpose(1, 2) + self.position
        z: torch.Tensor = self.classifier(self.encoder(y).mean(1))
        return z
