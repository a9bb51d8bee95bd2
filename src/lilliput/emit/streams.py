"""What a run calls, in order: layers, and streams of layers with the order of their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.emit import literals
from lilliput.plan import FEED, Plan, Stream
from lilliput.plan.types import row_bytes


@dataclass(frozen=True)
class Call:
    """What a run calls next: a layer, or a stream with its order and what its layers' cursors start with."""

    function: str
    layers: tuple[str, ...] = ()
    order: str = ""
    length: int = 0
    start: tuple[str, ...] = ()
    cursors: int = 0
    fed: bool = False


@dataclass(frozen=True)
class Fed:
    """The input that comes by rows: where the next one goes."""

    offset: int
    pitch: int
    rows: int
    cursors: int


def calls_of(plan: Plan, prefix: str) -> list[Call]:
    """What a run calls, in order."""
    calls = []
    for i in range(len(plan.steps)):
        stream = plan.stream_of(i)
        if stream is None:
            calls.append(Call(f"{prefix}_l{i}"))
        elif stream.first == i:
            calls.append(_stream_call(plan, stream, f"{prefix}_s{plan.streams.index(stream)}", prefix))
    return calls


def _stream_call(plan: Plan, stream: Stream, function: str, prefix: str) -> Call:
    layers = range(stream.first, stream.last + 1)
    order = np.array([255 if i == FEED else i for i in stream.order], np.uint8)
    start = ["{1, 0, {0, 0}}" if stream.fed else "{0, 0, {0, 0}}"]
    for i in layers:
        rows, data = plan.steps[i].rows, [t for t in plan.steps[i].site.ins if not t.constant]
        assert rows is not None
        start.append(f"{{0, 0, {{{-rows.pad % (plan.ring(data[0].name) or data[0].shape[1])}, 0}}}}")
    names = tuple(f"{prefix}_l{i}" for i in layers)
    body = literals.array(order)
    return Call(function, names, body, len(order), tuple(start), stream.cursors, stream.fed)


def fed_input(plan: Plan) -> Fed | None:
    """Where rows of the input go, when it is fed by rows."""
    stream = plan.fed
    if stream is None:
        return None
    (name,) = plan.graph.inputs
    t = plan.graph.tensors[name]
    rows = plan.ring(name) or t.shape[1]
    return Fed(plan.offsets[name], row_bytes(t.nbytes, t.shape), rows, stream.cursors)
