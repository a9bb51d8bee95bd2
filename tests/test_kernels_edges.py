"""Every int8 kernel of every core at the edges of what it takes, each tensor equal to numpy."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count, islice, product

import numpy as np
import pytest

from batch import Case, core_batch, every_tensor, host_models, kernels_of
from edge_graphs import OF_OPERATORS, edge_graph, edges_in, edges_of, feeds
from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.host import FEATURES
from lilliput.op import REGISTRY, Kernel, Site
from lilliput.plan import Plan, plan
from lilliput.target import load_target, target_names

POOL = 3000
"""How many graphs are drawn to find what each kernel meets."""
ROUNDS, STEP = 40, 40
"""How often, and how many graphs each, are drawn again for kernels that met an edge too seldom."""
PATIENCE = 150
"""After so many refusals a kernel is not asked about an edge that it has never met."""
CHAINS = 150
"""How many chains of layers are planned for a core."""
ENOUGH = 3
"""How often each kernel of a core is computed at each edge that it can meet."""
FORCED = (
    "odd channels",
    "weight -128",
    "K % 4 = 1",
    "K % 4 = 2",
    "K % 4 = 3",
    "stride 2",
    "uneven padding",
    "zero point -128",
    "zero point 127",
    "clamp",
)
"""The edges that each kernel of a convolution must have met as often, unless it refuses them."""
IN_A_BOARD = 120
"""How many cases fit in the flash of a board that QEMU emulates."""
UNICORN = [name for name in target_names() if load_target(name).emulator == "unicorn"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a drawn graph: its edges, and what its kernels said of it so far."""

    site: Site
    edges: frozenset[str]
    takes: dict[str, bool] = field(default_factory=dict)

    def accepted(self, kernel: Kernel) -> bool:
        """What its predicate says; it is asked once, for several cores have the kernel."""
        if kernel.name not in self.takes:
            self.takes[kernel.name] = kernel.when(self.site)
        return self.takes[kernel.name]


@cache
def pool() -> tuple[tuple[Graph, tuple[Layer, ...]], ...]:
    """The drawn graphs; the index is the seed."""
    graphs = [edge_graph(seed) for seed in range(POOL)]
    return tuple((graph, tuple(Layer(s, edges_of(s)) for s in graph.sites())) for graph in graphs)


@dataclass
class Chosen:
    """Cases for one core, how often its kernels meet which edge in them, and how often they refused one."""

    features: frozenset[str]
    cases: list[Case] = field(default_factory=list)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)

    def lacks(self, kernel: str, edges: frozenset[str]) -> bool:
        """Whether a kernel has not met one of these often enough, nor refused it too often to go on asking."""
        keys = [(kernel, edge) for edge in edges]
        return any(self.met[key] < ENOUGH and self.refusals[key] < PATIENCE for key in keys)

    def wants(self, kernel: Kernel, layer: Layer) -> bool:
        if not self.lacks(kernel.name, layer.edges):
            return False
        if not layer.accepted(kernel):
            self.refusals.update((kernel.name, edge) for edge in layer.edges)
            return False
        return True

    def take(self, label: str, planned: Plan) -> None:
        at = [(step.kernel.name, edges_in(planned, i)) for i, step in enumerate(planned.steps)]
        if any(self.lacks(*layer) for layer in at):
            self.met.update((kernel, edge) for kernel, edges in at for edge in edges)
            self.cases.append(Case(label, planned))


@cache
def chosen(features: frozenset[str]) -> Chosen:
    """Graphs of the pool until each kernel has met enough of all edges that it ever accepts."""
    result, chains = Chosen(features), 0
    for seed, (graph, layers) in enumerate(pool()):
        if len(layers) == 1:
            kernels = [kernel for kernel in layers[0].site.op.kernels if kernel.isa <= features]
            for kernel in kernels:
                if result.wants(kernel, layers[0]):
                    result.take(f"edge graph {seed}", alone(graph, features, kernel))
        elif chains < CHAINS:
            chains += 1
            for planned in chain_plans(graph, features, np.random.default_rng(seed)):
                result.take(f"edge graph {seed}", planned)
    draw_further(result)
    return result


def draw_further(result: Chosen) -> None:
    """More layers of the operators whose kernels met an edge too seldom."""
    seeds = count(POOL)
    owners = [
        (name, kernel) for name, cls in REGISTRY.items() if name in OF_OPERATORS for kernel in cls.kernels
    ]
    for _ in range(ROUNDS):
        short = seldom(result)
        kernels = {kernel for kernel, _ in short}
        for (name, kernel), seed in product([o for o in owners if o[1].name in kernels], islice(seeds, STEP)):
            (site,) = (graph := edge_graph(seed, name)).sites()
            wanted = any((kernel.name, edge) in short for edge in edges_of(site))
            if wanted and site.op.name == name and kernel.when(site):
                result.take(f"edge graph {seed} of {name}", alone(graph, result.features, kernel))


