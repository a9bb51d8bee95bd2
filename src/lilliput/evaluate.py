"""The numpy reference: run a graph node by node, in float32 or in exact integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import INT_RANGE, Array, Graph, Shape

CHUNK = 128
Watch = Callable[[str, Array], None]


def batchable(graph: Graph) -> bool:
    """Whether N samples may be computed at once along dimension 0 of every activation."""
    activations = [t for t in graph.tensors.values() if not t.constant]
    return all(t.shape and t.shape[0] == 1 for t in activations) and all(
        site.op.batchable(site) for site in graph.sites()
    )


def step_through(graph: Graph, feed: Mapping[str, Array], watch: Watch | None = None) -> dict[str, Array]:
    """Values of the graph's outputs for one feed (dimension 0 may hold a batch); `watch` sees every activation."""
    values: dict[str, Array] = {name: t.data for name, t in graph.tensors.items() if t.data is not None}
    values.update(feed)
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    for name in graph.inputs if watch else ():
        assert watch is not None
        watch(name, values[name])
    for i, node in enumerate(graph.nodes):
        results = node.op.run(graph.site(node), *(values[name] for name in node.inputs))
        for name, value in zip(node.outputs, results, strict=True):
            values[name] = value
            if watch:
                watch(name, value)
        for name in node.inputs:  # free what nobody reads any more: calibration sets are large
            if last[name] == i and name not in graph.outputs and not graph.tensors[name].constant:
                values.pop(name, None)
    return {name: values[name] for name in graph.outputs}


def _chunks(graph: Graph, x: Array) -> Iterable[Array]:
    size = CHUNK if batchable(graph) else 1
    return (x[i : i + size] for i in range(0, len(x), size))


def run(graph: Graph, x: Array, watch: Watch | None = None) -> Array:
    """The first output for N samples stacked along dimension 0; float samples are quantized for an int8 input."""
    return outputs(graph, x, watch)[graph.outputs[0]]


def outputs(graph: Graph, x: Array, watch: Watch | None = None) -> dict[str, Array]:
    """Every output for N samples: name -> array with the samples along dimension 0."""
    name = graph.inputs[0]
    if len(graph.inputs) > 1:
        raise UserError(
            f"the model has {len(graph.inputs)} inputs ({', '.join(graph.inputs)}); samples are for models of one"
        )
    parts = [step_through(graph, {name: chunk}, watch) for chunk in _chunks(graph, as_input(graph, x))]
    return joined(graph, parts)


def joined(graph: Graph, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The outputs of several runs as one array each; results without any axis get one."""
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in graph.outputs}


def all_tensors(graph: Graph, x: Array) -> dict[str, Array]:
    """Every activation for N samples: name -> array with the samples along dimension 0."""
    seen: dict[str, list[Array]] = {}
    run(graph, x, lambda name, value: seen.setdefault(name, []).append(value))
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def _same_elements(found: Shape, expected: Shape) -> bool:
    """Whether a reshape cannot mix anything up: flattened samples, or only axes of size one differ."""
    flat = len(found) == 1 and found[0] == int(np.prod(expected))
    return flat or [d for d in found if d != 1] == [d for d in expected if d != 1]


def as_input(graph: Graph, x: Array) -> Array:
    """Samples in the type and shape of the graph's input, quantized when they come as floats for an int8 input."""
    tensor = graph.tensors[graph.inputs[0]]
    expected = tensor.shape[1:]
    if x.ndim and _same_elements(x.shape[1:], expected):
        x = x.reshape(len(x), *expected)
    if x.shape[1:] != expected:
        found = x.shape[1:]
        first = len(found) == 3 and (*found[1:], found[0]) == expected
        hint = "; channels come last: give x.transpose(0, 2, 3, 1)" if first else ""
        raise UserError(
            f"samples have shape {found}, the model's input '{tensor.name}' expects {expected}{hint}"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise UserError(
            f"the samples hold NaN or infinite values ({np.count_nonzero(~np.isfinite(x))} of them)"
        )
    if x.dtype == tensor.dtype:
        return x
    if tensor.dtype == "float32" and x.dtype.kind in "iufb":
        return x.astype(np.float32)
    if x.dtype.kind == "f" and tensor.quant is not None:
        return tensor.quant.quantize(x, tensor.dtype)
    lo, hi = INT_RANGE.get(tensor.dtype, (0, -1))
    if x.dtype.kind in "iu" and x.min(initial=0) >= lo and x.max(initial=0) <= hi:
        return x.astype(tensor.dtype)
    raise UserError(f"samples of type {x.dtype} do not fit the input '{tensor.name}' of type {tensor.dtype}")
