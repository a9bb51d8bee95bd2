"""The memory plan: optimal on small sets, never overlapping, fast on long graphs."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch import Case, host_differences, host_models
from lilliput.errors import UserError
from lilliput.graph import Graph, Node, Tensor
from lilliput.op import simplest
from lilliput.ops.binary import Add, Mul
from lilliput.ops.conv import Conv2d, Linear
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Concat, Reshape
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.plan import WORD, Buffer, Plan, largest_live_set, overlaps, peak_layer, place, plan
from lilliput.plan.place import NO_OVERLAPS
from lilliput.plan.types import Overlaps
from small_graphs import Builder, int8, small_cnn


def buffers_of(rows: list[tuple[int, int, int]]) -> list[Buffer]:
    return [
        Buffer((f"b{i}",), size * WORD, first, first + length) for i, (size, first, length) in enumerate(rows)
    ]


def height(buffers: list[Buffer], offsets: list[int]) -> int:
    return max((o + b.size for b, o in zip(buffers, offsets, strict=True)), default=0)


def assert_apart(buffers: list[Buffer], offsets: list[int], shared: Overlaps = NO_OVERLAPS) -> None:
    """What is needed at one moment lies apart, but for inputs and results that may share memory so far."""
    for i, j in itertools.permutations(range(len(buffers)), 2):
        a, at, b, bt = buffers[i], offsets[i], buffers[j], offsets[j]
        apart = at + a.size <= bt or bt + b.size <= at
        below, above = shared.get((i, j), (-b.size, a.size))
        inside = (i, j) in shared and not below < bt - at < above
        assert not overlaps(a, b) or apart or inside or (j, i) in shared, f"{a} at {at}, {b} at {bt}"


def fits(buffers: list[Buffer], limit: int) -> bool:
    """Whether any placement on multiples of WORD stays below `limit`: tries every offset of every buffer."""
    offsets: list[int] = []

    def put(i: int) -> bool:
        if i == len(buffers):
            return True
        for at in range(0, limit - buffers[i].size + 1, WORD):
            clash = any(
                overlaps(buffers[i], buffers[j])
                and at < offsets[j] + buffers[j].size
                and offsets[j] < at + buffers[i].size
                for j in range(i)
            )
            if not clash:
                offsets.append(at)
                if put(i + 1):
                    return True
                offsets.pop()
        return False

    return put(0)


small_sets = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(small_sets)
def test_the_arena_is_the_smallest_possible(rows: list[tuple[int, int, int]]) -> None:
    buffers = buffers_of(rows)
    offsets = place(buffers)
    assert_apart(buffers, offsets)
    arena, bound = height(buffers, offsets), largest_live_set(buffers)
    assert arena >= bound
    if arena > bound:
        assert not fits(buffers, arena - WORD), "a smaller placement exists"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 40), st.integers(0, 30)), min_size=7, max_size=90)
)
def test_large_sets_never_overlap(rows: list[tuple[int, int, int]]) -> None:
    buffers = buffers_of(rows)
    offsets = place(buffers)
    assert_apart(buffers, offsets)
    assert largest_live_set(buffers) <= height(buffers, offsets) <= sum(b.size for b in buffers)
    assert all(o % WORD == 0 for o in offsets)


def test_a_case_where_greedy_fails_is_searched() -> None:
    """Best fit needs 44 bytes in each of its orders; the search finds the lower bound."""
    buffers = buffers_of([(5, 4, 4), (3, 1, 2), (1, 1, 3), (3, 3, 1), (4, 0, 2)])
    offsets = place(buffers)
    assert_apart(buffers, offsets)
    assert height(buffers, offsets) == largest_live_set(buffers) == 36


def test_nothing_to_place() -> None:
    assert place([]) == []
    assert largest_live_set([]) == 0


# --- graphs ---


def assert_sound(p: Plan) -> None:
    assert_apart([b for b, _ in p.buffers], [o for _, o in p.buffers], p.overlaps)
    assert p.arena >= p.lower_bound
    for name, t in p.graph.tensors.items():
        if not t.constant:
            rows = p.ring(name)
            size = t.nbytes if rows is None else rows * t.nbytes // t.shape[1]
            assert 0 <= p.offsets[name] <= p.arena - size
            assert p.offsets[name] % WORD == 0


def diamond() -> Graph:
    """x is read by three layers, of which two could work in place."""
    b = Builder()
    x = b.input(1, 4, 4, 6)
    left = b.add(Sigmoid(), x, name="left")
    right = b.add(Clamp(), x, name="right")
    both = b.add(Add(), left, right)
    again = b.add(Mul(), both, left)
    return b.graph(b.add(Add(), again, x), b.add(Sigmoid(), both))


def input_is_output_too() -> Graph:
    b = Builder()
    x = b.input(1, 9)
    y = b.add(Sigmoid(), x)
    return b.graph(x, b.add(Clamp(0.0, 0.5), y), y)


def views_of_one() -> Graph:
    """Two views of one tensor; a layer that could overwrite it must see that the other is still read."""
    b = Builder()
    x = b.input(1, 4, 6)
    first, second = b.add(Reshape((1, 24)), x), b.add(Reshape((1, 6, 4)), x)
    changed = b.add(Sigmoid(), first, name="would overwrite")
    kept = b.add(Mean((1,)), second, name="still reads")
    return b.graph(b.add(Reshape((1, 4, 6)), changed), kept)


def same_operand_twice() -> Graph:
    b = Builder()
    y = b.add(Sigmoid(), b.input(1, 12))
    return b.graph(b.add(Mul(), b.add(Add(), y, y), y), b.add(Concat(1), y, y))


def input_viewed_as_output() -> Graph:
    b = Builder()
    x = b.input(1, 4, 6)
    return b.graph(b.add(Reshape((1, 24)), x), b.add(Sigmoid(), x))


def broadcast_in_place() -> Graph:
    """The smaller operand dies here, and its storage is too small for the result."""
    b = Builder()
    x, y = b.input(1, 4, 4, 3), b.input(1, 1, 1, 3)
    return b.graph(b.add(Mul(), b.add(Sigmoid(), y), x), b.add(Add(), x, b.add(Clamp(), y)))


BRANCHED = [
    diamond,
    input_is_output_too,
    views_of_one,
    same_operand_twice,
    input_viewed_as_output,
    broadcast_in_place,
    small_cnn,
]


@pytest.mark.slow
def test_in_place_never_destroys_what_is_still_needed() -> None:
    """Every branched graph, float and int8, on the host between canaries, all outputs compared."""
    cases = []
    for build in BRANCHED:
        for graph in (build(), int8(build())):
            for pick in (None, simplest):
                p = plan(graph, pick=pick) if pick else plan(graph)
                assert_sound(p)
                cases.append(Case(f"{build.__name__} {graph.tensors[graph.inputs[0]].dtype}", p))
    assert host_differences(cases, host_models(cases), seed=5, count=3) == []


def test_in_place_is_used_where_it_may() -> None:
    b = Builder()
    chain = b.add(Sigmoid(), b.add(Clamp(), b.add(Sigmoid(), b.input(1, 64))))
    p = plan(int8(b.graph(chain)))
    assert p.arena == 64
    assert set(p.offsets.values()) == {0}


def test_every_layer_is_exact_when_watched() -> None:
    """In-place results too: the value right after its layer, before somebody overwrites it."""
    from lilliput.examples import draw
    from lilliput.host import value_at
    from random_graphs import reference

    graph = int8(diamond())
    p = plan(graph)
    (model,) = host_models([Case("diamond", p)])
    (feed,) = draw(graph, 4)
    expected = reference(graph, feed)

    def watch(step: int, arena: np.ndarray) -> None:
        for t in p.steps[step].site.outs:
            assert np.array_equal(value_at(p, t.name, arena), expected[t.name]), p.steps[step].site.name

    model.run(feed, watch)


def ladder(layers: int) -> Graph:
    """A long chain of cheap layers with a branch at every third."""
    b = Builder()
    x = b.input(1, 6, 6, 4)
    before = x
    for i in range(layers):
        if i % 3 == 2:
            x, before = b.add(Add(), x, before), x
        else:
            x = b.add(Clamp(-1.0, float(i)), x)
    return b.graph(b.add(Mean((1, 2)), x))


def comb(teeth: int) -> Graph:
    """All branches start at one tensor and are summed one by one: all are alive at first."""
    b = Builder()
    x = b.input(1, 5, 5, 3)
    ends = [b.add(Clamp(-1.0, float(i)), x) for i in range(teeth)]
    total = ends[0]
    for end in ends[1:]:
        total = b.add(Add(), total, end)
    return b.graph(total)


@pytest.mark.parametrize("graph", [ladder(300), comb(150)], ids=["ladder", "comb"])
def test_three_hundred_layers_are_planned_in_time(graph: Graph) -> None:
    start = time.process_time()
    p = plan(graph)
    assert time.process_time() - start < 2.0
    assert len(p.steps) >= 299
    assert_sound(p)
    assert p.arena == p.lower_bound


def test_a_hard_packing_stops_in_time() -> None:
    rng = np.random.default_rng(3)
    rows = [(int(s), int(f), int(n)) for s, f, n in zip(*rng.integers(1, 40, (3, 60)), strict=True)]
    buffers = buffers_of(rows)
    start = time.process_time()
    offsets = place(buffers)
    assert time.process_time() - start < 2.0
    assert_apart(buffers, offsets)
    assert height(buffers, offsets) <= largest_live_set(buffers) * 1.25


def test_a_layer_without_a_kernel_is_named() -> None:
    b = Builder()
    weights = b.add(Reshape((2, 4)), b.input(1, 8))
    computed = b.add(Linear(), b.input(1, 4), weights, b.constant([0, 0]), name="body.attend")
    message = r"layer 'body.attend': no kernel computes linear from \(float32, float32, float32\) to float32"
    with pytest.raises(UserError, match=message) as error:
        plan(b.graph(computed))
    assert all(k.name in str(error.value) for k in Linear.kernels)


def test_the_peak_is_named() -> None:
    b = Builder()
    x = b.conv(b.input(1, 8, 8, 1), 16, name="wide")
    graph = b.graph(b.conv(x, 1, 1, Conv2d(), name="narrow"))
    p = plan(int8(graph), pick=simplest)
    assert peak_layer(p) in ("wide", "narrow")
    assert p.arena == p.lower_bound == 64 * (16 + 1)
    assert f"arena {p.arena} bytes" in str(p)


def test_scratch_is_counted_and_apart() -> None:
    p = plan(int8(small_cnn()))
    scratch = [b for b, _ in p.buffers if b.kind == "scratch"]
    assert sum(step.kernel.scratch(step.site) > 0 for step in p.steps) == len(scratch) > 0, "one at a time"
    assert_sound(p)


# What no memory can be planned for.


def test_a_view_of_a_constant_is_refused() -> None:
    b = Builder()
    x = b.input(1, 4)
    view = b.add(Reshape((2, 2)), b.add(Reshape((1, 4)), b.constant([1, 2, 3, 4], "table")))
    with pytest.raises(UserError, match=f"output '{view}' is a view of the constant 'table'.*Take it out"):
        plan(b.graph(b.add(Sigmoid(), x), view))
    b.add(Add(), x, "y0")
    with pytest.raises(UserError, match=r"'y0' is a view \(reshape\) of the constant 'table'; store"):
        plan(b.graph("y3"))


def test_a_constant_output_is_refused() -> None:
    b = Builder()
    sigmoid = b.add(Sigmoid(), b.input(1, 4))
    with pytest.raises(UserError, match=r"output 'table' is a constant.*Take it out"):
        plan(b.graph(sigmoid, b.constant([1.0], "table")))


@pytest.mark.parametrize("dtype", ["uint16", "float64"])
@pytest.mark.parametrize("where", ["input", "intermediate result", "output"])
def test_types_that_firmware_lacks_are_named(dtype: str, where: str) -> None:
    types = ["float32", "float32", "float32"]
    types[("input", "intermediate result", "output").index(where)] = dtype
    tensors = {name: Tensor(name, (1, 4), t) for name, t in zip("abc", types, strict=True)}
    nodes = (Node(Sigmoid(), ("a",), ("b",)), Node(Sigmoid(), ("b",), ("c",)))
    graph = Graph(("a",), ("c",), nodes, tensors)
    name = next(n for n, t in tensors.items() if t.dtype == dtype)
    with pytest.raises(UserError, match=f"{where} '{name}' has the type {dtype}; .*float32 or int32"):
        plan(graph)


def test_a_view_alone_of_a_type_that_firmware_lacks() -> None:
    tensors = {"a": Tensor("a", (1, 4), "uint16"), "b": Tensor("b", (4,), "uint16")}
    graph = Graph(("a",), ("b",), (Node(Reshape((4,)), ("a",), ("b",)),), tensors)
    with pytest.raises(UserError, match="input 'a' has the type uint16"):
        plan(graph)
