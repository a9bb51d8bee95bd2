"""The order of branches: never worse, the same results, and better where a better one is known."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lilliput.evaluate import step_through
from lilliput.examples import draw
from lilliput.firmware import compile, open_build
from lilliput.graph import Graph, verify
from lilliput.ops.binary import Add
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Concat
from lilliput.ops.unary import Sigmoid
from lilliput.passes.order import peak, reordered
from lilliput.plan import choose, plan
from random_graphs import random_graph
from small_graphs import Builder, int8


def wide_first() -> Graph:
    """Two branches that widen and narrow again, given layer by layer: both wide tensors are alive at a time."""
    b = Builder()
    x = b.input(1, 8, 8, 4)
    wide = [b.conv(x, 32, 1, name=f"widen {i}") for i in range(2)]
    narrow = [b.conv(w, 2, 1, name=f"narrow {i}") for i, w in enumerate(wide)]
    return b.graph(b.add(Mean((1, 2)), b.add(Concat(3), *narrow)))


def best_of_all(graph: Graph) -> int:
    """The least peak of every order there is."""
    least = None
    for nodes in itertools.permutations(graph.nodes):
        there = set(graph.given) | {name for name, t in graph.tensors.items() if t.constant}
        possible = True
        for node in nodes:
            possible = possible and set(node.inputs) <= there
            there.update(node.outputs)
        if possible:
            found = peak(graph, nodes)
            least = found if least is None else min(least, found)
    assert least is not None
    return least


def test_branches_one_after_the_other() -> None:
    graph = wide_first()
    made = reordered(graph)
    assert [n.name for n in made.nodes[:4]] == ["widen 0", "narrow 0", "widen 1", "narrow 1"]
    assert peak(made, made.nodes) == best_of_all(graph) < peak(graph, graph.nodes)
    assert plan(made).arena < plan(graph).arena


def test_an_operand_that_needs_much_comes_first() -> None:
    b = Builder()
    x = b.input(1, 4, 4, 2)
    small = b.add(Sigmoid(), b.conv(x, 8, 1, name="small"))
    large = b.conv(b.conv(x, 64, 1, name="wide"), 8, 1, name="large")
    graph = b.graph(b.add(Mean((1, 2)), b.add(Add(), small, large)))
    made = reordered(graph)
    assert peak(made, made.nodes) == best_of_all(graph) < peak(graph, graph.nodes)


@pytest.mark.parametrize("start", range(0, 120, 40))
def test_random_graphs_keep_their_results_and_never_need_more(start: int) -> None:
    changed = 0
    for seed in range(start, start + 40):
        graph = random_graph(seed)
        made = reordered(graph)
        verify(made)
        assert peak(made, made.nodes) <= peak(graph, graph.nodes)
        assert {id(n) for n in made.nodes} == {id(n) for n in graph.nodes}
        changed += made is not graph
        (feed,) = draw(graph, seed)
        before, after = step_through(graph, feed), step_through(made, feed)
        for name, value in before.items():
            assert np.array_equal(value, after[name], equal_nan=value.dtype.kind == "f")
    assert changed


def test_a_chain_stays_as_it_is() -> None:
    b = Builder()
    graph = b.graph(b.conv(b.conv(b.input(1, 6, 6, 2), 4), 2))
    assert reordered(graph) is graph


def test_firmware_takes_the_better_order(tmp_path: Path) -> None:
    graph = int8(wide_first())
    firmware = compile(graph, "cortex-m4", name="net", out=tmp_path / "b")
    assert firmware.plan.arena <= choose(reordered(graph), firmware.target.isa).arena
    assert firmware.validate(np.zeros((2, 8, 8, 4), np.int8))["bit_exact"]
    assert open_build(tmp_path / "b").plan.arena == firmware.plan.arena
