"""The fast int8 convolution kernels: equal to numpy at the edges of their proof, and fast enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from batch import Case, host_models
from lilliput import fixed
from lilliput.build import build_firmware
from lilliput.emit import emit
from lilliput.emulate import open_machine
from lilliput.evaluate import step_through
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor, verify
from lilliput.op import Op, Pick, usable
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear, common
from lilliput.plan import plan
from lilliput.target import load_target

Convolution = Conv2d | DepthwiseConv2d | Linear
SAME = ((1, 1), (1, 1))
DSP = frozenset({"halfword_mac"})  # plain C99 as well: the feature only says where it pays


def int8_graph(
    op: Op,
    x: Shape,
    weights: Array,
    bias: Array,
    zero_points: tuple[int, int],
    out_scale: float,
    seed: int = 0,
) -> Graph:
    """One int8 layer with exactly these integers; the weights' scales differ from channel to channel."""
    channels = bias.size
    axis = op.weights[1]
    scales = np.random.default_rng(seed).uniform(0.002, 0.02, channels).astype(np.float32)
    x_quant = Quant.per_tensor(0.05, zero_points[0])
    zeros = np.zeros(channels, np.int32)
    tensors = [
        Tensor("x", x, "int8", x_quant),
        Tensor("w", weights.shape, "int8", Quant(scales, zeros, axis), weights),
        Tensor("b", bias.shape, "int32", Quant(scales * x_quant.s, zeros, 0), bias),
    ]
    (shape,) = op.infer(tensors)
    tensors.append(Tensor("y", shape, "int8", Quant.per_tensor(out_scale, zero_points[1])))
    return verify(
        Graph(("x",), ("y",), (Node(op, ("x", "w", "b"), ("y",), "layer"),), {t.name: t for t in tensors})
    )


def layer(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, seed: int, spread: float = 30.0
) -> Graph:
    """Random integers with -128 among the weights, zero points at the ends, results up to both bounds."""
    rng = np.random.default_rng(seed)
    if isinstance(op, DepthwiseConv2d):
        weights = np.clip(rng.normal(0, spread, (1, *kernel, x[3])), -128, 127).astype(np.int8)
    elif isinstance(op, Linear):
        weights = np.clip(rng.normal(0, spread, (out, x[-1])), -128, 127).astype(np.int8)
    else:
        weights = np.clip(rng.normal(0, spread, (out, *kernel, x[3])), -128, 127).astype(np.int8)
    weights.flat[rng.integers(weights.size)] = -128
    weights.flat[rng.integers(weights.size)] = 127
    taps = weights.size // out
    bias = rng.integers(-5000, 5000, out).astype(np.int32)
    zero_points = (int(rng.choice([-128, -1, 0, 127])), int(rng.choice([-128, -7, 0, 127])))
    if op.clamp is not None:  # leave room above zero
        zero_points = (zero_points[0], -128)
    out_scale = 0.05 * 0.01 * spread * 90 * np.sqrt(taps) / 127 * float(rng.choice([1.0, 2.5]))
    return int8_graph(op, x, weights, bias, zero_points, out_scale, seed)


def shapes() -> Iterator[Graph]:
    """Odd channels, pixels and taps; every way a window can lie."""
    seed = iter(range(1000))
    for ic, oc in ((1, 1), (3, 5), (8, 4), (9, 7), (16, 10), (33, 6)):
        yield layer(Conv2d(), (1, 3, 5, ic), (1, 1), oc, next(seed))
        yield layer(Conv2d(stride=(2, 2)), (1, 5, 7, ic), (1, 1), oc, next(seed))
        yield layer(Linear(), (1, ic), (1, 1), oc, next(seed))
        yield layer(Linear(clamp=(0.0, float("inf"))), (1, 3, ic), (1, 1), oc, next(seed))
    for ic, oc in ((1, 4), (2, 9), (5, 3)):
        yield layer(Conv2d(padding=SAME), (1, 4, 7, ic), (3, 3), oc, next(seed))
        yield layer(
            Conv2d(padding=((0, 1), (0, 1)), stride=(2, 2), clamp=(0.0, 6.0)),
            (1, 6, 8, ic),
            (3, 3),
            oc,
            next(seed),
        )
        yield layer(Conv2d(padding=((2, 2), (3, 3)), dilation=(2, 3)), (1, 7, 9, ic), (3, 3), oc, next(seed))
        yield layer(Conv2d(), (1, 6, 5, ic), (3, 5), oc, next(seed))  # as wide as the input
        yield layer(Conv2d(stride=(1, 3)), (1, 6, 7, ic), (2, 2), oc, next(seed))
        yield layer(
            Conv2d(padding=((1, 1), (4, 4))), (1, 2, 2, ic), (3, 5), oc, next(seed)
        )  # wider than the input
    for c in (4, 5, 7, 8, 13):
        yield layer(DepthwiseConv2d(padding=SAME), (1, 4, 5, c), (3, 3), c, next(seed))
        yield layer(
            DepthwiseConv2d(padding=SAME, stride=(2, 2), clamp=(0.0, 6.0)),
            (1, 7, 6, c),
            (3, 3),
            c,
            next(seed),
        )
        yield layer(DepthwiseConv2d(padding=((2, 2), (2, 2))), (1, 3, 3, c), (5, 5), c, next(seed))
        yield layer(
            DepthwiseConv2d(padding=((2, 0), (0, 3)), dilation=(2, 3)), (1, 8, 9, c), (3, 2), c, next(seed)
        )
        yield layer(DepthwiseConv2d(), (1, 1, 1, c), (1, 1), c, next(seed))


