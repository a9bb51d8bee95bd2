"""The differentiable form of maximum and minimum; where both are equal, each gets half of the gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from lilliput.fixed import Clamp


def extremum(sign: int, clamp: Clamp, a: Tensor, b: Tensor) -> Tensor:
    y = torch.maximum(a, b) if sign > 0 else torch.minimum(a, b)
    return y.clamp(*clamp) if clamp else y
