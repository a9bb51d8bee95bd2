"""Turns an operator's `examples()` into graphs with inputs: what the tests and the benchmarks run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.graph import Array, Graph, Node, Tensor, verify
from lilliput.op import REGISTRY, Example
from lilliput.quantize import quantize
from lilliput.quantize.calibrate import Range


def float_graph(example: Example) -> Graph:
    """One node; arrays of the example are constants, shapes are float32 inputs, tensors inputs of other types."""
    tensors: dict[str, Tensor] = {}
    names = []
    for i, given in enumerate(example.ins):
        name = f"{'c' if isinstance(given, np.ndarray) else 'x'}{i}"
        if isinstance(given, np.ndarray):
            tensors[name] = Tensor(name, given.shape, str(given.dtype), data=given)
        elif isinstance(given, Tensor):
            tensors[name] = replace(given, name=name)
        else:
            tensors[name] = Tensor(name, given)
        names.append(name)
    ins = [tensors[name] for name in names]
    shapes = example.op.infer(ins)
    outs = tuple(f"y{i}" for i in range(len(shapes)))
    for name, shape, dtype in zip(outs, shapes, example.op.result_dtypes(ins), strict=True):
        tensors[name] = Tensor(name, shape, dtype)
    inputs = tuple(name for name in names if not tensors[name].constant)
    node = Node(example.op, tuple(names), outs, example.op.name)
    limits = {names[i]: list(bounds) for i, bounds in example.limits.items()}
    return verify(Graph(inputs, outs, (node,), tensors, {"limits": limits} if limits else {}))


def draw(graph: Graph, seed: int, count: int = 1) -> list[dict[str, Array]]:
    """Inputs of a graph: floats are normal, integers uniform over their range with both ends present.

    `meta["limits"]` of an example bounds an input; 64-bit integers are drawn from 32 bits.
    """
    rng = np.random.default_rng(seed)
    feeds = []
    for _ in range(count):
        feed: dict[str, Array] = {}
        for name in graph.inputs:
            t = graph.tensors[name]
            feed[name] = _drawn(rng, t, graph.meta.get("limits", {}).get(name))
        feeds.append(feed)
    return feeds


def _drawn(rng: np.random.Generator, t: Tensor, limits: tuple[float, float] | None) -> Array:
    if t.dtype == "float32":
        value = rng.normal(0, 1.5, t.shape) if limits is None else rng.uniform(*limits, t.shape)
        return np.asarray(value, np.float32)
    if t.dtype == "bool":
        return np.asarray(rng.integers(0, 2, t.shape), bool)
    if limits is None:
        info = np.iinfo("int32" if t.dtype == "int64" else t.dtype)
        limits = (info.min, info.max)
    lo, hi = (int(v) for v in limits)
    values = np.asarray(rng.integers(lo, hi, t.shape, dtype=t.dtype, endpoint=True))
    values.flat[0], values.flat[-1] = lo, hi
    return values


def ranges_of(graph: Graph, seed: int, squeeze: float = 1.0) -> dict[str, tuple[float, float]]:
    """Ranges of every float activation over a few drawn inputs; `squeeze` < 1 makes the integers saturate."""
    from lilliput.evaluate import step_through

    ranges: dict[str, tuple[float, float]] = {}

    def watch(name: str, value: Array) -> None:
        if value.dtype == np.float32:
            lo, hi = float(value.min()) * squeeze, float(value.max()) * squeeze
            old = ranges.get(name, (lo, hi))
            ranges[name] = (min(lo, old[0]), max(hi, old[1]))

    for feed in draw(graph, seed, 4):
        step_through(graph, feed, watch)
    return ranges


def cases(only: str | None = None) -> Iterator[tuple[str, Graph]]:
    """Every example of every operator, as a float graph and in its integer forms: int8 twice, int16, int4 weights.

    With `only`, of the operator of that name.
    """
    for name, cls in REGISTRY.items() if only is None else [(only, REGISTRY[only])]:
        for i, example in enumerate(cls.examples()):
            if isinstance(example, Graph):
                yield f"{name}-{i}-graph", verify(example)
                continue
            graph = float_graph(example)
            yield f"{name}-{i}-float32", graph
            if example.integer:
                for label, squeeze in (("int8", 1.0), ("saturated", 0.6)):
                    ranges = ranges_of(graph, example.seed, squeeze)
                    yield f"{name}-{i}-{label}", quantize(graph, ranges=ranges)
                yield from _other_types(f"{name}-{i}", graph, ranges_of(graph, example.seed))


def _other_types(label: str, graph: Graph, ranges: Mapping[str, Range]) -> Iterator[tuple[str, Graph]]:
    """With int16 activations and with int4 weights, where the operator has such a form."""
    wide, light = (
        quantize(graph, ranges=ranges, activations="int16"),
        quantize(graph, ranges=ranges, weights="int4"),
    )
    if all(t.constant or t.dtype != "float32" for t in wide.tensors.values()):
        yield f"{label}-int16", wide
    if any(t.dtype == "int4" for t in light.tensors.values()):
        yield f"{label}-int4", light
