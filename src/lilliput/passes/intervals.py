"""Between which integers every tensor's channels lie, whatever the inputs are: interval analysis, forward."""

from __future__ import annotations

from lilliput.graph import Graph
from lilliput.interval import Interval


def intervals(graph: Graph) -> dict[str, Interval]:
    """Of every tensor, from what the types of inputs and states hold and what constants are."""
    found = {name: Interval.of(t) for name, t in graph.tensors.items() if t.constant or name in graph.given}
    for node in graph.nodes:
        results = node.op.bounds(graph.site(node), [found[name] for name in node.inputs])
        found.update(zip(node.outputs, results, strict=True))
    return found
