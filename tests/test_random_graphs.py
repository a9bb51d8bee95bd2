"""Two thousand random graphs through numpy and the C on the host, and what they covered."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from batch import Case, host_differences, host_models
from lilliput.examples import draw
from lilliput.host import FEATURES
from lilliput.op import REGISTRY, Kernel, Site
from lilliput.plan import largest_live_set, plan
from lilliput.target import load_target, target_names
from random_graphs import Coverage, features_of, random_model, reference
from test_plan import assert_sound

GRAPHS = 2000
CHUNK = 250
ENOUGH, OF_A_FEATURE = 20, 5
ROUNDS, STEP = 400, 12
"""How often, and with how many graphs each, operators that were met too seldom are drawn again."""


def case(seed: int, features: frozenset[str] = FEATURES, first: str | None = None) -> Case | None:
    """The model of a seed with a random kernel for each of its layers."""
    graph = random_model(seed, first)
    if graph is None:
        return None
    rng = np.random.default_rng(seed + 10**6)

    def any_kernel(site: Site, kernels: list[Kernel]) -> Kernel:
        # The narrower a predicate, the earlier its kernel stands: half of the time the first one that may run.
        return kernels[0 if rng.random() < 0.5 else int(rng.integers(len(kernels)))]

    return Case(f"seed {seed}", plan(graph, features, pick=any_kernel))


def cases(start: int, count: int, features: frozenset[str] = FEATURES) -> list[Case]:
    return [c for seed in range(start, start + count) if (c := case(seed, features))]


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, GRAPHS, CHUNK))
def test_host_equals_numpy(start: int) -> None:
    found = cases(start, CHUNK)
    assert len(found) > CHUNK * 0.9
    assert host_differences(found, host_models(found), seed=start) == []


@pytest.mark.slow
def test_a_few_without_undefined_behaviour() -> None:
    found = cases(10_000, 60)
    assert host_differences(found, host_models(found, sanitize="undefined"), seed=3) == []


def poorly_covered(covered: Coverage) -> set[tuple[str, str, str]]:
    """Every operator x kernel x feature that was not met often enough."""
    every = {
        (name, kernel.name, feature)
        for name, cls in REGISTRY.items()
        for kernel in cls.kernels
        if kernel.isa <= FEATURES
        for feature in features_of(cls, kernel)
    }
    return {key for key in every if covered.counts[key] < (ENOUGH if key[2] == "any" else OF_A_FEATURE)}


def cover() -> tuple[Coverage, list[Case]]:
    """What the 2,000 cover, and further graphs that begin with the operators they met too seldom."""
    covered, more = Coverage(), []

    def shown(found: Case) -> Coverage:
        (feed,) = draw(found.plan.graph, 0)
        one = Coverage()
        one.add(found.plan, reference(found.plan.graph, feed))
        return one

    for found in cases(0, GRAPHS):
        covered.counts += shown(found).counts
    seeds = count(GRAPHS)
    for _ in range(ROUNDS):
        poor = poorly_covered(covered)
        names = sorted({name for name, _, _ in poor})
        for name, seed in ((name, next(seeds)) for name in names for _ in range(STEP)):
            further = case(seed, first=name)
            one = shown(further) if further else Coverage()
            if further and poor & set(one.counts):
                covered.counts += one.counts
                more.append(further)
    return covered, more


@pytest.mark.slow
def test_every_operator_kernel_and_feature_is_covered() -> None:
    covered, more = cover()
    if more:
        assert host_differences(more, host_models(more), seed=4) == []
    poor = {f"{' × '.join(key)}: {covered.counts[key]}" for key in poorly_covered(covered)}
    assert poor == set(), f"covered fewer than {ENOUGH} times, or {OF_A_FEATURE} with a feature"


def test_arena_is_never_below_the_largest_live_set_and_nothing_clashes() -> None:
    gap: Counter[bool] = Counter()
    for found in cases(20_000, 150):
        p = found.plan
        assert p.arena >= p.lower_bound == largest_live_set([b for b, _ in p.buffers], p.overlaps)
        gap[p.arena == p.lower_bound] += 1
        assert_sound(p)
    assert gap[True] > 140, "the placement should reach the lower bound on nearly all graphs"


def main() -> None:
    """Write docs/random-graphs.md."""
    covered, more = cover()
    features = ("any", "stride", "padding", "odd", "branch", "saturated")
    lines = [
        "# What the random graphs cover",
        "",
        "Written by `python tests/test_random_graphs.py`. How often each kernel of each operator was computed in the",
        f"random graphs ({GRAPHS:,}, and {len(more)} more for what these met too seldom) with a result that is neither",
        "more than half constant nor more than half saturated, and how often with a stride, with padding, on an odd",
        "size, on a tensor that others read too, and with a result that reaches a bound of its type. A dash: it cannot",
        "happen.",
        "",
        "| operator | kernel | " + " | ".join(features) + " |",
        "|---|---|" + "--:|" * len(features),
    ]
    for name, cls in sorted(REGISTRY.items()):
        for kernel in cls.kernels:
            possible = features_of(cls, kernel)
            counts = (str(covered.counts[name, kernel.name, f]) if f in possible else "–" for f in features)
            if possible:  # the others serve types and attributes that only files bring
                lines.append(f"| {name} | {kernel.name} | {' | '.join(counts)} |")
    path = Path(__file__).resolve().parents[1] / "docs" / "random-graphs.md"
    path.write_text("\n".join([*lines, *edge_lines()]) + "\n", encoding="utf-8")


def edge_lines() -> list[str]:
    """What test_kernels_edges.py counts on every core."""
    from test_kernels_edges import CONVOLUTIONS, ENOUGH, chosen, int8_kernels

    columns = {
        "odd channels": ("odd channels",),
        "weight −128": ("weight -128",),
        "K % 4": ("K % 4 = 1", "K % 4 = 2", "K % 4 = 3"),
        "stride 2": ("stride 2",),
        "uneven padding": ("uneven padding",),
        "near 2^23": ("just below 2^23", "just past 2^23"),
        "near 2^30": ("just below 2^30",),
        "shared memory": ("in place", "overlap"),
        "by rows": ("by rows",),
    }
    cores = {name: chosen(load_target(name).isa) for name in target_names()}
    graphs = ", ".join(f"{len(found.cases)} on {name}" for name, found in cores.items())
    lines = [
        "",
        "## Edges of the int8 convolutions",
        "",
        "Layers of drawn integers that bring kernels to the edges of what they take (`tests/edge_graphs.py`), each",
        f"with four inputs and every tensor compared: {graphs}. The least that each kernel met of an edge on any core",
        f"that has it: {ENOUGH} at least of the first five, unless it refuses the edge; a dash where it never met it.",
        "",
        "| kernel | cores | " + " | ".join(columns) + " |",
        "|---|--:|" + "--:|" * len(columns),
    ]
    kernels = {k.name: k for found in cores.values() for k in int8_kernels(found.features, CONVOLUTIONS)}
    for name, kernel in sorted(kernels.items()):
        having = [found.met for found in cores.values() if kernel.isa <= found.features]
        least = [min(sum(met[name, edge] for edge in edges) for met in having) for edges in columns.values()]
        counts = " | ".join(str(n) if n else "–" for n in least)
        lines.append(f"| {name} | {len(having)} | {counts} |")
    return lines


if __name__ == "__main__":
    main()
