"""States of recurrent layers are int16 between int8 inputs and results: their type, and what stands between the two."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import replace

from lilliput.graph import Graph, Node, Tensor
from lilliput.op import Site
from lilliput.ops.requantize import Quantize
from lilliput.quantize.calibrate import Range


def state_name(name: str) -> str:
    """The int16 twin of a tensor."""
    return f"{name}.state"


def with_int16_states(
    site: Site, node: Node, ranges: Mapping[str, Range], tensors: MutableMapping[str, Tensor]
) -> Node:
    """The integer node with int16 states, where they start from constants and as results; `site` is the float one.

    The int8 forms of such results keep their names: `between_states` makes them where somebody reads them.
    """
    if not site.op.states:
        return node
    outputs = list(node.outputs)
    quants = site.op.state_quants([ranges[t.name] for t in site.outs])
    for (i, o), quant in zip(site.op.states.items(), quants, strict=True):
        outputs[o] = state_name(node.outputs[o])
        tensors[outputs[o]] = Tensor(outputs[o], site.outs[o].shape, "int16", quant)
        start = site.ins[i].data
        if start is not None:
            integers = quant.quantize(start, "int16")
            tensors[node.inputs[i]] = Tensor(node.inputs[i], start.shape, "int16", quant, integers)
    return replace(node, outputs=tuple(outputs))


def between_states(graph: Graph) -> Graph:
    """With a requantization before int16 operands that come as int8, and after int16 results that are read as int8."""
    tensors = dict(graph.tensors)
    made = {name for node in graph.nodes for name in node.outputs} | set(graph.inputs)
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        site = graph.site(node)
        for i, o in site.op.states.items() if site.integer else ():
            source, wanted = site.ins[i], site.outs[o]
            twin = tensors.get(state_name(source.name))
            if source.constant or source.dtype == wanted.dtype:
                continue
            if twin is not None and twin.name in made and twin.q.same(wanted.quant):
                inputs[i] = twin.name
                continue
            inputs[i] = f"{source.name}@{wanted.name}"
            tensors[inputs[i]] = replace(source, name=inputs[i], dtype=wanted.dtype, quant=wanted.quant)
            nodes.append(Node(Quantize(), (source.name,), (inputs[i],), f"{node.name}.state"))
        nodes.append(replace(node, inputs=tuple(inputs)))
    read = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    missing = {state_name(name): name for name in read - made if state_name(name) in made}
    done: list[Node] = []
    for node in nodes:
        done.append(node)
        for name in node.outputs:
            if name in missing:
                done.append(Node(Quantize(), (name,), (missing[name],), f"{node.name}.result"))
    return graph.with_nodes(done, tensors)
