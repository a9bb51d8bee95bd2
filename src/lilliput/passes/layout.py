"""Layout: transposes and reshapes that undo, repeat or rename each other disappear, or go into weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Graph, Node, Tensor
from lilliput.op import Op, Site
from lilliput.ops.shape import Reshape, Transpose
from lilliput.passes.fold import remove_dead

Rule = Callable[[Graph, Site, Node], Graph | None]


def cancel_transposes(graph: Graph) -> Graph:
    """Apply the rules below until none fits. Each removes a node or moves one towards the outputs."""
    while (changed := _once(graph)) is not None:
        graph = remove_dead(changed)
    return graph


def _once(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        site = graph.site(node)
        if len(site.ins) != 1 or len(site.outs) != 1 or site.x.constant:
            continue
        for rule in RULES:
            changed = rule(graph, site, node)
            if changed is not None:
                return changed
    return None


def moves_nothing(shape: tuple[int, ...], perm: tuple[int, ...]) -> bool:
    """Whether only axes of size one change places, so that no element moves."""
    moving = [p for p in perm if shape[p] != 1]
    return moving == sorted(moving)


def _renamed(site: Site) -> bool:
    """Whether the node keeps elements, their order and what they stand for."""
    quant = site.x.quant
    same = quant is site.y.quant or (quant is not None and quant.same(site.y.quant))
    return same and site.x.dtype == site.y.dtype


def _swap(graph: Graph, old: Node, new: Node, tensors: Mapping[str, Tensor] | None = None) -> Graph:
    return graph.with_nodes([new if node is old else node for node in graph.nodes], tensors)


def _drop_identity(graph: Graph, site: Site, node: Node) -> Graph | None:
    """Whoever reads the result of a node that does nothing reads its input instead."""
    if not site.op.view or site.x.shape != site.y.shape or site.y.name in graph.kept or not _renamed(site):
        return None
    old, new = site.y.name, site.x.name
    nodes = (
        replace(n, inputs=tuple(new if i == old else i for i in n.inputs))
        for n in graph.nodes
        if n is not node
    )
    return graph.with_nodes(nodes)


def _as_view(graph: Graph, site: Site, node: Node) -> Graph | None:
    """A transpose that moves no element is a reshape."""
    perm = site.op.as_permutation()
    if perm is None or not moves_nothing(site.x.shape, perm):
        return None
    return _swap(graph, node, replace(node, op=Reshape(site.y.shape)))


def _merge_with_producer(graph: Graph, site: Site, node: Node) -> Graph | None:
    """transpose after transpose is one transpose; reshape after reshape is the last one."""
    source = graph.producer().get(site.x.name)
    if source is None or len(source.inputs) != 1:
        return None
    before = graph.site(source)
    if before.x.constant or not _renamed(before):
        return None
    op = _composed(before, site)
    return None if op is None else _swap(graph, node, replace(node, op=op, inputs=source.inputs))


def _composed(first: Site, second: Site) -> Op | None:
    """One operator for two neighbours, or None."""
    if first.op.view and second.op.view:
        return Reshape(second.y.shape)
    p, q = first.op.as_permutation(), second.op.as_permutation()
    return None if p is None or q is None else Transpose(tuple(p[i] for i in q))


def _sink(graph: Graph, site: Site, node: Node) -> Graph | None:
    """What only moves elements goes behind an operator on single ones, or on channels, to meet its opposite."""
    moves = site.op.view or site.op.as_permutation() is not None
    readers = graph.consumers()[site.y.name]
    if not moves or len(readers) != 1 or site.y.name in graph.kept or not _renamed(site):
        return None
    (reader,) = readers
    after = graph.site(reader)
    narrow = len(after.ins) == len(after.outs) == 1 and ITEM_SIZE[after.y.dtype] <= ITEM_SIZE[after.x.dtype]
    if not (after.op.elementwise and narrow) and not _by_channel(site, after):
        return None
    early = replace(after.y, name=f"{after.y.name}.early", shape=site.x.shape)
    inputs = tuple(site.x.name if name == site.y.name else name for name in reader.inputs)
    swapped = {
        id(node): replace(reader, inputs=inputs, outputs=(early.name,)),
        id(reader): replace(node, inputs=(early.name,), outputs=reader.outputs),
    }
    return graph.with_nodes([swapped.get(id(n), n) for n in graph.nodes], {early.name: early})


def _by_channel(view: Site, after: Site) -> bool:
    """Whether an operator scales and shifts the channels, which a view keeps: it then takes either shape."""
    if not view.op.view or view.x.dtype != "float32" or view.x.shape[-1:] != view.y.shape[-1:]:
        return False
    if after.op.as_affine(after) is None or [t.name for t in after.ins].count(view.y.name) != 1:
        return False
    return after.op.infer([view.x if t.name == view.y.name else t for t in after.ins]) == (view.x.shape,)


def _into_weights(graph: Graph, site: Site, node: Node) -> Graph | None:
    """transpose, flatten, linear: the weights take the transpose's order, the features stay as they lie."""
    source = graph.producer().get(site.x.name)
    if not site.op.view or source is None or not _renamed(site):
        return None
    before = graph.site(source)
    perm = before.op.as_permutation()
    order = None if perm is None else feature_order(before, perm, site.y.shape)
    readers = graph.consumers()[site.y.name]
    if order is None or not _renamed(before) or site.y.name in graph.kept:
        return None
    if not readers or not all(_takes_features(graph.site(n), site.y.name) for n in readers):
        return None
    nodes, tensors = [], {}
    for n in graph.nodes:
        if n in readers:
            n, weights = _reordered(graph.site(n), n, order)
            tensors[weights.name] = weights
        nodes.append(replace(n, inputs=source.inputs) if n is node else n)
    return graph.with_nodes(nodes, tensors)


def feature_order(transpose: Site, perm: tuple[int, ...], flat: tuple[int, ...]) -> Array | None:
    """Source position of every feature of a transposed tensor flattened to `flat`; None where rows mix."""
    for lead in range(len(perm)):
        rows, rest = transpose.x.shape[:lead], transpose.x.shape[lead:]
        features = int(np.prod(rest, dtype=np.int64))
        if features == flat[-1] and int(np.prod(rows, dtype=np.int64)) * features == transpose.x.size:
            if perm[:lead] != tuple(range(lead)):
                return None
            inner = [p - lead for p in perm[lead:]]
            return np.arange(features).reshape(rest).transpose(inner).reshape(-1)
    return None


def _takes_features(site: Site, name: str) -> bool:
    index = site.op.feature_weights
    reads = [i for i, t in enumerate(site.ins) if t.name == name]
    return index is not None and reads == [0] and site.ins[index].constant


def _reordered(site: Site, node: Node, order: Array) -> tuple[Node, Tensor]:
    """The node with the last axis of its weights in the order of the untransposed features."""
    index = site.op.feature_weights
    assert index is not None
    weights = site.ins[index]
    assert weights.data is not None
    data = np.empty_like(weights.data)
    data[..., order] = weights.data
    new = replace(weights, name=f"{weights.name}.{node.outputs[0]}", data=data)
    return replace(node, inputs=tuple(new.name if i == index else n for i, n in enumerate(node.inputs))), new


RULES: tuple[Rule, ...] = (_drop_identity, _as_view, _merge_with_producer, _into_weights, _sink)
