"""Preprocessing becomes part of the graph, so that the device takes bytes as a camera gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lilliput.data.preprocess import Preprocess
from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Tensor, verify
from lilliput.ops.norm import BatchNorm
from lilliput.passes.fold import fold_affine, fold_affine_forward


def fold_preprocess(graph: Graph, preprocess: Preprocess) -> Graph:
    """The same network on less preprocessed samples; its `meta` records what is left, all of it input quantization.

    A scale per channel goes into the weights of the first layer, and so does an offset where that layer does not
    pad. Where it pads, its padding means the normalised zero, which is no pixel in general: then the normalisation
    stays, as the first layer on the device.
    """
    x = graph.tensors[graph.inputs[0]]
    if len(graph.inputs) != 1 or x.size != int(np.prod(preprocess.shape)) or x.dtype != "float32":
        found = ", ".join(str(graph.tensors[name]) for name in graph.inputs)
        raise UserError(
            f"the model takes {found}; preprocessing gives float32 samples of shape {preprocess.shape}"
        )
    known = graph.meta.get("preprocess")
    if known is not None and Preprocess.from_json(known) != preprocess:
        raise UserError(
            f"the model takes samples preprocessed by {known}, not by {preprocess.to_json()}: "
            "is its preprocessing folded already?"
        )
    base, scale, offset = preprocess.on_pixels()
    recorded = replace(graph, meta={**graph.meta, "preprocess": base.to_json()})
    if base is preprocess:
        return recorded
    if x.shape[-1] != preprocess.channels:
        raise UserError(
            f"the model's input '{x.name}' has shape {x.shape}; a mean or deviation for each of "
            f"{preprocess.channels} channels needs them as its last axis"
        )
    return verify(fold_affine_forward(fold_affine(_prepended(recorded, x, scale, offset))))


def _prepended(graph: Graph, x: Tensor, scale: Array, offset: Array) -> Graph:
    """Everything that read the input reads input * scale + offset."""
    y = replace(x, name=f"{x.name}.normalised")
    tensors = {y.name: y}
    for what, values in (("scale", scale), ("offset", offset)):
        name = f"{x.name}.{what}"
        tensors[name] = Tensor(name, values.shape, data=values.astype(np.float32))
    if taken := tensors.keys() & graph.tensors.keys():
        raise UserError(f"the model has a tensor '{min(taken)}', which preprocessing wants to add; rename it")
    first = Node(BatchNorm(), (x.name, f"{x.name}.scale", f"{x.name}.offset"), (y.name,), "preprocess")

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(y.name if name == x.name else name for name in names)

    nodes = (replace(n, inputs=renamed(n.inputs)) for n in graph.nodes)
    return replace(graph, outputs=renamed(graph.outputs)).with_nodes([first, *nodes], tensors)
