"""Float graph -> int8 graph: ranges become scales and zero points, weights and biases become integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Quant, Tensor, verify
from lilliput.op import Site
from lilliput.ops.requantize import Dequantize, Quantize
from lilliput.quantize.calibrate import Method, Range, calibrate, range_quant
from lilliput.quantize.float_parts import with_float_parts, without_round_trips

IO = Literal["int8", "float32"]


def quantize(
    graph: Graph,
    samples: Array | None = None,
    *,
    method: Method = "minmax",
    ranges: Mapping[str, Range] | None = None,
    io: IO = "int8",
    input_quant: Quant | None = None,
) -> Graph:
    """The int8 form of a float graph, calibrated on `samples` (or with `ranges` already known).

    `io` says what the firmware's inputs and outputs are. `input_quant` fixes the input's quantization, for instance so
    that a camera's bytes are the model's integers.
    """
    if ranges is None:
        if samples is None:
            raise UserError("quantization needs a calibration set (--calibration X.npz) or ranges")
        ranges = calibrate(graph, samples, method)
    _refuse_integers(graph)
    quants = _activation_quants(graph, ranges, input_quant)
    tensors: dict[str, Tensor] = {}
    for name, t in graph.tensors.items():
        if not t.constant:
            tensors[name] = replace(t, dtype="int8", quant=quants[name]) if t.dtype == "float32" else t
    nodes = [_quantize_constants(graph.site(node), node, tensors) for node in graph.nodes]
    done = replace(graph, nodes=tuple(nodes), tensors=tensors)
    done = _requantize_where_needed(with_float_parts(graph, done))
    return verify(without_round_trips(_float_ends(done) if io == "float32" else done))


def _quantize_constants(site: Site, node: Node, tensors: dict[str, Tensor]) -> Node:
    """Put the node's integer constants into `tensors`; under names of their own, for weights may be shared."""
    inputs = list(node.inputs)
    for i, t in enumerate(site.ins):
        if t.data is None:
            continue
        if t.dtype != "float32" or i in site.op.float_constants:
            tensors[t.name] = t
            continue
        name = f"{t.name}@{node.outputs[0]}"
        if i in site.op.weights:
            quantized = _weights(t, site.op.weights[i], _bias_limit(site, tensors))
        elif i == site.op.bias:
            continue
        else:
            quant = tensors[node.outputs[0]].q if site.op.same_quant_inputs else None
            quantized = _plain(t, quant)
        tensors[name] = replace(quantized, name=name)
        inputs[i] = name
    if site.op.bias is not None and site.ins[site.op.bias].data is not None:
        bias = site.ins[site.op.bias]
        name = f"{bias.name}@{node.outputs[0]}"
        (weight_index,) = site.op.weights
        quantized = _bias(bias, tensors[inputs[0]].q, tensors[inputs[weight_index]].q)
        tensors[name] = replace(quantized, name=name)
        inputs[site.op.bias] = name
    return replace(node, inputs=tuple(inputs))


def _bias_limit(site: Site, tensors: Mapping[str, Tensor]) -> Array:
    """The least weight scale per channel with which the bias still fits in 30 bits."""
    bias = site.ins[site.op.bias].data if site.op.bias is not None else None
    if bias is None:
        return np.zeros(1)
    return np.abs(bias.astype(np.float64)) / (float(tensors[site.ins[0].name].q.s) * 2**30)


def _weights(t: Tensor, axis: int, least: Array) -> Tensor:
    data = t.data
    assert data is not None
    others = tuple(i for i in range(data.ndim) if i != axis)
    largest = np.abs(data).max(axis=others).astype(np.float64)
    scale = np.maximum(largest / 127, least)
    scale = np.where(scale > 1e-30, scale, 1.0).astype(np.float32)
    quant = Quant(scale, np.zeros(len(scale), np.int32), axis)
    integers = np.clip(quant.quantize(data, "int8"), -127, 127)
    return replace(t, dtype="int8", quant=quant, data=integers)


def _bias(t: Tensor, x: Quant, w: Quant) -> Tensor:
    data = t.data
    assert data is not None
    scale = (x.s * w.scale).astype(np.float32)
    real = data.astype(np.float64) / (np.float64(x.s) * w.scale.astype(np.float64))
    integers = np.clip(np.round(real), -(2**31) + 1, 2**31 - 1).astype(np.int32)
    return replace(t, dtype="int32", quant=Quant(scale, np.zeros(len(scale), np.int32), 0), data=integers)


