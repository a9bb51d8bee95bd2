"""Convolutions over time: a plain network with pooling, and a TCN (Bai et al., 2018) with dilated residual blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lilliput.zoo.layers import columns, scaled


class CNN1D(nn.Module):
    """Convolution, batch-norm, ReLU and pooling by 2 for each of `channels`; the mean over time is classified.

    Rows are steps, columns what is measured in each; windows too short for a pooling skip it.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: float = 1.0,
        channels: Sequence[int] = (16, 24, 32),
        kernel: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        length, columns, planes = input_shape
        inputs = columns * planes
        layers: list[nn.Module] = []
        for wanted in channels:
            outputs = scaled(wanted, width)
            layers += [
                nn.Conv2d(inputs, outputs, (kernel, 1), padding=(kernel // 2, 0), bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            inputs, length = outputs, length + 2 * (kernel // 2) - kernel + 1
            if length >= 2:
                layers.append(nn.MaxPool2d((2, 1)))
                length //= 2
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.flatten(self.pool(self.features(columns(x))), 1)
        z: torch.Tensor = self.classifier(self.dropout(y))
        return z


class Block(nn.Module):
    """A convolution that sees the past only, `dilation` steps apart, with batch-norm and ReLU, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ZeroPad2d((0, 0, (kernel - 1) * dilation, 0)),
            nn.Conv2d(inputs, outputs, (kernel, 1), dilation=(dilation, 1), bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.act(self.body(x) + self.shortcut(x))
        return y


class TCN(nn.Module):
    """`blocks` blocks, each reaching twice as far into the past; the last step is classified."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        width: float = 1.0,
        channels: int = 24,
        kernel: int = 3,
        blocks: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _, columns, planes = input_shape
        size = scaled(channels, width)
        inputs = [columns * planes, *(size for _ in range(blocks - 1))]
        self.features = nn.Sequential(*(Block(n, size, kernel, 2**i) for i, n in enumerate(inputs)))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.dropout(self.features(columns(x))[:, :, -1, 0]))
        return y
