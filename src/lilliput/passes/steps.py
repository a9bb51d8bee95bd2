"""Recurrent layers of which only the last result is read compute no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lilliput.graph import Graph, Node, Tensor
from lilliput.op import Op, Site
from lilliput.ops.shape import Reshape


def keep_last_step(graph: Graph) -> Graph:
    """The results of all steps [N, T, H] become that of the last one [N, H] where nobody reads the others."""
    consumers = graph.consumers()
    for i in range(len(graph.nodes)):
        node = graph.nodes[i]
        site = graph.site(node)
        readers = consumers[node.outputs[0]]
        op = site.op.last_step(site, read=bool(readers))
        if op is None or node.outputs[0] in graph.kept:
            continue
        if all(_is_last_step(graph, reader, node.outputs[0]) for reader in readers):
            graph = _shortened(graph, node, op)
            consumers = graph.consumers()
    return graph


def _is_last_step(graph: Graph, reader: Node, name: str) -> bool:
    """Whether an operator does nothing but take the last step: seen from where it puts numbered elements."""
    site = graph.site(reader)
    if (
        site.op.out_quant != "like input"
        or site.op.view
        or len(reader.outputs) != 1
        or reader.inputs != (name,)
    ):
        return False
    numbered = np.arange(site.x.size, dtype=np.float32).reshape(site.x.shape)
    x, y = (replace(t, dtype="float32", quant=None) for t in (site.x, site.y))
    (taken,) = site.op.run(Site(site.op, (x,), (y,), site.name), numbered)
    return np.array_equal(taken.reshape(-1), numbered[:, -1].reshape(-1))


def _state_readers(graph: Graph, node: Node) -> list[Node]:
    """Who reads the state after the last step as an ordinary operand, where it is the last result in every bit."""
    name = node.outputs[1]
    y, h = (graph.tensors[n] for n in node.outputs[:2])
    if y.dtype != h.dtype or (h.quant is not None and not h.quant.same(y.quant)):
        return []
    return [
        reader
        for reader in graph.consumers()[name]
        if not any(i in reader.op.states for i, given in enumerate(reader.inputs) if given == name)
    ]


def _shortened(graph: Graph, node: Node, op: Op) -> Graph:
    """With `op` for a node; readers of its last step, or of its state where nobody read steps, read the new result."""
    name, state = node.outputs[:2]
    tensors: dict[str, Tensor] = dict(graph.tensors)
    short = f"{name}.last"
    tensors[short] = replace(tensors[name], name=short, shape=tensors[state].shape)
    readers = {id(reader) for reader in graph.consumers()[name]}
    renamed: Mapping[int, Node] = {id(r): r for r in _state_readers(graph, node)} if not readers else {}
    nodes = []
    for other in graph.nodes:
        if other is node:
            nodes.append(replace(node, op=op, outputs=(short, *node.outputs[1:])))
        elif id(other) in readers:
            shape = tensors[other.outputs[0]].shape
            nodes.append(replace(other, op=Reshape(shape), inputs=(short,)))
        elif id(other) in renamed:
            nodes.append(replace(other, inputs=tuple(short if i == state else i for i in other.inputs)))
        else:
            nodes.append(other)
    return graph.with_nodes(nodes, tensors)
