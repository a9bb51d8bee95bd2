"""GRU (Cho et al., 2014) and LSTM (Hochreiter and Schmidhuber, 1997) over windows, and a linear layer."""

from __future__ import annotations

import torch
from torch import nn

from lilliput.zoo.layers import steps


class Recurrent(nn.Module):
    """Recurrent layers read the steps (rows) one after the other; the state after the last one is classified."""

    def __init__(
        self,
        kind: type[nn.GRU] | type[nn.LSTM],
        input_shape: tuple[int, int, int],
        classes: int,
        hidden: int,
        layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        _, width, channels = input_shape
        between = dropout if layers > 1 else 0.0
        self.recurrent = kind(width * channels, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.recurrent(steps(x))
        y: torch.Tensor = self.classifier(self.dropout(states[:, -1]))
        return y


class GRU(Recurrent):
    """Gated recurrent units, the smaller of the two: three gates."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        hidden: int = 32,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(nn.GRU, input_shape, classes, hidden, layers, dropout)


class LSTM(Recurrent):
    """Long short-term memory: four gates and a cell."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        hidden: int = 32,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(nn.LSTM, input_shape, classes, hidden, layers, dropout)
