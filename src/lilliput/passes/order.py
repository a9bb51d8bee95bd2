"""The order of branches: which of several layers that could run next goes first, so that less is alive at a time.

Two orders are compared with the one that is there, by the bytes of activations at the busiest layer: the next layer
is the one that leaves the fewest bytes alive; and depth first, the branch whose work needs most beyond its result
first, as Sethi and Ullman order the operands of an expression. Chains have one order only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lilliput.graph import Graph, Node


def reordered(graph: Graph) -> Graph:
    """The graph in the order that needs the least memory of those tried; as it is where none needs less."""
    if len({name for node in graph.nodes for name in node.outputs}) < 3 or not _branches(graph):
        return graph
    orders = (list(graph.nodes), _greedy(graph), _depth_first(graph))
    best = min(orders, key=lambda nodes: peak(graph, nodes))  # the first of equals: the one that is there
    return graph if best == list(graph.nodes) else graph.with_nodes(best)


def _branches(graph: Graph) -> bool:
    """Whether anything is read twice, or one layer reads two results."""
    read = Counter(name for node in graph.nodes for name in _data(graph, node))
    return any(count > 1 for count in read.values()) or any(
        len(_data(graph, node)) > 1 for node in graph.nodes
    )


def _data(graph: Graph, node: Node) -> list[str]:
    return [name for name in dict.fromkeys(node.inputs) if not graph.tensors[name].constant]


def peak(graph: Graph, nodes: Sequence[Node]) -> int:
    """Bytes of activations alive at the busiest layer; views are counted as copies, in every order alike."""
    left = _readers(graph)
    alive = sum(graph.tensors[name].nbytes for name in graph.given)
    most = alive
    for node in nodes:
        alive += sum(graph.tensors[name].nbytes for name in node.outputs)
        most = max(most, alive)
        alive -= _freed(graph, node, left)
        left.subtract(_data(graph, node))
    return most


def _readers(graph: Graph) -> Counter[str]:
    """Tensor -> how many layers still read it; what the caller gets is read once more, in the end."""
    found = Counter(name for node in graph.nodes for name in _data(graph, node))
    found.update(graph.kept)
    return found


def _freed(graph: Graph, node: Node, left: Counter[str]) -> int:
    """The bytes that nobody needs behind a layer: operands it reads last, and results nobody reads."""
    operands = (name for name in _data(graph, node) if left[name] == 1)
    results = (name for name in node.outputs if left[name] == 0)
    return sum(graph.tensors[name].nbytes for name in (*operands, *results))


def _greedy(graph: Graph) -> list[Node]:
    """Of the layers whose operands are there, the one that leaves the fewest bytes alive; else the earlier one."""
    left, there = _readers(graph), set(graph.given)
    waiting, order = list(graph.nodes), list[Node]()

    def grows(node: Node) -> int:
        return sum(graph.tensors[name].nbytes for name in node.outputs) - _freed(graph, node, left)

    while waiting:
        ready = [node for node in waiting[:WINDOW] if all(name in there for name in _data(graph, node))]
        node = min(ready, key=grows)
        order.append(node)
        waiting.remove(node)
        there.update(node.outputs)
        left.subtract(_data(graph, node))
    return order


WINDOW = 64
"""How far ahead of the given order a layer is looked for: the first that waits is always ready."""


def _depth_first(graph: Graph) -> list[Node]:
    """From the outputs back: of a layer's operands first the one whose own work needs most beyond its result."""
    maker = {name: node for node in graph.nodes for name in node.outputs}
    need: dict[str, int] = {}
    for node in graph.nodes:
        size = sum(graph.tensors[name].nbytes for name in node.outputs)
        operands = _hungriest_first(graph, node, need)
        held, most = 0, 0
        for name in operands:
            most = max(most, held + need.get(name, 0))
            held += graph.tensors[name].nbytes
        need.update(dict.fromkeys(node.outputs, max(most, held + size)))
    order: list[Node] = []
    done: set[int] = set()
    # What no output needs comes last.
    stack = [*reversed(graph.nodes), *(maker[name] for name in reversed(graph.kept) if name in maker)]
    while stack:
        node = stack[-1]
        missing = [
            maker[name]
            for name in _hungriest_first(graph, node, need)
            if name in maker and id(maker[name]) not in done
        ]
        if id(node) in done or not missing:
            stack.pop()
            if id(node) not in done:
                done.add(id(node))
                order.append(node)
        else:
            stack.append(missing[0])
    return order


def _hungriest_first(graph: Graph, node: Node, need: dict[str, int]) -> list[str]:
    return sorted(_data(graph, node), key=lambda name: graph.tensors[name].nbytes - need.get(name, 0))
