"""The integer form of tree ensembles: features, thresholds and leaves as int16 or int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import as_input
from lilliput.graph import INT_RANGE, Array, Graph, Node, Tensor, verify
from lilliput.ops.tree.ensemble import INFINITY, TreeEnsemble

FeatureType = Literal["int16", "int8"]


def keys_to_floats(keys: Array) -> Array:
    """The float32 numbers of `float_keys`; -inf also for what lies below it."""
    keys = np.maximum(np.asarray(keys, np.int64), ~INFINITY)
    return np.where(keys < 0, keys ^ 0x7FFFFFFF, keys).astype(np.int32).view(np.float32)


def quantize_trees(
    graph: Graph,
    samples: Array,
    dtype: FeatureType = "int16",
    leaves: Literal["int32", "int16", "int8"] = "int32",
) -> Graph:
    """A graph whose features go into tree ensembles only, over integer features: x' = floor((x - offset) * scale).

    Each feature has its own scale and offset, in `meta["features"]`, from the range of `samples` and of its thresholds;
    a feature that only takes whole numbers which fit keeps them (scale 1, offset 0). `to_integers` converts samples;
    an application does it with its raw sensor values. x <= t becomes x' <= floor((t - offset) * scale), which decides
    alike but for x between t and the next step. With `leaves` the values added up are rounded to that type, with one
    scale.
    """
    x = _features(graph)
    real = np.asarray(as_input(graph, samples), np.float64)
    at = [i for i, node in enumerate(graph.nodes) if x.name in node.inputs]
    thresholds: dict[int, list[float]] = {}
    for i in at:
        nodes = _constant(graph, graph.nodes[i], 1)
        for feature, key in nodes[:, :2]:
            thresholds.setdefault(int(feature), []).append(float(keys_to_floats(key)))
    scale, offset = _affine(real, thresholds, dtype)
    lo, hi = INT_RANGE[dtype]
    tensors = dict(graph.tensors)
    tensors[x.name] = replace(x, dtype=dtype)
    for i in at:
        node = graph.nodes[i]
        nodes = _constant(graph, node, 1).copy()
        bounds = keys_to_floats(nodes[:, 1]).astype(np.float64)
        whole = np.floor((bounds - offset[nodes[:, 0]]) * scale[nodes[:, 0]])
        nodes[:, 1] = np.clip(whole, lo - 1, hi).astype(np.int32)
        name = f"{node.inputs[1]}@{dtype}"
        tensors[name] = Tensor(name, nodes.shape, "int32", data=nodes)
        graph = _with_inputs(graph, i, {1: name}, node.op)
        if leaves != "int32":
            graph = _coarse(graph, i, leaves, tensors)
    features = {"dtype": dtype, "scale": scale.tolist(), "offset": offset.tolist()}
    done = replace(graph, meta={**graph.meta, "features": features})
    return verify(done.with_nodes(done.nodes, tensors))


def to_integers(graph: Graph, x: Array) -> Array:
    """Real samples [N, F] as the integers that a graph of `quantize_trees` takes."""
    f = graph.meta["features"]
    scaled = np.floor((np.asarray(x, np.float64) - np.array(f["offset"])) * np.array(f["scale"]))
    return np.asarray(np.clip(scaled, *INT_RANGE[f["dtype"]]).astype(f["dtype"]))


def decisions_lost(graph: Graph, integers: Graph, samples: Array) -> dict[str, Any]:
    """What rounding costs on `samples`: labels that differ, or the largest and the mean difference of results."""
    from lilliput.evaluate import outputs

    before = outputs(graph, np.asarray(samples, np.float32))
    after = outputs(integers, to_integers(integers, samples))
    report: dict[str, Any] = {"samples": len(samples)}
    for name, value in before.items():
        if value.dtype == np.float32:
            gap = np.abs(value.astype(np.float64) - after[name])
            report[name] = {"largest": float(gap.max()), "mean": float(gap.mean())}
        else:
            report[name] = {"different": int((value != after[name]).sum())}
    return report


def _features(graph: Graph) -> Tensor:
    """The input, when nothing but tree ensembles reads it."""
    if len(graph.inputs) != 1:
        raise UserError(f"the model has {len(graph.inputs)} inputs, expected one of features")
    x = graph.tensors[graph.inputs[0]]
    for node in graph.nodes:
        if x.name in node.inputs and not isinstance(node.op, TreeEnsemble):
            raise UserError(
                f"layer '{node.name}' ({node.op.name}) reads the features: only trees have integer features; "
                "trees need no scaler before them, fit them without"
            )
        if isinstance(node.op, TreeEnsemble) and node.op.missing:
            raise UserError(f"layer '{node.name}': integers have no NaN; load the model with missing=False")
    if x.dtype != "float32":
        raise UserError(f"the features are {x.dtype} already")
    return x


def _affine(real: Array, thresholds: Mapping[int, list[float]], dtype: str) -> tuple[Array, Array]:
    """Scale and offset of each feature, so that samples and thresholds fill the range."""
    lo, hi = INT_RANGE[dtype]
    scale, offset = np.ones(real.shape[1]), np.zeros(real.shape[1])
    for f, bounds in thresholds.items():
        column, finite = real[:, f], np.array([t for t in bounds if np.isfinite(t)])
        if (column == np.floor(column)).all() and column.min() >= lo and column.max() <= hi:
            continue  # counts, raw sensor values: exact as they are
        least = min(column.min(), finite.min(initial=np.inf))
        most = max(column.max(), finite.max(initial=-np.inf))
        if most > least:
            scale[f] = (hi - lo) / (most - least)
            offset[f] = least - lo / scale[f]
    return scale, offset


def _constant(graph: Graph, node: Node, index: int) -> Array:
    data = graph.tensors[node.inputs[index]].data
    assert data is not None
    return data


def _with_inputs(graph: Graph, at: int, names: Mapping[int, str], op: Any) -> Graph:
    node = graph.nodes[at]
    inputs = tuple(names.get(i, name) for i, name in enumerate(node.inputs))
    nodes = list(graph.nodes)
    nodes[at] = replace(node, op=op, inputs=inputs)
    return replace(graph, nodes=tuple(nodes))


def _coarse(graph: Graph, at: int, dtype: str, tensors: dict[str, Tensor]) -> Graph:
    """Leaf values shifted right until they fit in `dtype`, the start with them."""
    node = graph.nodes[at]
    assert isinstance(node.op, TreeEnsemble)
    values = _constant(graph, node, 3)
    limit = INT_RANGE[dtype][1]
    drop = 0
    while np.abs(np.rint(np.ldexp(values.astype(np.float64), -drop))).max() > limit:
        drop += 1
    names = {}
    for index in (3, 4):
        data = np.rint(np.ldexp(_constant(graph, node, index).astype(np.float64), -drop)).astype(np.int32)
        name = f"{node.inputs[index]}@{dtype}"
        tensors[name] = Tensor(name, data.shape, "int32", data=data)
        names[index] = name
    return _with_inputs(graph, at, names, replace(node.op, shift=node.op.shift - drop))
