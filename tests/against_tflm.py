"""One-operator models computed by TFLM, by our import in numpy, and by the generated C with every kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batch import Case, host_models
from lilliput.evaluate import step_through
from lilliput.graph import Array, Graph
from lilliput.importers.tflite import load_tflite
from lilliput.op import usable
from lilliput.plan import plan
from tflm import Tflm


@dataclass(frozen=True, eq=False)
class OneOp:
    """A .tflite file, a few runs (each one array per input), and what it is in words."""

    label: str
    model: bytes
    runs: Sequence[Sequence[Array]]


def int8(rng: np.random.Generator, shape: Sequence[int], lo: int = -128, hi: int = 127) -> Array:
    """Integers over the whole range, both ends present."""
    values = rng.integers(lo, hi, tuple(shape), dtype=np.int8, endpoint=True)
    values.flat[0], values.flat[-1] = lo, hi
    return values


def log_uniform(rng: np.random.Generator, lo: float, hi: float) -> float:
    return float(np.exp(rng.uniform(np.log(lo), np.log(hi))))


def zero_point(rng: np.random.Generator) -> int:
    """Often an end of the range, where products are largest and clamps meet."""
    return int(rng.choice([-128, 127, 0, *rng.integers(-128, 128, 4)]))


def telling(value: Array) -> bool:
    """Whether a result would show a difference: no value makes up more than half of it."""
    return value.size > 0 and int(np.unique(value, return_counts=True)[1].max()) * 2 <= max(value.size, 2)


def compare(models: Sequence[OneOp], least_telling: int) -> None:
    """Fail unless all tensors are equal everywhere, and enough results were worth comparing."""
    wrong: list[str] = []
    cases: list[Case] = []
    proven: list[tuple[OneOp, list[dict[int, Array]]]] = []  # of each case
    told = 0
    for one in models:
        oracle, graph = Tflm(one.model), load_tflite(one.model)
        expected = [oracle.run(*run) for run in one.runs]
        told += any(telling(e[int(name[1:])]) for e in expected for name in graph.outputs)
        for run, tensors in zip(one.runs, expected, strict=True):
            wrong += _in_numpy(one, graph, run, tensors)
        for case in _every_kernel(one, graph):
            cases.append(case)
            proven.append((one, expected))
    for case, (one, expected), model in zip(cases, proven, host_models(cases), strict=True):
        for run, tensors in zip(one.runs, expected, strict=True):
            found = model.run(dict(zip(case.plan.graph.inputs, run, strict=True)))
            for name, value in found.items():
                if not _equal(tensors[int(name[1:])], value):
                    wrong.append(f"{case.label}: the C")
    assert not wrong, f"{len(wrong)} differences from TFLM, the first: {wrong[:5]}"
    assert told >= least_telling, f"only {told} of {len(models)} models have a result worth comparing"


def _every_kernel(one: OneOp, graph: Graph) -> list[Case]:
    """One plan per kernel that accepts the operator."""
    most = max(len(usable(site, frozenset())) for site in graph.sites() if not site.op.view)
    plans = [plan(graph, pick=lambda _, kernels, i=i: kernels[min(i, len(kernels) - 1)]) for i in range(most)]
    return [Case(f"{one.label} ({', '.join(step.kernel.name for step in p.steps)})", p) for p in plans]


def _in_numpy(one: OneOp, graph: Graph, run: Sequence[Array], expected: dict[int, Array]) -> list[str]:
    values: dict[str, Array] = {}
    step_through(graph, dict(zip(graph.inputs, run, strict=True)), values.__setitem__)
    missing = [i for i in expected if f"t{i}" not in values]
    assert not missing, f"{one.label}: tensors {missing} are not in our graph"
    return [
        f"{one.label}: tensor {i} in numpy"
        for i, value in expected.items()
        if not _equal(value, values[f"t{i}"])
    ]


def _equal(expected: Array, found: Array) -> bool:
    return expected.dtype == found.dtype and np.array_equal(expected, found)
