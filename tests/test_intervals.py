"""Interval analysis: no value lies outside, sums are bounded tightly, and wrapping is never overlooked."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from lilliput import fixed
from lilliput.evaluate import step_through
from lilliput.examples import cases, draw, float_graph, ranges_of
from lilliput.graph import INT_RANGE, Array, Graph, Quant, Tensor
from lilliput.importers.tflite import load_tflite
from lilliput.interval import Interval, finished, finished_wide, mapped
from lilliput.op import REGISTRY, Example, Op, Site
from lilliput.ops.conv import Conv2d, ConvTranspose2d, DepthwiseConv2d, Linear
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.reduce import Mean, ReduceMax
from lilliput.ops.shape import Concat, Transpose
from lilliput.passes import simplify
from lilliput.passes.intervals import intervals
from lilliput.quantize import quantize
from random_graphs import random_model
from shared import shared

SEEDS = range(100)


def outside(graph: Graph, feeds: list[dict[str, Array]]) -> list[str]:
    """Tensors with a value that the analysis says cannot be."""
    known, wrong = intervals(graph), []
    for name, t in graph.tensors.items():
        assert len(known[name]) == (t.shape[-1] if t.shape else 1), name

    def watch(name: str, value: Array) -> None:
        if value.dtype.kind != "f" and ((value < known[name].lo) | (value > known[name].hi)).any():
            wrong.append(name)

    for feed in feeds:
        step_through(graph, feed, watch)
    return wrong


@pytest.mark.parametrize("op", sorted(REGISTRY))
def test_no_value_of_an_operator_lies_outside(op: str) -> None:
    """For any inputs, and for those that keep to narrow intervals."""
    for label, graph in cases(op):
        assert not outside(graph, draw(graph, 7, 3)), label
        types = {graph.tensors[name].dtype for name in graph.inputs}
        if len(graph.nodes) == 1 and types <= {"int8", "uint8", "int16"}:
            narrow_inputs(graph, label)


@pytest.mark.parametrize("op", [Transpose((0, 2, 1)), Mean((2,)), ReduceMax((2,), True), Concat(1)])
def test_a_square_is_not_mistaken_for_its_channels(op: Op) -> None:
    """Where another axis is as long as the last one."""
    shapes = ((1, 4, 4),) * (2 if isinstance(op, Concat) else 1)
    graph = float_graph(Example(op, shapes))
    narrow_inputs(quantize(graph, ranges=ranges_of(graph, 0)), op.name)


def narrow_inputs(graph: Graph, label: str) -> None:
    """One operator: each channel of its inputs keeps to a random interval of its own, a third of them to one value."""
    rng = np.random.default_rng(6)
    site = graph.site(graph.nodes[0])
    activations = [graph.tensors[name] for name in graph.inputs]
    for _ in range(3):
        given = {t.name: narrow(rng, t) for t in activations}
        known = [given.get(t.name) or Interval.of(t) for t in site.ins]
        bounds = dict(zip(graph.nodes[0].outputs, site.op.bounds(site, known), strict=True))
        for _ in range(3):
            feed = {t.name: between(rng, given[t.name], t) for t in activations}
            for name, value in step_through(graph, feed).items():
                if value.dtype.kind != "f":
                    inside = (value >= bounds[name].lo) & (value <= bounds[name].hi)
                    assert inside.all(), label


def narrow(rng: np.random.Generator, t: Tensor) -> Interval:
    lo, hi = INT_RANGE[t.dtype]
    ends = np.sort(rng.integers(lo, hi + 1, (2, t.shape[-1] if t.shape else 1)), axis=0)
    ends[1] = np.where(rng.random(ends.shape[1]) < 0.3, ends[0], ends[1])
    return Interval(ends[0], ends[1])


def between(rng: np.random.Generator, x: Interval, t: Tensor) -> Array:
    """Uniform, or the ends alone."""
    value = rng.integers(x.lo, x.hi + 1, t.shape)
    if rng.random() < 0.5:
        value = np.where(rng.random(t.shape) < 0.5, x.lo, x.hi)
    return value.astype(t.dtype)


@pytest.mark.parametrize("part", range(5))
def test_no_value_of_a_random_graph_lies_outside(part: int) -> None:
    for seed in SEEDS[part::5]:
        graph = random_model(seed)
        if graph is not None:
            assert not outside(graph, draw(graph, seed, 4)), seed


MODELS = {
    "vww": ("vww_96_int8.tflite", 1650),
    "kws": ("kws_ref_model.tflite", 0),
    "ic": ("pretrainedResnet_quant.tflite", 0),
}


@pytest.mark.parametrize("name", MODELS)
def test_reference_models(name: str) -> None:
    """On their reference inputs and on noise; 1650 channels of vww were proven constant independently."""
    file, constant = MODELS[name]
    graph = simplify(load_tflite(shared("models", file)))
    weighted = {node.outputs[0] for node in graph.nodes if node.op.weights}
    found = sum(int(lies.constant.sum()) for tensor, lies in intervals(graph).items() if tensor in weighted)
    assert found >= constant if constant else found == 0
    x = np.load(shared("refs", f"{name}.npz"))["x"]
    noise = np.random.default_rng(5).integers(-128, 128, (8, *x.shape[1:]), np.int8)
    assert not outside(graph, [{graph.inputs[0]: np.concatenate([x, noise])}])


# --- sums of convolutions, against a loop over every tap of every position ---


def int8_site(op: Op, x: tuple[int, ...], w: Array, rng: np.random.Generator) -> Site:
    """A layer with int8 weights per channel and a random bias."""
    axis = op.weights[1]
    channels = w.shape[axis]
    scale = rng.uniform(0.001, 0.02, channels).astype(np.float32)
    bias = rng.integers(-3000, 3000, channels, np.int32)
    source = Tensor("x", x, "int8", Quant.per_tensor(0.05, int(rng.integers(-128, 128))))
    weights = Tensor("w", w.shape, "int8", Quant(scale, np.zeros(channels, np.int32), axis), w)
    ins = (source, weights, Tensor("b", (channels,), "int32", None, bias))
    (shape,) = op.infer(ins)
    return Site(op, ins, (Tensor("y", shape, "int8", Quant.per_tensor(0.1, -20)),))


def tap_weights(site: Site, channel: int) -> dict[tuple[int, int, int], int]:
    """(row, column, input channel) -> weight of one output channel."""
    w = np.asarray(site.ins[1].data)
    if w.ndim == 2:
        return {(0, 0, i): int(v) for i, v in enumerate(w[channel])}
    if isinstance(site.op, DepthwiseConv2d):
        source = channel // (site.y.shape[3] // site.x.shape[3])
        return {(*at, source): int(w[0, *at, channel]) for at in np.ndindex(w.shape[1:3])}
    op: Any = site.op
    first = channel // (len(w) // op.groups) * w.shape[3]
    return {(ky, kx, first + i): int(w[channel, ky, kx, i]) for ky, kx, i in np.ndindex(w.shape[1:])}


def meets(site: Site, y: Pair, tap: Pair) -> bool:
    """Whether a tap of the window at a position of the result lies inside the input."""
    op: Any = site.op
    if isinstance(op, Linear):
        return True
    axes = zip(y, tap, op.stride, op.dilation, op.padding, site.x.shape[1:3], strict=True)
    return all(0 <= at * s + k * d - pad[0] < size for at, k, s, d, pad, size in axes)


def brute_force(site: Site, x: Interval) -> Interval:
    """Accumulators at every position, in Python's integers."""
    plane = (1, 1) if isinstance(site.op, Linear) else site.y.shape[1:3]
    steps = [[int(end) - site.x.q.z for end in ends] for ends in zip(x.lo, x.hi, strict=True)]
    least, most = [], []
    for channel, bias in enumerate(np.asarray(site.ins[2].data).tolist()):
        taps = tap_weights(site, channel)
        sums = []
        for oy, ox in product(*map(range, plane)):
            products = [
                sorted(w * step for step in steps[i])
                for (ky, kx, i), w in taps.items()
                if meets(site, (oy, ox), (ky, kx))
            ]
            sums.append([bias + sum(p[end] for p in products) for end in (0, 1)])
        least.append(min(lo for lo, _ in sums))
        most.append(max(hi for _, hi in sums))
    return Interval(np.array(least), np.array(most))


