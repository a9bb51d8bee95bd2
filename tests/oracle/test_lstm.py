"""The LSTM: result and states are TFLM's in every integer, run after run."""

from __future__ import annotations

import numpy as np
import pytest

from against_tflm import int8, log_uniform, zero_point
from batch import Case, host_models, same
from lilliput.errors import UserError
from lilliput.evaluate import advance, run
from lilliput.graph import Array, Graph
from lilliput.importers.tflite import load_tflite
from lilliput.passes import simplify
from lilliput.plan import plan
from tflite_builder import Model
from tflm import Tflm

pytestmark = pytest.mark.slow
MODELS = 40
RUNS = 3
Rng = np.random.Generator


def model(rng: Rng, dtype: str, **spoil: int) -> tuple[bytes, tuple[int, ...]]:
    """A random LSTM and the shape of its input; time-major in half of the models, clipped in a quarter."""
    steps_first = bool(rng.random() < 0.5)
    n, t, i, h = (int(rng.integers(1, k)) for k in (4, 9, 20, 20))
    m = Model()
    integer = dtype != "float32"
    x_q = (log_uniform(rng, 0.005, 0.1), zero_point(rng)) if integer else ()
    h_q = (log_uniform(rng, 1 / 256, 1 / 100), int(rng.integers(-30, 30))) if integer else ()
    if dtype == "int16":
        x_q, h_q = (log_uniform(rng, 2e-5, 4e-4), 0), (log_uniform(rng, 1 / 65536, 1 / 30000), 0)
    cell = 2.0 ** int(rng.integers(-14, -7))
    reach = float(rng.choice([0.3, 1.0, 3.0]))

    def weights(columns: int) -> list[int]:
        found = []
        for _ in range(4):
            data = rng.normal(0, reach / np.sqrt(columns), (h, columns)).astype(np.float32)
            scale = float(np.abs(data).max() / 127)
            if integer:
                found.append(
                    m.tensor(data.shape, "int8", scale, 0, np.clip(np.round(data / scale), -127, 127))
                )
            else:
                found.append(m.tensor(data.shape, "float32", data=data))
        return found

    shape = (t, n, i) if steps_first else (n, t, i)
    x = m.tensor(shape, dtype, *x_q)
    w, r = weights(i), weights(h)
    if integer:
        most, sums = (8000, "int32") if dtype == "int8" else (2_000_000, "int64")
        b = [m.tensor((h,), sums, 1e-4, 0, rng.integers(-most, most, h)) for _ in range(4)]
    else:
        b = [m.tensor((h,), "float32", data=rng.normal(0, 0.3, h)) for _ in range(4)]
    state = m.tensor((n, h), dtype, *h_q)
    c = m.tensor((n, h), *(("int16", cell, 0) if integer else ("float32",)))
    y = m.tensor((*shape[:2], h), dtype, *h_q)
    operands = [x, *w, *r, -1, -1, -1, *b, -1, -1, state, c, -1, -1, -1, -1]
    for where, what in spoil.items():
        operands[int(where[1:])] = what if what < 0 else b[0]
    clip = float(rng.choice([0.0, 0.0, 0.0, 0.7]))
    options = {"fused_activation": "TANH", "cell_clip": clip, "time_major": steps_first}
    m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y], **options)
    built = m.inputs(x).outputs(y).to_object()
    return _with_variables(built, (state, c)), shape


def _with_variables(model: object, states: tuple[int, int]) -> bytes:
    from tflite_builder import pack

    for i in states:
        model.subgraphs[0].tensors[i].isVariable = True  # type: ignore[attr-defined]
    return pack(model)


