"""The numpy reference: run a graph node by node, in float32 or in exact integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import INT_RANGE, Array, Graph, Shape, Tensor
from lilliput.op import Site

CHUNK = 128
Watch = Callable[[str, Array], None]
Samples = Array | Mapping[str, Array]
"""N samples along dimension 0: an array, or one per input by name."""


def batchable(graph: Graph) -> bool:
    """Whether N samples may be computed at once along dimension 0 of every activation."""
    activations = [t for t in graph.tensors.values() if not t.constant]
    return (
        not graph.states
        and all(t.shape and t.shape[0] == 1 for t in activations)
        and all(site.op.batchable(site) for site in graph.sites())
    )


def step_through(graph: Graph, feed: Mapping[str, Array], watch: Watch | None = None) -> dict[str, Array]:
    """Values of the graph's outputs for one feed (dimension 0 may hold a batch); `watch` sees every activation.

    States start from zero, or where the feed says.
    """
    return advance(graph, feed, {}, watch)[0]


def advance(
    graph: Graph, feed: Mapping[str, Array], state: Mapping[str, Array], watch: Watch | None = None
) -> tuple[dict[str, Array], dict[str, Array]]:
    """One run of a graph with states: (outputs, the state that the next run starts from).

    A state is a value per tensor that a run starts from; what is missing in it is real zero, as after a reset.
    """
    values: dict[str, Array] = {name: t.data for name, t in graph.tensors.items() if t.data is not None}
    values.update(feed)
    for before, _ in graph.states:
        if before not in feed:
            values[before] = state.get(before, reset(graph.tensors[before]))
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
            if last[name] == i and name not in graph.kept and not graph.tensors[name].constant:
                values.pop(name, None)
    return {name: values[name] for name in graph.outputs}, {b: values[a] for b, a in graph.states}


def reset(t: Tensor) -> Array:
    """What a state starts from: real zero."""
    return np.full(t.shape, 0 if t.quant is None else t.quant.z, t.dtype)


class Shadow:
    """The reference of one layer at a time, on what another implementation has computed up to there.

    So a layer is judged by itself: where floats are summed in another order, later roundings may fall to either side.
    """

    def __init__(self, graph: Graph, feed: Mapping[str, Array]) -> None:
        self._graph = graph
        self._producer = graph.producer()
        self._values = {name: t.data for name, t in graph.tensors.items() if t.data is not None}
        self._values |= {before: reset(graph.tensors[before]) for before, _ in graph.states} | dict(feed)

    def expect(self, site: Site) -> dict[str, Array]:
        """The results of a layer from the values it had."""
        results = site.op.run(site, *(self._value(t.name) for t in site.ins))
        return {t.name: result for t, result in zip(site.outs, results, strict=True)}

    def set(self, name: str, value: Array) -> None:
        """What the other implementation computed."""
        self._values[name] = value

    def _value(self, name: str) -> Array:
        if name not in self._values:  # a view has no layer: it holds what it is a view of
            node = self._producer[name]
            (self._values[name],) = node.op.run(self._graph.site(node), self._value(node.inputs[0]))
        return self._values[name]


def sample_count(x: Samples) -> int:
    """How many samples there are."""
    return len(next(iter(x.values())) if isinstance(x, Mapping) else x)


def feeds(graph: Graph, xs: Mapping[str, Array], size: int = 1) -> Iterator[dict[str, Array]]:
    """What single runs take: samples `size` at a time along dimension 0, or one where the model has no batch axis."""
    for i in range(0, sample_count(xs), size):
        yield {
            name: x[i : i + size] if _batched(graph, name) else x[i].reshape(graph.tensors[name].shape)
            for name, x in xs.items()
        }


def _batched(graph: Graph, name: str) -> bool:
    """Whether dimension 0 of a tensor is that of the samples."""
    return graph.tensors[name].shape[:1] == (1,)


def run(graph: Graph, x: Samples, watch: Watch | None = None, *, keep_state: bool = False) -> Array:
    """The first output for N samples stacked along dimension 0; float samples are quantized for an int8 input."""
    return outputs(graph, x, watch, keep_state=keep_state)[graph.outputs[0]]


def outputs(
    graph: Graph, x: Samples, watch: Watch | None = None, *, keep_state: bool = False
) -> dict[str, Array]:
    """Every output for N samples: name -> array with the samples along dimension 0.

    With `keep_state` a sample starts from the state that the one before it left, otherwise every one from a reset.
    """
    size = CHUNK if batchable(graph) else 1
    state: dict[str, Array] = {}
    parts = []
    for feed in feeds(graph, as_inputs(graph, x), size):
        part, left = advance(graph, feed, state, watch)
        parts.append(part)
        state = left if keep_state else {}
    return joined(graph, parts)


def joined(graph: Graph, parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The outputs of several runs as one array each, with the samples along dimension 0."""
    return {
        name: (np.concatenate if _batched(graph, name) else np.stack)([part[name] for part in parts])
        for name in graph.outputs
    }


