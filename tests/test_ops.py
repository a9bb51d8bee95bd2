"""The registry drives these: every operator, every example, every kernel, in numpy, in C on the host, and in torch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from batch import Case, host_differences, host_models, same
from lilliput.evaluate import step_through
from lilliput.examples import cases, draw, float_graph
from lilliput.graph import Graph, Shape, Tensor
from lilliput.host import FEATURES
from lilliput.learn import to_torch
from lilliput.op import REGISTRY, Example, Pick, usable
from lilliput.plan import plan

OPS = sorted(REGISTRY)


@cache
def graphs(op: str) -> list[tuple[str, Graph]]:
    return list(cases(op))


def every_kernel(op: str) -> list[Case]:
    """One case per example and per kernel that accepts it."""
    found = []
    for label, graph in graphs(op):
        most = max((len(usable(site, FEATURES)) for site in graph.sites() if not site.op.view), default=1)
        found += [Case(f"{label}/{i}", plan(graph, FEATURES, pick=nth(i))) for i in range(most)]
    return found


def nth(i: int) -> Pick:
    """The i-th kernel that may run, the last one where there are fewer."""
    return lambda _, kernels: kernels[min(i, len(kernels) - 1)]


@pytest.mark.parametrize("op", OPS)
def test_has_examples_kernels_and_samples(op: str) -> None:
    cls = REGISTRY[op]
    examples = list(cls.examples())
    assert len(examples) >= 3, "at least three adversarial examples"
    if not cls.view:
        met = {k.name for _, graph in graphs(op) for site in graph.sites() for k in usable(site, FEATURES)}
        own = {k.name for k in cls.kernels if k.isa <= FEATURES}
        assert own <= met, f"kernels without an example: {own - met}"
    rng = np.random.default_rng(0)
    shapes = [(1, 7), (1, 5, 4), (1, 6, 5, 4), (1, 8, 2)]
    drawn = any(cls.sample(rng, s) for s in shapes for _ in range(20))
    assert drawn or not any(_takes_any_reals(e) for e in examples), "never drawn in random graphs"


def _takes_any_reals(example: Example | Graph) -> bool:
    """Random graphs feed any real numbers: no integers, and nothing that is defined on some of them only."""
    return (
        isinstance(example, Example)
        and not example.limits
        and not any(isinstance(given, Tensor) for given in example.ins)
    )


RANKS: tuple[Shape, ...] = (
    (1,), (3,), (1, 7), (3, 5), (1, 5, 4), (2, 3, 4), (1, 6, 5, 4), (3, 4, 5, 2), (2, 1, 1, 3), (1, 2, 3, 4, 2),
    (2, 3, 2, 3, 2), (1, 1, 2, 3, 2, 2), (2, 2, 1, 3, 2, 2),
)  # fmt: skip


def test_samples_are_valid() -> None:
    """What random graphs draw is a case, whatever the shape: of any rank, with one sample or several."""
    for op, cls in REGISTRY.items():
        for shape in RANKS:
            rng = np.random.default_rng(len(shape))
            for _ in range(3):
                example = cls.sample(rng, shape)
                if example is not None:
                    first = float_graph(example).tensors["x0"]
                    assert first.shape == shape, f"{op} drew {first.shape} for {shape}"


@pytest.mark.parametrize("part", range(4))
def test_a_taste_of_every_operator(part: int) -> None:
    """The first example of each with its fastest kernels; all of them with all kernels follow below."""
    first = [
        Case(label, plan(graph, FEATURES))
        for op in OPS[part::4]
        for label, graph in graphs(op)
        if label.split("-")[1] == "0" and label.rsplit("-", 1)[1] in ("float32", "int8", "graph")
    ]
    assert host_differences(first, host_models(first), seed=10) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", OPS)
def test_c_on_the_host_equals_numpy(op: str) -> None:
    every = every_kernel(op)
    assert host_differences(every, host_models(every), seed=11, count=3) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", OPS)
def test_c_has_no_undefined_behaviour(op: str) -> None:
    every = every_kernel(op)
    assert host_differences(every, host_models(every, sanitize="undefined"), seed=12, count=2) == []


@pytest.mark.parametrize("op", OPS)
def test_torch_form_equals_numpy_and_has_gradients(op: str) -> None:
    for example in REGISTRY[op].examples():
        if not isinstance(example, Example):
            continue
        graph = float_graph(example)
        module = to_torch(graph)
        (feed,) = draw(graph, 5)
        inputs = [
            torch.tensor(feed[name], requires_grad=feed[name].dtype.kind == "f") for name in graph.inputs
        ]
        results = module(*inputs)
        for name, result in zip(
            graph.outputs, results if isinstance(results, tuple) else (results,), strict=True
        ):
            expected = step_through(graph, feed)[name]
            assert same(expected, result.detach().numpy().astype(expected.dtype)), (
                f"{example} differs from torch"
            )
            if result.is_floating_point() and result.requires_grad:
                result.sum().backward(retain_graph=True)
        if any(r.requires_grad for r in (results if isinstance(results, tuple) else (results,))):
            assert all(
                x.grad is not None and torch.isfinite(x.grad).all() for x in inputs if x.requires_grad
            ), f"{example}: no gradient"


@pytest.mark.parametrize("op", OPS)
def test_reference_takes_a_batch(op: str) -> None:
    """N samples at once give what N single runs give."""
    from lilliput.evaluate import batchable

    for label, graph in graphs(op):
        if not batchable(graph):
            continue
        feeds = draw(graph, 9, 3)
        stacked = {name: np.concatenate([f[name] for f in feeds]) for name in graph.inputs}
        together = step_through(graph, stacked)
        for i, feed in enumerate(feeds):
            for name, value in step_through(graph, feed).items():
                assert same(value, together[name][i : i + 1]), f"{label}: sample {i} differs within a batch"
