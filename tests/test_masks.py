"""Masked attention in integers: what hides positions from a softmax must not take the steps from what it shows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from batch import Case, host_differences, host_models
from lilliput.evaluate import all_tensors, run
from lilliput.graph import Array, Graph
from lilliput.importers.torch import load_torch
from lilliput.passes import simplify
from lilliput.plan import plan
from lilliput.quantize import quantize
from lilliput.quantize.calibrate import METHODS

T, SIZE, HEADS = 8, 16, 2
LEAST = torch.finfo(torch.float32).min
Mask = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores, what is given for the steps (1: seen, 0: padding), and a triangle of ones."""


def causal(seen: Tensor) -> Tensor:
    return nn.Transformer.generate_square_subsequent_mask(len(seen))


CAUSAL: dict[str, Mask] = {
    "minus infinity, constant": lambda a, _, seen: a + causal(seen),
    "filled with -1e9": lambda a, _, seen: a.masked_fill(seen == 0, -1e9),
    "the least float32 times what is hidden": lambda a, _, seen: a + (1 - seen) * LEAST,
}
PADDED: dict[str, Mask] = {
    "added by number": lambda a, given, _: a + given[:, None, None, :],
    "times the least float32": lambda a, given, seen: (
        a + (1 - given[:, None, None, :]) * LEAST + causal(seen)
    ),
    "taken off": lambda a, given, _: a - 1e4 * (1 - given[:, None, None, :]),
    "chosen": lambda a, given, _: torch.where(given[:, None, None, :] > 0.5, a, -torch.inf),
}


class Attention(nn.Module):
    def __init__(self, mask: Mask | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mask = mask
        self.q, self.k, self.v, self.out = (nn.Linear(SIZE, SIZE) for _ in range(4))
        for p in self.parameters():
            p.data *= 2.5
        self.register_buffer("seen", torch.ones(T, T).tril())

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        q, k, v = (f(x).reshape(1, T, HEADS, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(SIZE / HEADS)
        if self.mask is not None:
            scores = self.mask(scores, given, self.seen)  # type: ignore[arg-type]
        y = torch.softmax(scores, -1) @ v
        result: Tensor = self.out(y.transpose(1, 2).reshape(1, T, SIZE)) + x
        return result


def samples(what: str | None) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (64, T, SIZE)).astype(np.float32)
    seen = np.arange(T) < rng.integers(3, T + 1, (64, 1))
    if what is None:
        return {"x": x}
    given = np.where(seen, 0.0, -1e30) if what == "added by number" else seen
    return {"x": x, "given": given.astype(np.float32)}


def imported(mask: Mask | None, given: dict[str, Array]) -> Graph:
    first = tuple(torch.as_tensor(v[:1]) for v in given.values())
    return simplify(load_torch(Attention(mask), first))


def error(graph: Graph, integers: Graph, given: dict[str, Array]) -> float:
    """Root mean square, in steps of 1/255 of the results' range."""
    own = {name: given[name.removesuffix(".real")] for name in integers.inputs}
    real, found = run(graph, given), run(integers, own)
    return float(np.sqrt(np.square(found - real).mean()) / np.ptp(real) * 255)


@pytest.mark.parametrize("what", [*CAUSAL, *PADDED])
def test_a_mask_costs_no_accuracy(what: str) -> None:
    """Without a mask the error is 0.8 of a step in int8; garbage is 30 steps and more."""
    given = samples(what if what in PADDED else None)
    graph = imported({**CAUSAL, **PADDED}[what], given)
    for method in METHODS:
        assert error(graph, quantize(graph, given, io="float32", method=method), given) < 1.2
    wide = quantize(graph, given, io="float32", activations="int16")
    assert error(graph, wide, given) < 0.3


@pytest.mark.parametrize("what", ["minus infinity, constant", "added by number", "chosen"])
def test_what_is_hidden_gets_exactly_nothing(what: str) -> None:
    """Shares of hidden steps are the zero point, and scores keep 256 steps of their own size; numpy equals C."""
    given = samples(what if what in PADDED else None)
    graph = imported({**CAUSAL, **PADDED}[what], given)
    integers = quantize(graph, given)
    ends = {name: given[name] for name in integers.inputs}
    (site,) = (s for s in integers.sites() if s.op.reach() is not None)
    assert site.x.dtype == site.y.dtype == "int8"
    assert float(site.x.q.s) < 0.2
    shares = site.y.q.dequantize(all_tensors(integers, ends)[site.y.name])
    exact = all_tensors(graph, given)[site.y.name]
    assert (exact == 0).mean() > 0.1
    assert not shares[exact == 0].any()
    case = Case("int8", plan(integers))
    assert host_differences([case], host_models([case]), seed=1, count=3) == []


def test_ranges_without_a_mask_stay_as_they_are() -> None:
    """Only absurd ranges are cut: nothing changes for scores that a softmax reads as they come."""
    given = samples(None)
    graph = imported(None, given)
    whole = all_tensors(graph, given)
    (site,) = (s for s in graph.sites() if s.op.reach() is not None)
    q = quantize(graph, given).tensors[site.x.name].q
    least, most = (float(q.s) * (end - q.z) for end in (-128, 127))
    assert least == pytest.approx(whole[site.x.name].min(), abs=float(q.s))
    assert most == pytest.approx(whole[site.x.name].max(), abs=float(q.s))


class Decoder(nn.Module):
    """Two causal layers of torch's own and a class for every step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        layer = nn.TransformerEncoderLayer(SIZE, 4, 32, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(SIZE, 5)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(T))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.layers(x, mask=self.mask, is_causal=True))
        return result


def test_a_causal_decoder() -> None:
    x = np.random.default_rng(2).normal(0, 1, (80, T, SIZE)).astype(np.float32)
    graph = simplify(load_torch(Decoder(), torch.as_tensor(x[:1])))
    assert not any(node.op.as_permutation() for node in graph.nodes)
    integers = quantize(graph, x, io="float32")
    real, found = run(graph, x), run(integers, x)
    assert np.sqrt(np.square(found - real).mean()) / np.ptp(real) * 255 < 2.0
    later = x.copy()
    later[:, -1] += 3  # the last step is seen by itself alone
    assert np.array_equal(run(integers, later)[:, :-1], found[:, :-1])
    case = Case("int8", plan(integers))
    assert host_differences([case], host_models([case]), seed=1, count=2) == []