def all_tensors(graph: Graph, x: Samples) -> dict[str, Array]:
    """Every activation for N samples: name -> array with the samples along dimension 0."""
    seen: dict[str, list[Array]] = {}
    run(graph, x, lambda name, value: seen.setdefault(name, []).append(value))
    return {
        name: (np.concatenate if _batched(graph, name) else np.stack)(parts) for name, parts in seen.items()
    }


def _same_elements(found: Shape, expected: Shape) -> bool:
    """Whether a reshape cannot mix anything up: flattened samples, or only axes of size one differ."""
    flat = len(found) == 1 and found[0] == int(np.prod(expected))
    return flat or [d for d in found if d != 1] == [d for d in expected if d != 1]


def as_inputs(graph: Graph, x: Samples) -> dict[str, Array]:
    """N samples of every input in its type and shape: an array for a model of one input, else a mapping by name."""
    if not isinstance(x, Mapping):
        if len(graph.inputs) > 1:
            raise UserError(
                f"the model has {len(graph.inputs)} inputs; give samples for each by name: {', '.join(graph.inputs)}"
            )
        x = {graph.inputs[0]: x}
    if set(x) != set(graph.inputs):
        raise UserError(f"samples are for {', '.join(x)}; the model's inputs are {', '.join(graph.inputs)}")
    counts = {name: len(x[name]) if np.ndim(x[name]) else 0 for name in graph.inputs}
    if len(set(counts.values())) > 1:
        raise UserError(f"the inputs have different numbers of samples: {counts}")
    return {name: _as_input(graph, name, np.asarray(x[name])) for name in graph.inputs}


def as_input(graph: Graph, x: Array) -> Array:
    """Samples in the type and shape of the graph's only input."""
    return as_inputs(graph, x)[graph.inputs[0]]


def understands_nan(graph: Graph, name: str) -> bool:
    """Whether all that reads a tensor of real values says what a NaN means: a feature that is missing."""
    readers = graph.consumers()
    if graph.tensors[name].dtype != "float32" or name in graph.kept or not readers[name]:
        return False
    return all(
        node.op.nan() == "understood"
        or (node.op.nan() == "passed on" and all(understands_nan(graph, o) for o in node.outputs))
        for node in readers[name]
    )


def _as_input(graph: Graph, name: str, x: Array) -> Array:
    """Samples in the type and shape of an input, quantized when they come as floats for integers."""
    tensor = graph.tensors[name]
    expected = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    if x.ndim and _same_elements(x.shape[1:], expected):
        x = x.reshape(len(x), *expected)
    if x.shape[1:] != expected:
        found = x.shape[1:]
        first = len(found) > 1 and (*found[1:], found[0]) == expected
        axes = ", ".join(map(str, (0, *range(2, len(found) + 1), 1)))
        hint = f"; channels come last: give x.transpose({axes})" if first else ""
        raise UserError(
            f"samples have shape {found}, the model's input '{tensor.name}' expects {expected}{hint}"
        )
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            x = x.astype(np.float32)
    strange = ~np.isfinite(x) if x.dtype.kind == "f" else np.zeros(0, bool)
    if strange.any() and not (np.isnan(x[strange]).all() and understands_nan(graph, name)):
        raise UserError(f"the samples hold NaN or infinite values ({np.count_nonzero(strange)} of them)")
    if x.dtype == tensor.dtype:
        return x
    if tensor.dtype == "float32" and x.dtype.kind in "iufb":
        return x.astype(np.float32)
    if x.dtype.kind == "f" and tensor.quant is not None:
        return tensor.quant.quantize(x, tensor.dtype)
    lo, hi = {"bool": (0, 1), "int64": (-(2**63), 2**63 - 1), **INT_RANGE}.get(tensor.dtype, (0, -1))
    if x.dtype.kind in "iub" and x.min(initial=0) >= lo and x.max(initial=0) <= hi:
        return x.astype(tensor.dtype)
    raise UserError(f"samples of type {x.dtype} do not fit the input '{tensor.name}' of type {tensor.dtype}")
