"""ONNX's quantized models: QDQ graphs become our int8 operators, with the file's scales and near its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from batch import Case, host_differences, host_models
from lilliput.evaluate import step_through
from lilliput.graph import Array, Graph
from lilliput.importers.onnx import load_onnx, stored
from lilliput.ops.requantize import Dequantize, Quantize
from lilliput.passes import simplify
from lilliput.plan import plan


class Model:
    """An ONNX graph under construction; every method returns the name of what it adds."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, data: Any, dtype: Any = None) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(data, dtype), name))
        return name

    def op(self, kind: str, *ins: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, list(ins), [name], name=f"{kind}{len(self.nodes)}", **attributes)
        )
        return name

    def qdq(self, x: str, scale: float, zero: int, dtype: str = "uint8") -> str:
        ends = (self.constant(scale, np.float32), self.constant(zero, dtype))
        return self.op("DequantizeLinear", self.op("QuantizeLinear", x, *ends), *ends)

    def weights(self, *shape: int, dtype: str = "int8", per_channel: bool = True, axis: int = 0) -> str:
        count = shape[axis] if per_channel else 1
        scale = self.rng.uniform(0.002, 0.01, count if per_channel else ()).astype(np.float32)
        whole = self.rng.integers(-127, 128, shape)
        zero = np.zeros(count if per_channel else (), dtype)
        if dtype == "uint8":
            whole, zero = whole + 128, zero + 128
        names = [self.constant(whole, dtype), self.constant(scale), self.constant(zero)]
        return self.op("DequantizeLinear", *names, **({"axis": axis} if per_channel else {}))

    def bias(self, count: int, x_scale: float) -> str:
        """int32 in steps of the scales' product, which the last weights have."""
        (last,) = [n for n in self.nodes if n.op_type == "DequantizeLinear"][-1:]
        scale = next(numpy_helper.to_array(c) for c in self.constants if c.name == last.input[1])
        whole = self.constant(self.rng.integers(-9000, 9000, count), np.int32)
        both = (scale.reshape(-1) * np.float32(x_scale)).astype(np.float32)
        return self.op("DequantizeLinear", whole, self.constant(np.broadcast_to(both, count)), axis=0)

    def done(self, x: Sequence[int], y: str, dtype: int = onnx.TensorProto.FLOAT) -> onnx.ModelProto:
        start = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(x))
        graph = helper.make_graph(
            self.nodes, "g", [start], [helper.make_tensor_value_info(y, dtype, None)], self.constants
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])


def network(weights: str, activations: str, zero: int) -> onnx.ModelProto:
    """Residual convolutions, pooling of both kinds, a concatenation, and features."""
    m = Model(5)

    def point(v: str, scale: float) -> str:
        return m.qdq(v, scale, zero, activations)

    x = point("x", 0.03)
    w = m.weights(6, 3, 3, 3, dtype=weights)
    y = point(m.op("Relu", m.op("Conv", x, w, m.bias(6, 0.03), pads=[1, 1, 1, 1])), 0.05)
    pooled = point(m.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.05)
    w = m.weights(6, 1, 3, 3, dtype=weights)
    deep = point(m.op("Conv", pooled, w, m.bias(6, 0.05), group=6, pads=[1, 1, 1, 1]), 0.06)
    total = point(m.op("Add", pooled, deep), 0.08)
    joined = point(m.op("Concat", total, pooled, axis=1), 0.09)
    mean = point(m.op("GlobalAveragePool", joined), 0.03)
    flat = point(m.op("Reshape", mean, m.constant([1, -1], np.int64)), 0.03)
    w = m.weights(5, 12, dtype=weights, per_channel=False)
    scores = point(m.op("Gemm", flat, w, m.bias(5, 0.03), transB=1), 0.05)
    return m.done((1, 3, 8, 8), point(m.op("Softmax", scores), 1 / 255))


def imported(model: onnx.ModelProto) -> Graph:
    return simplify(load_onnx(model.SerializeToString()))


def on_both(model: onnx.ModelProto, graph: Graph, count: int = 12) -> list[tuple[Array, Array]]:
    """(ONNX's result, ours) on random inputs."""
    evaluator, rng = ReferenceEvaluator(model), np.random.default_rng(9)
    orders = graph.meta.get("orders", {})
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    found = []
    for _ in range(count):
        # Colours, so that means tell the inputs apart.
        x = (rng.normal(0, 1, shape) + rng.normal(0, 2, (1, shape[1], 1, 1))).astype(np.float32)
        (expected,) = evaluator.run(None, {"x": x})
        (name,) = graph.outputs
        ours = step_through(graph, {"x": stored(x, orders.get("x"))})[name]
        found.append((stored(np.asarray(expected), orders.get(name)), ours))
    return found


def inner_types(graph: Graph) -> set[str]:
    """What is computed between the ends of a model with real inputs and outputs."""
    ends = {"x", *graph.outputs}
    return {t.dtype for t in graph.tensors.values() if not t.constant and t.name not in ends}