WINDOWS: list[tuple[Pair, Pair, Padding, Pair, Pair]] = [
    # plane, window, padding, stride, dilation
    ((5, 6), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    ((7, 4), (3, 2), ((0, 1), (1, 0)), (2, 2), (1, 1)),
    ((1, 1), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    ((6, 7), (2, 3), ((0, 0), (0, 0)), (1, 3), (2, 1)),
    ((2, 9), (4, 5), ((3, 2), (4, 1)), (1, 2), (1, 2)),
    ((4, 4), (1, 1), ((1, 0), (0, 2)), (2, 1), (1, 1)),
]


@pytest.mark.parametrize("shape", WINDOWS)
def test_sums_of_convolutions_are_bounded_tightly(
    shape: tuple[Pair, Pair, Padding, Pair, Pair],
) -> None:
    plane, window, padding, stride, dilation = shape
    rng = np.random.default_rng(11)
    ops = [(Conv2d(stride, padding, dilation, groups), (6, *window, 4 // groups), 4) for groups in (1, 2)]
    sites = [int8_site(op, (1, *plane, c), rng.integers(-128, 128, w, np.int8), rng) for op, w, c in ops]
    depthwise = DepthwiseConv2d(stride, padding, dilation)
    for multiplier in (1, 3):
        w = rng.integers(-128, 128, (1, *window, 3 * multiplier), np.int8)
        sites.append(int8_site(depthwise, (1, *plane, 3), w, rng))
    sites.append(int8_site(Linear(), (1, 9), rng.integers(-128, 128, (5, 9), np.int8), rng))
    for site in sites:
        x = narrow(rng, site.x)
        found, expected = site.op.accumulator_bounds(site, x), brute_force(site, x)
        assert found is not None
        np.testing.assert_array_equal(found.lo, expected.lo)
        np.testing.assert_array_equal(found.hi, expected.hi)


def test_values_of_a_transposed_convolution_lie_inside() -> None:
    rng = np.random.default_rng(12)
    op = ConvTranspose2d((2, 3), ((1, 0), (0, -1)), (1, 2))
    for _ in range(20):
        site = int8_site(op, (1, 3, 4, 2), rng.integers(-128, 128, (3, 2, 3, 2), np.int8), rng)
        x = narrow(rng, site.x)
        (y,) = op.bounds(site, [x])
        for _ in range(20):
            (value,) = op.run(
                site, rng.integers(x.lo, x.hi + 1, site.x.shape).astype(np.int8), *_constants(site)
            )
            assert (value >= y.lo).all()
            assert (value <= y.hi).all()


def _constants(site: Site) -> list[Array]:
    return [np.asarray(t.data) for t in site.ins[1:]]


# --- requantization ---


def test_requantization_keeps_both_ends() -> None:
    """Every accumulator between two: results lie between those of the ends, which are reached unless one wraps."""
    rng = np.random.default_rng(13)
    wrapped = 0
    for _ in range(3000):
        m, shift = int(rng.integers(2**30, 2**31)), int(rng.integers(-12, 20))
        reach = int(rng.integers(1, 2 ** int(rng.integers(4, 40))))
        lo = int(rng.integers(-reach, reach))
        acc = np.unique(np.clip(rng.integers(lo, lo + reach, 50, np.int64), lo, lo + reach))
        limits, zero_point = (
            (int(rng.integers(-128, 0)), int(rng.integers(0, 128))),
            int(rng.integers(-128, 128)),
        )
        one = Interval(acc[:1], acc[-1:])
        (found,) = [finished(one, m, shift, zero_point, limits)]
        values = fixed.finish(acc, m, shift, zero_point, limits, "int8").astype(np.int64)
        assert (values >= found.lo).all()
        assert (values <= found.hi).all()
        exact = values[0] == found.lo[0] and values[-1] == found.hi[0]
        wrapped += not exact
        assert exact or np.abs(acc).max() << max(shift, 0) >= 2**31 - 256
    assert wrapped > 100


def test_wide_requantization_keeps_both_ends() -> None:
    rng = np.random.default_rng(14)
    for _ in range(2000):
        r, shift = int(rng.integers(2**14, 2**15)), int(rng.integers(-20, fixed.WIDE_SHIFT + 1))
        ends = np.sort(rng.integers(-(2**47) + 1, 2**47, 2, np.int64) >> int(rng.integers(0, 40)))
        acc = np.sort(np.append(rng.integers(ends[0], ends[1] + 1, 50, np.int64), ends))
        found = finished_wide(Interval(acc[:1], acc[-1:]), r, shift, (-32768, 32767))
        values = np.clip(fixed.scale_wide(acc, r, shift), -32768, 32767)
        assert (values >= found.lo).all()
        assert (values <= found.hi).all()


def test_a_clamp_in_the_wrong_order_gives_its_upper_bound() -> None:
    found = finished(Interval(np.array([-5]), np.array([9])), 2**30, 0, 0, (3, -3))
    assert (found.lo[0], found.hi[0]) == (-3, -3)


def test_a_function_is_tried_on_every_value() -> None:
    rng = np.random.default_rng(15)
    table = rng.integers(-128, 128, 256)
    x = narrow(rng, Tensor("x", (40,), "int8"))
    found = mapped(x, (-128, 127), lambda v: table[v + 128])
    for i in range(40):
        values = table[x.lo[i] + 128 : x.hi[i] + 129]
        assert (found.lo[i], found.hi[i]) == (values.min(), values.max())


@pytest.mark.parametrize(
    "shapes", [((2, 3, 4), (24,)), ((24,), (3, 4, 2)), ((2, 6), (3, 4)), ((5, 3), (3, 5))]
)
def test_views_keep_what_every_channel_may_hold(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    before, after = shapes
    rng = np.random.default_rng(16)
    value = rng.integers(-9, 9, before) + 100 * np.arange(before[-1])
    found = Interval.of(Tensor("x", before, "int64", None, value)).laid_out(after[-1])
    moved = value.reshape(-1, after[-1])
    assert (moved >= found.lo).all()
    assert (moved <= found.hi).all()
    if not after[-1] % before[-1]:
        np.testing.assert_array_equal(found.hi[: before[-1]], value.reshape(-1, before[-1]).max(0))
