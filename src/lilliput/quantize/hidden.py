"""Values that hide positions from a softmax, such as minus infinity, must not take the 256 steps from the others.

Who reads only what is near the greatest value of a row says so (`Op.reach`); what lies further down saturates. From
there bounds go back through the graph (`Op.operand_limits`): to a mask that is added, chosen, moved or given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lilliput.graph import Array, Graph, Node, Tensor
from lilliput.op import Limits, Site

ABSURD = 4.0
"""A range is cut where that makes it at least so many times narrower."""
APART = 256.0
"""A row whose greatest value lies so far below that of others shows nothing: all of it is hidden."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A float graph whose constants are within bounds, and the ranges of its activations.

    `floats` are the outputs of nodes that compute such values from others: a mask times a large number. Integers
    cannot hold their operands' sizes, so that they stay in float32, and their results saturate.
    """

    graph: Graph
    ranges: Mapping[str, Limits]
    floats: frozenset[tuple[str, ...]]


def rows_read(graph: Graph) -> dict[str, float]:
    """Activation -> its reach, where every reader looks only so far below the greatest of a row."""
    found = {}
    for name, readers in graph.consumers().items():
        t = graph.tensors[name]
        reaches = [n.op.reach() if n.inputs[0] == name else None for n in readers]
        known = [r for r in reaches if r is not None]
        if known and len(known) == len(reaches) and name not in graph.kept and not t.constant:
            found[name] = max(known)
    return found


def least_that_counts(greatest: Sequence[Array], reach: float) -> float:
    """The value below which none counts, from the greatest value of every row."""
    each = np.concatenate([np.ravel(v) for v in greatest])
    return float(each[each >= each.max() - APART].min()) - reach


def cut(graph: Graph, ranges: Mapping[str, Limits]) -> Cut:
    """Ranges and constants without what cannot count, given the ranges of what `rows_read` names."""
    now, limits = dict(ranges), {}
    for name in rows_read(graph):
        if name in now:
            limits[name] = (now[name][0], math.inf)
    readers: dict[str, list[Limits | None]] = {name: [None] for name in graph.kept}
    nodes: list[Node] = []
    tensors: dict[str, Tensor] = {}
    floats: set[tuple[str, ...]] = set()
    for node in reversed(graph.nodes):
        bounds = _bounds(graph.site(node), node, now, limits, readers, floats)
        inputs = list(node.inputs)
        for i, name in enumerate(node.inputs):
            t = graph.tensors[name]
            bound = None if bounds is None else bounds[i]
            if t.data is None:
                readers.setdefault(name, []).append(bound)
            elif t.dtype == "float32" and bound is not None:
                whole = float(t.data.min()), float(t.data.max())
                if within(whole, bound) != whole:
                    inputs[i] = f"{name}@cut.{node.outputs[0]}.{i}"
                    data = np.clip(t.data, *bound).astype(np.float32)
                    tensors[inputs[i]] = replace(t, name=inputs[i], data=data)
        nodes.append(replace(node, inputs=tuple(inputs)))
    for name in graph.given:
        _settle(name, now, limits, readers)
    return Cut(graph.with_nodes(nodes[::-1], tensors), now, frozenset(floats))


def _bounds(
    site: Site,
    node: Node,
    now: dict[str, Limits],
    limits: dict[str, Limits],
    readers: Mapping[str, list[Limits | None]],
    floats: set[tuple[str, ...]],
) -> tuple[Limits, ...] | None:
    """Bounds of a node's operands, from those of its only result, whose range is cut on the way."""
    name = node.outputs[0]
    narrower = _settle(name, now, limits, readers)
    if len(node.outputs) != 1 or name not in limits or site.y.dtype != "float32":
        return None
    operands = [_range(t, now) for t in site.ins]
    found = site.op.operand_limits(limits[name], operands)
    if found is None and narrower:
        floats.add(node.outputs)
    return found


def _settle(
    name: str,
    now: dict[str, Limits],
    limits: dict[str, Limits],
    readers: Mapping[str, list[Limits | None]],
) -> bool:
    """Cut a range by what all readers of a tensor agree on; whether that changed it."""
    if name not in limits:
        known = [bound for bound in readers.get(name, [None]) if bound is not None]
        if not known or len(known) != len(readers[name]):
            return False
        limits[name] = min(lo for lo, _ in known), max(hi for _, hi in known)
    before = now.get(name)
    if before is None:
        return False
    now[name] = within(before, limits[name])
    return now[name] != before


def _range(t: Tensor, now: Mapping[str, Limits]) -> Limits:
    if t.data is not None and t.dtype == "float32":
        return float(t.data.min()), float(t.data.max())
    return now.get(t.name, (0.0, 0.0))


def within(whole: Limits, bound: Limits) -> Limits:
    """A range cut by bounds, where that is worth it."""
    lo, hi = (float(np.clip(v, *bound)) for v in whole)
    return (lo, hi) if _width(*whole) >= ABSURD * _width(lo, hi) and (lo, hi) != whole else whole


def _width(lo: float, hi: float) -> float:
    """Of a quantized range, which has zero in it."""
    return max(hi, 0.0) - min(lo, 0.0)
