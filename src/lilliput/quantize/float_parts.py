"""Operators without an integer form stay in float32 between Dequantize and Quantize."""

from __future__ import annotations

from dataclasses import replace

from lilliput.graph import Graph, Node, Tensor
from lilliput.op import usable
from lilliput.ops.requantize import Dequantize, Quantize


def with_float_parts(real: Graph, integer: Graph, floats: frozenset[tuple[str, ...]] = frozenset()) -> Graph:
    """`integer` with the nodes that no kernel computes in integers taken from `real`, node by node the same graph.

    `floats` are the outputs of more nodes that are to stay float.

    What only such nodes touch, inputs and outputs of the model among them, is not quantized at all.
    """
    floats = _stay_float(real, integer, floats)
    if not floats:
        return integer
    tensors = dict(integer.tensors)
    readers, made = integer.consumers(), {name for outputs in floats for name in outputs}

    def is_read_as_integers(name: str) -> bool:
        return any(node.outputs not in floats for node in readers[name])

    def real_name(name: str) -> str:
        """The name of the float form; its own where there is no other form."""
        t = real.tensors[name]
        given = name in made or (name in integer.inputs and readers[name] != [])
        alone = t.constant or t.dtype != "float32" or (given and not is_read_as_integers(name))
        found = name if alone else f"{name}.float"
        tensors[found] = replace(t, name=found)
        return found

    nodes: list[Node] = []
    for node, old in zip(integer.nodes, real.nodes, strict=True):
        if node.outputs not in floats:
            nodes.append(node)
            continue
        for name in dict.fromkeys(old.inputs):
            if name not in made and f"{name}.float" not in tensors and (own := real_name(name)) != name:
                nodes.append(Node(Dequantize(), (name,), (own,), f"{old.name}.dequantize"))
        inputs, outputs = (tuple(map(real_name, names)) for names in (old.inputs, old.outputs))
        nodes.append(replace(old, inputs=inputs, outputs=outputs))
        for name, own in zip(old.outputs, outputs, strict=True):
            if own != name:
                nodes.append(Node(Quantize(), (own,), (name,), f"{old.name}.quantize"))
    return integer.with_nodes(nodes, tensors)


def _stay_float(real: Graph, integer: Graph, more: frozenset[tuple[str, ...]]) -> frozenset[tuple[str, ...]]:
    """Outputs of the nodes that stay float: no integer kernel, or they only pass on what such nodes exchange."""
    floats = set(more) | {
        node.outputs
        for node, site in zip(integer.nodes, integer.sites(), strict=True)
        if not site.op.view and _quantized(site.outs + site.ins) and not usable(site, frozenset())
    }
    producer, consumers = real.producer(), real.consumers()
    for node in real.nodes if floats else ():
        passes_on = node.op.out_quant == "like input" or node.op.view
        source = producer.get(node.inputs[0])
        readers = [n.outputs for name in node.outputs for n in consumers[name]]
        given = node.inputs[0] in real.inputs  # real values already, or dequantized where they come in
        between = (given or (source is not None and source.outputs in floats)) and readers != []
        if passes_on and between and all(r in floats for r in readers):
            floats.add(node.outputs)
    return frozenset(floats)


def _quantized(tensors: tuple[Tensor, ...]) -> bool:
    return any(t.quant is not None and not t.constant for t in tensors)


def without_round_trips(graph: Graph) -> Graph:
    """Who reads a dequantized tensor that was just quantized from real values reads those values."""
    producer, renamed = graph.producer(), {}
    for node in graph.nodes:
        before = producer.get(node.inputs[0]) if isinstance(node.op, Dequantize) else None
        if before is not None and isinstance(before.op, Quantize):
            source = before.inputs[0]
            if graph.tensors[source].dtype == "float32":
                renamed[node.outputs[0]] = source
    if not renamed:
        return graph
    nodes = [
        replace(n, inputs=tuple(renamed.get(i, i) for i in n.inputs))
        for n in graph.nodes
        if n.outputs[0] not in renamed
    ]
    outputs = tuple(renamed.get(name, name) for name in graph.outputs)
    used = {i for n in nodes for i in n.inputs} | set(outputs)
    return replace(graph, outputs=outputs).with_nodes([n for n in nodes if set(n.outputs) & used])
