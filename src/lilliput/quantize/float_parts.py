"""Operators without an integer form stay in float32 between Dequantize and Quantize."""

from __future__ import annotations

from dataclasses import replace

from lilliput.graph import Graph, Node, Tensor
from lilliput.op import usable
from lilliput.ops.requantize import Dequantize, Quantize


def with_float_parts(real: Graph, integer: Graph) -> Graph:
    """`integer` with the nodes that no kernel computes in integers taken from `real`, node by node the same graph."""
    floats = _stay_float(real, integer)
    if not floats:
        return integer
    tensors = dict(integer.tensors)
    readers = integer.consumers()
    nodes: list[Node] = []
    for node, old in zip(integer.nodes, real.nodes, strict=True):
        if node.outputs not in floats:
            nodes.append(node)
            continue
        inputs = []
        for name in old.inputs:
            t = real.tensors[name]
            if t.constant or t.dtype != "float32":
                tensors[name] = t
                inputs.append(name)
                continue
            if f"{name}.float" not in tensors:
                tensors[f"{name}.float"] = replace(t, name=f"{name}.float")
                nodes.append(Node(Dequantize(), (name,), (f"{name}.float",), f"{old.name}.dequantize"))
            inputs.append(f"{name}.float")
        outputs = []
        for name in old.outputs:
            t = real.tensors[name]
            outputs.append(name if t.dtype != "float32" else f"{name}.float")
            tensors[outputs[-1]] = replace(t, name=outputs[-1])
        nodes.append(replace(old, inputs=tuple(inputs), outputs=tuple(outputs)))
        for name, own in zip(old.outputs, outputs, strict=True):
            wanted = name in integer.outputs or any(n.outputs not in floats for n in readers[name])
            if own != name and wanted:
                nodes.append(Node(Quantize(), (own,), (name,), f"{old.name}.quantize"))
    return integer.with_nodes(nodes, tensors)


def _stay_float(real: Graph, integer: Graph) -> set[tuple[str, ...]]:
    """Outputs of the nodes that stay float: no integer kernel, or they only pass on what such nodes exchange."""
    floats = {
        node.outputs
        for node, site in zip(integer.nodes, integer.sites(), strict=True)
        if not site.op.view and _quantized(site.outs + site.ins) and not usable(site, frozenset())
    }
    producer, consumers = real.producer(), real.consumers()
    for node in real.nodes if floats else ():
        passes_on = node.op.out_quant == "like input" or node.op.view
        source = producer.get(node.inputs[0])
        readers = [n.outputs for name in node.outputs for n in consumers[name]]
        between = source is not None and source.outputs in floats and readers != []
        if passes_on and between and all(r in floats for r in readers):
            floats.add(node.outputs)
    return floats


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