def every_kernel(graphs: Sequence[Graph]) -> list[Case]:
    """Each graph with each kernel that accepts it, those for particular cores too."""

    def choose(name: str) -> Pick:
        return lambda _, kernels: next(k for k in kernels if k.name == name)

    return [
        Case(f"{i} {site.op} with {kernel.name}", plan(graph, DSP, pick=choose(kernel.name)))
        for i, graph in enumerate(graphs)
        for site in graph.sites()
        for kernel in usable(site, DSP)
    ]


def feeds(graph: Graph, seed: int) -> Iterator[dict[str, Array]]:
    """Uniform integers, and the constant inputs that drive accumulators to their bounds."""
    shape = graph.tensors["x"].shape
    yield {"x": np.random.default_rng(seed).integers(-128, 127, shape, np.int8, endpoint=True)}
    yield {"x": np.full(shape, -128, np.int8)}
    yield {"x": np.full(shape, 127, np.int8)}


def differences(cases: Sequence[Case]) -> list[str]:
    wrong = []
    for case, model in zip(cases, host_models(cases), strict=True):
        for feed in feeds(case.plan.graph, seed=5):
            expected = step_through(case.plan.graph, feed)["y"]
            if not np.array_equal(expected, model.run(feed)["y"]):
                wrong.append(case.label)
    return wrong


@pytest.mark.slow
def test_every_kernel_equals_numpy_on_every_shape() -> None:
    cases = every_kernel(list(shapes()))
    met = {case.plan.steps[0].kernel.name for case in cases}
    assert met == {"conv_s8", "conv_s8_4x1", "conv_s8_4x2", "conv_s8_pairs", "dw_s8", "dw_s8_4x1"}
    assert differences(cases) == []


def test_results_are_neither_constant_nor_all_saturated() -> None:
    for graph in shapes():
        values = np.concatenate([step_through(graph, feed)["y"].reshape(-1) for feed in feeds(graph, seed=5)])
        inner = (values > -128) & (values < 127)
        assert len(np.unique(values)) > 1, str(graph)
        assert values.size < 60 or inner.mean() > 0.1, str(graph)


def near_the_bound(channels: int, taps: int, limit: int) -> Graph:
    """A pointwise layer whose accumulators come within one product of `limit`, with either sign."""
    signs = np.where(np.arange(channels) % 2, -1, 1)
    weights = (signs[:, None] * np.full((channels, taps), 127)).astype(np.int8).reshape(channels, 1, 1, taps)
    bias = (signs * (limit - 1 - taps * 127 * 255)).astype(np.int32)
    scale = 0.05 * 0.02 * limit / 100
    return int8_graph(Conv2d(), (1, 1, 2, taps), weights, bias, (-128, 0), scale)


def test_accumulators_at_the_bound_of_the_proof() -> None:
    inside, outside = near_the_bound(6, 900, 2**30), near_the_bound(6, 900, 2**30 + 1)
    names = [[k.name for k in usable(next(iter(g.sites())), DSP)] for g in (inside, outside)]
    assert names == [["conv_s8_pairs", "conv_s8_4x2", "conv_s8"], ["conv_s8"]]
    assert differences(every_kernel([inside, outside])) == []


