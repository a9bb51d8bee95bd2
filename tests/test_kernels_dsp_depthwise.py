"""Depthwise convolution for cores with the DSP extension: proofs, equality on the emulated cores, instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batch import Case, CoreBatch, core_batch
from lilliput.evaluate import step_through
from lilliput.graph import Graph
from lilliput.op import Kernel, Site, usable
from lilliput.ops.conv import DepthwiseConv2d
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels_dsp_depthwise import DEPTHWISE_S8, SHIFT, line_of
from lilliput.plan import plan
from lilliput.target import load_target
from test_kernels_conv import SAME, feeds, instructions_per_mac, int8_graph, layer

RELU = (0.0, float("inf"))
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")


def graphs() -> Iterator[Graph]:
    """Channels that fours do not divide, every place of the window, rows of one pixel and of several parts."""
    seed = iter(range(1000))
    ways = (
        (SAME, 1, (4, 5), (3, 3)),
        (SAME, 1, (1, 1), (3, 3)),
        (SAME, 2, (7, 6), (3, 3)),
        (((0, 1), (0, 1)), 2, (6, 8), (3, 3)),
        (((2, 2), (2, 2)), 1, (3, 3), (3, 3)),
        (((2, 0), (0, 2)), 3, (5, 8), (3, 3)),
        (((1, 0), (2, 1)), 4, (3, 57), (3, 3)),
        (SAME, 1, (2, 61), (3, 3)),
        (((0, 0), (1, 0)), 1, (3, 4), (1, 2)),
        (((1, 0), (0, 0)), 2, (4, 7), (2, 1)),
        (((2, 2), (2, 2)), 1, (4, 6), (5, 5)),
        (((2, 1), (1, 2)), 2, (7, 30), (4, 4)),
        (((0, 0), (4, 4)), 1, (1, 40), (1, 9)),
        (((3, 3), (0, 0)), 1, (9, 2), (7, 1)),
        (((0, 0), (0, 0)), 1, (6, 37), (6, 37)),
    )
    for i, (padding, stride, size, kernel) in enumerate(ways):
        for c in (4, 5 + i % 3, 8, 13):
            for clamp in (None, RELU, (0.0, 6.0)):
                op = DepthwiseConv2d(padding=padding, stride=(stride, stride), clamp=clamp)
                yield layer(op, (1, *size, c), kernel, c, next(seed), spread=(30.0, 5.0, 90.0)[c % 3])


def cases(kernel: Kernel) -> list[Case]:
    """Each graph that the kernel accepts."""
    found = []
    for i, graph in enumerate(graphs()):
        site = plan(graph).steps[0].site
        if kernel.when(site):
            label = f"{i} {site.op} {site.x.shape}"
            found.append(Case(label, plan(graph, kernel.isa, pick=lambda _, kernels: kernel)))
    return found


def differences(batch: CoreBatch) -> list[str]:
    """Of random inputs, and of those that drive accumulators to their bounds."""
    wrong = []
    for i, case in enumerate(batch.cases):
        for feed in feeds(case.plan.graph, seed=5):
            expected = step_through(case.plan.graph, feed)["y"]
            if not np.array_equal(expected, batch.run(i, feed)["y"]):
                wrong.append(case.label)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("kernel", DEPTHWISE_S8, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("name", CORES)
def test_equal_on_cores(name: str, kernel: Kernel) -> None:
    some = cases(kernel)
    assert len(some) > 30
    assert differences(core_batch(some, load_target(name))) == []


@pytest.mark.cross
@pytest.mark.parametrize("kernel", DEPTHWISE_S8, ids=lambda kernel: kernel.name)
def test_equal_of_gcc(kernel: Kernel) -> None:
    batch = core_batch(cases(kernel), load_target("cortex-m4"), compiler="gcc", optimize="size")
    assert differences(batch) == []


def channels(
    shift: int, out_zp: int, clamp: tuple[int, int], m: int = 0x5A827999, weight: int = 127
) -> Channels:
    """One channel."""
    weights = np.array([[weight, -weight, 55, 0, -9, 31, 2, -70, 100]], np.int8)
    bias, multiplier, right = (np.array([v], np.int32) for v in (777, m, shift))
    return Channels(weights, bias, multiplier, right, -3, out_zp, clamp)


@pytest.mark.parametrize("shift", [-3, -7, -9, -10, -12, -17])
def test_the_line_gives_every_result(shift: int) -> None:
    """Where it is accepted, every reachable sum gives what TFLM gives, in the arithmetic of the instructions."""
    one = channels(shift, -128, (-128, 127))
    line = line_of(one)
    assert line is not None
    least, most = (int(v[0]) for v in one.reach)
    acc = np.arange(least, most + 1)
    v = ((((acc << line.power) + line.rest) * line.m) >> 32) + line.offset
    assert np.abs(v).max() < 2**31
    found = np.clip(v >> SHIFT, -128, 127)
    np.testing.assert_array_equal(found, one.output(acc[:, None])[:, 0])


def test_the_line_is_refused_where_it_would_round_otherwise() -> None:
    """Halves below the zero point, and a shift whose weights do not fit in halfwords."""
    above = channels(-7, -128, (-128, 127))
    assert line_of(above) is not None
    for other in (replace(above, out_zp=0), channels(-1, -128, (-128, 127))):
        assert line_of(other) is None


def site(op: DepthwiseConv2d, shape: tuple[int, int, int, int]) -> Site:
    graph = layer(op, shape, (3, 3), shape[3], 0)
    return plan(graph).steps[0].site


def test_accepted_shapes() -> None:
    line, *others = DEPTHWISE_S8
    for kernel in others:
        assert kernel.when(site(DepthwiseConv2d(padding=SAME), (1, 4, 4, 4)))
        assert not kernel.when(site(DepthwiseConv2d(padding=SAME), (1, 4, 4, 3)))
        assert not kernel.when(site(DepthwiseConv2d(dilation=(1, 2)), (1, 6, 6, 4)))
        assert kernel.when(site(DepthwiseConv2d(dilation=(2, 1)), (1, 6, 6, 4)))
        assert not kernel.when(site(DepthwiseConv2d(padding=((1, 1), (3, 0))), (1, 4, 4, 4)))
    assert not line.when(site(DepthwiseConv2d(padding=SAME), (1, 4, 4, 4)))


SPEED = (
    ((1, 12, 12, 64), 1, 2.1),
    ((1, 25, 5, 64), 1, 2.2),
    ((1, 48, 48, 8), 1, 2.1),
    ((1, 14, 14, 48), 2, 2.6),
)


@pytest.mark.parametrize(("shape", "stride", "per_mac"), SPEED)
def test_speed(shape: tuple[int, int, int, int], stride: int, per_mac: float, tmp_path: Path) -> None:
    """Instructions per MAC of the whole layer below a ReLU."""
    rng = np.random.default_rng(0)
    c = shape[3]
    op = DepthwiseConv2d(padding=SAME, stride=(stride, stride), clamp=RELU)
    weights = np.clip(rng.normal(0, 40, (1, 3, 3, c)), -128, 127).astype(np.int8)
    bias = rng.integers(-2000, 2000, c).astype(np.int32)
    graph = int8_graph(op, shape, weights, bias, (-128, -128), 0.5)
    assert usable(next(iter(graph.sites())), load_target("cortex-m4").isa)[0].name == "dw_s8_dsp_line"
    assert instructions_per_mac(graph, tmp_path) <= per_mac
