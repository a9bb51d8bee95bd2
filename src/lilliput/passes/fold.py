"""Folding: constants, affine operators into weights, zero padding into windows, clamps into their producers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lilliput.graph import Array, Graph, Node, Tensor
from lilliput.op import Site


def remove_dead(graph: Graph) -> Graph:
    """Drop nodes whose results nobody reads."""
    wanted = set(graph.kept)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return graph.with_nodes(reversed(kept))


def fold_constants(graph: Graph) -> Graph:
    """Compute what depends on constants only."""
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        data = [tensors[name].data for name in node.inputs]
        foldable = bool(data) and all(d is not None for d in data) and not set(node.outputs) & set(graph.kept)
        if not foldable:
            nodes.append(node)
            continue
        site = Site(
            node.op,
            tuple(tensors[i] for i in node.inputs),
            tuple(tensors[o] for o in node.outputs),
            node.name,
        )
        for name, value in zip(node.outputs, node.op.run(site, *cast("list[Array]", data)), strict=True):
            tensors[name] = replace(tensors[name], data=np.ascontiguousarray(value))
    return graph.with_nodes(nodes, tensors)


def _pairs(graph: Graph) -> Iterator[tuple[Site, Node, Site, Node]]:
    """(producer, consumer) sites where the first input of the consumer has no other reader and is no output."""
    producer, consumers = graph.producer(), graph.consumers()
    for node in graph.nodes:
        source = producer.get(node.inputs[0]) if node.inputs else None
        if source is None or len(source.outputs) != 1:
            continue
        name = source.outputs[0]
        if len(consumers[name]) == 1 and name not in graph.kept and node.inputs.count(name) == 1:
            yield graph.site(source), source, graph.site(node), node


def _merge(
    graph: Graph, old: tuple[Node, Node], new: Node, tensors: dict[str, Tensor] | None = None
) -> Graph:
    """Replace two neighbours by one node at the place of the second."""
    nodes = [new if node is old[1] else node for node in graph.nodes if node is not old[0]]
    return graph.with_nodes(nodes, tensors)


def fuse_clamp(graph: Graph) -> Graph:
    """A clamp that follows an operator with a clamp of its own becomes part of it."""
    changed = True
    while changed:
        changed = False
        for before, first, after, second in _pairs(graph):
            bounds = after.op.as_clamp()
            same = before.y.quant is None or before.y.quant.same(after.y.quant)
            if bounds is None or not before.op.fuses_clamp or not same:
                continue
            attributes = cast(Any, before.op)
            lo, hi = attributes.clamp or (-np.inf, np.inf)
            # clamp(clamp(x, a, b), c, d): the second one wins where they do not meet.
            both = (min(max(lo, bounds[0]), bounds[1]), max(min(hi, bounds[1]), bounds[0]))
            op = replace(attributes, clamp=(float(both[0]), float(both[1])))
            graph = _merge(graph, (first, second), Node(op, first.inputs, second.outputs, first.name))
            changed = True
            break
    return graph


def fold_affine(graph: Graph) -> Graph:
    """A per-channel scale and offset (batch norm) goes into the weights and bias of the operator before it."""
    changed = True
    while changed:
        changed = False
        for before, first, after, second in _pairs(graph):
            affine = after.op.as_affine(after)
            constant = all(t.constant for t in before.ins[1:])
            if affine is None or not before.op.folds_affine or before.integer or not constant:
                continue
            if cast(Any, before.op).clamp is not None:
                continue
            tensors, inputs = _scaled(before, first, *affine)
            new = replace(first, inputs=inputs, outputs=second.outputs)
            graph = _merge(graph, (first, second), new, tensors)
            changed = True
            break
    return graph


def _scaled(site: Site, node: Node, scale: Array, offset: Array) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """New weights and bias of a node after folding (scale, offset), under names of their own."""
    ((index, axis),) = site.op.weights.items()
    bias_index = site.op.bias
    assert bias_index is not None
    weights, bias = site.ins[index], site.ins[bias_index]
    assert weights.data is not None
    assert bias.data is not None
    channels = weights.shape[axis]
    scale = np.broadcast_to(scale.astype(np.float64), channels)
    along = [1] * len(weights.shape)
    along[axis] = channels
    w = (weights.data.astype(np.float64) * scale.reshape(along)).astype(np.float32)
    b = (bias.data.astype(np.float64) * scale + offset).astype(np.float32)
    return _with_constants(site, node, w, b)


def _with_constants(site: Site, node: Node, w: Array, b: Array) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The node's inputs with other weights and bias, under names of their own: others may share the old ones."""
    ((weights, _),) = site.op.weights.items()
    assert site.op.bias is not None
    inputs = list(node.inputs)
    tensors = {}
    for i, data in ((weights, w), (site.op.bias, b)):
        name = f"{inputs[i]}.{node.outputs[0]}"
        tensors[name] = replace(site.ins[i], name=name, data=data)
        inputs[i] = name
    return tensors, tuple(inputs)


