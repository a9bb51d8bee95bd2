"""Simplifications: what is folded, what is left alone, and that no result changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lilliput.evaluate import step_through
from lilliput.examples import draw
from lilliput.graph import Array, Graph, verify
from lilliput.op import REGISTRY, Op
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.ops.norm import BatchNorm
from lilliput.ops.pool import AvgPool2d
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Pad, Reshape, Transpose
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.passes import SIMPLIFY, dump, simplify
from lilliput.passes.fold import fold_affine, fold_constants, fold_padding, fuse_clamp, remove_dead
from random_graphs import random_graph
from small_graphs import RELU, SAME, Builder, int8

BOUND = 2e-5
"""float32 sums change their order when a scale goes into weights: relative to the largest value."""
RELU6 = (0.0, 6.0)


def results(graph: Graph, seed: int = 3) -> list[Array]:
    (feed,) = draw(graph, seed)
    found = step_through(graph, feed)
    return [found[name] for name in graph.outputs]


def assert_equal_results(before: Graph, after: Graph, label: str = "") -> None:
    verify(after)
    assert before.inputs == after.inputs
    assert len(before.outputs) == len(after.outputs)
    for old, new in zip(results(before), results(after), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype), label
        scale = max(float(np.abs(old).max()), 1e-3)
        assert float(np.abs(old.astype(np.float64) - new).max()) <= BOUND * scale, label


def ops_of(graph: Graph) -> list[type[Op]]:
    return [type(node.op) for node in graph.nodes]


def norm(b: Builder, x: str) -> str:
    channels = b.shape(x)[-1]
    return b.add(BatchNorm(), x, b.random(channels, size=2.0), b.random(channels))


# --- batch norm ---


def conv_bias(b: Builder) -> str:
    return b.conv(b.input(1, 5, 5, 3), 4)


def conv_no_bias(b: Builder) -> str:
    x = b.input(1, 5, 5, 3)
    return b.add(Conv2d(padding=SAME), x, b.random(4, 3, 3, 3), b.constant(np.zeros(4)))


def conv_groups(b: Builder) -> str:
    return b.conv(b.input(1, 5, 5, 4), 6, op=Conv2d(groups=2))


def depthwise(b: Builder) -> str:
    return b.depthwise(b.input(1, 5, 5, 3))


def depthwise_multiplier(b: Builder) -> str:
    return b.add(DepthwiseConv2d(), b.input(1, 5, 5, 3), b.random(1, 3, 3, 6), b.random(6))


def linear(b: Builder) -> str:
    return b.linear(b.input(1, 7), 5)


def linear_rows(b: Builder) -> str:
    return b.linear(b.input(1, 4, 7), 5)


def another_norm(b: Builder) -> str:
    return norm(b, b.input(1, 4, 7))


FOLDED = [
    conv_bias,
    conv_no_bias,
    conv_groups,
    depthwise,
    depthwise_multiplier,
    linear,
    linear_rows,
    another_norm,
]


@pytest.mark.parametrize("build", FOLDED)
def test_batch_norm_folds(build: object) -> None:
    b = Builder()
    graph = b.graph(norm(b, build(b)))  # type: ignore[operator]
    folded = fold_affine(graph)
    assert len(folded.nodes) == 1
    assert_equal_results(graph, folded)
    assert len(folded.tensors) == len(graph.tensors) - 3, "the old weights are gone"


def test_two_norms_in_a_row_fold() -> None:
    b = Builder()
    graph = b.graph(norm(b, norm(b, conv_bias(b))))
    assert ops_of(fold_affine(graph)) == [Conv2d]
    assert_equal_results(graph, fold_affine(graph))


def test_shared_weights_fold_into_a_copy_each() -> None:
    """One convolution applied twice, each time with a batch norm of its own."""
    b = Builder()
    x = b.input(1, 5, 5, 3)
    w, bias = b.random(3, 3, 3, 3), b.random(3)
    first = norm(b, b.add(Conv2d(padding=SAME), x, w, bias))
    graph = b.graph(norm(b, b.add(Conv2d(padding=SAME), first, w, bias)))
    folded = fold_affine(graph)
    assert ops_of(folded) == [Conv2d, Conv2d]
    assert_equal_results(graph, folded)


def test_norm_is_left_where_folding_would_change_something() -> None:
    b = Builder()
    x = b.input(1, 5, 5, 3)
    clamped = norm(b, b.conv(x, 3, op=Conv2d(clamp=RELU)))
    shared = b.conv(x, 3)
    read_twice = b.add(Add(), norm(b, shared), shared)
    output = b.conv(x, 3)
    alone = norm(b, x)
    graph = b.graph(clamped, read_twice, output, norm(b, output), alone)
    assert ops_of(fold_affine(graph)) == ops_of(graph)


def test_weights_computed_at_run_time_are_left() -> None:
    b = Builder()
    weights = b.add(Reshape((3, 4)), b.input(1, 12))
    y = b.add(Linear(), b.input(1, 4), weights, b.random(3))
    graph = b.graph(norm(b, y))
    assert len(fold_affine(graph).nodes) == 3


def test_an_int8_norm_is_left() -> None:
    b = Builder()
    graph = int8(b.graph(norm(b, conv_bias(b))))
    assert ops_of(fold_affine(graph)) == [Conv2d, BatchNorm]


# --- clamps ---


@pytest.mark.parametrize(
    ("clamps", "expected"),
    [
        ([RELU], RELU),
        ([RELU6], RELU6),
        ([RELU6, RELU], RELU6),
        ([RELU, RELU6], RELU6),
        ([RELU, (-1.0, 1.0)], (0.0, 1.0)),
        ([(-1.0, 1.0), (0.5, 9.0)], (0.5, 1.0)),
        ([(0.0, 1.0), (2.0, 3.0)], (2.0, 2.0)),
        ([(2.0, 3.0), (0.0, 1.0)], (1.0, 1.0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("build", [conv_bias, depthwise, linear, another_norm])
def test_clamps_fuse(build: object, clamps: list[tuple[float, float]], expected: tuple[float, float]) -> None:
    b = Builder()
    y = build(b)  # type: ignore[operator]
    for lo, hi in clamps:
        y = b.add(Clamp(lo, hi), y)
    graph = b.graph(y)
    fused = fuse_clamp(graph)
    assert len(fused.nodes) == 1
    assert fused.nodes[0].op.clamp == expected  # type: ignore[attr-defined]
    assert fused.outputs == graph.outputs
    assert_equal_results(graph, fused)


def test_clamps_are_left_where_another_needs_the_unclamped() -> None:
    b = Builder()
    x = b.input(1, 5, 5, 3)
    shared = b.conv(x, 3)
    two_readers = b.add(Add(), b.add(Clamp(), shared), shared)
    output = b.conv(x, 3)
    also_output = b.add(Clamp(), output)
    no_clamp = b.add(Clamp(), b.add(Sigmoid(), x))
    on_input = b.add(Clamp(), x)
    graph = b.graph(two_readers, output, also_output, no_clamp, on_input)
    assert ops_of(fuse_clamp(graph)) == ops_of(graph)


def test_integers_fuse_only_without_a_change_of_scale() -> None:
    b = Builder()
    graph = int8(b.graph(b.add(Clamp(), conv_bias(b))))
    assert not graph.tensors["y0"].q.same(graph.tensors["y1"].q)
    assert ops_of(fuse_clamp(graph)) == [Conv2d, Clamp]
    same = {**graph.tensors, "y1": replace(graph.tensors["y1"], quant=graph.tensors["y0"].quant)}
    joined = graph.with_nodes(graph.nodes, same)
    fused = fuse_clamp(joined)
    assert ops_of(fused) == [Conv2d]
    assert np.array_equal(results(joined)[0], results(fused)[0])


def test_the_usual_block_becomes_one_layer() -> None:
    b = Builder()
    graph = b.graph(b.add(Clamp(*RELU), norm(b, conv_bias(b))))
    simple = simplify(graph)
    assert [node.op for node in simple.nodes] == [Conv2d(padding=SAME, clamp=RELU)]
    assert_equal_results(graph, simple)


# --- padding ---


def padded(pads: tuple[tuple[int, int], ...], value: float = 0.0, op: Op | None = None) -> Graph:
    b = Builder()
    x = b.add(Pad(pads, value), b.input(1, 6, 6, 3))
    if isinstance(op, AvgPool2d | Sigmoid):
        return b.graph(b.add(op, x))
    return b.graph(b.depthwise(x, op) if isinstance(op, DepthwiseConv2d) else b.conv(x, 2, op=op))  # type: ignore[arg-type]


PLANE = ((0, 0), (1, 0), (0, 2), (0, 0))


@pytest.mark.parametrize(
    "op", [Conv2d(), Conv2d(padding=SAME, stride=(2, 1)), DepthwiseConv2d(padding=SAME)], ids=str
)
def test_zero_padding_folds(op: Op) -> None:
    graph = padded(PLANE, op=op)
    folded = fold_padding(graph)
    assert len(folded.nodes) == 1
    assert_equal_results(graph, folded)


@pytest.mark.parametrize(
    "graph",
    [
        padded(PLANE, 0.5, Conv2d()),
        padded(((0, 0), (1, 1), (1, 1), (0, 1)), 0.0, Conv2d()),
        padded(PLANE, 0.0, AvgPool2d((2, 2), (2, 2))),
        padded(PLANE, 0.0, Sigmoid()),
    ],
    ids=["not zero", "channels", "pool", "no window"],
)
def test_other_padding_is_left(graph: Graph) -> None:
    assert ops_of(fold_padding(graph)) == ops_of(graph)


def test_int8_padding_folds_exactly() -> None:
    graph = int8(padded(PLANE, op=Conv2d(padding=SAME)))
    folded = fold_padding(graph)
    assert len(folded.nodes) == 1
    assert np.array_equal(results(graph)[0], results(folded)[0])


def test_padding_read_twice_is_left() -> None:
    b = Builder()
    x = b.add(Pad(PLANE), b.input(1, 6, 6, 3))
    graph = b.graph(b.conv(x, 2), b.conv(x, 2))
    assert len(fold_padding(graph).nodes) == 3


# --- constants and dead nodes ---


def test_constants_are_computed_once() -> None:
    b = Builder()
    half = b.add(Add(), b.constant([[1.0, 2.0, 3.0]]), b.constant([[0.5]]))
    graph = b.graph(b.add(Add(), b.input(1, 3), b.add(Sigmoid(), half)))
    folded = fold_constants(graph)
    assert ops_of(folded) == [Add]
    assert_equal_results(graph, folded)


def test_a_constant_output_stays_a_node() -> None:
    b = Builder()
    b.input(1, 1)
    graph = b.graph(b.add(Sigmoid(), b.constant([[1.0]])))
    assert ops_of(fold_constants(graph)) == [Sigmoid]


def test_dead_nodes_go() -> None:
    b = Builder()
    x = b.input(1, 6)
    kept = b.linear(x, 3)
    b.linear(b.linear(x, 4), 2)
    dead = Graph(("x0",), (kept,), tuple(b.nodes), b.tensors)
    alive = remove_dead(verify(dead))
    assert [node.outputs for node in alive.nodes] == [(kept,)]
    assert set(alive.tensors) == {"x0", *alive.nodes[0].inputs, kept}


# --- all of them ---

ASKED = ("as_clamp", "as_affine", "as_padding", "as_permutation")
FOLDING = frozenset(
    name
    for name, cls in REGISTRY.items()
    if cls.view or cls.folds_affine or cls.fuses_clamp or any(q in vars(cls) for q in ASKED)
)
"""Operators that a pass may fold or move."""


@pytest.mark.slow
def test_every_pass_keeps_the_results_of_random_graphs() -> None:
    """Two hundred graphs, half of them of operators that passes know; verify and the results after each pass."""
    changed = 0
    for seed in range(70_000, 70_200):
        graph = random_graph(seed, among=FOLDING if seed % 2 else None)
        if not graph.nodes:
            continue
        start = graph
        for step in SIMPLIFY:
            graph = verify(step(graph))
            assert_equal_results(start, graph, f"seed {seed}, after {step.__name__}")
        changed += str(start) != str(graph)
        assert str(simplify(start)) == str(graph), "simplify is its passes in order"
        assert len(simplify(graph).nodes) == len(graph.nodes), "nothing is left to do"
    assert changed > 25


def test_int8_results_do_not_change_by_a_bit() -> None:
    for seed in range(71_000, 71_060):
        graph = random_graph(seed)
        if not graph.nodes:
            continue
        graph = int8(graph, seed)
        simple = simplify(graph)
        for old, new in zip(results(graph), results(simple), strict=True):
            assert np.array_equal(old, new), f"seed {seed}"


def test_meta_and_names_survive() -> None:
    b = Builder()
    graph = b.graph(b.add(Clamp(), norm(b, b.conv(b.input(1, 4, 4, 2), 3, name="features.0"))))
    simple = simplify(replace(graph, meta={"labels": ["a"]}))
    assert simple.meta == {"labels": ["a"]}
    assert [node.name for node in simple.nodes] == ["features.0"]


def test_dump_writes_the_graph_after_every_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = Builder()
    graph = b.graph(b.add(Mean((1, 2)), b.add(Transpose((0, 2, 1, 3)), b.input(1, 4, 3, 2))))
    monkeypatch.delenv("LILLIPUT_DUMP", raising=False)
    dump(graph, "nowhere")
    monkeypatch.setenv("LILLIPUT_DUMP", str(tmp_path / "made"))
    simplify(graph)
    found = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert found == [
        "00-imported.txt",
        *(f"{i:02d}-{step.__name__}.txt" for i, step in enumerate(SIMPLIFY, 1)),
    ]
    assert (tmp_path / "made" / "00-imported.txt").read_text() == f"{graph}\n"
