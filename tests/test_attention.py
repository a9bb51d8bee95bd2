"""Attention and small transformers: torch's modules, exported and imported, in float32 and int8, in C."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from batch import Case, host_differences, host_models
from lilliput.evaluate import run
from lilliput.importers.torch import load_torch
from lilliput.passes import simplify
from lilliput.plan import plan
from lilliput.quantize import quantize

pytestmark = pytest.mark.slow


class Encoder(nn.Module):
    """Two layers over steps of 16 features, and a class from their mean."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, **options)  # type: ignore[arg-type]
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.encoder(x).mean(1))
        return result


class Masked(nn.Module):
    """Causal attention, a mask of its own, several heads, without projections."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.ones(9, 9, dtype=torch.bool).triu(-2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = x.reshape(x.shape[0], x.shape[1], 4, 4).transpose(1, 2)
        first = nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
        second = nn.functional.scaled_dot_product_attention(q, first, first, attn_mask=self.seen, scale=0.3)
        return second.transpose(1, 2).flatten(2)


class Weights(nn.Module):
    """Attention whose weights are computed as well, which torch exports as products of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, shares = self.attention(x, x, x)
        return torch.cat([y, torch.einsum("bij,bjk->bik", shares, x)], -1)


@pytest.mark.parametrize(
    "module",
    [Encoder(), Encoder(activation="gelu", norm_first=True), Masked(), Weights()],
    ids=lambda m: type(m).__name__,
)
def test_equals_torch_in_float32(module: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 9, 16)
    graph = simplify(load_torch(module, x[:1]))
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    found = run(graph, x.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    case = Case("float32", plan(graph))
    assert host_differences([case], host_models([case]), seed=1) == []


@pytest.mark.parametrize("options", [{}, {"activation": "gelu", "norm_first": True}], ids=["relu", "gelu"])
def test_an_encoder_in_int8(options: dict[str, object]) -> None:
    """Trained a little, so that classes are apart: the int8 form says what the float form says, in numpy and in C."""
    torch.manual_seed(3)
    module = Encoder(dropout=0.0, **options)
    centres = torch.randn(5, 9, 16)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(60):
        labels = torch.randint(0, 5, (32,))
        x = centres[labels] + 0.8 * torch.randn(32, 9, 16)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), labels).backward()
        optimizer.step()
    labels = torch.randint(0, 5, (400,))
    x = (centres[labels] + 0.8 * torch.randn(400, 9, 16)).numpy()
    graph = simplify(load_torch(module, torch.as_tensor(x[:1])))
    integers = quantize(graph, x[:100])
    assert {t.dtype for t in integers.tensors.values() if not t.constant} == {"int8"}
    truth = labels.numpy()
    real, whole = (run(g, x).argmax(-1) for g in (graph, integers))
    assert (real == truth).mean() > 0.95
    assert (whole == truth).mean() >= (real == truth).mean() - 0.01
    case = Case("int8", plan(integers))
    assert host_differences([case], host_models([case]), seed=1, count=3) == []


def test_a_mask_does_not_spoil_the_integers() -> None:
    """What a mask hides gets nothing, and the 256 steps are left to what it shows."""
    torch.manual_seed(4)
    x = torch.randn(60, 9, 16).numpy()
    graph = simplify(load_torch(Masked(), torch.as_tensor(x[:1])))
    integers = quantize(graph, x, io="float32")
    error = np.abs(run(integers, x) - run(graph, x))
    assert error.max() < 0.12, error.max()  # ten of the steps of the largest result, 3.2 / 255
    case = Case("int8", plan(integers))
    assert host_differences([case], host_models([case]), seed=1) == []
