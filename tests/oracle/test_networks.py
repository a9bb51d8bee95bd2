"""Whole networks against TFLM, every tensor: in numpy, in C on the host, and some of them on an emulated core."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from against_tflm import telling
from batch import Case, host_models, same
from lilliput.evaluate import step_through
from lilliput.examples import draw
from lilliput.firmware import compile
from lilliput.graph import Array, Graph
from lilliput.host import value_at
from lilliput.importers.tflite import load_tflite
from lilliput.layers import layers_on_machine
from lilliput.passes.constant_channels import reduced
from lilliput.plan import plan
from tflite_networks import NETWORKS
from tflm import Tflm

pytestmark = pytest.mark.slow
RUNS = 3
ON_CORE = ("person int16", "person int4 weights", "float ends int16", "gates int16", "int8 and int16")


@cache
def proven(name: str) -> tuple[Graph, list[tuple[dict[str, Array], dict[str, Array]]]]:
    """The graph, and for some inputs what TFLM makes of each of its tensors."""
    model = NETWORKS[name]()
    graph, oracle = load_tflite(model), Tflm(model)
    runs = []
    for feed in draw(graph, 5, RUNS):
        values = oracle.run(*feed.values())
        runs.append((feed, {f"t{i}": value for i, value in values.items()}))
    return graph, runs


def differences(expected: dict[str, Array], found: dict[str, Array]) -> list[str]:
    """Tensors that are not the same; integers exactly, float32 within the bound for another order of summation."""
    seen = expected.keys() & found.keys()
    assert len(seen) >= 0.7 * len(expected), f"only {len(seen)} of {len(expected)} tensors are in our graph"
    return [name for name in sorted(seen) if not same(expected[name], found[name], 1.0)]


@pytest.mark.parametrize("name", NETWORKS)
def test_numpy_equals_tflm_in_every_tensor(name: str) -> None:
    graph, runs = proven(name)
    for feed, expected in runs:
        found: dict[str, Array] = {}
        step_through(graph, feed, found.__setitem__)
        assert differences(expected, found) == []
    told = [telling(value) for _, values in runs for value in values.values() if value.size > 4]
    assert sum(told) >= len(told) / 4, "few tensors would show a difference; ReLUs leave many zeros"


def test_host_c_equals_tflm_in_every_tensor() -> None:
    """All networks in one library; every layer is watched."""
    cases = [Case(name, plan(proven(name)[0])) for name in NETWORKS]
    wrong = []
    for case, model in zip(cases, host_models(cases), strict=True):
        for feed, expected in proven(case.label)[1]:
            found = dict(feed)

            def watch(step: int, arena: Array, case: Case = case, found: dict[str, Array] = found) -> None:
                for t in case.plan.steps[step].site.outs:
                    found[t.name] = value_at(case.plan, t.name, arena)

            model.run(feed, watch)
            views = {o for n in case.plan.graph.nodes if n.op.view for o in n.outputs}
            kept = {n: v for n, v in expected.items() if n not in views}
            wrong += [f"{case.label}: {t}" for t in differences(kept, found)]
    assert wrong == []


@pytest.mark.parametrize("name", ON_CORE)
def test_core_equals_tflm_in_every_tensor(name: str, tmp_path: Path) -> None:
    graph, runs = proven(name)
    built = compile(graph, "cortex-m4", name="net", out=tmp_path)
    kept = reduced(graph).kept  # channels that hold one value for any input are left out
    for feed, expected in runs[:2]:
        found = dict(feed)
        layers_on_machine(
            built, built.machine, feed, lambda _, t, value, found=found: found.__setitem__(t, value)
        )
        views = {o for n in graph.nodes if n.op.view for o in n.outputs}
        left = {n: v[..., kept[n]] if v.ndim else v for n, v in expected.items() if n not in views}
        assert differences(left, found) == []
