"""ONNX's own node tests through the generated C: which cases there are, how one is run, and a command to try some.

.venv/bin/python tests/onnx_nodes.py '^test_(gather|scatter)'
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from batch import Case, host_models
from lilliput.errors import LilliputError
from lilliput.graph import Array, Graph
from lilliput.host import FEATURES, HostModel
from lilliput.importers.onnx import NeedsConstantError, load_onnx, stored
from lilliput.passes import simplify
from lilliput.plan import plan

NODES = Path(onnx.__file__).parent / "backend/test/data/node"
TYPES = {1, 2, 3, 5, 6, 7, 9}
"""onnx.TensorProto.DataType: float32, uint8, int8, int16, int32, int64, bool."""
RTOL, ATOL = 1e-3, 1e-7
"""How ONNX's own test runner compares real numbers; integers are compared exactly."""


@dataclass(frozen=True, eq=False)
class NodeCase:
    """A case with its inputs in the order the graph stores them, and the outputs that ONNX expects."""

    name: str
    graph: Graph
    feed: Mapping[str, Array]
    expected: Mapping[str, Array]


def names() -> list[str]:
    """Every case whose inputs and outputs are tensors of types that exist here; no expanded function bodies."""
    return [d.name for d in sorted(NODES.iterdir()) if "_expanded" not in d.name and _fits(d)]


def _fits(folder: Path) -> bool:
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    kinds = [v.type for v in (*graph.input, *graph.output)]
    return all(k.HasField("tensor_type") and k.tensor_type.elem_type in TYPES for k in kinds)


def _tensors(folder: Path, kind: str, wanted: Sequence[str]) -> dict[str, Array]:
    found = {}
    for i, name in enumerate(wanted):
        proto = onnx.TensorProto.FromString((folder / f"test_data_set_0/{kind}_{i}.pb").read_bytes())
        found[name] = numpy_helper.to_array(proto)
    return found


def load_case(name: str) -> NodeCase:
    """The case as a graph; inputs that a model must know when it is compiled (shapes, weights) become constants."""
    folder = NODES / name
    proto = onnx.load(folder / "model.onnx").graph
    inputs = _tensors(folder, "input", [v.name for v in proto.input])
    expected = _tensors(folder, "output", [v.name for v in proto.output])
    known = {n: v for n, v in inputs.items() if v.size == 0}  # nothing to compute: no axes, for instance
    while True:
        shapes = {n: v.shape for n, v in inputs.items() if n not in known}
        try:
            graph = load_onnx((folder / "model.onnx").read_bytes(), shapes=shapes, constants=known)
            break
        except NeedsConstantError as error:
            if error.name not in inputs or error.name in known:
                raise
            known[error.name] = inputs[error.name]
    graph = simplify(graph)
    orders = graph.meta.get("orders", {})
    feed = {n: stored(inputs[n], orders.get(n)) for n in graph.inputs}
    wanted = dict(zip(graph.outputs, expected.values(), strict=True))
    return NodeCase(name, graph, feed, {n: stored(v, orders.get(n)) for n, v in wanted.items()})


def agrees(expected: Array, found: Array) -> bool:
    """As ONNX's own runner compares."""
    if expected.dtype != found.dtype or expected.shape != found.shape:
        return False
    if expected.dtype.kind == "f":
        return bool(np.allclose(found, expected, RTOL, ATOL, equal_nan=True))
    return bool(np.array_equal(expected, found))


def planned(name: str) -> tuple[NodeCase, Case]:
    case = load_case(name)
    return case, Case(name, plan(case.graph, FEATURES))


def difference(case: NodeCase, model: HostModel) -> str | None:
    """What the generated C computes wrongly, or None."""
    found = model.run(case.feed)
    for name, value in case.expected.items():
        if not agrees(value, found[name]):
            return f"output '{name}' is {found[name].reshape(-1)[:6]}, expected {value.reshape(-1)[:6]}"
    return None


def results(wanted: Iterable[str], chunk: int = 40) -> dict[str, str | None]:
    """Case -> None when the C computes what ONNX expects, else why not."""
    reasons: dict[str, str | None] = {}
    ready: list[tuple[NodeCase, Case]] = []
    for name in wanted:
        try:
            ready.append(planned(name))
        except LilliputError as error:
            reasons[name] = str(error)
    for i in range(0, len(ready), chunk):
        part = ready[i : i + chunk]
        for (case, _), model in zip(part, host_models([c for _, c in part]), strict=True):
            reasons[case.name] = difference(case, model)
    return reasons


if __name__ == "__main__":
    chosen = [n for n in names() if re.search(sys.argv[1] if len(sys.argv) > 1 else "", n)]
    outcome = results(chosen)
    for name, reason in sorted(outcome.items()):
        print(f"{'pass' if reason is None else 'FAIL'}  {name}" + (f": {reason[:160]}" if reason else ""))
    print(f"{sum(r is None for r in outcome.values())} of {len(outcome)} pass")
