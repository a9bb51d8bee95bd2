"""Functions of one element, sums, differences, products: each integer is TFLM's, imports compute as torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from batch import Case, host_models
from lilliput.errors import UserError
from lilliput.evaluate import run, step_through
from lilliput.examples import draw, float_graph
from lilliput.graph import Array, Graph, Node, Quant, Tensor
from lilliput.importers.tflite import load_tflite
from lilliput.importers.torch import load_torch
from lilliput.op import REGISTRY, Example
from lilliput.ops.norm import BatchNorm
from lilliput.ops.unary import HardSigmoid
from lilliput.plan import plan
from tflite_builder import Model
from tflm import run_all_tensors

pytestmark = pytest.mark.slow
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
EVERY = np.arange(-128, 128, dtype=np.int8)
MODELS = 64
Rng = np.random.Generator
Quantization = tuple[float, int]
Place = tuple[Quantization, Quantization, dict[str, float]]
"""Quantization of the input, of the result, and the options."""


def random_quant(rng: Rng, lo: float = 0.002, hi: float = 0.3) -> Quantization:
    return log_uniform(rng, lo, hi), zero_point(rng)


def unary(op: str, places: Sequence[Place]) -> OneOp:
    """A model with the operator several times, each on all 256 values."""
    m = Model()
    inputs, outputs = [], []
    for x, y, options in places:
        inputs.append(m.tensor(EVERY.shape, "int8", *x))
        outputs.append(m.tensor(EVERY.shape, "int8", *y))
        m.op(op, inputs[-1:], outputs[-1:], **options)
    model = m.inputs(*inputs).outputs(*outputs).to_bytes()
    return OneOp(f"{op} {places}", model, [[EVERY] * len(places)])


def relu(rng: Rng) -> Place:
    return random_quant(rng), random_quant(rng), {}


def relu6(rng: Rng) -> Place:
    # The result's own quantization is ignored; half the files agree on it, as converters write them.
    x = random_quant(rng)
    return x, x if rng.random() < 0.5 else random_quant(rng), {}


def leaky_relu(rng: Rng) -> Place:
    alpha = float(rng.choice([0.01, 0.1, 0.3, -0.5, 0.0, 1.0, 2.5, -1e-4, rng.normal()]))
    return random_quant(rng), random_quant(rng), {"alpha": alpha}


def hard_swish(rng: Rng) -> Place:
    x = random_quant(rng, 1e-4, 0.5)
    least = x[0] / 127  # TFLM refuses smaller scales of the result
    return x, (log_uniform(rng, max(least, 1e-3), 0.5), zero_point(rng)), {}


def logistic(rng: Rng) -> Place:
    return random_quant(rng, 1e-3, 2), (1 / 256, -128), {}


def tanh(rng: Rng) -> Place:
    return random_quant(rng, 1e-3, 2), (1 / 128, 0), {}


UNARY: dict[str, Callable[[Rng], Place]] = {
    "RELU": relu,
    "RELU6": relu6,
    "LEAKY_RELU": leaky_relu,
    "HARD_SWISH": hard_swish,
    "LOGISTIC": logistic,
    "TANH": tanh,
}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_element_equal_tflm_on_all_values(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    models = [unary(op, [UNARY[op](rng) for _ in range(8)]) for _ in range(MODELS // 8)]
    compare(models, len(models) - 2)


def broadcast_shapes(rng: Rng) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Equal shapes half of the time; otherwise each axis is repeated in one operand or in none."""
    full = [int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5)))]
    shapes = (list(full), list(full))
    if rng.random() < 0.5:
        for i in range(len(full)):
            kind = int(rng.integers(3))
            if kind:
                shapes[kind - 1][i] = 1
    a, b = (tuple(s) for s in shapes)
    if len(b) > 1 and b[0] == 1 and rng.random() < 0.5:
        b = b[1:]  # fewer dimensions
    return (a, b) if rng.random() < 0.5 else (b, a)


