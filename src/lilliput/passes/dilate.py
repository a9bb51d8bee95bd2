"""Dilation: a window over pictures of every n-th pixel is a dilated window over the whole one.

TensorFlow writes a dilated convolution as space-to-batch, convolution, batch-to-space. What the views and transposes
around a convolution do is found out by moving the numbers of the elements through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from lilliput.graph import Array, Graph, Node, Shape, Tensor
from lilliput.op import Site
from lilliput.ops.shape import Reshape
from lilliput.passes.fold import remove_dead


def fold_dilation(graph: Graph) -> Graph:
    """Every such three become one operator between two views."""
    while (changed := _once(graph)) is not None:
        graph = remove_dead(changed)
    return graph


def _once(graph: Graph) -> Graph | None:
    for node in graph.nodes:
        site = graph.site(node)
        plain = getattr(site.op, "stride", None) == (1, 1) and getattr(site.op, "dilation", None) == (1, 1)
        if not (plain and site.op.folds_pad and len(site.x.shape) == 4 and site.x.shape[0] > 1):
            continue
        if any(map(any, cast(Any, site.op).padding)):
            continue
        changed = _folded(graph, node, site)
        if changed is not None:
            return changed
    return None


def _folded(graph: Graph, node: Node, site: Site) -> Graph | None:
    before, after = _movers_before(graph, site), _movers_after(graph, site)
    if not before or not after or all(m.op.view for m in before):  # a view alone picks no pixels
        return None
    x, y = before[0].x, after[-1].y
    taken = _moved(before, np.arange(x.size).reshape(x.shape))
    for block in _blocks(site.x.shape[0]):
        plane, result = _whole(site.x.shape, block), _whole(site.y.shape, block)
        if not np.array_equal(taken, _pictures(np.arange(x.size).reshape(plane), block)):
            continue
        put = _moved(after, _pictures(np.arange(y.size).reshape(result), block))
        if np.array_equal(put.reshape(-1), np.arange(y.size)):
            return _replaced(graph, node, (x, plane), (y, result), block)
    return None


def _replaced(
    graph: Graph, node: Node, x: tuple[Tensor, Shape], y: tuple[Tensor, Shape], block: tuple[int, int]
) -> Graph:
    source = replace(x[0], name=f"{y[0].name}.plane", shape=x[1])
    result = replace(y[0], name=f"{y[0].name}.dilated", shape=y[1])
    op = replace(cast(Any, node.op), dilation=block)
    new = [
        Node(Reshape(x[1]), (x[0].name,), (source.name,), f"{node.name}.plane"),
        replace(node, op=op, inputs=(source.name, *node.inputs[1:]), outputs=(result.name,)),
        Node(Reshape(y[0].shape), (result.name,), (y[0].name,), f"{node.name}.shape"),
    ]
    nodes: list[Node] = []
    for n in graph.nodes:
        if n is node:
            nodes += new
        elif y[0].name not in n.outputs:
            nodes.append(n)
    # What moved the convolution's old result reads nothing any more.
    gone = {node.outputs[0]}
    kept = []
    for n in nodes:
        if gone & set(n.inputs):
            gone.update(n.outputs)
        else:
            kept.append(n)
    return graph.with_nodes(kept, {source.name: source, result.name: result})


def _moves(site: Site) -> bool:
    """Views and transposes that keep what the numbers stand for."""
    q = site.x.quant
    same = q is site.y.quant or (q is not None and q.same(site.y.quant))
    return (site.op.view or site.op.as_permutation() is not None) and same and not site.x.constant


def _movers_before(graph: Graph, site: Site) -> list[Site]:
    """The views and transposes that lead to the convolution's input, first one first."""
    producer, found, name = graph.producer(), [], site.x.name
    while (node := producer.get(name)) is not None and _moves(graph.site(node)):
        found.append(graph.site(node))
        name = node.inputs[0]
    return found[::-1]


def _movers_after(graph: Graph, site: Site) -> list[Site]:
    """Those that its result goes through, where nobody else reads on the way."""
    consumers, found, name = graph.consumers(), [], site.y.name
    while name not in graph.outputs and len(consumers[name]) == 1:
        after = graph.site(consumers[name][0])
        if not _moves(after):
            break
        found.append(after)
        name = after.y.name
    return found


def _moved(sites: list[Site], numbers: Array) -> Array:
    for site in sites:
        perm = site.op.as_permutation()
        numbers = numbers.reshape(site.y.shape) if perm is None else numbers.transpose(perm)
    return numbers


def _blocks(pictures: int) -> Iterator[tuple[int, int]]:
    for rows in range(1, pictures + 1):
        if pictures % rows == 0:
            yield rows, pictures // rows


def _whole(shape: Shape, block: tuple[int, int]) -> Shape:
    """The plane that pictures of this shape are parts of."""
    _, h, w, c = shape
    return (1, h * block[0], w * block[1], c)


def _pictures(plane: Array, block: tuple[int, int]) -> Array:
    """Space-to-batch: every picture has the pixels of one place in their blocks."""
    _, h, w, c = plane.shape
    (kh, kw) = block
    split = plane.reshape(h // kh, kh, w // kw, kw, c).transpose(1, 3, 0, 2, 4)
    return split.reshape(kh * kw, h // kh, w // kw, c)
