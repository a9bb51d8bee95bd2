"""Exported models: the same graph when they are read again, and the same integers when TFLM runs them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.examples import cases, draw
from lilliput.exporters import export_onnx, export_tflite
from lilliput.exporters.onnx import order
from lilliput.exporters.registry import onnx_writers, tflite_writers
from lilliput.graph import Array, Graph
from lilliput.importers.onnx import load_onnx
from lilliput.importers.tflite import load_tflite
from lilliput.passes import simplify
from random_graphs import in_form, random_graph
from shared import shared
from tflm import Tflm

MODELS = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")


def difference(a: Graph, b: Graph) -> str | None:
    """Where two graphs differ in anything but names."""
    if len(a.nodes) != len(b.nodes):
        return f"{len(a.nodes)} nodes, {len(b.nodes)} nodes"
    renamed = dict(zip(a.inputs, b.inputs, strict=True))
    for x, y in zip(a.nodes, b.nodes, strict=True):
        if x.op != y.op:
            return f"{x.op} became {y.op}"
        for i, j in zip((*x.inputs, *x.outputs), (*y.inputs, *y.outputs), strict=True):
            if not a.tensors[i].constant and renamed.setdefault(i, j) != j:
                return f"'{i}' is '{renamed[i]}' and '{j}'"
            s, t = a.tensors[i], b.tensors[j]
            if (s.shape, s.dtype) != (t.shape, t.dtype) or not np.array_equal(*(_data(v) for v in (s, t))):
                return f"{s} became {t}"
            if s.quant is not None and not s.quant.same(t.quant) and not (s.constant and s.dtype == "int32"):
                return f"{s} became {t}"
    return None if tuple(renamed[o] for o in a.outputs) == b.outputs else "other outputs"


def _data(t: object) -> Array:
    data = getattr(t, "data", None)
    return np.zeros(0) if data is None else data


def check_return(graph: Graph, data: bytes) -> None:
    """What is read again computes the same, and is written as the same bytes: a fixed point but for identities."""
    back = load_tflite(data)
    again = export_tflite(back)
    assert export_tflite(load_tflite(again)) == again
    for feed in draw(graph, 7, 2):
        values = dict(zip(back.inputs, feed.values(), strict=True))
        results = zip(step_through(graph, feed).values(), step_through(back, values).values(), strict=True)
        assert all(a.tobytes() == b.tobytes() for a, b in results)


def in_tflm(data: bytes, graph: Graph, feed: dict[str, Array]) -> dict[str, Array]:
    """What TFLM computes for the outputs of an exported graph."""
    model = load_tflite(data)
    values = Tflm(data).run(*(feed[name] for name in graph.inputs))
    return {name: values[int(t[1:])] for name, t in zip(graph.outputs, model.outputs, strict=True)}


@pytest.mark.parametrize("name", MODELS)
def test_reference_models_come_back_and_run_in_tflm(name: str) -> None:
    graph = load_tflite(shared(f"models/{name}.tflite"))
    data = export_tflite(graph)
    assert difference(graph, load_tflite(data)) is None
    for feed in draw(graph, 3, 2):
        expected = step_through(graph, feed)
        for output, value in in_tflm(data, graph, feed).items():
            np.testing.assert_array_equal(value, expected[output])


ABORTS = (["softmax", "7"], ["softmax", "8"])
"""Rows that end TFLM's process: a beta of almost nothing, and more equal maxima than its sum holds (see tflm.py)."""


def exportable() -> Iterator[tuple[str, Graph]]:
    """Every int8 example of the operators that have a writer."""
    for label, graph in cases():
        types = {t.dtype for t in graph.tensors.values() if not t.constant}
        if label.split("-")[:2] in ABORTS:
            continue
        if types == {"int8"} and all(type(n.op) in tflite_writers() for n in graph.nodes):
            yield label, graph