def _plain(t: Tensor, quant: Quant | None) -> Tensor:
    data = t.data
    assert data is not None
    quant = quant or range_quant(float(data.min()), float(data.max()))
    return replace(t, dtype="int8", quant=quant, data=quant.quantize(data, "int8"))


def _refuse_integers(graph: Graph) -> None:
    """Only a float graph can be quantized."""
    integers = [t.name for t in graph.tensors.values() if t.quant is not None]
    if integers:
        raise UserError(f"the model is quantized already (tensor '{integers[0]}'); compile it as it is")


class _Groups:
    """Union-find over tensor names: tensors of a group share their quantization."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        self.parent.setdefault(name, name)
        while self.parent[name] != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        self.parent[self.find(a)] = self.find(b)


def _activation_quants(
    graph: Graph, ranges: Mapping[str, Range], input_quant: Quant | None
) -> dict[str, Quant]:
    """One quantization per activation: fixed by its producer, shared along its group, or from its range."""
    groups, fixed = _Groups(), {}
    if input_quant is not None:
        fixed[graph.inputs[0]] = input_quant
    for site in graph.sites():
        if isinstance(site.op.out_quant, Quant):
            fixed.update({t.name: site.op.out_quant for t in site.outs})
    for site in graph.sites():
        if site.op.out_quant == "like input":
            for t in site.outs:
                groups.join(t.name, site.x.name)
    # A fixed scale stays in its group: an operand that has one is requantized, the others keep their resolution.
    held = {groups.find(name) for name in fixed}
    for site in graph.sites():
        if site.op.same_quant_inputs:
            for t in site.ins:
                if not t.constant and groups.find(t.name) not in held:
                    groups.join(t.name, site.y.name)
    merged: dict[str, Range] = {}
    anchored: dict[str, Quant] = {}
    for name, (lo, hi) in ranges.items():
        root = groups.find(name)
        old = merged.get(root, (lo, hi))
        merged[root] = (min(lo, old[0]), max(hi, old[1]))
        if name in fixed:
            anchored[root] = fixed[name]

    def quant(name: str) -> Quant:
        root = groups.find(name)
        return fixed.get(name) or anchored.get(root) or range_quant(*merged[root])

    for site in (
        graph.sites()
    ):  # in order: what an operator demands of its result widens the range of those that follow
        operands = [quant(t.name) for t in site.ins if t.name in ranges]
        operands += [_plain(t, None).q for t in site.ins if t.data is not None and t.dtype == "float32"]
        if site.y.name in ranges and operands:
            least = site.op.least_scale([float(q.scale.max()) for q in operands])
            root = groups.find(site.y.name)
            lo, hi = merged[root]
            if max(hi, 0.0) - min(lo, 0.0) < 255 * least:
                merged[root] = (min(lo, -128 * least), max(hi, 127 * least))
    return {name: quant(name) for name in ranges}


def _requantize_where_needed(graph: Graph) -> Graph:
    """Give operators that want one quantization for all operands exactly that."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for i, name in enumerate(node.inputs):
            wanted = tensors[node.outputs[0]].quant
            t = tensors[name]
            if node.op.same_quant_inputs and wanted is not None and not wanted.same(t.quant):
                new = f"{name}@{node.outputs[0]}"
                if new not in tensors:  # the same operand may come twice
                    tensors[new] = replace(t, name=new, quant=wanted)
                    nodes.append(Node(Quantize(), (name,), (new,), f"{node.name}.input{i}"))
                inputs[i] = new
        nodes.append(replace(node, inputs=tuple(inputs)))
    return graph.with_nodes(nodes, tensors)


def _float_ends(graph: Graph) -> Graph:
    """Float inputs and outputs around an int8 graph."""
    tensors = dict(graph.tensors)
    before, after, inputs, outputs = [], [], [], []
    for name in graph.inputs:
        real = f"{name}.real"
        tensors[real] = Tensor(real, tensors[name].shape)
        before.append(Node(Quantize(), (real,), (name,), f"{name}.quantize"))
        inputs.append(real)
    for name in graph.outputs:
        if tensors[name].quant is None:
            outputs.append(name)
            continue
        real = f"{name}.result" if name in graph.inputs else f"{name}.real"
        tensors[real] = Tensor(real, tensors[name].shape)
        after.append(Node(Dequantize(), (name,), (real,), f"{name}.dequantize"))
        outputs.append(real)
    ends = replace(graph, inputs=tuple(inputs), outputs=tuple(outputs))
    return ends.with_nodes([*before, *graph.nodes, *after], tensors)
