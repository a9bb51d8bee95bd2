"""The kernels for cores with MVE: their proofs, every shape on QEMU's Cortex-M55, instructions, overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from batch import Case, CoreBatch, core_batch
from edge_graphs import Drawn, feeds
from lilliput.build import build_firmware
from lilliput.emit import emit
from lilliput.emulate import open_machine
from lilliput.evaluate import step_through
from lilliput.graph import Graph, Quant, Shape
from lilliput.op import Kernel, Pick, Site, usable
from lilliput.ops.binary import Add, Mul, Sub
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.ops.conv.kernels_mve import ANY, CONV_S8, DEPTHWISE_S8, ROW
from lilliput.plan import plan
from lilliput.target import load_target
from test_kernels_conv import SAME, Convolution, int8_graph, layer, near_the_bound, shapes

M55 = "cortex-m55"
MVE = "mve"
RELU = (0.0, float("inf"))
PER_ELF = 120
"""So many graphs fit the board's flash."""


def convolutions() -> Iterator[Graph]:
    """Taps and channels around the sizes of vectors; windows that are pieces of a row, and others; narrow rows."""
    seed = iter(range(1000))
    for ic, oc in ((1, 4), (3, 3), (8, 5), (15, 1), (16, 8), (17, 6), (33, 9)):
        clamp = RELU if oc % 2 else None
        for width in (1, 2, 5):
            yield layer(Conv2d(clamp=clamp), (1, 2, width, ic), (1, 1), oc, next(seed))
            yield layer(Conv2d(padding=SAME, clamp=clamp), (1, 3, width, ic), (3, 3), oc, next(seed))
        yield layer(Conv2d(clamp=clamp), (1, 2, 6, ic), (1, 3), oc, next(seed))
        yield layer(Conv2d(stride=(1, 2), clamp=clamp), (1, 2, 7, ic), (1, 2), oc, next(seed))
        yield layer(Conv2d(padding=((0, 0), (2, 1))), (1, 2, 4, ic), (1, 4), oc, next(seed))
        yield layer(Linear(clamp=clamp), (1, 2, ic), (1, 1), oc, next(seed))
    for pixels, ic, oc in ((70, 8, 5), (37, 16, 4), (67, 24, 3)):  # more than are copied at once
        yield layer(Conv2d(clamp=RELU if oc == 5 else None), (1, 1, pixels, ic), (1, 1), oc, next(seed))
        yield layer(Conv2d(), (1, 2, pixels, ic), (1, 2), oc, next(seed))
    for ic, window, stride in (
        (1, (10, 4), 2),
        (3, (5, 5), 1),
        (4, (1, 7), 3),
        (2, (7, 3), 1),
        (12, (9, 2), 1),
    ):
        padding = ((window[0] // 2, 1), (1, window[1] // 2))
        yield layer(Conv2d(padding=padding, stride=(1, stride)), (1, 9, 9, ic), window, 6, next(seed))
    yield layer(Conv2d(padding=((1, 1), (4, 4))), (1, 2, 2, 2), (3, 5), 4, next(seed))  # wider than the input


def depthwise() -> Iterator[Graph]:
    """Channels that eight does not divide, every place of the window, rows of few pixels."""
    seed = iter(range(1000))
    for c in (8, 9, 15, 16, 20, 23):
        clamp = RELU if c % 2 else None
        for width in (1, 2, 3, 6):
            yield layer(DepthwiseConv2d(padding=SAME, clamp=clamp), (1, 3, width, c), (3, 3), c, next(seed))
        twice = DepthwiseConv2d(padding=((0, 1), (0, 1)), stride=(2, 2), clamp=RELU if c % 2 == 0 else None)
        for width in (2, 5, 8):
            yield layer(twice, (1, 4, width, c), (3, 3), c, next(seed))
        wide = DepthwiseConv2d(padding=((2, 0), (2, 2)), dilation=(2, 1), clamp=clamp)
        yield layer(wide, (1, 5, 4, c), (3, 3), c, next(seed))
        yield layer(
            DepthwiseConv2d(padding=((2, 2), (2, 2)), clamp=clamp), (1, 4, 4, c), (5, 5), c, next(seed)
        )
        gaps = DepthwiseConv2d(padding=((0, 0), (2, 3)), stride=(1, 3), dilation=(1, 2), clamp=clamp)
        yield layer(gaps, (1, 2, 7, c), (1, 4), c, next(seed))
        yield layer(DepthwiseConv2d(), (1, 8, 7, c), (7, 7), c, next(seed))


def others() -> Iterator[Graph]:
    """Sums, products and pools of random shapes."""
    for i in range(36):
        d = Drawn(np.random.default_rng(i))
        x = d.input((1, int(d.rng.integers(1, 8)), int(d.rng.integers(1, 8)), (3, 8, 17, 33)[i % 4]))
        if i % 3:
            d.pool(x)
        else:
            quant = Quant.per_tensor(float(d.rng.uniform(0.5, 2.5)), d.zero_point())
            op = (Add, Mul, Sub)[i // 3 % 3](clamp=d.clamp(quant))
            d.append(op, (x, d.input(x.shape)), quant)
        if d.nodes:
            yield d.graph()


def only(kernel: Kernel) -> Pick:
    return lambda _, __: kernel


def with_mve(graphs: Sequence[Graph]) -> list[Case]:
    """Each graph of one layer with each kernel for MVE that takes it."""
    found = []
    for i, graph in enumerate(graphs):
        (site,) = graph.sites()
        for kernel in usable(site, load_target(M55).isa):
            if MVE in kernel.isa:
                planned = plan(graph, load_target(M55).isa, pick=only(kernel))
                found.append(Case(f"{i} {site.op} with {kernel.name}", planned))
    return found


def differences(batch: CoreBatch) -> list[str]:
    wrong = []
    for i, case in enumerate(batch.cases):
        (name,) = case.plan.graph.outputs
        for feed in feeds(case.plan.graph, seed=3):
            if not np.array_equal(step_through(case.plan.graph, feed)[name], batch.run(i, feed)[name]):
                wrong.append(case.label)
    batch.machine.close()
    return wrong


@pytest.mark.cross
@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_every_shape(compiler: str) -> None:
    graphs = [*convolutions(), *depthwise(), *others(), *shapes(), near_the_bound(6, 900, 2**30)]
    cases = with_mve(graphs)
    names = {case.plan.steps[0].kernel.name for case in cases}
    assert {k.name for k in (*CONV_S8, *DEPTHWISE_S8)} < names
    assert {"add_s8_flat_mve", "mul_s8_flat_mve", "avgpool_s8_mve", "maxpool_s8_mve"} < names
    for first in range(0, len(cases), PER_ELF):
        some = cases[first : first + PER_ELF]
        assert differences(core_batch(some, load_target(M55), compiler=compiler)) == []


def kernel_of(graph: Graph) -> Kernel:
    (site,) = graph.sites()
    return usable(site, load_target(M55).isa)[0]


def test_two_products_of_minus_128_do_not_fit_16_bits() -> None:
    def graph(first: int, second: int) -> Graph:
        weights = np.full((1, 3, 3, 8), 3, np.int8)
        weights[0, 0, 0, 5], weights[0, 0, 1, 5] = first, second
        bias = np.zeros(8, np.int32)
        return int8_graph(DepthwiseConv2d(padding=SAME), (1, 3, 4, 8), weights, bias, (0, 0), 0.2)

    assert kernel_of(graph(-128, -127)).name == "dw_s8_mve_step_1_halves"
    assert kernel_of(graph(-128, -128)) is ANY
    assert differences(core_batch(with_mve([graph(-128, -127), graph(-128, -128)]), load_target(M55))) == []


def test_only_a_clamp_at_the_zero_point_spares_the_rounding() -> None:
    def name(clamp: tuple[float, float] | None) -> str:
        return kernel_of(layer(DepthwiseConv2d(clamp=clamp), (1, 3, 4, 8), (3, 3), 8, 1)).name

    assert name(RELU) == "dw_s8_mve_step_1_relu"
    assert name(None) == "dw_s8_mve_step_1_halves"


def site_of(op: Convolution, x: Shape, out: int) -> Site:
    (site,) = layer(op, x, (1, 1), out, 0).sites()
    return site


def test_a_result_overlaps_what_was_copied() -> None:
    """Results never reach pixels that are still to be copied, and one byte further they would."""
    _, kernel = ROW
    assert kernel.overlap is not None
    for pixels, ic, out in (
        (70, 8, 4),
        (70, 4, 8),
        (33, 5, 5),
        (64, 16, 2),
        (65, 3, 4),
        (200, 40, 30),
        (9, 200, 7),
    ):
        site = site_of(Conv2d(), (1, 1, pixels, ic), out)
        offset, together = kernel.overlap(site), kernel.params(site)["together"]
        assert offset is not None
        done = np.arange(together, pixels, together)
        assert (done * ic - (offset + done * out)).min() == 0
    few = site_of(Conv2d(), (1, 1, 32, 8), 9)
    assert kernel.overlap(few) == few.x.nbytes
    assert kernel.overlap(site_of(Conv2d(stride=(2, 1)), (1, 3, 4, 4), 4)) is None


def instructions_per_mac(graph: Graph, folder: Path) -> float:
    target = load_target(M55)
    emitted = emit(plan(graph, target.isa), "m")
    (folder / "m.c").write_text(emitted.source)
    (folder / "m.h").write_text(emitted.header)
    image = build_firmware([folder / "m.c"], folder / "m.elf", target, prefix="m")
    machine = open_machine(image)
    found = machine.call("m_run", image.arena.origin, image.arena.size).instructions / graph.macs()
    machine.close()
    return found


@pytest.mark.cross
@pytest.mark.parametrize(
    ("op", "x", "kernel", "out", "most"),
    [
        pytest.param(Conv2d(clamp=RELU), (1, 12, 12, 64), (1, 1), 64, 0.18, id="pointwise"),
        pytest.param(Conv2d(), (1, 12, 12, 64), (1, 1), 64, 0.20, id="pointwise, rounded exactly"),
        pytest.param(Conv2d(padding=SAME, clamp=RELU), (1, 8, 8, 16), (3, 3), 16, 0.17, id="3x3"),
        pytest.param(
            Conv2d(padding=SAME, clamp=RELU), (1, 32, 32, 3), (3, 3), 16, 0.33, id="3x3 of an image"
        ),
        pytest.param(
            DepthwiseConv2d(padding=SAME, clamp=RELU), (1, 12, 12, 64), (3, 3), 64, 1.1, id="depthwise"
        ),
        pytest.param(
            DepthwiseConv2d(padding=((2, 2), (2, 2))),
            (1, 12, 12, 64),
            (5, 5),
            64,
            1.5,
            id="depthwise, any window",
        ),
        pytest.param(Linear(), (1, 64), (1, 1), 64, 0.27, id="linear"),
    ],
)
def test_instructions_per_mac(
    op: Convolution, x: Shape, kernel: tuple[int, int], out: int, most: float, tmp_path: Path
) -> None:
    assert instructions_per_mac(layer(op, x, kernel, out, seed=1, spread=20.0), tmp_path) <= most