def test_every_example_runs_in_tflm_with_equal_results() -> None:
    """Or it is refused with a reason."""
    ran: dict[str, int] = {}
    for label, graph in exportable():
        op = graph.nodes[0].op.name
        try:
            data = export_tflite(graph)
        except UserError:
            continue
        check_return(graph, data)
        (feed,) = draw(graph, 5)
        try:
            found = in_tflm(data, graph, feed)
        except RuntimeError:  # a rank or broadcast that the interpreter has no kernel for
            continue
        for output, value in step_through(graph, feed).items():
            np.testing.assert_array_equal(found[output], value, err_msg=label)
        ran[op] = ran.get(op, 0) + 1
    names = {op.name for op in tflite_writers()} - {"reshape", "dequantize"}
    assert names <= set(ran), f"never compared: {names - set(ran)}"


@pytest.mark.slow
def test_random_graphs_come_back() -> None:
    among, count = frozenset(op.name for op in tflite_writers()), 0
    for seed in range(200):
        graph = in_form(random_graph(seed, ("int8", "int8"), among=among), ("int8", "int8"), seed)
        if graph is None or not graph.nodes:
            continue
        try:
            data = export_tflite(graph)
        except UserError:
            continue
        check_return(graph, data)
        count += 1
    assert count >= 40


def test_what_the_format_lacks_is_named() -> None:
    _, graph = next((k, g) for k, g in cases() if k.startswith("clamp-") and g.nodes[0].op.lo not in (0, -1))
    with pytest.raises(UserError, match=r"layer 'clamp' \(clamp\): .* no activation that clamps to"):
        export_tflite(graph)


def in_onnx(data: bytes, graph: Graph, feed: dict[str, Array]) -> list[Array]:
    """What ONNX's own reference evaluator computes, as the graph stores it."""
    session = ReferenceEvaluator(onnx.load_from_string(data))
    given = {
        v.name: np.transpose(x, order(x.ndim))
        for v, x in zip(session.proto_.graph.input, feed.values(), strict=True)
    }
    back = {4: (0, 2, 3, 1)}
    return [np.transpose(y, back.get(y.ndim)) if y.ndim == 4 else y for y in session.run(None, given)]


def test_every_example_is_right_in_onnx() -> None:
    """Floats up to the order of summation; integers up to one step, for others round between the pairs as they like.

    Saturated examples, and graphs near the overflow of int32, have no meaning in floats.
    """
    ran: set[str] = set()
    for label, graph in cases():
        if not all(type(n.op) in onnx_writers() for n in graph.nodes) or label.endswith(
            ("saturated", "graph", "int16", "int4")
        ):
            continue
        try:
            data = export_onnx(graph)
        except UserError:
            continue
        (feed,) = draw(graph, 5)
        for value, expected in zip(
            in_onnx(data, graph, feed), step_through(graph, feed).values(), strict=True
        ):
            assert (value.shape, value.dtype) == (expected.shape, expected.dtype), label
            if value.dtype == np.float32:
                np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4, err_msg=label)
            else:
                assert np.abs(value.astype(int) - expected.astype(int)).max() <= 1, label
        ran.update(n.op.name for n in graph.nodes)
    assert {op.name for op in onnx_writers()} - {"quantize", "dequantize"} <= ran


@pytest.mark.parametrize("name", MODELS)
def test_reference_models_in_onnx(name: str) -> None:
    """The results of other arithmetic: the same class, and few steps apart."""
    graph = load_tflite(shared(f"models/{name}.tflite"))
    data = export_onnx(graph)
    (feed,) = draw(graph, 3)
    ((value,), (expected,)) = in_onnx(data, graph, feed), step_through(graph, feed).values()
    assert value.argmax() == expected.argmax()


@pytest.mark.parametrize("name", MODELS)
def test_reference_models_come_back_from_onnx(name: str) -> None:
    """Quantize and dequantize pairs become the integer layers again that they were."""
    graph = load_tflite(shared(f"models/{name}.tflite"))
    back = simplify(load_onnx(export_onnx(graph)))
    assert [node.op for node in back.nodes] == [node.op for node in graph.nodes]
    for feed in draw(graph, 3, 2):
        values = dict(zip(back.inputs, feed.values(), strict=True))
        results = zip(step_through(graph, feed).values(), step_through(back, values).values(), strict=True)
        assert all(np.array_equal(a, b) for a, b in results)
