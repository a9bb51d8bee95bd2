"""Packed channel pairs on cores with the DSP extension: their proofs, and every shape on emulated cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batch import Case, CoreBatch, core_batch
from lilliput.evaluate import step_through
from lilliput.graph import Array, Graph, Shape
from lilliput.op import Kernel, Pick, Site, usable
from lilliput.ops.conv import Conv2d, Linear, packed_pair
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels_dsp import CONV_S8, CONV_S8_DSP, LINEAR_S8_DSP, blocks
from lilliput.plan import plan
from lilliput.target import load_target
from test_kernels_conv import (
    SAME,
    Convolution,
    dead_channels,
    feeds,
    instructions_per_mac,
    int8_graph,
    layer,
    shapes,
)

DSP = frozenset({"dsp", "halfword_mac"})
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
RELU = (0.0, float("inf"))


def plain(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, seed: int, spread: float = 30.0
) -> Graph:
    """A random layer without the weight -128."""
    graph = layer(op, x, kernel, out, seed, spread)
    w = graph.tensors["w"]
    assert w.data is not None
    return replace(graph, tensors={**graph.tensors, "w": replace(w, data=np.maximum(w.data, -127))})


def packed(graph: Graph) -> Kernel | None:
    """The kernel of packed pairs that takes the one layer of a graph."""
    (site,) = graph.sites()
    return next((k for k in usable(site, DSP) if k in CONV_S8), None)


def rows_of_every_width() -> Iterator[Graph]:
    """Blocks of three and of two pixels, taps that are no multiple of four, windows that lie in rows or not."""
    seed = iter(range(1000))
    for width in (1, 2, 3, 4, 5, 8):
        for ic, oc in ((4, 2), (3, 3), (7, 5), (16, 8), (20, 6)):
            clamp = RELU if ic % 2 else None
            yield plain(Conv2d(clamp=clamp), (1, 2, width, ic), (1, 1), oc, next(seed))
            yield plain(Conv2d(padding=SAME, clamp=clamp), (1, 3, width, ic), (3, 3), oc, next(seed))
        left = ((1, 0), (2, 1))
        yield plain(Conv2d(padding=left, stride=(1, 2)), (1, 3, width + 1, 8), (2, 3), 4, next(seed))
        yield plain(Conv2d(padding=left, stride=(2, 1), clamp=RELU), (1, 4, width, 1), (3, 4), 6, next(seed))
        yield plain(Conv2d(padding=left, dilation=(1, 2)), (1, 3, width + 3, 4), (2, 3), 7, next(seed))
    for taps in (1, 4, 5, 8, 12, 16, 20, 33, 64):
        for oc in (1, 2, 3, 4, 7, 8):
            yield plain(Linear(clamp=RELU if taps % 2 else None), (1, taps), (1, 1), oc, next(seed))


def choose(kernel: Kernel) -> Pick:
    return lambda _, kernels: kernels[kernels.index(kernel)]


def taken(graphs: Sequence[Graph]) -> list[Case]:
    """Those that packed pairs can compute, planned with them."""
    found = []
    for i, graph in enumerate(graphs):
        kernel = packed(graph)
        if kernel is not None:
            label = f"{i} {next(iter(graph.sites())).op} with {kernel.name}"
            found.append(Case(label, plan(graph, DSP, pick=choose(kernel))))
    return found


def differences(batch: CoreBatch) -> list[str]:
    wrong = []
    for i, case in enumerate(batch.cases):
        for feed in feeds(case.plan.graph, seed=11):
            if not np.array_equal(step_through(case.plan.graph, feed)["y"], batch.run(i, feed)["y"]):
                wrong.append(case.label)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_every_shape(core: str) -> None:
    graphs = [*rows_of_every_width(), *shapes(), dead_channels()]
    cases = taken(graphs)
    assert len(cases) > 100
    assert {case.plan.steps[0].kernel.name for case in cases} == {
        "conv_s8_dsp",
        "linear_s8_dsp",
        "window_s8_dsp",
    }
    assert differences(core_batch(cases, load_target(core), optimize="size")) == []


@pytest.mark.cross
@pytest.mark.parametrize("core", CORES)
def test_every_shape_of_gcc(core: str) -> None:
    cases = taken(list(rows_of_every_width()))
    assert differences(core_batch(cases, load_target(core), compiler="gcc")) == []


def near_the_bound(limit: int, oc: int = 4) -> Graph:
    """Pointwise; the accumulators of all channels reach `limit` - 1, with either sign, and the least one -`limit`."""
    signs = np.where(np.arange(oc) % 4 < 2, 1, -1)
    taps = 400
    weights = (signs[:, None] * np.full((oc, taps), 127)).astype(np.int8).reshape(oc, 1, 1, taps)
    bias = (signs * (limit - 1 - taps * 127 * 255)).astype(np.int32)
    return int8_graph(Conv2d(), (1, 1, 2, taps), weights, bias, (-128, 0), 0.05 * 0.02 * limit / 100)


def test_the_second_channel_fits_in_24_bits_with_its_offset() -> None:
    most = 2**23 - packed_pair.OFFSETS
    assert packed(near_the_bound(most)) is CONV_S8_DSP
    assert packed(near_the_bound(most + 1)) is None
    cases = taken([near_the_bound(most)])
    assert differences(core_batch(cases, load_target("cortex-m4"))) == []


def least_weights(first: int, second: int) -> Graph:
    """Two channels, all weights alike."""
    weights = np.stack([np.full((1, 1, 8), first), np.full((1, 1, 8), second)]).astype(np.int8)
    return int8_graph(Conv2d(), (1, 2, 3, 8), weights, np.array([100, -100], np.int32), (3, 0), 0.05)


def test_only_a_weight_of_minus_128_beside_a_negative_one_cannot_be_packed() -> None:
    kept = [
        least_weights(-128, -127),
        least_weights(0, -128),
        least_weights(127, -128),
        least_weights(-128, 127),
    ]
    assert [packed(graph) for graph in kept] == [CONV_S8_DSP] * 4
    assert packed(least_weights(-1, -128)) is None
    assert differences(core_batch(taken(kept), load_target("cortex-m4"))) == []


def test_words_hold_both_channels() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (5, 7)).astype(np.int8)
    pairs = packed_pair.pairs_of(5)
    assert pairs.tolist() == [[0, 1], [2, 3], [3, 4]]
    assert packed_pair.fours_of(5).tolist() == [[0, 1], [2, 3], [4, 4], [4, 4]]
    x = rng.integers(-128, 128, 8)
    found = packed_pair.words(channels(weights), pairs).astype(np.int64)
    taps = np.stack([x[[0, 1, 4, 5]], x[[2, 3, 6, 7]]], axis=1)  # of the low and of the high halfwords
    low, high = (found & 0xFFFF ^ 0x8000) - 0x8000, found >> 16
    total = (low * taps[:, 0] + high * taps[:, 1]).sum(1)
    first = (((low & 0xFF ^ 0x80) - 0x80) * taps[:, 0] + ((high & 0xFF ^ 0x80) - 0x80) * taps[:, 1]).sum(1)
    assert first.tolist() == (weights[pairs[:, 0]] @ x[:7]).tolist()
    assert ((total - first) // 256).tolist() == (weights[pairs[:, 1]] @ x[:7]).tolist()


def channels(weights: Array, out_zp: int = -128, seed: int = 0) -> Channels:
    """Channels of these weights whose results cover the int8 range and more."""
    rng = np.random.default_rng(seed)
    count = len(weights)
    reach = np.abs(weights.astype(np.int64)).sum(1) * 128 + 1
    scale = 255 / reach * rng.uniform(0.5, 4, count)
    shift = np.floor(np.log2(scale)).astype(np.int64) + 1
    m = np.clip(np.round(scale / 2.0**shift * 2**31), 2**30, 2**31 - 1).astype(np.int32)
    bias = rng.integers(-2000, 2000, count).astype(np.int32)
    return Channels(weights, bias, m, shift.astype(np.int32), -128, out_zp, (-128, 127))


@pytest.mark.parametrize("second", [False, True], ids=["A", "B"])
@pytest.mark.parametrize("out_zp", [-128, -20, 127])
def test_a_line_gives_every_reachable_result(out_zp: int, second: bool) -> None:
    """The kernel's arithmetic, step by step, for every accumulator."""
    rng = np.random.default_rng(out_zp + 200)
    some = channels(rng.integers(-60, 61, (40, 25)).astype(np.int8), out_zp)
    lines = packed_pair._lines(some, np.arange(40), 24 if second else 32)
    if out_zp == -128:
        assert lines.found.mean() > 0.9  # what lies below the zero point is saturated
    least, most = some.reach
    for c in np.flatnonzero(lines.found):
        acc = np.arange(least[c], most[c] + 1)
        one = Channels(
            some.weights[[c]], some.bias[[c]], some.m[[c]], some.shift[[c]], -128, out_zp, some.clamp
        )
        factor, shift = (256, 13) if second else (1, 5)
        high = ((acc + lines.offset[c]) * factor * lines.m[c] + (1 << 31)) >> 32
        assert np.abs(high + lines.c[c]).max() < 2**31
        result = np.clip((high + lines.c[c]) >> shift, -128, 127)
        assert np.array_equal(result, one.output(acc))


