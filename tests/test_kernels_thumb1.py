"""The Armv6-M kernels: their arithmetic against the reference's, and their borders on the emulated core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from batch import Case, core_batch
from lilliput import fixed
from lilliput.evaluate import step_through
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor, verify
from lilliput.op import Op
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear, kernels_thumb1
from lilliput.ops.conv.channels import Channels
from lilliput.plan import plan
from lilliput.target import load_target

CORE = load_target("cortex-m0plus")
KERNELS = (*kernels_thumb1.CONV_S8, *kernels_thumb1.DEPTHWISE_S8)
RELU = (0.0, float("inf"))


def channels(seed: int) -> Channels:
    """Channels of all scales and zero points, now and then with a narrow clamp."""
    rng = np.random.default_rng(seed)
    count, taps = 8, int(rng.integers(1, 200))
    weights = np.clip(np.rint(rng.normal(0, 45, (count, taps))), -128, 127).astype(np.int8)
    usual = 74.0 * np.sqrt((weights.astype(np.float64) ** 2).sum(1)) + 1
    m, shift = fixed.multipliers(127 / usual * 2.0 ** rng.uniform(-4, 2, count))
    bias = np.rint(rng.normal(0, usual)).astype(np.int32)
    zero_point = int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))
    clamp = (-128, 127) if rng.random() < 0.7 else (zero_point, min(zero_point + 90, 127))
    return Channels(weights, bias, m, shift, int(rng.integers(-128, 128)), zero_point, clamp).simplified()


def computed(s: kernels_thumb1.Steps, channel: int, acc: Array) -> Array:
    """What the kernels compute, in 32 bits."""
    base, width, zero, bend, low, high, c = (int(v[channel]) for v in vars(s).values())
    assert 0 <= low < 1 << kernels_thumb1.LOW_BITS
    u = np.maximum(width - np.maximum(acc - base, 0), 0)
    product = u * low
    assert product.max(initial=0) < 1 << 32
    total = u * high + (product >> kernels_thumb1.LOW_BITS) + np.where(u > zero, bend, 0)
    return np.asarray(fixed.wrap32(c - total) >> kernels_thumb1.RESULT_BITS)


@pytest.mark.parametrize("bent", [False, True])
def test_requantization_of_every_accumulator(bent: bool) -> None:
    found = 0
    for seed in range(20):
        ch = channels(seed)
        s = kernels_thumb1.steps(ch, bent=bent) if ch.shift_right() else None
        if s is None:
            continue
        found += 1
        for i, (least, most) in enumerate(zip(*ch.reach, strict=True)):
            acc = np.arange(least, most + 1)
            expected = fixed.finish(acc, ch.m[i], ch.shift[i], ch.out_zp, ch.clamp, "int8")
            assert np.array_equal(computed(s, i, acc), expected)
    assert found > (15 if bent else 4)


def test_sums_at_the_ends_of_their_lanes() -> None:
    lane = kernels_thumb1.LANE
    ones = np.full((1, lane // 128), 1, np.int8)
    assert kernels_thumb1.lanes_fit(ones)
    assert not kernels_thumb1.lanes_fit(-ones)  # 128 is one more than 127
    assert kernels_thumb1.parts(ones) == (1, lane // 128)
    assert kernels_thumb1.parts(-ones) == (2, lane // 256)


def layer(op: Op, x: Shape, weights: Array, *, relu: bool, seed: int = 0) -> Graph:
    """A layer whose results use the whole range of int8; with `relu` they start at their zero point."""
    rng = np.random.default_rng(seed)
    axis = op.weights[1]
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    usual = 74.0 * np.sqrt((rows**2).sum(1)) + 1
    scale = (127 / usual * rng.uniform(0.4, 2, len(rows))).astype(np.float32)
    bias = np.rint(rng.normal(0, usual / 4)).astype(np.int32)
    given = Tensor("x", x, "int8", Quant.per_tensor(1.0, int(rng.integers(-128, 128))))
    w = Tensor("w", weights.shape, "int8", Quant(scale, np.zeros(len(rows), np.int32), axis), weights)
    b = Tensor("b", bias.shape, "int32", data=bias)
    if relu:
        op = replace(op, clamp=RELU)  # type: ignore[call-arg]  # every convolution has one
    (shape,) = op.infer([given, w, b])
    y = Tensor("y", shape, "int8", Quant.per_tensor(1.0, -128 if relu else int(rng.integers(-60, 60))))
    node = Node(op, ("x", "w", "b"), ("y",), op.name)
    return verify(Graph(("x",), ("y",), (node,), {t.name: t for t in (given, w, b, y)}))


def drawn(rng: np.random.Generator, *shape: int) -> Array:
    return np.clip(np.rint(rng.normal(0, 50, shape)), -128, 127).astype(np.int8)


def graphs() -> Iterator[tuple[str, Graph]]:
    """Rows of every length modulo three, taps modulo eight, channels modulo four; windows that reach over a border."""
    rng = np.random.default_rng(0)
    for i, (pixels, taps, oc) in enumerate(
        [(2, 4, 4), (3, 8, 5), (4, 5, 6), (5, 12, 7), (7, 1, 8), (9, 3, 11)]
    ):
        for relu in (True, False):
            w = drawn(rng, oc, 1, 1, taps)
            yield (
                f"pointwise {pixels} {taps} {oc}",
                layer(Conv2d(), (1, 1, pixels, taps), w, relu=relu, seed=i),
            )
    ends = np.resize(np.array([127, -127, -128, 126], np.int8), (5, 3, 3, 17))
    for stride, pad in ((1, (1, 1)), (2, (0, 1)), (3, (2, 0))):
        op = Conv2d(stride=(stride, stride), padding=(pad, pad))
        yield f"deep /{stride}", layer(op, (1, 5, 7, 17), ends, relu=True)
        yield f"window /{stride}", layer(op, (1, 5, 6, 3), drawn(rng, 6, 3, 2, 3), relu=False)
    ends = np.resize(np.array([127, 127, -128], np.int8), (4, 1, 1, 200))
    yield "deep pointwise", layer(Conv2d(), (1, 2, 4, 200), ends, relu=False)
    for taps, oc in ((1, 4), (4, 4), (8, 5), (11, 6), (12, 10), (60, 7)):
        yield f"linear {taps} {oc}", layer(Linear(), (1, taps), drawn(rng, oc, taps), relu=taps == 8)
    one = Conv2d(stride=(2, 2), padding=((1, 1), (1, 2)), dilation=(1, 2))
    yield "window of one pixel", layer(one, (1, 6, 2, 3), drawn(rng, 5, 3, 3, 3), relu=False)
    yield "column", layer(Conv2d(), (1, 6, 1, 8), drawn(rng, 9, 3, 1, 8), relu=True)
    for stride in (1, 2):
        for width in (1, 2, 3, 4, 5, 8):
            for left, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
                if width + left + right < 3:
                    continue
                depthwise = DepthwiseConv2d(stride=(2, stride), padding=((1, 0), (left, right)))
                w = drawn(rng, 1, 3, 3, 1 + width % 3)
                for relu in (True, False):
                    found = layer(depthwise, (1, 4, width, 1 + width % 3), w, relu=relu, seed=width)
                    yield f"depthwise {width} /{stride} {left} {right}", found


def differences(compiler: str) -> list[str]:
    cases = [Case(label, plan(graph, CORE.isa)) for label, graph in graphs()]
    met = {step.kernel.name for case in cases for step in case.plan.steps}
    assert met >= {kernel.name for kernel in KERNELS}
    batch = core_batch(cases, CORE, compiler=compiler)
    return [line for seed in range(3) for line in batch.differences(seed)]


def test_borders_on_the_core() -> None:
    assert differences("zig") == []


@pytest.mark.cross
def test_borders_on_the_core_of_gcc() -> None:
    assert differences("gcc") == []


@pytest.mark.parametrize("taps", [64, 130])
def test_sums_at_their_ends_on_the_core(taps: int) -> None:
    """Each pixel drives another channel to its least or greatest sum, beside pixels that do the opposite."""
    rng = np.random.default_rng(taps)
    weights = rng.choice(np.array([-127, 127], np.int8), (4, 1, 1, taps))
    graph = layer(Conv2d(), (1, 1, 17, taps), weights, relu=False)
    planned = plan(graph, CORE.isa)
    assert planned.steps[0].kernel.name == f"conv_s8_thumb1_{'bent' if taps == 64 else 'deep'}"
    rows = weights.reshape(4, taps)[np.arange(17) % 4]
    up = np.array([1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1], bool)[:, None]
    x = np.where((rows > 0) == up, 127, -128).astype(np.int8).reshape(1, 1, 17, taps)
    found = core_batch([Case("ends", planned)], CORE).run(0, {"x": x})["y"]
    assert np.array_equal(found, step_through(graph, {"x": x})["y"])


def test_a_result_that_overlaps_its_input() -> None:
    """Never is anything written that is still to be read; one byte further, something is."""
    rng = np.random.default_rng(5)
    for pixels, taps, oc in ((4, 8, 5), (7, 5, 9), (12, 4, 4), (3, 16, 4)):
        graph = layer(Conv2d(), (1, 1, pixels, taps), drawn(rng, oc, 1, 1, taps), relu=True)
        (site,) = graph.sites()
        most = kernels_thumb1.overlap(site)
        assert most is not None
        blocks = [(min(3 * i + 3, pixels), i) for i in range(-(-pixels // 3))]
        safe = [
            all(at + end * oc <= end * taps or end == pixels for end, _ in blocks) for at in (most, most + 1)
        ]
        assert safe == [True, pixels <= 3]
