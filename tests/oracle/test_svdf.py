"""SVDF against TFLM, run after run: the memory is kept, and every integer of it and of the result is equal."""

from __future__ import annotations

import numpy as np
import pytest

from against_tflm import int8, log_uniform, telling, zero_point
from batch import Case, host_models, same
from lilliput.evaluate import advance
from lilliput.graph import Array
from lilliput.importers.tflite import load_tflite
from lilliput.plan import plan
from tflite_builder import Model, pack
from tflm import Tflm

pytestmark = pytest.mark.slow
MODELS, RUNS = 24, 4


def model(rng: np.random.Generator, dtype: str) -> tuple[bytes, tuple[int, int]]:
    n, inputs, rank, units, steps = (int(v) for v in rng.integers(1, (3, 12, 4, 6, 8)))
    filters, whole = rank * units, dtype == "int8"
    m = Model()
    sx, sw, st = log_uniform(rng, 0.01, 0.2), log_uniform(rng, 0.002, 0.02), log_uniform(rng, 1e-5, 1e-4)
    memory = sx * sw * 75 * 75 * np.sqrt(inputs) / 9000
    sy = memory * st * 9000 * 18000 * np.sqrt(steps * rank) / log_uniform(rng, 30, 100)

    def weights(shape: tuple[int, int], kind: str, scale: float, most: int) -> int:
        if not whole:
            return m.tensor(shape, "float32", data=rng.normal(0, 0.5, shape).astype(np.float32))
        return m.tensor(shape, kind, scale, 0, rng.integers(-most, most + 1, shape))

    x = m.tensor((n, inputs), dtype, *((sx, zero_point(rng)) if whole else ()))
    operands = [x, weights((filters, inputs), "int8", sw, 127), weights((filters, steps), "int16", st, 32767)]
    bias = rng.normal(0, 0.5, units).astype(np.float32)
    if whole:  # without one TFLM crashes
        operands.append(m.tensor((units,), "int32", memory * st, 0, bias * 2**26))
    else:
        operands.append(m.tensor((units,), "float32", data=bias))
    state = (
        m.tensor((n, filters * steps), "int16", memory, 0) if whole else m.tensor((n, filters * steps), dtype)
    )
    y = m.tensor((n, units), dtype, *((sy, zero_point(rng)) if whole else ()))
    # TFLM's int8 form takes only RELU, and computes as if there were none.
    act = "RELU" if whole else str(rng.choice(["NONE", "RELU", "RELU6"]))
    m.op("SVDF", [*operands, state], [y], rank=rank, fused_activation=act)
    built = m.inputs(x).outputs(y).to_object()
    built.subgraphs[0].tensors[state].isVariable = True
    return pack(built), (n, inputs)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_equal_to_tflm_run_after_run(dtype: str) -> None:
    rng = np.random.default_rng(8)
    cases, proven, told = [], [], 0
    for k in range(MODELS):
        content, shape = model(rng, dtype)
        oracle, graph = Tflm(content), load_tflite(content)
        feeds: list[Array] = [
            int8(rng, shape) if dtype == "int8" else rng.normal(0, 1, shape).astype(np.float32)
            for _ in range(RUNS)
        ]
        expected = [oracle.run(x) for x in feeds]
        state: dict[str, Array] = {}
        for x, wanted in zip(feeds, expected, strict=True):
            outputs, state = advance(graph, {graph.inputs[0]: x}, state)
            for name, value in (outputs | state).items():
                assert same(wanted[int(name[1:])], value, 1e-1), f"model {k} {shape}: '{name}' in numpy"
        told += any(telling(e[int(graph.outputs[0][1:])]) for e in expected)
        cases.append(Case(f"model {k} {shape}", plan(graph)))
        proven.append((feeds, expected))
    for case, (feeds, expected), host in zip(cases, proven, host_models(cases), strict=True):
        kept = host.fresh_state()
        for x, wanted in zip(feeds, expected, strict=True):
            for name, value in host.run({case.plan.graph.inputs[0]: x}, state=kept).items():
                assert same(wanted[int(name[1:])], value, 1e-1), f"{case.label}: the C"
    assert told > MODELS // 2, f"only {told} results are worth comparing"
