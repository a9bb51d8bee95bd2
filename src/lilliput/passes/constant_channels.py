"""Channels that hold one value for any input, and what feeds only them, are computed offline: same results for less.

What a constant adds to the sums behind it goes into their bias, and channels that nobody weighs go as well. Before that
weights of a channel that equals another move to that one, and windows lose outer taps that count for nothing; after
it clamps that never act are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lilliput.errors import CheckError
from lilliput.evaluate import step_through
from lilliput.examples import draw
from lilliput.graph import INT_RANGE, Array, Graph, Quant, Tensor, verify
from lilliput.interval import Interval, channels_of
from lilliput.op import Site
from lilliput.passes.channel_report import ChannelReport, Found, described
from lilliput.passes.equal_channels import merge_equal_channels
from lilliput.passes.intervals import intervals
from lilliput.passes.liveness import Absorbed, Liveness
from lilliput.passes.windows import drop_idle_clamps, trim_windows

META = "channels"
"""The key of `Graph.meta` that holds what was removed."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A graph without the channels it does not need.

    `kept` tells for each tensor which of the original channels those are that it still has.
    """

    graph: Graph
    kept: Mapping[str, Array]
    report: ChannelReport


def reduced(graph: Graph) -> Reduced:
    """Remove until nothing is left to remove. Odd numbers of channels stay odd: an even number gained 0.1 % at most."""
    kept = {name: np.arange(channels_of(t.shape)) for name, t in graph.tensors.items() if not t.constant}
    found: list[Found] = []
    smaller, fewer = graph, True
    known: dict[str, Interval] = {}
    while fewer:
        merged, twins = merge_equal_channels(smaller)
        trimmed = trim_windows(merged)
        if merged is not smaller or not known:  # else what is left lies where it lay
            known = intervals(trimmed)
        live = Liveness(trimmed, known)
        left = {name: live.kept(name) for name in kept}
        found.append(Found(known, twins, left, live))
        fewer = any(not some.all() for some in left.values())
        smaller = _with_channels(trimmed, known, live.mixers, left)
        kept = {name: kept[name][some] for name, some in left.items()}
        known = {name: known[name].take(some) for name, some in left.items()} | _of_constants(smaller)
    final = verify(drop_idle_clamps(smaller, known))
    report = described(graph, final, found)
    if not report.changed:  # what was removed earlier stays known
        return Reduced(final, kept, report)
    return Reduced(replace(final, meta={**final.meta, META: report.to_json()}), kept, report)


def check_same(graph: Graph, made: Reduced, feed: Mapping[str, Array]) -> None:
    """Run both on one feed: what is left of every tensor holds what it held, or CheckError names it."""
    before: dict[str, Array] = {}
    step_through(graph, feed, before.__setitem__)

    def compare(name: str, value: Array) -> None:
        expected = before[name][..., made.kept[name]] if value.ndim else before[name]
        if not np.array_equal(value, expected, equal_nan=value.dtype.kind == "f"):
            raise CheckError(f"tensor '{name}' differs from the one of the model with all its channels")

    step_through(made.graph, feed, compare)


def _of_constants(graph: Graph) -> dict[str, Interval]:
    return {name: Interval.of(t) for name, t in graph.tensors.items() if t.constant}


def _with_channels(
    graph: Graph, known: Mapping[str, Interval], mixers: Mapping[str, Absorbed], left: Mapping[str, Array]
) -> Graph:
    """The graph with the channels that are `left` (bool per channel of each activation)."""
    tensors = {
        name: t if t.constant or left[name].all() else _cut(t, left[name], -1)
        for name, t in graph.tensors.items()
    }
    readers = graph.consumers()
    nodes = []
    for node in graph.nodes:
        site = graph.site(node)
        if all(left[name].all() for name in (*node.inputs, *node.outputs) if name in left):
            nodes.append(node)
            continue
        mixer = mixers.get(node.outputs[0])
        constants = _columns(site, left) if mixer is None else _rows_and_columns(site, mixer, known, left)
        inputs = list(node.inputs)
        for i, t in constants.items():
            # Others may read the whole constant: a cut one has a name of its own.
            name = inputs[i] if len(readers[inputs[i]]) == 1 else f"{inputs[i]}.{node.outputs[0]}"
            inputs[i], tensors[name] = name, replace(t, name=name)
        op = site.op.with_channels(site, channels_of(tensors[node.outputs[0]].shape))
        nodes.append(replace(node, op=op, inputs=tuple(inputs)))
    return graph.with_nodes(nodes, tensors)


def _cut(t: Tensor, left: Array, axis: int) -> Tensor:
    """A tensor with what is left along one axis."""
    axis %= len(t.shape)
    shape = (*t.shape[:axis], int(left.sum()), *t.shape[axis + 1 :])
    data = None if t.data is None else np.ascontiguousarray(np.compress(left, t.data, axis))
    q = t.quant
    if q is not None and q.axis == axis:
        q = Quant(q.scale[left], q.zero_point[left], axis)
    return replace(t, shape=shape, data=data, quant=q)


def _columns(site: Site, left: Mapping[str, Array]) -> dict[int, Tensor]:
    """The constants of an operator that keeps channels apart: those that run along the result's channels are cut."""
    some = left[site.y.name]
    return {
        i: _cut(t, some, -1)
        for i, t in enumerate(site.ins)
        if t.constant and channels_of(t.shape) == len(some) > 1 and t.shape
    }


def _rows_and_columns(
    site: Site, mixer: Absorbed, known: Mapping[str, Interval], left: Mapping[str, Array]
) -> dict[int, Tensor]:
    """Weights and bias of a layer that sums over its input's channels, the constant ones that go being in the bias.

    A constant result that stays needs no weights: a sum that gives it becomes its bias.
    """
    rows, columns = left[site.y.name], left[site.x.name]
    acc = site.op.accumulator_bounds(site, known[site.x.name])
    assert acc is not None
    weights, bias = site.ins[1], site.ins[site.op.bias or 0]
    limits = INT_RANGE[bias.dtype]
    share = mixer.mixing.sums @ np.where(columns, 0, mixer.offsets)
    total = np.where(mixer.steady, np.clip(acc.lo, *limits), np.asarray(bias.data, np.int64) + share)
    plain = np.array(weights.data)
    plain[mixer.steady] = 0
    return {
        1: _cut(_cut(replace(weights, data=plain), rows, 0), columns, -1),
        site.op.bias or 0: _cut(replace(bias, data=total.astype(bias.dtype)), rows, 0),
    }


def checked(graph: Graph) -> Graph:
    """The graph without what holds one value for any input, compared with the whole graph on one input."""
    made = reduced(graph)
    if made.report.changed:
        check_same(graph, made, next(iter(draw(graph, 1))))
    return made.graph
