"""torch's functions of one, two and three operands: imported, they compute what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lilliput.evaluate import step_through
from lilliput.importers.torch import load_torch

pytestmark = pytest.mark.slow
Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "gelu": functional.gelu,
    "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "silu in place": lambda x: functional.silu(x + 1, inplace=True),
    "mish": functional.mish,
    "elu": lambda x: functional.elu(x, 0.7),
    "selu": functional.selu,
    "celu": lambda x: functional.celu(x, 0.5),
    "softplus": lambda x: functional.softplus(x, beta=2),
    "softsign": functional.softsign,
    "tanhshrink": functional.tanhshrink,
    "logsigmoid": functional.logsigmoid,
    "threshold": lambda x: functional.threshold(x, 0.2, -0.5),
    "hardshrink": lambda x: functional.hardshrink(x, 0.4),
    "softshrink": lambda x: functional.softshrink(x, 0.4),
    "prelu": nn.PReLU(3),
    "prelu of one": nn.PReLU(),
    "erf": torch.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda x: torch.log(x.abs() + 0.1),
    "log1p": lambda x: torch.log1p(x.abs()),
    "sqrt": lambda x: torch.sqrt(x.abs()),
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 0.1),
    "reciprocal": lambda x: torch.reciprocal(x + 9),
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "trunc": torch.trunc,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": lambda x: torch.asin(x.clamp(-1, 1)),
    "sinh": torch.sinh,
    "atan": torch.atan,
    "square": torch.square,
    "power 2": lambda x: x**2,
    "power 3": lambda x: x**3,
    "power 1.7": lambda x: x.abs() ** 1.7,
    "power -1/2": lambda x: (x.abs() + 0.5) ** -0.5,
    "power of two": lambda x: 2**x,
    "quotient": lambda x: x / (x.abs() + 1),
    "one over": lambda x: 1 / (1 + x * x),
    "quotient down": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "quotient towards zero": lambda x: torch.div(x, 0.3, rounding_mode="trunc"),
    "floor divide": lambda x: x // 0.7,
    "remainder": lambda x: torch.remainder(x, 0.7),
    "fmod": lambda x: torch.fmod(x, 0.7),
    "maximum": lambda x: torch.maximum(x, -x),
    "minimum": lambda x: torch.minimum(x, torch.tensor(0.3)),
    "clamp by tensor": lambda x: x.clamp(torch.tensor(-0.5)),
    "where": lambda x: torch.where(x > 0, x, x * 0.1),
    "logic": lambda x: torch.where((x > 0.1) & (x <= 1.0) | (x == 0), 1.0, 0.0) + x,
    "not": lambda x: torch.where(torch.logical_not(x > 0), x, 2 * x),
    "not equal": lambda x: torch.where(x != x.floor(), x, -x),
    "mask": lambda x: x.masked_fill(x < 0, -2.0),
    "bool as number": lambda x: (x > 0.5).float() * x,
    "through int": lambda x: (x * 3).int().float(),
}


class Module(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_computes_what_torch_computes(name: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, 5)
    module = Module(FUNCTIONS[name]).eval()
    graph = load_torch(module, x)
    (found,) = step_through(graph, {graph.inputs[0]: x.permute(0, 2, 3, 1).numpy().copy()}).values()
    with torch.no_grad():
        expected = module(x.clone()).permute(0, 2, 3, 1).numpy()
    # Two libraries' float32 functions: some units in the last place each.
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
