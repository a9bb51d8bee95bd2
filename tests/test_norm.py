"""Norms and reductions from torch, and how close the int8 forms of our own definition come to the real result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lilliput.errors import UserError
from lilliput.evaluate import run, step_through
from lilliput.examples import float_graph
from lilliput.graph import INT_RANGE, Array, Quant
from lilliput.importers.torch import load_torch
from lilliput.op import Example
from lilliput.ops.norm import GroupNorm, LayerNorm, RmsNorm, fixed_point
from lilliput.ops.norm.fixed_point import MAX_COUNT
from lilliput.ops.norm.normalize import Normalize
from lilliput.passes import simplify
from lilliput.quantize import quantize
from lilliput.quantize.ptq import Activations


def in_steps(op: Normalize, x: Array, gamma: Array, beta: Array, dtype: Activations = "int8") -> Array:
    """Distance of the integer result from the real one, in steps of the result, for the values it can hold."""
    graph = float_graph(Example(op, (x.shape, gamma, beta)))
    (wide,) = op.run(graph.sites()[0], x, gamma, beta)
    ranges = {"x0": (float(x.min()), float(x.max())), "y0": (float(wide.min()), float(wide.max()))}
    integer = quantize(graph, ranges=ranges, activations=dtype)
    xq, yq = integer.tensors["x0"].q, integer.tensors["y0"].q
    given = xq.quantize(x, dtype)
    found = step_through(integer, {"x0": given})["y0"].astype(np.float64)
    with np.errstate(all="ignore"):
        real = _real(op, xq.dequantize(given), gamma, beta) / float(yq.s) + yq.z
    return np.abs(found - np.clip(real, *INT_RANGE[dtype]))


def _real(op: Normalize, x: Array, gamma: Array, beta: Array) -> Array:
    outer, rows, groups, width = op.split(x.shape)
    v = x.astype(np.float64).reshape(outer, rows, groups, width)
    mean = v.mean((1, 3), keepdims=True) if op.centred else 0.0
    scaled = (v - mean) / np.sqrt(np.square(v - mean).mean((1, 3), keepdims=True) + op.epsilon)
    return (scaled * gamma.reshape(groups, width) + beta.reshape(groups, width)).reshape(x.shape)


@pytest.mark.parametrize("size", [1e-3, 1.0, 500.0])
@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (LayerNorm(1e-5, -1), (1, 9, 64)),
        (LayerNorm(1e-5, -1), (1, 4, 1024)),
        (LayerNorm(1e-12, -1), (1, 50, 2)),
        (RmsNorm(1e-6, -1), (1, 9, 96)),
        (GroupNorm(1e-5, 4), (1, 7, 5, 16)),
        (GroupNorm(1e-5, 6), (1, 16, 16, 6)),
        (GroupNorm(1e-5, 1), (1, 64, 64, 16)),
    ],
)
def test_integers_are_the_real_result_rounded(op: Normalize, shape: tuple[int, ...], size: float) -> None:
    """Half a step is the rounding; a hundredth more is what the fixed-point numbers may lose."""
    rng = np.random.default_rng(int(size))
    x = (rng.normal(0.3, 1, shape) * size).astype(np.float32)
    width = op.constant_shape(shape)
    gamma = rng.normal(1, 0.5, width).astype(np.float32)
    beta = rng.normal(0, 1, width).astype(np.float32)
    assert in_steps(op, x, gamma, beta).max() < 0.51
    if op.count(shape) <= MAX_COUNT["int16"]:
        assert in_steps(op, x, gamma, beta, "int16").max() < 0.51


def test_int8_survives_extreme_constants() -> None:
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    zeros, ones = np.zeros(8, np.float32), np.ones(8, np.float32)
    spread = np.float32(10.0) ** np.arange(-8, 8, 2, dtype=np.float32)
    for gamma, beta in (
        (zeros, zeros),
        (spread, zeros),
        (ones * 1e-6, spread),
        (ones * 1e6, -spread),
        (spread, spread),
    ):
        for epsilon in (0.0, 1e-5, 1e6):
            assert in_steps(LayerNorm(epsilon, -1), x, gamma, beta).max() < 0.51


def test_int8_without_any_spread_is_beta() -> None:
    """Where float32 divides zero by zero."""
    x, y = Quant.per_tensor(0.1, 3), Quant.per_tensor(0.02, -5)
    beta = np.array([1.0, -0.5, 0.0], np.float32)
    known = fixed_point.pack(np.ones(3), beta, x, y, 3, 0.0)
    assert np.array_equal(
        fixed_point.normalize(np.full((1, 3), 7), (1,), True, known, "int8"), y.quantize(beta[None], "int8")
    )


def test_more_values_than_the_integers_hold_stay_float() -> None:
    gamma = np.ones(1 << 17, np.float32)
    graph = float_graph(Example(LayerNorm(), ((1, 1 << 17), gamma, gamma)))
    integer = quantize(graph, ranges={"x0": (-1.0, 1.0), "y0": (-3.0, 3.0)})
    assert [n.op.name for n in integer.nodes] == ["layer_norm"]  # its input and its result stay real as well
    assert {t.dtype for t in integer.tensors.values()} == {"float32"}


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


IMAGE, ROWS, SIGNAL, VOLUME = (1, 6, 7, 10), (1, 5, 6), (1, 4, 9), (1, 4, 3, 5, 2)
TORCH = {
    "layer norm": (nn.LayerNorm(6), ROWS),
    "layer norm of two dimensions": (nn.LayerNorm((5, 6), eps=0.1), ROWS),
    "layer norm of planes": (nn.LayerNorm((6, 7, 10)), IMAGE),
    "layer norm of width": (nn.LayerNorm(10, elementwise_affine=False), IMAGE),
    "layer norm of channels": (
        Apply(lambda x: nn.functional.layer_norm(x.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2)),
        IMAGE,
    ),
    "rms norm": (nn.RMSNorm(6), ROWS),
    "rms norm with epsilon": (nn.RMSNorm((7, 10), eps=0.5), IMAGE),
    "group norm": (nn.GroupNorm(3, 6), IMAGE),
    "group norm of a signal": (nn.GroupNorm(2, 4), SIGNAL),
    "instance norm": (nn.InstanceNorm2d(6, affine=True), IMAGE),
    "instance norm of a signal": (nn.InstanceNorm1d(4), SIGNAL),
    "instance norm with statistics": (nn.InstanceNorm2d(6, track_running_stats=True), IMAGE),
    "batch norm of a signal": (nn.BatchNorm1d(4), SIGNAL),
    "batch norm of features": (nn.BatchNorm1d(6), (1, 6)),
    "batch norm of a volume": (nn.BatchNorm3d(4), VOLUME),
    "local response norm": (nn.LocalResponseNorm(3, 0.1, 0.6, 2.0), IMAGE),
    "normalize": (Apply(lambda x: nn.functional.normalize(x, dim=1)), IMAGE),
    "log-softmax": (nn.LogSoftmax(-1), ROWS),
    "log-softmax of channels": (nn.LogSoftmax(1), IMAGE),
    "sum": (Apply(lambda x: x.sum((2, 3))), IMAGE),
    "sum of channels, kept": (Apply(lambda x: x.sum(1, keepdim=True)), IMAGE),
    "greatest of rows": (Apply(lambda x: x.amax(-1)), ROWS),
    "least of a plane": (Apply(lambda x: x.amin((2, 3))), IMAGE),
    "greatest of one dimension": (Apply(lambda x: x.max(1).values), IMAGE),
    "where the least is": (Apply(lambda x: x.min(2, keepdim=True).indices), IMAGE),
    "argmin": (Apply(lambda x: x.argmin(1)), ROWS),
    "greater of two": (Apply(lambda x: torch.max(x, -x)), ROWS),
    "product": (Apply(lambda x: x.prod(1)), ROWS),
    "norm": (Apply(lambda x: x.norm(dim=1)), IMAGE),
    "norm of order 1": (Apply(lambda x: torch.linalg.vector_norm(x, 1, (2, 3))), IMAGE),
    "variance": (Apply(lambda x: x.var((2, 3))), IMAGE),
    "biased variance": (Apply(lambda x: x.var(1, unbiased=False)), ROWS),
    "deviation": (Apply(lambda x: x.std(-1, correction=2, keepdim=True)), ROWS),
    "log of a sum of powers": (Apply(lambda x: x.logsumexp(1)), IMAGE),
}


def _given(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(0)
    for p in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
        p.data = torch.rand_like(p) + 0.5
    module.eval()
    return torch.randn(shape)


@pytest.mark.parametrize("name", TORCH)
def test_import_equals_torch(name: str) -> None:
    module, shape = TORCH[name]
    x = _given(module, shape)
    module = nn.Sequential(module, nn.Flatten()).eval()  # whatever the order in which the result is stored
    expected = module(x).detach().numpy()
    graph = simplify(load_torch(module, x))
    order = (0, 2, 3, 1) if len(shape) == 4 else graph.meta.get("orders", {}).get(graph.inputs[0])
    found = run(graph, x.numpy() if order is None else x.permute(*order).contiguous().numpy())
    if expected.dtype == np.int64:
        assert np.array_equal(found, expected)
    else:  # another order of summation: a few units in the last place of the largest value
        assert np.allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_an_unused_index_costs_nothing() -> None:
    graph = simplify(load_torch(Apply(lambda x: x.max(1).values), torch.zeros(ROWS)))
    assert [n.op.name for n in graph.nodes] == ["reduce_max"]


def test_planes_are_normalized_without_moving_them() -> None:
    for module in (nn.GroupNorm(3, 6), nn.InstanceNorm2d(6, affine=True), nn.LayerNorm((6, 7, 10))):
        graph = simplify(load_torch(module, torch.zeros(IMAGE)))
        assert len(graph.nodes) == 1, str(graph)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Apply(lambda x: x.norm(3, dim=1)), "norm of order 3"),
        (Apply(lambda x: x.amax()), "mixes the samples"),
        (nn.LogSoftmax(0), "mixes the samples"),
    ],
)
def test_what_cannot_be_imported_says_why(module: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_torch(module, torch.zeros(ROWS))
