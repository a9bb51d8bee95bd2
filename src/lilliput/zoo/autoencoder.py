"""Autoencoder: linear layers down to a narrow code and up again; a large error means an unusual sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Autoencoder(nn.Module):
    """Linear layers of the `hidden` sizes to a `code`, and back in reverse order, with ReLU between them.

    For data whose target is the sample itself, flattened in the order of its storage (rows, columns, channels):
    `classes` is how many numbers it has.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        hidden: Sequence[int] = (32,),
        code: int = 8,
    ) -> None:
        super().__init__()
        height, width, channels = input_shape
        features = height * width * channels
        layers: list[nn.Module] = []
        for size in (*hidden, code, *reversed(hidden)):
            layers += [nn.Linear(features, size), nn.ReLU()]
            features = size
        self.layers = nn.Sequential(*layers, nn.Linear(features, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x.permute(0, 2, 3, 1).flatten(1))
        return y