@pytest.mark.parametrize(
    ("weights", "activations", "zero"),
    [("int8", "uint8", 120), ("uint8", "uint8", 128), ("int8", "int8", -5)],
)
def test_a_network_becomes_int8(weights: str, activations: str, zero: int) -> None:
    """Every operator between the quantized ends is an integer one; results are within few steps of ONNX's."""
    model = network(weights, activations, zero)
    graph = imported(model)
    assert inner_types(graph) == {"int8"}
    results = on_both(model, graph)
    steps = [np.abs(a - b).max() * 255 for a, b in results]
    # A score that is one step of 0.05 off moves a share by at most a quarter of that, 3.2 steps of 1/255; and our
    # softmax counts in steps of 1/256, which end up within one of those.
    assert max(steps) <= 4.2, steps
    same = [a.argmax() == b.argmax() for a, b in results if np.ptp(np.sort(a.ravel())[-2:]) > 0.02]
    assert all(same)
    assert len({int(a.argmax()) for a, _ in results}) > 1, "the network says the same of every input"
    case = Case("qdq", plan(graph))
    assert host_differences([case], host_models([case]), seed=2, count=3) == []


def test_what_does_not_fit_stays_real() -> None:
    """Weights with a zero point that int8 cannot hold, and an operator without a quantized result."""
    m = Model(1)
    x = m.qdq("x", 0.04, 10)
    whole, scale, zero = (
        m.constant(m.rng.integers(0, 256, (4, 3, 1, 1)), np.uint8),
        m.constant(0.01, np.float32),
        m.constant(3, np.uint8),
    )
    y = m.qdq(m.op("Conv", x, m.op("DequantizeLinear", whole, scale, zero)), 0.05, 100)
    model = m.done((1, 3, 4, 4), m.op("Sigmoid", y))
    graph = imported(model)
    assert "float32" in inner_types(graph)
    for expected, found in on_both(model, graph, 3):
        # numpy and ONNX may round a value at half a step to either side: sigmoid is at most a quarter as steep.
        np.testing.assert_allclose(found, expected, atol=0.05 / 4 + 1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_halves_round_to_even(dtype: str) -> None:
    """Every half and its neighbours, both ends, in numpy and in C."""
    m = Model()
    name = m.op("QuantizeLinear", "x", m.constant(0.5, np.float32), m.constant(3, dtype))
    kinds = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8, "int16": onnx.TensorProto.INT16}
    model = m.done((1, 1213), name, kinds[dtype])
    graph = imported(model)
    halves = (np.arange(-300, 300) / 4).astype(np.float32)
    far = np.array([1e9, -1e9, 3e38, -3e38, 0.0, -0.0, 16383.25, -16384.25, 16383.75, 2.5, -2.5, 0.25, -0.25])
    near = np.nextafter(halves, np.float32(99))
    x = np.concatenate([halves, near, far]).astype(np.float32)[None]
    # ONNX's own reference casts to int32, where what is beyond it has no defined value.
    expected = np.clip(np.rint(x.astype(np.float64) / 0.5) + 3, np.iinfo(dtype).min, np.iinfo(dtype).max)
    (found,) = step_through(graph, {"x": x}).values()
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype
    (model_in_c,) = host_models([Case("round", plan(graph))])
    (in_c,) = model_in_c.run({"x": x}).values()
    np.testing.assert_array_equal(in_c, found)


def test_quantized_operators_of_older_files() -> None:
    """QLinearConv and QLinearMatMul between int8 or uint8 ends become integer layers."""
    m = Model(2)
    for_x, for_y, for_z = (
        (m.constant(s, np.float32), m.constant(z, np.uint8)) for s, z in ((0.04, 120), (0.06, 99), (0.1, 128))
    )
    q = m.op("QuantizeLinear", "x", *for_x)
    scale = np.full(4, 0.01, np.float32)
    w = (
        m.constant(m.rng.integers(-127, 128, (4, 3, 3, 3)), np.int8),
        m.constant(scale),
        m.constant(np.zeros(4), np.int8),
    )
    bias = m.constant(m.rng.integers(-2000, 2000, 4), np.int32)
    y = m.op("QLinearConv", q, *for_x, *w, *for_y, bias, strides=[2, 2])
    rows = m.op("Reshape", y, m.constant([1, 4, 9], np.int64))
    factor = (
        m.constant(m.rng.integers(0, 256, (9, 5)), np.uint8),
        m.constant(0.02, np.float32),
        m.constant(77, np.uint8),
    )
    z = m.op("QLinearMatMul", rows, *for_y, *factor, *for_z)
    model = m.done((1, 3, 7, 7), m.op("DequantizeLinear", z, *for_z))
    graph = imported(model)
    float_ops = {s.op.name for s in graph.sites() if s.y.dtype == "float32" or s.x.dtype == "float32"}
    assert float_ops == {Quantize.name, Dequantize.name}
    for expected, found in on_both(model, graph):
        assert np.abs(expected - found).max() <= 0.1 * 1.01  # one step of the result
