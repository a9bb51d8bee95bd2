"""Float graph -> integer graph: ranges become scales and zero points, weights and biases become integers."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import Samples
from lilliput.graph import INT_RANGE, Array, Graph, Node, Quant, Tensor, verify
from lilliput.op import Site, usable
from lilliput.ops.requantize import Dequantize, Quantize
from lilliput.quantize.calibrate import Method, Range, calibrate, range_quant
from lilliput.quantize.float_parts import with_float_parts, without_round_trips
from lilliput.quantize.hidden import cut
from lilliput.quantize.states import between_states, with_int16_states

IO = Literal["int8", "float32"]
Activations = Literal["int8", "int16"]
Weights = Literal["int8", "int4"]
WEIGHT_REACH = {"int8": 127, "int4": 7}
"""Weights are symmetric: the least integer of their type is not used."""


def quantize(
    graph: Graph,
    samples: Samples | None = None,
    *,
    method: Method = "minmax",
    ranges: Mapping[str, Range] | None = None,
    io: IO = "int8",
    input_quant: Quant | None = None,
    activations: Activations = "int8",
    weights: Weights = "int8",
) -> Graph:
    """The int8 form of a float graph, calibrated on `samples` (or with `ranges` already known).

    `io` says what the firmware's inputs and outputs are: "int8" the integers of the activations, whatever their type.
    `input_quant` fixes the input's quantization, for instance so that a camera's bytes are the model's integers.
    With `activations` int16 they are symmetric and layers add up in 64 bits; what has no int16 form stays in float32.
    With `weights` int4 they take half the flash, where a layer of int8 has such a form.
    """
    if activations not in get_args(Activations) or weights not in get_args(Weights):
        raise UserError(
            f"activations '{activations}' and weights '{weights}'; choose {' or '.join(get_args(Activations))} "
            f"and {' or '.join(get_args(Weights))}"
        )
    if ranges is None:
        if samples is None:
            raise UserError("quantization needs a calibration set (--calibration X.npz) or ranges")
        ranges = calibrate(graph, samples, method)
    _refuse_integers(graph)
    known = cut(graph, ranges)
    graph, ranges = known.graph, known.ranges
    quants = _activation_quants(graph, ranges, input_quant, activations)
    tensors: dict[str, Tensor] = {}
    for name, t in graph.tensors.items():
        if not t.constant:
            tensors[name] = replace(t, dtype=activations, quant=quants[name]) if t.dtype == "float32" else t
    nodes = [
        with_int16_states(
            graph.site(node), _with_constants(graph.site(node), node, tensors, weights), ranges, tensors
        )
        for node in graph.nodes
    ]
    done = replace(graph, nodes=tuple(nodes), tensors=tensors)
    done = _requantize_where_needed(between_states(with_float_parts(graph, done, known.floats)))
    return verify(without_round_trips(_float_ends(done) if io == "float32" else done))


def _with_constants(site: Site, node: Node, tensors: dict[str, Tensor], weights: Weights) -> Node:
    """Put the node's integer constants into `tensors`; weights of int4 only where a kernel takes them."""
    made: dict[str, Tensor] = {}
    if weights == "int4" and site.op.weights:
        new = _quantize_constants(site, node, ChainMap(made, tensors), weights)
        known = ChainMap(made, tensors)
        ins, outs = (tuple(known[name] for name in names) for names in (new.inputs, new.outputs))
        if usable(Site(new.op, ins, outs, new.name), frozenset()):
            tensors.update(made)
            return new
    return _quantize_constants(site, node, tensors, "int8")


def _quantize_constants(
    site: Site, node: Node, tensors: MutableMapping[str, Tensor], weights: Weights
) -> Node:
    """Put the node's integer constants into `tensors`; under names of their own, for weights may be shared."""
    inputs = list(node.inputs)
    operands = (tensors[name] for name in (*node.outputs, *node.inputs) if name in tensors)
    dtype = next((t.dtype for t in operands if t.quant is not None and not t.constant), "int8")
    for i, t in enumerate(site.ins):
        if t.data is None:
            continue
        if t.dtype != "float32" or i in site.op.float_constants:
            tensors[t.name] = t
            continue
        name = f"{t.name}@{node.outputs[0]}"
        if i in site.op.weights:
            quantized = _weights(t, site.op.weights[i], _bias_limit(site, tensors), weights)
        elif i == site.op.bias:
            continue
        else:
            quant = tensors[node.outputs[0]].q if site.op.same_quant_inputs else None
            quantized = _plain(t, quant, dtype)
        tensors[name] = replace(quantized, name=name)
        inputs[i] = name
    if site.op.bias is not None and site.ins[site.op.bias].data is not None:
        bias = site.ins[site.op.bias]
        name = f"{bias.name}@{node.outputs[0]}"
        (weight_index,) = site.op.weights
        wide = tensors[inputs[0]].dtype == "int16"
        quantized = _bias(
            bias, tensors[inputs[0]].q, tensors[inputs[weight_index]].q, "int64" if wide else "int32"
        )
        tensors[name] = replace(quantized, name=name)
        inputs[site.op.bias] = name
    return replace(node, inputs=tuple(inputs))


