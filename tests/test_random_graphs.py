"""Two thousand random graphs through numpy and the C on the host, and what they covered."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from batch import Case, host_differences, host_models
from lilliput.examples import draw
from lilliput.host import FEATURES
from lilliput.op import REGISTRY, Kernel, Site
from lilliput.plan import largest_live_set, plan
from random_graphs import Coverage, features_of, random_model, reference

GRAPHS = 2000
CHUNK = 250
ENOUGH = 20


def case(seed: int, features: frozenset[str] = FEATURES) -> Case | None:
    """The model of a seed with a random kernel for each of its layers."""
    graph = random_model(seed)
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


def coverage(count: int) -> Coverage:
    covered = Coverage()
    for found in cases(0, count):
        (feed,) = draw(found.plan.graph, 0)
        covered.add(found.plan, reference(found.plan.graph, feed))
    return covered


@pytest.mark.slow
def test_every_operator_kernel_and_feature_is_covered() -> None:
    covered = coverage(GRAPHS).counts
    poor = []
    for name, cls in REGISTRY.items():
        for kernel in cls.kernels:
            if not kernel.isa <= FEATURES:
                continue
            for feature in features_of(cls, kernel):
                count = covered[name, kernel.name, feature]
                if count < ENOUGH:
                    poor.append(f"{name} × {kernel.name} × {feature}: {count}")
    assert poor == [], f"covered fewer than {ENOUGH} times"


def test_arena_is_never_below_the_largest_live_set_and_nothing_overlaps() -> None:
    gap: Counter[bool] = Counter()
    for found in cases(20_000, 150):
        p = found.plan
        assert p.arena >= p.lower_bound == largest_live_set([b for b, _ in p.buffers])
        gap[p.arena == p.lower_bound] += 1
        for i, (a, at) in enumerate(p.buffers):
            for b, bt in p.buffers[i + 1 :]:
                apart = at + a.size <= bt or bt + b.size <= at
                assert apart or a.last < b.first or b.last < a.first, f"{a} and {b} overlap"
    assert gap[True] > 140, "the placement should reach the lower bound on nearly all graphs"
