"""Channels that are equal for any input: what reads one of them may as well read the first."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace

import numpy as np

from lilliput.graph import INT_RANGE, Array, Graph, Tensor
from lilliput.interval import channels_of
from lilliput.op import Site

Twins = dict[str, Array]
"""Tensor -> for each channel the first one that is always equal to it."""


def merge_equal_channels(graph: Graph) -> tuple[Graph, Twins]:
    """The weights of a channel that equals an earlier one are added to those of that one, where they fit.

    Nobody weighs the later channel any more then; removing it is left to the pass that removes dead channels.
    """
    twins = {name: np.arange(channels_of(graph.tensors[name].shape)) for name in graph.given}
    tensors: dict[str, Tensor] = {}
    nodes = []
    for node in graph.nodes:
        site = graph.site(node)
        mixes = site.op.mixing(site) is not None
        if mixes:
            moved = _moved(site, twins[site.x.name])
            if moved is not None:
                name = f"{site.ins[1].name}.{site.y.name}"
                tensors[name] = replace(site.ins[1], name=name, data=moved)
                node = replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))
                site = replace(site, ins=(site.x, tensors[name], *site.ins[2:]))
        nodes.append(node)
        twins.update({t.name: np.arange(channels_of(t.shape)) for t in site.outs})
        if len(site.outs) == 1:
            twins[site.y.name] = _first_equal(_rows(site) if mixes else _channels(site, twins))
    return (graph.with_nodes(nodes, tensors) if tensors else graph), twins


def _moved(site: Site, twins: Array) -> Array | None:
    """Weights [out, ..., in] with those of later twins added to the first; None where nothing moves.

    The least weight of a type is avoided: kernels that need a symmetric range would be lost.
    """
    weights = site.ins[1].data
    assert weights is not None
    most = INT_RANGE[site.ins[1].dtype][1]
    now, changed = weights.astype(np.int64), False
    for later in np.flatnonzero(twins != np.arange(len(twins))):
        both = now[..., twins[later]] + now[..., later]
        if now[..., later].any() and np.abs(both).max() <= most:
            now[..., twins[later]], now[..., later], changed = both, 0, True
    return now.astype(weights.dtype) if changed else None


def _first_equal(keys: Iterable[Hashable]) -> Array:
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.int64)


def _rows(site: Site) -> Iterable[Hashable]:
    """What makes a result of a layer that sums over its input's channels: equal rows, equal values."""
    weights, bias = site.ins[1:3]
    channels = channels_of(site.y.shape)
    scale = np.broadcast_to(weights.q.scale, channels).tolist()
    rows = np.asarray(weights.data).reshape(channels, -1)
    return zip((row.tobytes() for row in rows), np.asarray(bias.data).tolist(), scale, strict=True)


def _channels(site: Site, twins: Twins) -> Iterable[Hashable]:
    """The same of an operator that keeps channels apart: equal channels of its inputs, equal constants."""
    channels = channels_of(site.y.shape)
    links = site.op.channel_links(site)
    alone = range(channels)
    if links is None:
        return alone
    parts: list[list[Hashable]] = [[] for _ in alone]
    for i, (t, link) in enumerate(zip(site.ins, links, strict=True)):
        if t.constant:
            continue
        if link is None and channels_of(t.shape) > 1:
            return alone
        if link is None:
            continue
        # Behind a view channel and place are mixed: a repeat of the channel stands for another place.
        place = link.result // channels_of(t.shape) if site.op.view else 0 * link.result
        if site.op.view and channels_of(t.shape) > channels:
            return alone
        for c, source, at in zip(link.result, twins[t.name][link.operand], place, strict=True):
            parts[c].append((i, int(source), int(at)))
    return [(*part, *constants) for part, constants in zip(parts, _constants(site, channels), strict=True)]


def _constants(site: Site, channels: int) -> list[tuple[Hashable, ...]]:
    """Per channel of the result what an operator that keeps channels apart takes from its constants."""
    found: list[tuple[Hashable, ...]] = [() for _ in range(channels)]
    for t in site.ins:
        if t.data is None or channels_of(t.shape) != channels:
            continue
        columns = np.ascontiguousarray(t.data.reshape(-1, channels).T)
        per_channel = t.quant is not None and t.quant.axis is not None
        scales = t.q.scale.tolist() if per_channel else [0.0] * channels
        found = [
            (*known, column.tobytes(), scale)
            for known, column, scale in zip(found, columns, scales, strict=True)
        ]
    return found
