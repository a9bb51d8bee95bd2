"""Every operator's examples and a hundred random graphs on the emulated cores, in few ELFs."""

from __future__ import annotations

import pytest

from batch import Case, core_batch
from lilliput.examples import cases as example_cases
from lilliput.op import usable
from lilliput.plan import plan
from lilliput.target import load_target, target_names
from test_random_graphs import cases as random_cases

UNICORN = [name for name in target_names() if load_target(name).emulator == "unicorn"]
RANDOM = 100


IN_A_BOARD = 60
"""How many examples fit in the flash of a board that QEMU emulates."""
PARTS = 14
"""ELFs that hold all examples: every core runs two of them, and in the cross-checks two others."""


def examples(features: frozenset[str], part: int) -> list[Case]:
    """Every fourteenth example with every kernel that may compute it."""
    found = {}
    labelled = [(label, graph) for label, graph in example_cases() if not label.endswith("-saturated")]
    for label, graph in labelled[part::PARTS]:
        for nth in range(max([1, *(len(usable(site, features)) for site in graph.sites())])):
            planned = plan(graph, features, pick=lambda _, kernels, n=nth: kernels[min(n, len(kernels) - 1)])
            found.setdefault((label, *(s.kernel.name for s in planned.steps)), Case(label, planned))
    return list(found.values())


def differences(part: int, name: str) -> list[str]:
    """Built for size; the random graphs are built for speed."""
    core = load_target(name)
    return core_batch(examples(core.isa, part), core, optimize="size").differences(seed=31)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_examples(part: int) -> None:
    assert differences(part, UNICORN[part % len(UNICORN)]) == []


@pytest.mark.cross
@pytest.mark.parametrize("part", range(PARTS))
def test_examples_on_another_core(part: int) -> None:
    assert differences(part, UNICORN[(part + 3) % len(UNICORN)]) == []


@pytest.mark.cross
@pytest.mark.parametrize("name", [name for name in target_names() if name not in UNICORN])
def test_examples_in_qemu(name: str) -> None:
    """Of the kernels that no other core has, as many at a time as fit in the board's flash."""
    core = load_target(name)
    own = core.isa - frozenset().union(*(load_target(other).isa for other in UNICORN))
    found = [case for part in range(PARTS) for case in examples(core.isa, part)]
    cases = [case for case in found if any(step.kernel.isa & own for step in case.plan.steps)]
    assert cases
    for i in range(0, len(cases), IN_A_BOARD):
        batch = core_batch(cases[i : i + IN_A_BOARD], core, optimize="size")
        assert batch.differences(seed=35) == []


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