def test_blocks_cover_a_row() -> None:
    assert [blocks(n) for n in (2, 3, 4, 5, 7)] == [[2], [3], [2, 2], [3, 2], [3, 2, 2]]
    assert all(sum(blocks(n)) == n for n in range(2, 50))


def site_of(op: Convolution, x: Shape, out: int) -> Site:
    (site,) = layer(op, x, (1, 1), out, 0).sites()
    return site


def test_a_result_overlaps_what_was_read() -> None:
    """Never written over pixels that a later block reads, and one byte further would be."""
    overlap = CONV_S8_DSP.overlap
    assert overlap is not None
    for pixels, ic, out in ((7, 8, 4), (7, 4, 8), (9, 5, 5), (4, 16, 2), (3, 4, 8), (5, 3, 7)):
        site = site_of(Conv2d(), (1, 1, pixels, ic), out)
        offset = overlap(site)
        assert offset is not None
        ends = np.cumsum(blocks(pixels))[:-1]
        slack = [end * ic - (offset + end * out) for end in ends]
        assert min(slack, default=0) == 0 or offset == site.x.nbytes
    assert overlap(site_of(Conv2d(padding=SAME), (1, 3, 4, 4), 4)) is None
    assert LINEAR_S8_DSP.overlap is None


@pytest.mark.parametrize(
    ("op", "x", "kernel", "out", "most"),
    [
        pytest.param(Conv2d(clamp=RELU), (1, 12, 12, 64), (1, 1), 64, 0.86, id="pointwise"),
        pytest.param(Conv2d(), (1, 12, 12, 64), (1, 1), 64, 0.93, id="pointwise, rounded exactly"),
        pytest.param(Conv2d(padding=SAME, clamp=RELU), (1, 8, 8, 16), (3, 3), 16, 0.95, id="3x3"),
        pytest.param(
            Conv2d(padding=SAME, clamp=RELU), (1, 32, 32, 3), (3, 3), 16, 1.33, id="3x3 of an image"
        ),
        pytest.param(Linear(), (1, 64), (1, 1), 64, 1.17, id="linear"),
    ],
)
def test_instructions_per_mac(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, most: float, tmp_path: Path
) -> None:
    assert instructions_per_mac(plain(op, x, kernel, out, seed=1, spread=20.0), tmp_path) <= most


def test_a_scale_beyond_the_line_is_rounded_exactly() -> None:
    """Shifts by less than the kernel's: no line, another branch of it."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-20, 21, (6, 1, 1, 3)).astype(np.int8)
    graph = int8_graph(Conv2d(), (1, 2, 4, 3), weights, np.zeros(6, np.int32), (-128, -128), 0.012)
    params = CONV_S8_DSP.params(next(iter(graph.sites())))
    assert (params["stream"].reshape(3, -1)[:, -4] < 0).any()
    assert packed(graph) is CONV_S8_DSP
    assert differences(core_batch(taken([graph]), load_target("cortex-m4"))) == []