def _bias_limit(site: Site, tensors: Mapping[str, Tensor]) -> Array:
    """The least weight scale per channel with which the bias still fits in 30 bits, or for int16 in 46."""
    bias = site.ins[site.op.bias].data if site.op.bias is not None else None
    if bias is None:
        return np.zeros(1)
    x = tensors[site.ins[0].name]
    most = 2.0**46 if x.dtype == "int16" else 2.0**30
    return np.abs(bias.astype(np.float64)) / (float(x.q.s) * most)


def _weights(t: Tensor, axis: int, least: Array, dtype: Weights) -> Tensor:
    data = t.data
    assert data is not None
    others = tuple(i for i in range(data.ndim) if i != axis)
    largest = np.abs(data).max(axis=others).astype(np.float64)
    reach = WEIGHT_REACH[dtype]
    scale = np.maximum(largest / reach, least)
    scale = np.where(scale > 1e-30, scale, 1.0).astype(np.float32)
    quant = Quant(scale, np.zeros(len(scale), np.int32), axis)
    integers = np.clip(quant.quantize(data, dtype), -reach, reach)
    return replace(t, dtype=dtype, quant=quant, data=integers)


def _bias(t: Tensor, x: Quant, w: Quant, dtype: str) -> Tensor:
    data = t.data
    assert data is not None
    scale = (x.s * w.scale).astype(np.float32)
    real = data.astype(np.float64) / (np.float64(x.s) * w.scale.astype(np.float64))
    most = 2**31 - 1 if dtype == "int32" else 2**47
    integers = np.clip(np.round(real), -most, most).astype(dtype)
    return replace(t, dtype=dtype, quant=Quant(scale, np.zeros(len(scale), np.int32), 0), data=integers)


def _plain(t: Tensor, quant: Quant | None, dtype: str) -> Tensor:
    data = t.data
    assert data is not None
    quant = quant or range_quant(float(data.min()), float(data.max()), dtype)
    return replace(t, dtype=dtype, quant=quant, data=quant.quantize(data, dtype))


def _refuse_integers(graph: Graph) -> None:
    """Only a float graph can be quantized."""
    if graph.states:
        raise UserError("the model keeps states from run to run; quantize it first, then make it stateful")
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


def _fixed(quant: Quant, dtype: str) -> Quant:
    """What an operator fixes its result to: in int16 the same range, symmetric (of a sigmoid 1/32768, 0)."""
    if dtype == "int8":
        return quant
    ends = (float(quant.s) * (end - quant.z) for end in (-128, 128))
    return Quant.per_tensor(max(map(abs, ends)) / 32768, 0)


def _least_scale(site: Site, operands: Sequence[Quant], dtype: str) -> float:
    """The smallest scale the result may have: of a sum of almost nothing, of weights that cancel out."""
    least = site.op.least_scale([float(q.scale.max()) for q in operands])
    if dtype == "int8":
        return least
    # TFLM scales the operands of an int16 sum up by five bits less, and shifts sums of 64 bits left by at most 7.
    product = 1.001 * float(operands[0].s) / 128 if site.op.weights else 0.0
    weights = (
        np.abs(t.data).max() / 127
        for i, t in enumerate(site.ins)
        if i in site.op.weights and t.data is not None
    )
    return max(32 * least, product * max(map(float, weights), default=0.0))


def _activation_quants(
    graph: Graph, ranges: Mapping[str, Range], input_quant: Quant | None, dtype: str
) -> dict[str, Quant]:
    """One quantization per activation: fixed by its producer, shared along its group, or from its range."""
    groups, fixed = _Groups(), {}
    if input_quant is not None:
        fixed[graph.inputs[0]] = input_quant
    for site in graph.sites():
        if isinstance(site.op.out_quant, Quant):
            fixed.update({t.name: _fixed(site.op.out_quant, dtype) for t in site.outs})
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
        return fixed.get(name) or anchored.get(root) or range_quant(*merged[root], dtype)

    for site in (
        graph.sites()
    ):  # in order: what an operator demands of its result widens the range of those that follow
        operands = [quant(t.name) for t in site.ins if t.name in ranges]
        operands += [
            _plain(t, None, dtype).q for t in site.ins if t.data is not None and t.dtype == "float32"
        ]
        if site.y.name in ranges and operands:
            least = _least_scale(site, operands, dtype)
            root = groups.find(site.y.name)
            lo, hi = merged[root]
            if float(range_quant(lo, hi, dtype).s) < least:
                ends = INT_RANGE[dtype]
                merged[root] = (min(lo, ends[0] * least), max(hi, ends[1] * least))
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
            wants = node.op.same_quant_inputs and wanted is not None and t.quant is not None
            if wants and wanted is not None and not wanted.same(t.quant):
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
        if tensors[name].quant is None:
            inputs.append(name)
            continue
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
