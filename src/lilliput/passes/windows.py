"""Windows without outer taps that count for nothing, and operators without clamps that never act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from lilliput import fixed
from lilliput.graph import Graph
from lilliput.interval import Interval
from lilliput.op import Op


def trim_windows(graph: Graph) -> Graph:
    """Rows and columns of taps that are zero in every channel, or see only padding, are cut off at the edges."""
    nodes, tensors = [], {}
    for node in graph.nodes:
        trimmed = node.op.trimmed(graph.site(node))
        if trimmed is not None:
            op, data = trimmed
            weights = graph.tensors[node.inputs[1]]
            name = f"{weights.name}.{node.outputs[0]}"
            tensors[name] = replace(weights, name=name, shape=data.shape, data=data)
            node = replace(node, op=op, inputs=(node.inputs[0], name, *node.inputs[2:]))
        nodes.append(node)
    return graph.with_nodes(nodes, tensors) if tensors else graph


def drop_idle_clamps(graph: Graph, known: Mapping[str, Interval]) -> Graph:
    """An integer result that lies between the bounds of its clamp anyway needs none."""
    nodes = []
    for node in graph.nodes:
        site = graph.site(node)
        clamp = getattr(node.op, "clamp", None) if node.op.fuses_clamp else None
        if clamp is not None and site.integer and site.y.quant is not None:
            free = cast(Op, replace(cast(Any, node.op), clamp=None))
            found = free.bounds(replace(site, op=free), [known[name] for name in node.inputs])
            if found[0].within(fixed.clamp_range(clamp, site.y.q, site.y.dtype)):
                node = replace(node, op=free)
        nodes.append(node)
    return graph.with_nodes(nodes)