def alone(graph: Graph, features: frozenset[str], kernel: Kernel) -> Plan:
    """A graph of one layer, computed by this kernel."""
    return plan(graph, features, pick=lambda _, __: kernel)


def chain_plans(graph: Graph, features: frozenset[str], rng: np.random.Generator) -> Iterator[Plan]:
    """With random kernels, and with some layers by rows where that can be."""

    def pick(site: Site, kernels: list[Kernel]) -> Kernel:
        return kernels[0 if rng.random() < 0.6 else int(rng.integers(len(kernels)))]

    yield plan(graph, features, pick=pick)
    first, last = sorted(int(v) for v in rng.integers(0, len(graph.nodes), 2))
    if first < last:
        with contextlib.suppress(UserError):  # these cannot run by rows
            yield plan(graph, features, streams=((first, last),))


NO_OTHER_WINDOW = ("K % 4 = 2", "K % 4 = 3")
REFUSED = {
    "conv_s8_mve_row": ("uneven padding",),  # windows that touch no padding
    "dw_s8_arm32": NO_OTHER_WINDOW,  # than 3 x 3, here and below
    "dw_s8_mve": NO_OTHER_WINDOW,
    "dw_s8_rv32": NO_OTHER_WINDOW,
    "dw_s8_thumb": NO_OTHER_WINDOW,
    "linear_s8": ("uneven padding",),
    "linear_s8_thumb1": ("uneven padding", "K % 4 = 1", "K % 4 = 2", "K % 4 = 3"),
}
"""Beginning of kernels' names -> edges that they leave to the next kernel."""
BOUNDS = {
    "just below 2^23": ("conv_s8_dsp", "linear_s8_dsp"),
    "just below 2^30": ("conv_s8_4x1", "conv_s8_4x2", "conv_s8_dsp", "conv_s8_pairs"),
}
"""The accumulators up to which kernels are proved, and which of these: they must have met them."""


CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "linear")


def int8_kernels(features: frozenset[str], operators: Iterable[str]) -> list[Kernel]:
    """The int8 kernels of some operators that a core has."""
    kernels = {kernel.name: kernel for name in operators for kernel in REGISTRY[name].kernels}
    return [kernel for name, kernel in kernels.items() if "_s8" in name and kernel.isa <= features]


def refused(kernel: str) -> set[str]:
    return {edge for begin, edges in REFUSED.items() if kernel.startswith(begin) for edge in edges}


def seldom(found: Chosen) -> dict[tuple[str, str], int]:
    """(kernel, edge) -> how often it was met, where that is not often enough."""
    kernels = int8_kernels(found.features, CONVOLUTIONS)
    wanted = [(k.name, edge) for k in kernels for edge in FORCED if edge not in refused(k.name)]
    wanted += [(k.name, edge) for k in kernels for edge, names in BOUNDS.items() if k.name in names]
    wanted += [(k.name, "overlap") for k in kernels if k.overlap is not None]
    others = int8_kernels(found.features, set(OF_OPERATORS) - set(CONVOLUTIONS))
    wanted += [(k.name, "odd channels") for k in others if k.isa]
    return {key: found.met[key] for key in wanted if found.met[key] < ENOUGH}


IN_THE_CROSS_CHECKS = ("cortex-m33", "cortex-m7", "pxa27x")
"""Cores of one emulator whose kernels are those of others, or that have none of their own."""


def differences(name: str) -> list[str]:
    """Of the cases for a core; the registry's examples are those held to the bound of the stack."""
    core = load_target(name)
    found = chosen(core.isa)
    assert seldom(found) == {}, f"met fewer than {ENOUGH} times"
    together = len(found.cases) if core.emulator == "unicorn" else IN_A_BOARD
    parts = [found.cases[i : i + together] for i in range(0, len(found.cases), together)]
    batches = (core_batch(part, core, optimize="size", bounded=False) for part in parts)
    return [difference for batch in batches for difference in batch.differences(1, feeds)]


@pytest.mark.slow
def test_on_the_host() -> None:
    cases, wrong = chosen(FEATURES).cases, []
    assert seldom(chosen(FEATURES)) == {}, f"met fewer than {ENOUGH} times"
    for case, model in zip(cases, host_models(cases), strict=True):
        for feed in feeds(case.plan.graph, 1):
            expected, found = every_tensor(case, feed), model.run(feed)
            wrong += [
                case.label + kernels_of(case) for n, v in found.items() if not np.array_equal(v, expected[n])
            ]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in UNICORN if name not in IN_THE_CROSS_CHECKS])
def test_on_a_core(name: str) -> None:
    assert differences(name) == []


@pytest.mark.cross
@pytest.mark.parametrize("name", [*IN_THE_CROSS_CHECKS, "cortex-m55"])
def test_on_further_cores(name: str) -> None:
    assert differences(name) == []