def binary(op: str, rng: Rng) -> OneOp:
    """Random shapes, scales and activation; in a third of the models one operand is a constant."""
    a_shape, b_shape = broadcast_shapes(rng)
    y_shape = np.broadcast_shapes(a_shape, b_shape)
    a, b, y = (random_quant(rng) for _ in range(3))
    kind = int(rng.integers(4))
    if kind == 0:
        b = (a[0], b[1])  # equal scales
    elif kind == 1:
        b = (a[0] * log_uniform(rng, 1e-4, 1e4), b[1])
    # A result that is neither all zero nor all saturated: its scale follows from the operands'.
    reach = max(a[0], b[0]) * 1.5 if op != "MUL" else a[0] * b[0] * 90
    y = (reach * log_uniform(rng, 0.2, 3), y[1])
    constant = int(rng.choice([-1, -1, 0, 1]))
    activation = str(rng.choice(ACTIVATIONS)) if rng.random() < 0.3 else "NONE"
    return binary_model(op, (a_shape, b_shape), y_shape, (a, b, y), constant, activation, rng)


def binary_model(
    op: str,
    shapes: Sequence[tuple[int, ...]],
    y_shape: tuple[int, ...],
    quants: Sequence[Quantization],
    constant: int,
    activation: str,
    rng: Rng,
) -> OneOp:
    m = Model()
    data = [int8(rng, s) if i == constant else None for i, s in enumerate(shapes)]
    ins = [m.tensor(s, "int8", *q, data=d) for s, q, d in zip(shapes, quants[:2], data, strict=True)]
    y = m.tensor(y_shape, "int8", *quants[2])
    m.op(op, ins, [y], fused_activation=activation)
    given = [i for i in range(2) if i != constant]
    runs = [[int8(rng, shapes[i]) for i in given] for _ in range(3)]
    label = f"{op} {shapes} constant {constant} {activation} {quants}"
    return OneOp(label, m.inputs(*(ins[i] for i in given)).outputs(y).to_bytes(), runs)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_binary_operators_equal_tflm(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([binary(op, rng) for _ in range(MODELS)], 30)


def pairs() -> tuple[Array, Array]:
    """Every value with 20 values that are ends, neighbours of zero, or anything."""
    some = [-128, -127, -65, -64, -2, -1, 0, 1, 2, 5, 63, 64, 126, 127, -100, -37, -11, 19, 43, 99]
    a, b = np.meshgrid(EVERY, np.array(some, np.int8))
    return a.reshape(1, -1), b.reshape(1, -1)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_all_values_in_pairs_equal_tflm(op: str) -> None:
    """At scales that round halves: equal, powers of two apart, far apart, clamped; any zero points."""
    rng = np.random.default_rng(7)
    ratios = [(1.0, 1.0), (1.0, 0.5), (0.125, 1.0), (1.0, 0.3), (0.7, 1.0), (1.0, 1e-4), (1.0, 0.999999)]
    a_values, b_values = pairs()
    models = []
    for i, (ra, rb) in enumerate(ratios):
        a, b = (float(np.float32(0.05 * r)) for r in (ra, rb))
        y = 4 * max(a, b) if op != "MUL" else a * b * 256
        zeros = [*(int(v) for v in rng.choice([-128, -1, 0, 5, 127], 2)), int(rng.choice([-30, 0, 41]))]
        quants = [(a, zeros[0]), (b, zeros[1]), (y, zeros[2])]
        shapes = [a_values.shape, b_values.shape]
        one = binary_model(op, shapes, shapes[0], quants, -1, "RELU" if i == 5 else "NONE", rng)
        models.append(OneOp(one.label, one.model, [[a_values, b_values], [b_values, a_values]]))
    compare(models, len(models) - 2)


def test_a_result_scale_that_tflm_refuses_is_refused() -> None:
    model = binary_model(
        "ADD", [(1, 2)] * 2, (1, 2), [(1.0, 0), (1.0, 0), (1e-7, 0)], -1, "NONE", np.random.default_rng(0)
    )
    with pytest.raises(UserError, match="too small by far"):
        load_tflite(model.model)


@pytest.mark.parametrize(("op", "quant"), [("LOGISTIC", (1 / 128, -128)), ("TANH", (1 / 128, 1))])
def test_a_fixed_result_quantization_is_insisted_on(op: str, quant: Quantization) -> None:
    with pytest.raises(UserError, match="defined is only"):
        load_tflite(unary(op, [((0.1, 0), quant, {})]).model)


def run_one(op: HardSigmoid | BatchNorm, ins: Sequence[Tensor], y: Tensor, x: Array) -> Array:
    tensors = {t.name: t for t in (*ins, y)}
    graph = Graph(("x",), ("y",), (Node(op, tuple(t.name for t in ins), ("y",)),), tensors)
    return step_through(graph, {"x": x})["y"]


@pytest.mark.parametrize(
    ("scale", "zero"), [(0.0234375, 0), (0.05, -128), (1.5, 127), (1e-5, 3), (3 / 128, -1)]
)
def test_hard_sigmoid_is_the_exact_value_rounded(scale: float, zero: int) -> None:
    """TFLM has no HARD_SIGMOID: our definition, computed again in exact fractions."""
    x = Tensor("x", EVERY.shape, "int8", Quant.per_tensor(scale, zero))
    y = Tensor("y", EVERY.shape, "int8", Quant.per_tensor(1 / 256, -128))
    found = run_one(HardSigmoid(), [x], y, EVERY)
    for q, result in zip(EVERY.tolist(), found.tolist(), strict=True):
        real = (q - zero) * Fraction(float(np.float32(scale)))
        share = min(max((real + 3) / 6, Fraction(0)), Fraction(1)) * 256 - 128
        assert result == 127 if share >= 127 else abs(share - result) <= Fraction(1, 2)


def test_batch_norm_is_tflms_depthwise_convolution_of_one_pixel() -> None:
    rng = np.random.default_rng(3)
    models, ours = [], []
    for _ in range(20):
        c = int(rng.integers(1, 9))
        sx, zx = random_quant(rng)
        sy, zy = random_quant(rng)
        scales = np.array([log_uniform(rng, 0.002, 0.1) for _ in range(c)], np.float32)
        w, bias = (
            rng.choice([-127, 127, 0, 31], c).astype(np.int8),
            rng.integers(-30000, 30000, c).astype(np.int32),
        )
        x = int8(rng, (1, 3, 5, c))
        models.append((depthwise(x.shape, (sx, zx), (sy, zy), scales, w, bias), x))
        tensors = [
            Tensor("x", x.shape, "int8", Quant.per_tensor(sx, zx)),
            Tensor("w", w.shape, "int8", Quant(scales, np.zeros(c, np.int32), 0), w),
            Tensor("b", bias.shape, "int32", None, bias),
        ]
        y = Tensor("y", x.shape, "int8", Quant.per_tensor(sy, zy))
        ours.append(run_one(BatchNorm(), tensors, y, x))
    for (model, x), found in zip(models, ours, strict=True):
        assert np.array_equal(run_all_tensors(model, x)[3], found)


def depthwise(
    shape: tuple[int, ...], x: Quantization, y: Quantization, scales: Array, w: Array, bias: Array
) -> bytes:
    m = Model()
    a = m.tensor(shape, "int8", *x)
    filters = m.tensor((1, 1, 1, len(w)), "int8", scales, [0] * len(w), w.reshape(1, 1, 1, -1), axis=3)
    offset = m.tensor(bias.shape, "int32", np.float32(x[0]) * scales, [0] * len(w), bias)
    b = m.tensor(shape, "int8", *y)
    m.op(
        "DEPTHWISE_CONV_2D",
        [a, filters, offset],
        [b],
        padding="VALID",
        stride_w=1,
        stride_h=1,
        depth_multiplier=1,
    )
    return m.inputs(a).outputs(b).to_bytes()


class Everything(nn.Module):
    """Each operator of these families that torch.export emits, with constants of every shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.bn.running_mean, self.bn.running_var = torch.randn(4), torch.rand(4) + 0.1
        nn.init.normal_(self.bn.weight)
        nn.init.normal_(self.bn.bias)
        self.per_channel = nn.Parameter(torch.randn(4, 1, 1))
        self.per_pixel = nn.Parameter(torch.randn(1, 1, 6, 5))
        self.row = nn.Parameter(torch.randn(5))
        self.leaky, self.swish, self.gate = nn.LeakyReLU(0.1), nn.Hardswish(), nn.Hardsigmoid()
        self.six, self.dropout, self.dropout2d = nn.ReLU6(), nn.Dropout(), nn.Dropout2d()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.conv(x))
        x = self.six(x * self.per_channel) + self.dropout(self.leaky(x)) - self.per_pixel
        gate = self.gate(x.mean((2, 3), keepdim=True))  # squeeze and excite: (1, C, 1, 1) by (1, C, H, W)
        x = gate * self.swish(x) + self.row
        x = torch.add(x, x, alpha=2) / 3 - torch.sub(1.5, x, alpha=0.5)
        x = self.dropout2d(2 - x).clamp(-2, 3) + x.clamp(min=0.5) - x.clamp_min(-1).clamp_max(4)
        return torch.sigmoid(x) + torch.tanh(-x) * functional.relu(x) + functional.hardtanh(x)


def test_torch_modules_compute_the_same() -> None:
    torch.manual_seed(4)
    module, x = Everything().eval(), torch.randn(1, 3, 8, 7)
    graph = load_torch(module, x)
    with torch.no_grad():
        expected = module(x).permute(0, 2, 3, 1).numpy()
    found = run(graph, x.permute(0, 2, 3, 1).numpy())
    # Two orders of float32 operations over values of about ten.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


def test_operands_stored_in_different_orders_are_brought_together() -> None:
    class Orders(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.reshape(1, 2, 15)
            return self.conv(x) * flat.reshape(1, 2, 3, 5) + flat.reshape(2, 3, 5)

    torch.manual_seed(5)
    module, x = Orders().eval(), torch.randn(1, 2, 3, 5)
    graph = load_torch(module, x)
    with torch.no_grad():
        expected = module(x)
    found = run(graph, x.permute(0, 2, 3, 1).numpy())
    stored = expected.permute(0, 2, 3, 1).numpy()
    found = found if found.shape == stored.shape else found.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, stored, rtol=0, atol=1e-5)


def differentiable() -> list[tuple[str, Example]]:
    names = (
        "clamp",
        "leaky_relu",
        "hard_swish",
        "hard_sigmoid",
        "sigmoid",
        "tanh",
        "add",
        "sub",
        "mul",
        "batch_norm",
    )
    given = ((f"{name}-{i}", e) for name in names for i, e in enumerate(REGISTRY[name].examples()))
    return [(label, e) for label, e in given if isinstance(e, Example)]


@pytest.mark.parametrize(
    ("label", "example"), differentiable(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_the_differentiable_form_is_the_reference(label: str, example: Example) -> None:
    graph = float_graph(example)
    (site,) = graph.sites()
    (feed,) = draw(graph, 9)
    values = [feed[t.name] if t.data is None else t.data for t in site.ins]
    found = site.op.torch(site, *(torch.from_numpy(np.array(v)) for v in values))
    (expected,) = site.op.run(site, *values)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=label)


def test_float_kernels_define_nan_and_infinity() -> None:
    """NaN stays NaN everywhere; infinity is held at the largest float or at the function's limit."""
    x = np.array([[np.nan, np.inf, -np.inf, 1e-40, -0.0, 88.8, -104.0, 1e30, -1e30]], np.float32)
    largest = np.finfo(np.float32).max
    ends = {"clamp": (largest, 0.0), "sigmoid": (1.0, 0.0), "tanh": (1.0, -1.0), "hard_sigmoid": (1.0, 0.0)}
    cases = [Case(name, plan(float_graph(Example(REGISTRY[name](), (x.shape,))))) for name in ends]
    for case, model in zip(cases, host_models(cases), strict=True):
        y = model.run({"x0": x})["y0"][0]
        assert np.isnan(y[0]), case.label
        assert (y[1], y[2]) == ends[case.label], case.label
        with np.errstate(all="ignore"):
            (reference,) = case.plan.graph.nodes[0].op.run(case.plan.graph.sites()[0], x)
        np.testing.assert_allclose(y, reference[0], rtol=4e-7, atol=1e-37, err_msg=case.label)