def inputs(rng: Rng, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "int16":
        return rng.integers(-32768, 32768, shape).astype(np.int16)
    return int8(rng, shape) if dtype == "int8" else rng.normal(0, 1, shape).astype(np.float32)


def tensors_of(graph: Graph) -> dict[int, str]:
    """The file's number of every result and state -> our name of it after a run."""
    found = {int(name[1:]): name for name in graph.outputs}
    return found | {int(before[1:]): before for before, _ in graph.states}


def equal(expected: Array, found: Array) -> bool:
    """float32 sums in another order."""
    return same(expected, found.reshape(expected.shape), 1e-1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_equal_to_tflm_run_after_run(dtype: str) -> None:
    """TFLM keeps the states from one run to the next; so do we, in numpy and in C."""
    rng = np.random.default_rng(17)
    cases, proven = [], []
    for k in range(MODELS):
        content, shape = model(rng, dtype)
        oracle, graph = Tflm(content), load_tflite(content)
        feeds = [inputs(rng, dtype, shape) for _ in range(RUNS)]
        expected = [oracle.run(x) for x in feeds]
        state: dict[str, Array] = {}
        for x, wanted in zip(feeds, expected, strict=True):
            outputs, state = advance(graph, {graph.inputs[0]: x}, state)
            found = outputs | state
            for number, name in tensors_of(graph).items():
                assert equal(wanted[number], found[name]), f"model {k} {shape}: tensor {number} in numpy"
        cases.append(Case(f"model {k} {shape}", plan(graph)))
        proven.append((feeds, expected))
    told = 0
    for case, (feeds, expected), host in zip(cases, proven, host_models(cases), strict=True):
        graph, kept = case.plan.graph, host.fresh_state()
        for x, wanted in zip(feeds, expected, strict=True):
            found = host.run({graph.inputs[0]: x}, state=kept)
            for name, value in found.items():
                assert equal(wanted[int(name[1:])], value), f"{case.label}: the C"
        for name, offset in case.plan.state.items():
            t = graph.tensors[name]
            value = kept[offset : offset + t.nbytes].view(t.dtype)
            assert equal(wanted[int(name[1:])].reshape(-1), value), f"{case.label}: the state '{name}' in C"
        y = wanted[int(graph.outputs[0][1:])]
        told += np.unique(y).size > min(y.size, 16) // 2
    assert told > MODELS * 3 // 4, f"only {told} results are worth comparing"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"_9": 0}, "peepholes"),
        ({"_16": 0}, "projection"),
        ({"_20": 0}, "layer normalization"),
        ({"_1": -1}, "coupled gates"),
    ],
)
def test_what_tflm_refuses_is_refused(spoil: dict[str, int], message: str) -> None:
    content, _ = model(np.random.default_rng(5), "int8", **spoil)
    with pytest.raises(UserError, match=message):
        load_tflite(content)


def test_a_classifier_of_the_last_step_equals_tflm() -> None:
    """What Keras writes for LSTM and Dense; the steps before the last need no memory."""
    rng = np.random.default_rng(23)
    m = Model()
    t, i, h = 6, 5, 8
    x = m.tensor((1, t, i), "int8", 0.05, 3)

    def weights(rows: int, columns: int) -> int:
        return m.tensor((rows, columns), "int8", 0.01, 0, rng.integers(-127, 128, (rows, columns)))

    def bias(rows: int) -> int:
        return m.tensor((rows,), "int32", 1e-4, 0, rng.integers(-3000, 3000, rows))

    w, r = [weights(h, i) for _ in range(4)], [weights(h, h) for _ in range(4)]
    b = [bias(h) for _ in range(4)]
    state, c = m.tensor((1, h), "int8", 1 / 128, -2), m.tensor((1, h), "int16", 2.0**-11)
    y, last = m.tensor((1, t, h), "int8", 1 / 128, -2), m.tensor((1, h), "int8", 1 / 128, -2)
    out = m.tensor((1, 3), "int8", 0.1, 7)
    operands = [x, *w, *r, -1, -1, -1, *b, -1, -1, state, c, -1, -1, -1, -1]
    m.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        operands,
        [y],
        fused_activation="TANH",
        cell_clip=10.0,
        time_major=False,
    )
    ends = [m.tensor((3,), "int32", data=d) for d in ([0, -1, 0], [0, 0, 0], [1, 1, 1])]
    m.op("STRIDED_SLICE", [y, *ends], [last], begin_mask=5, end_mask=7, shrink_axis_mask=2)
    m.op("FULLY_CONNECTED", [last, weights(3, h), bias(3)], [out])
    content = _with_variables(m.inputs(x).outputs(out).to_object(), (state, c))
    graph = simplify(load_tflite(content))
    assert all(
        t.size <= h for name, t in graph.tensors.items() if not t.constant and name not in graph.inputs
    )
    oracle, (host,) = Tflm(content), host_models([Case("classifier", plan(graph))])
    kept, found = host.fresh_state(), []
    xs = [int8(rng, (1, t, i)) for _ in range(4)]
    for feed in xs:
        expected = oracle.run(feed)[out]
        found.append(expected)
        assert np.array_equal(expected, host.run({graph.inputs[0]: feed}, state=kept)[graph.outputs[0]])
    assert np.array_equal(np.concatenate(found), run(graph, np.concatenate(xs), keep_state=True))