def dead_channels() -> Graph:
    """Channels as trained networks leave them: no weights and a huge bias, a vanishing scale, always saturated."""
    rng = np.random.default_rng(6)
    weights = rng.integers(-127, 128, (6, 1, 1, 5)).astype(np.int8)
    weights[1] = 0
    bias = np.array([100, 2**30 + 7, -50, -(2**30), 2**30, 3], np.int32)
    graph = int8_graph(Conv2d(), (1, 2, 3, 5), weights, bias, (-128, -7), 0.2)
    w = graph.tensors["w"]
    scale = w.q.scale.copy()
    scale[2] = 1e-30  # the multiplier is 0
    quant = Quant(scale, np.zeros(len(scale), np.int32), 0)
    return replace(graph, tensors={**graph.tensors, "w": replace(w, quant=quant)})


def test_constant_channels_do_not_keep_a_layer_from_the_fast_kernels() -> None:
    graph = dead_channels()
    assert usable(next(iter(graph.sites())), DSP)[0].name == "conv_s8_pairs"
    values = np.concatenate([step_through(graph, feed)["y"].reshape(-1, 6) for feed in feeds(graph, seed=5)])
    assert [len(np.unique(column)) == 1 for column in values.T] == [False, True, True, True, True, False]
    assert differences(every_kernel([graph])) == []


def test_left_shifts_fall_back_to_the_reference() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(-3, 4, (4, 1, 1, 2)).astype(np.int8)
    graph = int8_graph(Conv2d(), (1, 2, 3, 2), weights, np.zeros(4, np.int32), (3, -5), 0.0004)
    assert [k.name for k in usable(next(iter(graph.sites())), DSP)] == ["conv_s8"]
    assert differences(every_kernel([graph])) == []


def scale_right(x: int, m: int, n: int, zero_point: int) -> int:
    """The C function of that name, step by step."""
    high = (2 * x * m + ((2 * zero_point + 1) << (n - 1) << 32) + (1 << 31)) >> 32
    return (high + (x >> 31)) >> n


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 127])
def test_the_arithmetic_of_scale_right(zero_point: int) -> None:
    """Against TFLM's double rounding: ties, signs, and the corner of its proof, x = -1 with m = 2^30."""
    rng = np.random.default_rng(7)
    multipliers = [2**30, 2**30 + 1, 2**31 - 1, *(int(v) for v in rng.integers(2**30, 2**31, 20))]
    for n in (1, 2, 5, 12):
        ties = [int(Fraction(k * 2 ** (n + 30), 2**30)) + d for k in range(-5, 6) for d in (-2, -1, 0, 1, 2)]
        xs = [*range(-40, 41), *ties, 2**29, -(2**29), *(int(v) for v in rng.integers(-(2**30), 2**30, 200))]
        for m in multipliers:
            expected = fixed.scale_by(np.array(xs), m, -n) + zero_point
            assert [scale_right(x, m, n, zero_point) for x in xs] == expected.tolist(), (m, n)


def test_packing_keeps_every_weight_and_constant() -> None:
    rows = np.arange(7 * 3).reshape(7, 3)
    packed = common.pack_4(rows)
    assert packed[:12].reshape(3, 4).T.tolist() == rows[:4].tolist()
    assert packed[12:].reshape(3, 3).tolist() == rows[4:].tolist()
    constants = common.pack_quantization(np.arange(5), np.arange(5) + 100, np.array([1, 2, 30, 4, 5]))
    assert constants.tolist() == [0, 1, 2, 3, 100, 101, 102, 103, 1 | 2 << 8 | 30 << 16 | 4 << 24, 4, 104, 5]


def instructions_per_mac(graph: Graph, folder: Path) -> float:
    target = load_target("cortex-m4")
    emitted = emit(plan(graph, target.isa), "m")
    (folder / "m.c").write_text(emitted.source)
    (folder / "m.h").write_text(emitted.header)
    image = build_firmware([folder / "m.c"], folder / "m.elf", target, prefix="m")
    machine = open_machine(image)
    assert machine.selftest() == 0
    return machine.call("m_run", image.arena.origin, image.arena.size).instructions / graph.macs()


@pytest.mark.parametrize(
    ("op", "x", "kernel", "out", "most"),
    [
        pytest.param(Conv2d(), (1, 12, 12, 64), (1, 1), 64, 2.4, id="pointwise"),
        pytest.param(Conv2d(padding=SAME), (1, 8, 8, 16), (3, 3), 16, 2.5, id="3x3"),
        pytest.param(Linear(), (1, 64), (1, 1), 64, 2.75, id="linear"),
        pytest.param(DepthwiseConv2d(padding=SAME), (1, 12, 12, 64), (3, 3), 64, 6.3, id="depthwise"),
    ],
)
def test_instructions_per_mac_on_cortex_m4(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, most: float, tmp_path: Path
) -> None:
    assert instructions_per_mac(layer(op, x, kernel, out, seed=1), tmp_path) <= most
