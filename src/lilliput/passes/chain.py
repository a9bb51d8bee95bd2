"""Two graphs as one: what the first gives the second takes."""

from __future__ import annotations

from dataclasses import replace

from lilliput.errors import UserError
from lilliput.graph import Graph, Node, verify
from lilliput.ops.shape import Reshape


def chain(first: Graph, second: Graph) -> Graph:
    """The first result of `first` as the only input of `second`, reshaped where that is all; `meta` of `second`.

    Names of `first` get a suffix where `second` has them too.
    """
    source, target = first.tensors[first.outputs[0]], second.tensors[second.inputs[0]]
    if first.states or second.states:
        raise UserError("a model that keeps states between runs cannot be joined with another")
    alike = source.dtype == target.dtype and (
        target.quant is None if source.quant is None else source.quant.same(target.quant)
    )
    if len(second.inputs) != 1 or source.size != target.size or not alike:
        raise UserError(f"the model takes {target}, and what comes before it gives {source}")
    taken = set(second.tensors)
    names = {name: _free(name, taken) for name in first.tensors}

    def renamed(given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names[name] for name in given)

    tensors = {names[name]: replace(t, name=names[name]) for name, t in first.tensors.items()}
    nodes = [replace(n, inputs=renamed(n.inputs), outputs=renamed(n.outputs)) for n in first.nodes]
    nodes.append(Node(Reshape(target.shape), (names[source.name],), (target.name,), "samples"))
    whole = replace(second, inputs=renamed(first.inputs))
    return verify(whole.with_nodes([*nodes, *second.nodes], tensors))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
