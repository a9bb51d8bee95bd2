"""Anomalies: a score per window, the limit above which it is one, and what that finds in a recording."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Tensor, verify
from lilliput.ops.binary import SquaredDifference
from lilliput.ops.logic import Less
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Reshape


def reconstruction_error(graph: Graph) -> Graph:
    """Of a model that gives its own input back, float32 on both ends: score [1, 1], the mean squared error."""
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if x.size != y.size or {x.dtype, y.dtype} != {"float32"}:
        raise UserError(f"the model takes {x} and gives {y}; expected its own input back, in float32")
    flat = Tensor("anomaly.x", y.shape)
    squares = Tensor("anomaly.squares", y.shape)
    score = Tensor("score", (1, 1))
    nodes = (
        Node(Reshape(y.shape), (x.name,), (flat.name,), "anomaly"),
        Node(SquaredDifference(), (flat.name, y.name), (squares.name,), "anomaly"),
        Node(Reshape((1, y.size)), (squares.name,), ("anomaly.row",), "anomaly"),
        Node(Mean((1,), True), ("anomaly.row",), (score.name,), "anomaly"),
    )
    new = {t.name: t for t in (flat, squares, score, Tensor("anomaly.row", (1, y.size)))}
    return verify(replace(graph, outputs=(score.name,)).with_nodes([*graph.nodes, *nodes], new))


def with_alarm(graph: Graph, limit: float) -> Graph:
    """A second output beside the score [1, 1]: whether it is above the limit."""
    score = graph.tensors[graph.outputs[0]]
    bound = Tensor("limit", (1, 1), data=np.full((1, 1), limit, np.float32))
    alarm = Tensor("alarm", (1, 1), "bool")
    node = Node(Less(), (bound.name, score.name), (alarm.name,), "alarm")
    whole = replace(graph, outputs=(score.name, alarm.name))
    return verify(whole.with_nodes([*graph.nodes, node], {bound.name: bound, alarm.name: alarm}))


def limit_of(scores: Array, false_alarms: float) -> float:
    """The float32 limit that the share `false_alarms` of normal samples is above."""
    return float(np.float32(np.quantile(scores.astype(np.float64), 1 - false_alarms)))


@dataclass(frozen=True)
class Detections:
    """Of samples in the order of time: events are anomalous samples in a row, found when one of them is above."""

    events: int
    found: int
    false_alarms: float
    """Share of the normal samples that are above the limit."""
    limit: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def detections(scores: Array, anomalous: Array, limit: float) -> Detections:
    """What the limit finds."""
    above = scores > np.float32(limit)
    starts = np.flatnonzero(np.diff(anomalous.astype(np.int8), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(anomalous.astype(np.int8), append=0) == -1) + 1
    found = sum(bool(above[a:b].any()) for a, b in zip(starts, ends, strict=True))
    normal = ~anomalous
    share = float(above[normal].mean()) if normal.any() else 0.0
    return Detections(len(starts), found, share, float(limit))
