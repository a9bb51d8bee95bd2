"""Features brought to mean zero and deviation one ahead of a model, which then takes that into its constants."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Tensor, verify
from lilliput.op import Op, Site
from lilliput.ops.features import Scaler
from lilliput.passes.fold import absorbed


@runtime_checkable
class TakesFeatures(Protocol):
    """An operator whose constants can be changed so that it takes its features on other scales."""

    def with_features(self, site: Site, scale: Array, offset: Array) -> dict[int, Array] | None:
        """Input index -> new constant, so that the result for x is what it was for x * scale + offset."""


def standardize(graph: Graph, samples: Array) -> Graph:
    """The same model with (x - mean) / deviation over `samples` computed first, in float32.

    For models that are quantized: integers have one scale for all features, which is right where all are of one size.
    A model whose first operator cannot take it in (one that measures distances between whole samples) stays as it is.
    """
    x = graph.tensors[graph.inputs[0]]
    if len(graph.inputs) != 1 or len(x.shape) != 2 or x.dtype != "float32":
        raise UserError("standardize is for models of one float32 input (1, features)")
    rows = np.asarray(samples, np.float64).reshape(len(samples), -1)
    if rows.shape[1] != x.shape[1]:
        raise UserError(f"samples have {rows.shape[1]} features, the model takes {x.shape[1]}")
    mean = rows.mean(0).astype(np.float32)
    deviation = rows.std(0).astype(np.float32)
    deviation = np.where(deviation > 0, deviation, np.float32(1))
    scaled = f"{x.name}.standardized"
    new: dict[str, Tensor] = {
        scaled: Tensor(scaled, x.shape),
        f"{x.name}.mean": Tensor(f"{x.name}.mean", mean.shape, data=mean),
        f"{x.name}.factor": Tensor(f"{x.name}.factor", mean.shape, data=np.float32(1) / deviation),
    }
    nodes = [Node(Scaler(), (x.name, f"{x.name}.mean", f"{x.name}.factor"), (scaled,), "standardize")]
    for node in graph.nodes:
        if x.name not in node.inputs:
            nodes.append(node)
            continue
        site = graph.site(node)
        constants = _constants(node.op, site, deviation, mean)
        if constants is None:
            return graph
        inputs = [scaled, *node.inputs[1:]]
        for i, data in constants.items():
            inputs[i] = f"{node.inputs[i]}.{node.outputs[0]}.standardized"
            new[inputs[i]] = replace(site.ins[i], name=inputs[i], shape=data.shape, data=data)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return verify(graph.with_nodes(nodes, new))


def _constants(op: Op, site: Site, scale: Array, offset: Array) -> dict[int, Array] | None:
    if isinstance(op, TakesFeatures):
        return op.with_features(site, scale, offset)
    found = absorbed(site, scale, offset, channels=len(scale))
    if found is None or op.bias is None:
        return None
    ((weights, _),) = op.weights.items()
    return {weights: found[0], op.bias: found[1]}