def fold_affine_forward(graph: Graph) -> Graph:
    """A per-channel scale and offset goes into the weights and bias of the operator after it, where that is exact.

    Not part of `simplify`: channels that differ much in scale would share the int8 steps of one filter.
    """
    changed = True
    while changed:
        changed = False
        for node in graph.nodes:
            site = graph.site(node)
            affine, path = site.op.as_affine(site), _path_to_reader(graph, node)
            if affine is None or not path:
                continue
            reader = graph.site(path[-1])
            constants = absorbed(reader, *affine, channels=site.x.shape[-1])
            if constants is None:
                continue
            tensors, inputs = _with_constants(reader, path[-1], *constants)
            path[-1] = replace(path[-1], inputs=inputs)
            path[0] = replace(path[0], inputs=(node.inputs[0], *path[0].inputs[1:]))
            new = {n.outputs[0]: n for n in path}
            nodes = [new.get(n.outputs[0], n) for n in graph.nodes if n is not node]
            graph = graph.with_nodes(nodes, tensors)
            changed = True
            break
    return graph


def _path_to_reader(graph: Graph, node: Node) -> list[Node]:
    """The views behind a node and the operator that reads through them; empty where others read there as well."""
    consumers, path = graph.consumers(), [node]
    while len(path) == 1 or path[-1].op.view:
        name = path[-1].outputs[0]
        readers = consumers[name]
        if name in graph.kept or len(readers) != 1 or readers[0].inputs.count(name) != 1:
            return []
        if readers[0].inputs[0] != name:
            return []
        path.append(readers[0])
    return path[1:]


def absorbed(site: Site, scale: Array, offset: Array, channels: int) -> tuple[Array, Array] | None:
    """Weights and bias that give of x what the present ones give of x * scale + offset; None where none do.

    Operators that fold affines are linear, and the last axis of their weights counts the input channels of
    a group, or is the channel axis itself where every channel has its own. Zeros of a padding stay zeros, so an
    offset cannot go through it.
    """
    op, features = site.op, site.x.shape[-1]
    if not op.folds_affine or op.bias is None or site.integer or features % channels:
        return None
    ((index, axis),) = op.weights.items()
    w, b = site.ins[index].data, site.ins[op.bias].data
    if w is None or b is None:
        return None
    padded = op.folds_pad and np.any(cast(Any, op).padding)
    if (padded or not op.whole_windows) and offset.any():
        return None
    # Elements keep their order in a view: feature i belongs to channel i modulo their number.
    a, c = (
        np.tile(np.broadcast_to(v, channels).astype(np.float64), features // channels)
        for v in (scale, offset)
    )
    w = w.astype(np.float64)
    a, c = (_along_weights(v, w.shape, axis) for v in (a, c))
    others = tuple(i for i in range(w.ndim) if i != axis)
    return (w * a).astype(np.float32), (b + (w * c).sum(axis=others)).astype(np.float32)


def _along_weights(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One value per input channel, laid out to be multiplied with weights of `shape`."""
    if axis == len(shape) - 1:  # every input channel has its own results
        return np.repeat(values, shape[axis] // len(values))
    groups = len(values) // shape[-1]
    rows = np.repeat(values.reshape(groups, shape[-1]), shape[axis] // groups, axis=0)
    layout = [1] * len(shape)
    layout[axis], layout[-1] = rows.shape
    return rows.reshape(layout)


def fold_padding(graph: Graph) -> Graph:
    """Padding with zero around a plane goes into the window of the operator that follows."""
    changed = True
    while changed:
        changed = False
        for before, first, after, second in _pairs(graph):
            pads = before.op.as_padding(before)
            if pads is None or not after.op.folds_pad or len(pads) != 4 or any(pads[0]) or any(pads[3]):
                continue
            if before.x.quant is not None and not before.x.quant.same(before.y.quant):
                continue
            attributes = cast(Any, after.op)
            (top, bottom), (left, right) = attributes.padding
            h, w = pads[1], pads[2]
            padding = ((top + h[0], bottom + h[1]), (left + w[0], right + w[1]))
            new = replace(
                second, op=replace(attributes, padding=padding), inputs=(first.inputs[0], *second.inputs[1:])
            )
            graph = _merge(graph, (first, second), new)
            changed = True
            break
    return graph
