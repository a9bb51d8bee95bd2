"""Post-training quantization: scales, biases, groups that share a scale, and calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lilliput.errors import UserError
from lilliput.evaluate import all_tensors, run, step_through
from lilliput.examples import ranges_of
from lilliput.graph import Array, Graph, Quant, Tensor, verify
from lilliput.op import Op
from lilliput.ops.binary import Add, Sub
from lilliput.ops.conv import Conv2d, Linear
from lilliput.ops.pool import MaxPool2d
from lilliput.ops.reduce import ArgMax
from lilliput.ops.shape import Concat, Reshape
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.plan import plan
from lilliput.quantize import calibrate, quantize
from lilliput.quantize.calibrate import METHODS, range_quant
from small_graphs import RELU, Builder, small_cnn


def normal(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def tensor_of(graph: Graph, node: int, operand: int) -> Tensor:
    return graph.tensors[graph.nodes[node].inputs[operand]]


def one_linear(weights: Array, bias: Array) -> Graph:
    b = Builder()
    x = b.input(1, weights.shape[1])
    return b.graph(b.add(Linear(), x, b.constant(weights), b.constant(bias)))


def error_of(graph: Graph, int8: Graph, samples: Array) -> float:
    """Largest difference of the first output, in steps of its scale."""
    y = int8.tensors[int8.outputs[0]]
    found = run(int8, samples)
    real = y.q.dequantize(found) if y.quant else found
    step = float(y.q.s) if y.quant else 1.0
    return float(np.abs(real - run(graph, samples)).max()) / step


# --- weights and biases ---


def test_weights_are_within_half_a_step_of_their_channel() -> None:
    w = normal(5, 30) * np.array([[1e-4], [0.1], [1.0], [50.0], [1e4]], np.float32)
    int8 = quantize(one_linear(w, np.zeros(5)), normal(20, 30))
    t = tensor_of(int8, 0, 1)
    assert t.quant is not None
    assert t.data is not None
    assert t.quant.axis == 0
    assert not t.quant.zero_point.any()
    assert (np.abs(t.quant.dequantize(t.data) - w) <= t.quant.scale[:, None] * 0.50001).all()
    assert np.abs(t.data).max(axis=1).tolist() == [127] * 5, "the whole range is used, -128 never"


def test_bias_scale_is_input_scale_times_weight_scale() -> None:
    b = normal(4)
    int8 = quantize(one_linear(normal(4, 8), b), normal(50, 8))
    x, w, bias = (tensor_of(int8, 0, i) for i in range(3))
    assert np.array_equal(bias.q.scale, x.q.s * w.q.scale)
    assert (bias.dtype, bias.q.axis) == ("int32", 0)
    assert (np.abs(bias.q.dequantize(bias.data) - b) <= bias.q.scale * 0.51).all()


def test_weights_shared_by_two_layers_get_a_bias_each() -> None:
    b = Builder()
    x = b.input(1, 6)
    w, bias = b.random(6, 6), b.random(6)
    y = b.add(Linear(RELU), x, w, bias)
    graph = b.graph(b.add(Linear(), y, w, bias))
    int8 = quantize(graph, normal(40, 6) * 9)
    (w0, b0), (w1, b1) = ([tensor_of(int8, node, i) for i in (1, 2)] for node in (0, 1))
    assert np.array_equal(w0.data, w1.data)
    for node, found in enumerate((b0, b1)):
        scale = tensor_of(int8, node, 0).q.s * tensor_of(int8, node, 1).q.scale
        assert np.array_equal(found.q.scale, scale)
    assert not np.array_equal(b0.data, b1.data)
    assert error_of(graph, int8, normal(40, 6) * 9) < 6


def test_a_channel_of_zeros_stays_zero_plus_bias() -> None:
    w, bias = normal(3, 7), np.array([0.0, 1.5, 0.0], np.float32)
    w[0] = w[1] = 0
    graph = one_linear(w, bias)
    int8 = quantize(graph, normal(60, 7))
    assert np.isfinite(tensor_of(int8, 0, 1).q.scale).all()
    assert (tensor_of(int8, 0, 1).q.scale > 0).all()
    y = int8.tensors[int8.outputs[0]].q.dequantize(run(int8, normal(60, 7)))
    step = float(int8.tensors[int8.outputs[0]].q.s)
    assert np.abs(y[:, 0]).max() == 0
    assert np.abs(y[:, 1] - 1.5).max() <= step


def test_a_huge_bias_widens_the_scale_of_its_channel_only() -> None:
    w = np.full((2, 4), 1e-6, np.float32)
    w[1] = 0.5
    bias = np.array([3000.0, 0.1], np.float32)
    graph = one_linear(w, bias)
    int8 = quantize(graph, normal(30, 4))
    bias_data = tensor_of(int8, 0, 2).data
    assert bias_data is not None
    assert 2**29 < abs(int(bias_data[0])) <= 2**30 + 64
    assert tensor_of(int8, 0, 1).q.scale[1] == np.float32(0.5 / 127)
    assert error_of(graph, int8, normal(30, 4)) <= 1


# --- groups that share a scale ---


def test_like_input_groups_share_one_quantization() -> None:
    b = Builder()
    x = b.conv(b.input(1, 6, 6, 2), 4)
    pooled = b.add(MaxPool2d((2, 2), (2, 2)), x)
    int8 = quantize(b.graph(b.add(Reshape((1, 36)), pooled)), normal(10, 6, 6, 2))
    quants = [int8.tensors[n.outputs[0]].q for n in int8.nodes]
    assert all(q.same(quants[0]) for q in quants)
    assert all(q is quants[0] or q.same(quants[0]) for q in quants)


def test_a_group_takes_the_union_of_its_ranges() -> None:
    b = Builder()
    x = b.input(1, 4)
    small, large = b.add(Clamp(-0.1, 0.1), x), b.add(Clamp(-5.0, 5.0), x)
    int8 = quantize(
        b.graph(b.add(Concat(1), small, large)),
        ranges={x: (-9, 9), small: (-0.1, 0.1), large: (-5, 5), "y2": (-5, 5)},
    )
    assert {float(int8.tensors[name].q.s) for name in (small, large, "y2")} == {float(range_quant(-5, 5).s)}
    assert len(int8.nodes) == 3, "no requantization is needed"


def fixed_into_concat(view: bool) -> Graph:
    b = Builder()
    x = b.input(1, 5)
    first = b.add(Softmax(), x)
    if view:
        first = b.add(Reshape((1, 5)), first)
    return b.graph(b.add(Concat(1), first, b.linear(x, 3)))


@pytest.mark.parametrize("view", [False, True], ids=["direct", "through a view"])
def test_a_fixed_quantization_reaches_concat_by_a_requantize(view: bool) -> None:
    graph = fixed_into_concat(view)
    samples = normal(50, 5) * 4
    int8 = quantize(graph, samples)
    join = next(node for node in int8.nodes if node.op.same_quant_inputs)
    quants = [int8.tensors[name].q for name in (*join.inputs, *join.outputs)]
    assert all(q.same(quants[0]) for q in quants)
    assert float(quants[0].s) > 1 / 200, "the wide operand is not squeezed into the range of softmax"
    assert len(int8.nodes) == len(graph.nodes) + 1
    assert error_of(graph, int8, samples) < 4
    plan(int8)


def test_concat_of_one_fixed_tensor_with_itself() -> None:
    b = Builder()
    x = b.input(1, 5)
    p = b.add(Softmax(), x)
    graph = b.graph(b.add(Concat(1), p, b.linear(x, 3), p, p))
    int8 = quantize(graph, normal(50, 5) * 4)
    assert len(int8.nodes) == len(graph.nodes) + 1, "requantized once"
    assert error_of(graph, int8, normal(50, 5) * 4) < 4


def test_a_constant_operand_of_concat_takes_the_common_scale() -> None:
    b = Builder()
    graph = b.graph(b.add(Concat(1), b.input(1, 3), b.constant([[4.0, -4.0]])))
    int8 = quantize(graph, normal(9, 3))
    assert error_of(graph, int8, normal(9, 3)) <= 0.51
    plan(int8)


@pytest.mark.parametrize("op", [Reshape((1, 24)), MaxPool2d((2, 2), (1, 1))], ids=str)
def test_an_input_read_directly_by_a_view_or_pool(op: Op) -> None:
    b = Builder()
    x = b.input(1, 2, 4, 3)
    graph = b.graph(b.add(op, x), b.add(Add(), x, x))
    int8 = quantize(graph, normal(8, 2, 4, 3))
    assert int8.tensors["x0"].q.same(int8.tensors["y0"].q)
    assert error_of(graph, int8, normal(8, 2, 4, 3)) <= 1


def test_input_quant_is_respected_and_shared_by_views() -> None:
    camera = Quant.per_tensor(1 / 255, -128)
    b = Builder()
    flat = b.add(Reshape((1, 12)), b.input(1, 2, 2, 3))
    graph = b.graph(b.linear(flat, 4))
    samples = np.random.default_rng(0).uniform(0, 0.4, (30, 2, 2, 3)).astype(np.float32)
    int8 = quantize(graph, samples, input_quant=camera)
    assert int8.tensors["x0"].q.same(camera)
    assert int8.tensors[flat].q.same(camera)
    assert np.array_equal(tensor_of(int8, 1, 2).q.scale, camera.s * tensor_of(int8, 1, 1).q.scale)
    assert error_of(graph, int8, samples) < 3


def test_input_quant_does_not_spread_over_concat() -> None:
    b = Builder()
    x = b.input(1, 4)
    graph = b.graph(b.add(Concat(1), x, b.linear(x, 4)))
    int8 = quantize(graph, normal(30, 4) * 0.1, input_quant=Quant.per_tensor(0.5, 3))
    assert int8.tensors["x0"].q.same(Quant.per_tensor(0.5, 3))
    assert float(int8.tensors["y1"].q.s) < 0.1


# --- ends ---


def test_float_ends_quantize_and_dequantize() -> None:
    graph = small_cnn()
    samples = normal(20, 8, 8, 3)
    int8, real = quantize(graph, samples), quantize(graph, samples, io="float32")
    assert {real.tensors[name].dtype for name in (*real.inputs, *real.outputs)} == {"float32"}
    q = int8.tensors[int8.outputs[0]].q
    assert np.array_equal(run(real, samples), q.dequantize(run(int8, samples)))
    plan(real)


def test_float_ends_of_an_input_that_is_an_output_and_of_integers() -> None:
    b = Builder()
    x = b.input(1, 6)
    graph = b.graph(x, b.add(ArgMax(1), x), b.add(Sigmoid(), x))
    real = quantize(graph, normal(9, 6), io="float32")
    assert [real.tensors[name].dtype for name in real.outputs] == ["float32", "int32", "float32"]
    feed = {real.inputs[0]: normal(1, 6)}
    found = step_through(real, feed)
    assert np.abs(found[real.outputs[0]] - feed[real.inputs[0]]).max() < 0.05


def test_int8_is_close_to_float_in_every_tensor() -> None:
    graph, samples = small_cnn(), normal(40, 8, 8, 3)
    int8 = quantize(graph, samples)
    floats, integers = all_tensors(graph, samples), all_tensors(int8, samples)
    for name, real in floats.items():
        back = int8.tensors[name].q.dequantize(integers[name])
        noise = np.sqrt(((back - real) ** 2).mean()) / max(np.sqrt((real**2).mean()), 1e-9)
        assert noise < 0.04, f"{name}: noise of {noise:.3f}"


def test_a_quantized_graph_is_refused() -> None:
    int8 = quantize(small_cnn(), normal(4, 8, 8, 3))
    with pytest.raises(UserError, match=r"the model is quantized already \(tensor 'x0'\)"):
        quantize(int8, normal(4, 8, 8, 3))


# --- calibration ---


def watched(values: Array, method: str) -> tuple[float, float]:
    """The calibrated range of an input that holds `values`."""
    b = Builder()
    x = b.input(1, values.shape[1])
    return calibrate(b.graph(b.add(Clamp(-1e9, 1e9), x)), values, method)[x]  # type: ignore[arg-type]


def squared_error(values: Array, method: str) -> float:
    quant = range_quant(*watched(values, method))
    return float(((quant.dequantize(quant.quantize(values, "int8")) - values) ** 2).mean())


def test_minmax_is_exact() -> None:
    values = normal(30, 50)
    assert watched(values, "minmax") == (float(values.min()), float(values.max()))


def test_percentile_ignores_an_outlier() -> None:
    values = normal(400, 100)
    values[7, 3], values[9, 9] = 1000.0, -1000.0
    lo, hi = watched(values, "percentile")
    assert -6 < lo < -3
    assert 3 < hi < 6


def test_percentile_keeps_the_ends_of_what_has_no_outlier() -> None:
    values = np.linspace(-1, 3, 20_000, dtype=np.float32).reshape(200, 100)
    lo, hi = watched(values, "percentile")
    assert abs(lo + 1) < 0.01
    assert abs(hi - 3) < 0.01


def test_least_squares_beats_minmax_on_heavy_tails() -> None:
    values = np.random.default_rng(0).standard_t(2.5, (300, 100)).astype(np.float32)
    assert squared_error(values, "mse") < 0.95 * squared_error(values, "minmax")


def test_least_squares_is_never_worse_than_minmax() -> None:
    """But for what its histogram rounds: a percent."""
    rng = np.random.default_rng(0)
    for values in (
        rng.uniform(-1, 1, (50, 100)),
        rng.laplace(3, 1, (50, 100)),
        np.maximum(rng.normal(0, 1, (50, 100)), 0),
        -np.exp(rng.normal(0, 1, (50, 100))),
    ):
        x = values.astype(np.float32)
        assert squared_error(x, "mse") <= 1.01 * squared_error(x, "minmax")


@pytest.mark.parametrize("values", [0.0, 1.0, -3.5, 1e-38, 3e37], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_tensor(method: str, values: float) -> None:
    lo, hi = watched(np.full((5, 8), values, np.float32), method)
    quant = range_quant(lo, hi)
    assert quant.s > 0
    assert np.isfinite(quant.s)
    back = float(quant.dequantize(quant.quantize(np.array([values], np.float32), "int8"))[0])
    assert abs(back - values) <= abs(values) / 200 + 1e-30


@pytest.mark.parametrize("method", METHODS)
def test_a_range_of_one_rounding_error(method: str) -> None:
    values = np.full((5, 8), 1.0, np.float32)
    values[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    lo, hi = watched(values, method)
    assert hi >= 1.0 or range_quant(lo, hi).s > 0


def test_an_all_zero_network_quantizes() -> None:
    graph = one_linear(np.zeros((3, 4), np.float32), np.zeros(3, np.float32))
    int8 = quantize(graph, np.zeros((5, 4), np.float32))
    assert not run(int8, np.zeros((5, 4), np.float32)).any()
    plan(int8)


def test_range_quant_holds_zero_exactly() -> None:
    for lo, hi in [(0.1, 6.0), (-6.0, -0.1), (-1.0, 1.0), (0.0, 1e-20), (-3e38, 3e38), (0.0, 0.0)]:
        quant = range_quant(lo, hi)
        assert quant.dequantize(np.array([quant.z], np.int8))[0] == 0
        assert -128 <= quant.z <= 127
        assert np.isfinite(quant.s)
        assert quant.s > 0


BAD_SETS = [
    (np.zeros((0, 8, 8, 3), np.float32), "the calibration set is empty"),
    (np.full((2, 8, 8, 3), np.nan, np.float32), r"NaN or infinite values \(384 of them\)"),
    (np.full((2, 8, 8, 3), np.inf, np.float32), "NaN or infinite values"),
    (
        np.zeros((2, 7, 8, 3), np.float32),
        r"samples have shape \(7, 8, 3\), the model's input 'x0' expects \(8, 8, 3\)",
    ),
    (np.zeros((2, 8, 8, 3), np.complex64), "complex64"),
    (np.array(["a", "b"]), "samples have shape"),
]


@pytest.mark.parametrize(("samples", "message"), BAD_SETS, ids=range(len(BAD_SETS)))
def test_a_set_that_cannot_calibrate_is_refused(samples: Array, message: str) -> None:
    with pytest.raises(UserError, match=message):
        quantize(small_cnn(), samples)


def test_no_set_and_unknown_methods_are_refused() -> None:
    with pytest.raises(UserError, match="needs a calibration set"):
        quantize(small_cnn())
    with pytest.raises(
        UserError, match="unknown calibration method 'magic'; choose one of minmax, percentile, mse"
    ):
        quantize(small_cnn(), normal(2, 8, 8, 3), method="magic")  # type: ignore[arg-type]


def test_a_model_that_overflows_is_named() -> None:
    graph = one_linear(np.full((2, 4), 3e38, np.float32), np.zeros(2, np.float32))
    with pytest.raises(UserError, match="tensor 'y0' becomes NaN or infinite"), np.errstate(all="ignore"):
        quantize(graph, np.full((2, 4), 100, np.float32))


def test_two_inputs_calibrate_by_name() -> None:
    b = Builder()
    x, y = b.input(1, 4), b.input(1, 4)
    graph = b.graph(b.add(Add(), x, y))
    with pytest.raises(UserError, match="has 2 inputs"):
        quantize(graph, normal(3, 4))
    samples = {name: normal(3, 4) for name in graph.inputs}
    for int8 in (quantize(graph, ranges=ranges_of(graph, 0)), quantize(graph, samples)):
        assert all(t.dtype == "int8" for t in int8.tensors.values())


def test_uint8_images_calibrate_as_they_are() -> None:
    graph = one_linear(normal(2, 4), normal(2))
    images = np.random.default_rng(0).integers(0, 256, (9, 4), dtype=np.uint8)
    assert calibrate(graph, images) == calibrate(graph, images.astype(np.float32))


def test_quantization_is_repeatable_and_leaves_its_argument() -> None:
    graph, samples = small_cnn(labels=["a"]), normal(9, 8, 8, 3)
    before = str(graph)
    first, second = quantize(graph, samples), quantize(graph, samples)
    assert str(graph) == before
    assert first.meta == {"labels": ["a"]}
    for name, t in first.tensors.items():
        assert t.quant is None or t.quant.same(second.tensors[name].quant)
        assert t.data is None or np.array_equal(t.data, second.tensors[name].data)
    verify(replace(first, meta={}))


def test_dead_constants_of_another_group_do_not_confuse_names() -> None:
    """Two convolutions that share a bias but not weights."""
    b = Builder()
    x = b.input(1, 4, 4, 2)
    bias = b.random(3)
    first = b.add(Conv2d(), x, b.random(3, 1, 1, 2), bias)
    second = b.add(Conv2d(), x, b.random(3, 1, 1, 2, size=9.0), bias)
    graph = b.graph(b.add(Add(), first, second))
    int8 = quantize(graph, normal(20, 4, 4, 2))
    assert not np.array_equal(tensor_of(int8, 0, 2).data, tensor_of(int8, 1, 2).data)
    assert error_of(graph, int8, normal(20, 4, 4, 2)) < 3


def test_a_sum_of_almost_nothing_gets_a_scale_that_the_integers_can_serve() -> None:
    """a - a + something tiny: calibration alone would give a result scale that ADD and SUB refuse."""
    builder = Builder()
    x = builder.input(1, 6)
    tiny = builder.constant(np.full(6, 1e-6, np.float32))
    y = builder.add(Sub(), builder.add(Add(), x, tiny), x)
    graph = builder.graph(y)
    samples = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
    integers = quantize(graph, samples)
    scales = [float(integers.tensors[name].q.s) for name in (*integers.inputs, *integers.outputs)]
    assert scales[1] > scales[0] * 2 / 2**20
    assert np.abs(run(integers, samples).astype(int) - integers.tensors[integers.outputs[0]].q.z).max() <= 127
