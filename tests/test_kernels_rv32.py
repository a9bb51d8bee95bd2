"""The RV32IM kernels on their core: equal to numpy at the edges of their proof, in place, and fast enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, product

import numpy as np
import pytest

from batch import Case, core_batch
from lilliput.firmware import compile
from lilliput.graph import Graph, Quant, Shape
from lilliput.op import fastest, usable
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.plan import plan
from lilliput.target import load_target
from test_kernels_conv import SAME, Convolution, feeds, int8_graph, layer, shapes

CORE = "rv32imc"
CONV = {"conv_s8_rv32_halves_up", "conv_s8_rv32_halves_away"}
DEPTHWISE = {"dw_s8_rv32_halves_up", "dw_s8_rv32_halves_away"}


def without_128(graph: Graph) -> Graph:
    """The same layer with weights that int8 quantization can give."""
    w = graph.tensors["w"]
    assert w.data is not None
    return replace(
        graph, tensors={**graph.tensors, "w": replace(w, data=np.maximum(w.data, -127).astype(np.int8))}
    )


def pointwise() -> Iterator[Graph]:
    """Wider and narrower results, which share memory with their input; rows of every remainder."""
    seed = count(100)
    for ic, oc in ((1, 4), (2, 5), (3, 6), (4, 7), (8, 3), (9, 2), (16, 10), (33, 16)):
        for width in (2, 3, 4, 7, 9, 12):
            yield without_128(layer(Conv2d(), (1, 1, width, ic), (1, 1), oc, next(seed)))
        yield without_128(layer(Conv2d(clamp=(0.0, 6.0)), (1, 3, 5, ic), (1, 1), oc, next(seed), 100.0))
        yield without_128(layer(Linear(), (1, 6, ic), (1, 1), oc, next(seed)))


def windows() -> Iterator[Graph]:
    """Windows inside the row, at its ends and beyond, with an odd and an even number of taps."""
    seed = count(200)
    for ic, oc in ((1, 4), (2, 9), (3, 6), (5, 8)):
        for op, x, kernel in (
            (Conv2d(padding=SAME), (1, 4, 7, ic), (3, 3)),
            (Conv2d(padding=((0, 1), (0, 1)), stride=(2, 2), clamp=(0.0, 6.0)), (1, 6, 8, ic), (3, 3)),
            (Conv2d(padding=((2, 2), (3, 3)), dilation=(2, 3)), (1, 7, 9, ic), (3, 3)),
            (Conv2d(stride=(1, 3)), (1, 6, 11, ic), (2, 2)),
            (Conv2d(padding=((1, 1), (4, 4))), (1, 2, 2, ic), (3, 5)),
        ):
            yield without_128(layer(op, x, kernel, oc, next(seed)))


def depthwise() -> Iterator[Graph]:
    """Every width up to eight, padding on each side, both strides."""
    seed = count(300)
    for c, stride, width, pad in product((1, 5, 8), (1, 2), range(1, 9), product((0, 1), (0, 1))):
        if width + sum(pad) < 3:
            continue
        clamp = (0.0, 6.0) if width == 4 else None
        op = DepthwiseConv2d(padding=((1, 1), pad), stride=(stride, stride), clamp=clamp)
        yield layer(op, (1, 3, width, c), (3, 3), c, next(seed))


def with_kernels(graphs: Sequence[Graph], core: str, names: set[str]) -> list[Case]:
    """Each graph with each of these kernels that accepts it."""
    features = load_target(core).isa
    return [
        Case(f"{i} {site.op} {site.x.shape}", plan(graph, features, pick=lambda _, __, k=kernel: k))
        for i, graph in enumerate(graphs)
        for site in graph.sites()
        for kernel in usable(site, features)
        if kernel.name in names
    ]


def differences(cases: Sequence[Case], core: str, compiler: str = "zig") -> list[str]:
    return core_batch(cases, load_target(core), compiler=compiler).differences(5, feeds)


def met(cases: Sequence[Case]) -> set[str]:
    return {case.plan.steps[0].kernel.name for case in cases}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["zig", pytest.param("gcc", marks=pytest.mark.cross)])
def test_every_shape(compiler: str) -> None:
    graphs = [*shapes(), *pointwise(), *windows(), *depthwise()]
    cases = with_kernels(graphs, CORE, CONV | DEPTHWISE)
    assert met(cases) == CONV | DEPTHWISE
    assert len(cases) > 150
    assert differences(cases, CORE, compiler) == []


def names(graph: Graph) -> set[str]:
    return {k.name for k in usable(next(iter(graph.sites())), load_target(CORE).isa)}


def two_taps(first: int, second: int, shape: Shape = (1, 1, 4, 6)) -> Graph:
    """A pointwise layer one of whose pairs of taps has these weights."""
    weights = np.ones((4, 1, 1, shape[3]), np.int8)
    weights[2, 0, 0, 2:4] = first, second
    return int8_graph(Conv2d(), shape, weights, np.zeros(4, np.int32), (-128, 3), 0.05)


def test_two_products_fill_half_a_word() -> None:
    """The largest weights that fit, and those that are refused: with inputs of -128 the half would overflow."""
    inside = [two_taps(127, -128), two_taps(-127, -127), two_taps(-128, 127), two_taps(127, 127)]
    assert all(CONV & names(graph) for graph in inside)
    assert not CONV & names(two_taps(-128, -128))
    assert differences(with_kernels(inside, CORE, CONV), CORE) == []


def near_the_bound(limit: int, taps: int = 900) -> Graph:
    """Accumulators come up to `limit` - 1; were four of them to overflow a word, results would be the least."""
    bias = np.full(8, limit - 1 - taps * 127 * 255, np.int32)
    weights = np.full((8, 1, 1, taps), 127, np.int8)
    graph = int8_graph(Conv2d(), (1, 1, 4, taps), weights, bias, (-128, -128), 0.05 * 2**22)
    w, scales = graph.tensors["w"], Quant(np.ones(8, np.float32), np.zeros(8, np.int32), 0)
    return replace(graph, tensors={**graph.tensors, "w": replace(w, quant=scales)})


def test_accumulators_at_the_bound_of_the_proof() -> None:
    inside, outside = near_the_bound(2**29), near_the_bound(2**29 + 1)
    assert CONV & names(inside)
    assert not CONV & names(outside)
    assert differences(with_kernels([inside], CORE, CONV), CORE) == []


def test_results_share_memory_with_the_input() -> None:
    """A narrower result begins with its input, a wider one before it; the arena is hardly larger than either."""
    for ic, oc in ((16, 8), (8, 16), (12, 12)):
        graph = without_128(layer(Conv2d(), (1, 5, 5, ic), (1, 1), oc, 7))
        made = plan(graph, load_target(CORE).isa, pick=fastest)
        assert made.steps[0].kernel.name in CONV
        scratch = made.steps[0].kernel.scratch(made.steps[0].site)
        assert made.arena <= 25 * max(ic, oc) + scratch + 4 * abs(ic - oc) + 16
        assert differences([Case("in place", made)], CORE) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "x", "kernel", "out", "most"),
    [
        (Conv2d(), (1, 12, 12, 64), (1, 1), 64, 2.6),
        (Conv2d(), (1, 24, 24, 16), (1, 1), 32, 3.6),
        (Conv2d(padding=SAME), (1, 8, 8, 16), (3, 3), 16, 2.7),
        (DepthwiseConv2d(padding=SAME), (1, 12, 12, 64), (3, 3), 64, 5.0),
    ],
)
def test_instructions_per_mac(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, most: float, tmp_path: object
) -> None:
    graph = without_128(layer(op, x, kernel, out, 1))
    profile = compile(graph, CORE, name="layer", out=str(tmp_path)).profile()
    assert profile["instructions"] <= most * profile["macs"]
