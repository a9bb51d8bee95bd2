"""Addition and pooling for cores with the DSP extension: the proof of the plane, equality on the emulated cores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from batch import Case, core_batch
from lilliput.graph import Graph, Node, Quant, Tensor, verify
from lilliput.op import Kernel, Op, Site, usable
from lilliput.ops.binary import Add, Mul, Sub
from lilliput.ops.binary.kernels_dsp import ADD_S8_DSP, LOW, MUL_S8_DSP, SHIFT
from lilliput.ops.binary.plane import ADD_S8_PLANE, SHIFTS, plane_of
from lilliput.ops.pool import AvgPool2d, MaxPool2d
from lilliput.ops.pool.kernels import AVG_S8_DSP, MAX_S8_DSP
from lilliput.plan import plan
from lilliput.target import load_target

DSP = frozenset({"dsp"})
KERNELS = (ADD_S8_DSP, ADD_S8_PLANE, MUL_S8_DSP, MAX_S8_DSP, AVG_S8_DSP)
CORES = ("cortex-m4", "cortex-m7", "cortex-m33")


def sum_graph(op: Op, size: int, quants: tuple[tuple[float, int], ...]) -> Graph:
    tensors = {
        name: Tensor(name, (1, size), "int8", Quant.per_tensor(*quant))
        for name, quant in zip("aby", quants, strict=True)
    }
    return verify(Graph(("a", "b"), ("y",), (Node(op, ("a", "b"), ("y",), "sum"),), tensors))


def sums() -> Iterator[Graph]:
    """Scales and zero points of all kinds; every number of elements that four leaves over."""
    rng = np.random.default_rng(4)
    for i in range(40):
        a, b = (float(v) for v in rng.uniform(0.01, 0.1, 2))
        y = max(a, b) * float(rng.uniform(0.4, 2))
        zeros = [-128] * 3 if i % 4 == 0 else [int(v) for v in rng.integers(-128, 128, 3)]
        size = i + 1 if i < 9 else int(rng.integers(10, 60))
        yield sum_graph(Sub() if i % 3 == 2 else Add(), size, ((a, zeros[0]), (b, zeros[1]), (y, zeros[2])))


def site(graph: Graph) -> Site:
    return next(iter(graph.sites()))


@pytest.mark.parametrize(("shifts", "low"), [((SHIFT,), LOW), (SHIFTS, 0)])
def test_the_plane_gives_every_result(shifts: tuple[int, ...], low: int) -> None:
    """In the arithmetic of the instructions, for all pairs, ties among them; nothing overflows."""
    every = np.arange(-128, 128)
    shapes = ((256, 1), (1, 256), (256, 256))
    for graph in (*sums(), TIES):
        one = site(graph)
        plane = plane_of(one, shifts, low)
        assert plane is not None
        total = np.add.outer(every * plane.a_mult >> low, every * plane.b_mult >> low) + plane.offset
        assert np.abs([total, total - plane.offset]).max() < 2**31
        quants = (t.quant for t in (*one.ins, one.y))
        a, b, y = (Tensor(n, s, "int8", q) for n, s, q in zip("aby", shapes, quants, strict=True))
        operands = (every.astype(np.int8).reshape(shape) for shape in shapes[:2])
        (expected,) = one.op.run(Site(one.op, (a, b), (y,)), *operands)
        np.testing.assert_array_equal(np.clip(total >> plane.shift, -128, 127), expected)


TIES = sum_graph(Add(), 8, ((0.5, 3), (0.5, -7), (1.0, 0)))
"""Half of all sums are ties, which round away from zero on both sides."""


def test_without_a_plane_another_kernel_serves() -> None:
    """Results that are cut off within int8, and a result whose scale is far too small."""
    for op, y_scale in ((Add((-1.0, 1.0)), 0.02), (Add(), 0.001)):
        graph = sum_graph(op, 8, ((0.05, 3), (0.03, -7), (y_scale, 0)))
        assert plane_of(site(graph), SHIFTS) is None
        assert usable(site(graph), DSP)[0].name.startswith("add_int8" if op.clamp else "add_s8_flat")


def products() -> Iterator[Graph]:
    """Zero points at the ends, results up to both bounds."""
    rng = np.random.default_rng(6)
    for size in (*range(1, 10), 40, 57, 64):
        a, b = (float(v) for v in rng.uniform(0.01, 0.1, 2))
        zeros = [int(rng.choice([-128, 127, 0, -7])) for _ in range(3)]
        quants = ((a, zeros[0]), (b, zeros[1]), (float(rng.uniform(50, 150)) * a * b, zeros[2]))
        yield sum_graph(Mul(), size, quants)


def pools() -> Iterator[Graph]:
    ways = (
        ((2, 2), (2, 2), ((0, 0), (0, 0)), (6, 8)),
        ((3, 3), (2, 2), ((1, 1), (1, 1)), (7, 6)),
        ((3, 4), (1, 1), ((0, 1), (2, 1)), (4, 5)),
        ((1, 1), (1, 1), ((0, 0), (0, 0)), (2, 3)),
        ((5, 5), (1, 1), ((2, 2), (2, 2)), (3, 3)),
        ((15, 17), (1, 1), ((0, 0), (0, 0)), (15, 17)),
        ((1, 7), (1, 3), ((0, 0), (3, 3)), (2, 9)),
    )
    rng = np.random.default_rng(9)
    for window, stride, padding, size in ways:
        for c in (4, 5, 8, 11):
            for clamp in (None, (0.0, 1.5)):
                for kind in (MaxPool2d, AvgPool2d):
                    op = kind(window, stride, padding=padding, clamp=clamp)
                    quant = Quant.per_tensor(0.05, int(rng.integers(-128, 128)))
                    x = Tensor("x", (1, *size, c), "int8", quant)
                    y = Tensor("y", op.infer([x])[0], "int8", quant)
                    node = Node(op, ("x",), ("y",), "pool")
                    yield verify(Graph(("x",), ("y",), (node,), {"x": x, "y": y}))


def cases(kernel: Kernel) -> list[Case]:
    graphs = [*sums(), *products(), *pools()]
    return [
        Case(f"{i} {site(graph).op}", plan(graph, DSP, pick=lambda _, kernels: kernel))
        for i, graph in enumerate(graphs)
        if kernel in usable(site(graph), DSP)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("name", CORES)
def test_equal_on_cores(name: str, kernel: Kernel) -> None:
    some = cases(kernel)
    assert len(some) > 10
    batch = core_batch(some, load_target(name))
    assert [*batch.differences(seed=1), *batch.differences(seed=2)] == []


@pytest.mark.cross
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_equal_of_gcc(kernel: Kernel) -> None:
    batch = core_batch(cases(kernel), load_target("cortex-m4"), compiler="gcc", optimize="size")
    assert batch.differences(seed=3) == []
