"""Channels removed offline, in random networks and in the reference models: what is left holds what it held."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from doctored import RELU6, Doctored, assert_same, integers
from lilliput.evaluate import all_tensors, step_through
from lilliput.examples import cases, draw
from lilliput.firmware import compile
from lilliput.graph import Array, Graph
from lilliput.importers.tflite import load_tflite
from lilliput.op import REGISTRY
from lilliput.ops.conv import Conv2d
from lilliput.passes import simplify
from lilliput.passes.constant_channels import reduced
from lilliput.quantize import quantize
from random_graphs import random_model
from shared import shared
from small_graphs import SAME


def seeds(few: int, many: int) -> pytest.MarkDecorator:
    """So many always, the rest of many where there is time."""
    rest = pytest.param(range(few, many), marks=pytest.mark.slow, id="many")
    return pytest.mark.parametrize("seeds", [pytest.param(range(few), id="few"), rest])


@seeds(60, 500)
def test_every_tensor_that_is_left_holds_what_it_held(seeds: range) -> None:
    for seed in seeds:
        graph = integers(seed)
        made = reduced(graph)
        assert_same(graph, made, draw(graph, seed, 4))
        assert all(len(kept) > 0 for kept in made.kept.values())
        assert made.graph.macs() <= graph.macs()
        assert made.graph.weight_bytes() <= graph.weight_bytes()
        assert reduced(made.graph).graph.macs() == made.graph.macs(), f"seed {seed}: a second run finds more"


def test_those_networks_meet_every_case() -> None:
    """Constant, equal and dead channels, shrunken windows, idle clamps, and each reason to stay."""
    counts: Counter[str] = Counter()
    for seed in range(90):
        graph = integers(seed)
        made = reduced(graph)
        counts["clamps"] += made.report.idle_clamps
        for before, after in zip(graph.sites(), made.graph.sites(), strict=True):
            if before.op.folds_pad:
                counts["windows"] += before.ins[1].shape[1:3] != after.ins[1].shape[1:3]
        for layer in made.report.layers:
            counts.update({"constant": layer.constant, "equal": layer.equal, "dead": layer.dead})
            for reason, n in layer.stayed.items():
                counts[reason.split("layer")[0].strip()] += n
    assert counts["constant"] > 300, counts
    assert min(counts["equal"], counts["dead"], counts["windows"], counts["clamps"]) > 5, counts
    for reason in ("does not fit the bias of", "keeps one channel", "own input, output"):
        assert any(reason in found for found in counts), (reason, counts)


@pytest.mark.parametrize("op", sorted(REGISTRY))
def test_no_result_of_an_operator_changes(op: str) -> None:
    for label, graph in cases(op):
        made = reduced(graph)
        feed = draw(graph, 3)[0]
        for name, value in step_through(graph, feed).items():
            np.testing.assert_array_equal(step_through(made.graph, feed)[name], value, err_msg=label)


@seeds(25, 400)
def test_no_result_of_a_random_graph_changes(seeds: range) -> None:
    for seed in seeds:
        graph = random_model(seed)
        if graph is not None:
            assert_same(graph, reduced(graph), draw(graph, seed, 2))


# --- the reference models ---


@cache
def reference(name: str) -> tuple[Graph, Array]:
    files = {"vww": "vww_96_int8", "kws": "kws_ref_model", "ic": "pretrainedResnet_quant"}
    graph = simplify(load_tflite(shared("models", f"{files[name]}.tflite")))
    return graph, np.load(shared("refs", f"{name}.npz"))["x"]


@pytest.mark.parametrize("name", ["vww", "kws", "ic"])
def test_reference_models_keep_their_values(name: str) -> None:
    graph, x = reference(name)
    noise = np.random.default_rng(2).integers(-128, 128, (8, *x.shape[1:]), np.int8)
    started = time.process_time()
    made = reduced(graph)
    assert time.process_time() - started < 1.0
    assert_same(graph, made, [{graph.inputs[0]: np.concatenate([x, noise])}])
    if name == "vww":
        assert made.report.constant >= 1650
        assert made.report.macs == (7_489_664, 3_727_313)
        weights = sum(t.nbytes for t in made.graph.tensors.values() if t.constant and t.dtype == "int8")
        assert weights == 29_066
    else:
        assert not made.report.layers
        assert made.graph.macs() == graph.macs()


@pytest.mark.slow
def test_vww_without_its_constant_channels_on_the_core(tmp_path: Path) -> None:
    graph, x = reference("vww")
    built = compile(reduced(graph).graph, "cortex-m4", name="vww", out=tmp_path)
    expected = all_tensors(graph, x[:2])[graph.outputs[0]]
    np.testing.assert_array_equal(built.run(x[:2]), expected)


@pytest.mark.slow
def test_a_thousand_layers_take_seconds() -> None:
    b = Doctored(np.random.default_rng(1))
    x = b.add(
        Conv2d(padding=SAME, clamp=RELU6), b.input(1, 4, 4, 3), *map(b.constant, b.weights(32, 3, 3, 3))
    )
    for i in range(999):
        op = Conv2d(clamp=RELU6) if i % 2 else Conv2d(padding=SAME, clamp=RELU6)
        kernel = (1, 1) if i % 2 else (3, 3)
        x = b.add(op, x, *map(b.constant, b.weights(32, *kernel, 32)))
    graph = b.graph(x)
    graph = quantize(graph, ranges=dict.fromkeys(graph.tensors, (0.0, 6.0)))
    started = time.process_time()
    made = reduced(graph)
    assert time.process_time() - started < 5.0
    assert made.graph.macs() < graph.macs()
