"""Every operator's examples and a hundred random graphs on the emulated cores, in few ELFs."""

from __future__ import annotations

import pytest

from batch import Case, core_batch
from lilliput.examples import cases as example_cases
from lilliput.op import fastest, simplest
from lilliput.plan import plan
from lilliput.target import load_target, target_names
from test_random_graphs import cases as random_cases

UNICORN = [name for name in target_names() if load_target(name).emulator == "unicorn"]
RANDOM = 100


PARTS = 8
"""ELFs that hold all examples. The Cortex-M4 runs every one of them, and one of the other cores each part as well."""
OTHERS = [name for name in UNICORN if name != "cortex-m4"]
RUNS = [("cortex-m4", part) for part in range(PARTS)] + [
    (OTHERS[part % len(OTHERS)], part) for part in range(PARTS)
]


def examples(features: frozenset[str], part: int) -> list[Case]:
    """Every eighth example with the fastest and, where it is another, with the simplest kernels."""
    found = {}
    for label, graph in list(example_cases())[part::PARTS]:
        for pick in (fastest, simplest):
            planned = plan(graph, features, pick=pick)
            found.setdefault((label, *(s.kernel.name for s in planned.steps)), Case(label, planned))
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "part"), RUNS)
def test_examples(name: str, part: int) -> None:
    """Built for size; the random graphs are built for speed."""
    core = load_target(name)
    assert core_batch(examples(core.isa, part), core, optimize="size").differences(seed=31) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", UNICORN)
def test_random_graphs(name: str) -> None:
    start = 50_000 + 1000 * UNICORN.index(name)
    core = load_target(name)
    assert core_batch(random_cases(start, RANDOM, core.isa), core).differences(seed=32) == []


@pytest.mark.cross
@pytest.mark.parametrize("name", target_names())
def test_random_graphs_in_qemu(name: str) -> None:
    """The second emulator, and the only one of the M55."""
    core = load_target(name)
    batch = core_batch(random_cases(60_000, 25, core.isa), core, emulator="qemu")
    assert batch.differences(seed=33) == []


@pytest.mark.cross
@pytest.mark.parametrize("name", UNICORN)
def test_random_graphs_of_gcc(name: str) -> None:
    """The second compiler."""
    core = load_target(name)
    assert core_batch(random_cases(61_000, 40, core.isa), core, compiler="gcc").differences(seed=34) == []
