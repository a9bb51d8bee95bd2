"""Maximum and minimum: each integer is TFLM's, one quantization is insisted on, imports compute as torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from batch import Case, host_models
from lilliput.errors import UserError
from lilliput.evaluate import run, step_through
from lilliput.examples import float_graph
from lilliput.graph import Array, Shape
from lilliput.importers.tflite import load_tflite
from lilliput.loading import load
from lilliput.op import Example
from lilliput.ops.extremum import Maximum, Minimum
from lilliput.plan import plan
from lilliput.quantize import quantize
from tflite_builder import Model

pytestmark = pytest.mark.slow
MODELS = 48
Rng = np.random.Generator


def shapes(rng: Rng) -> tuple[Shape, Shape]:
    """Equal shapes half of the time; otherwise each axis is repeated in one operand or in none."""
    full = [int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5)))]
    a, b = list(full), list(full)
    if rng.random() < 0.5:
        for i in range(len(full)):
            kind = int(rng.integers(3))
            if kind:
                (a, b)[kind - 1][i] = 1
    return tuple(a), tuple(b)


def model(op: str, rng: Rng) -> OneOp:
    """In a third of the models one operand is a constant, sometimes of one number; one in six is float32."""
    dtype = "float32" if rng.random() < 1 / 6 else "int8"
    quant = (log_uniform(rng, 0.002, 0.3), zero_point(rng)) if dtype == "int8" else ()
    a_b = list(shapes(rng))
    y_shape = np.broadcast_shapes(*a_b)
    constant = int(rng.choice([-1, -1, 0, 1]))
    if constant >= 0 and rng.random() < 0.4:
        a_b[constant] = (1,)
        y_shape = np.broadcast_shapes(*a_b)

    def values(shape: Shape) -> Array:
        return int8(rng, shape) if dtype == "int8" else rng.normal(0, 2, shape).astype(np.float32)

    m = Model()
    data = [values(s) if i == constant else None for i, s in enumerate(a_b)]
    ins = [m.tensor(s, dtype, *quant, data=d) for s, d in zip(a_b, data, strict=True)]
    y = m.tensor(y_shape, dtype, *quant)
    m.op(op, ins, [y])
    given = [i for i in range(2) if i != constant]
    runs = [[values(a_b[i]) for i in given] for _ in range(3)]
    label = f"{op} {dtype} {a_b} constant {constant} {quant}"
    return OneOp(label, m.inputs(*(ins[i] for i in given)).outputs(y).to_bytes(), runs)


@pytest.mark.parametrize("op", ["MAXIMUM", "MINIMUM"])
def test_equal_to_tflm(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([model(op, rng) for _ in range(MODELS)], 24)


@pytest.mark.parametrize("op", ["MAXIMUM", "MINIMUM"])
def test_all_pairs_of_integers_equal_tflm(op: str) -> None:
    every = np.arange(-128, 128, dtype=np.int8)
    a, b = (v.reshape(1, -1) for v in np.meshgrid(every, every))
    m = Model()
    x, z, y = (m.tensor(a.shape, "int8", 0.05, -7) for _ in range(3))
    m.op(op, [x, z], [y])
    compare([OneOp(op, m.inputs(x, z).outputs(y).to_bytes(), [[a, b]])], 1)


def test_operands_of_another_quantization_are_refused() -> None:
    """TFLM compares the raw integers, whatever they mean: the larger integer need not be the larger number."""
    m = Model()
    a, b = m.tensor((1, 4), "int8", 0.1, 0), m.tensor((1, 4), "int8", 0.2, 0)
    y = m.tensor((1, 4), "int8", 0.1, 0)
    m.op("MAXIMUM", [a, b], [y])
    with pytest.raises(UserError, match="they must be equal"):
        load_tflite(m.inputs(a, b).outputs(y).to_bytes())


class Bounded(nn.Module):
    """Two branches and constants, in both orders; the ReLU goes into the maximum as its clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.ceiling = nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(torch.maximum(self.conv(x), self.other(x)))
        return torch.minimum(self.ceiling, y)


def bounded() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(6)
    return Bounded().eval(), torch.randn(1, 3, 8, 7)


def test_torch_modules_compute_the_same() -> None:
    module, x = bounded()
    graph = load(module, x)
    assert [node.op.name for node in graph.nodes].count("maximum") == 1
    assert len(graph.nodes) == 4, "the ReLU was not fused"
    with torch.no_grad():
        expected = module(x).permute(0, 2, 3, 1).numpy()
    found = run(graph, x.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)  # two orders of 27 float32 products


def test_quantized_operands_share_one_scale() -> None:
    module, _ = bounded()
    samples = torch.randn(16, 3, 8, 7)
    graph = load(module, samples[:1])
    x = samples.permute(0, 2, 3, 1).numpy()
    int8_graph = quantize(graph, x)
    for site in int8_graph.sites():
        if isinstance(site.op, Maximum | Minimum):
            assert all(t.q.same(site.y.q) for t in site.ins)
    q = int8_graph.tensors[int8_graph.outputs[0]].q
    real = (run(int8_graph, x).astype(np.float32) - q.z) * q.s
    # Weights and activations are rounded once each on the way: some steps of the coarsest scale.
    np.testing.assert_allclose(real, run(graph, x), rtol=0, atol=8 * float(q.s))


@pytest.mark.parametrize("op", [Maximum(), Minimum()])
def test_nan_gives_nan_in_every_place(op: Maximum | Minimum) -> None:
    nan = np.float32("nan")
    a = np.array([[nan, 1, nan, 2, -0.5]], np.float32)
    b = np.array([[1, nan, nan, -3, 0.5]], np.float32)
    graph = float_graph(Example(op, (a.shape, b.shape)))
    feed = dict(zip(graph.inputs, (a, b), strict=True))
    (expected,) = step_through(graph, feed).values()
    assert np.isnan(expected[0, :3]).all()
    (model,) = host_models([Case("nan", plan(graph))])
    np.testing.assert_array_equal(model.run(feed)[graph.outputs[0]], expected)
