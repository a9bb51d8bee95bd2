"""Post-training quantization to int16 activations and to int4 weights: exact in C, closer to float32, smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from batch import Case, host_differences, host_models
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.graph import Graph
from lilliput.ops.binary import Add, Sub
from lilliput.ops.conv.kernels_int4 import widened
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import HardSwish, Sigmoid
from lilliput.plan import plan
from lilliput.quantize import quantize
from lilliput.quantize.report import sqnr
from lilliput.store import load, save
from small_graphs import Builder, small_cnn

SAMPLES = np.random.default_rng(3).normal(0, 1, (16, 8, 8, 3)).astype(np.float32)


def signal(graph: Graph) -> float:
    return sqnr(small_cnn(), graph, SAMPLES)[-1].sqnr_db


def test_int16_is_exact_in_c_and_much_closer_to_float32() -> None:
    wide, narrow = quantize(small_cnn(), SAMPLES, activations="int16"), quantize(small_cnn(), SAMPLES)
    assert {t.dtype for t in wide.tensors.values()} == {"int8", "int16", "int64"}
    assert all(t.q.z == 0 for t in wide.tensors.values() if t.dtype == "int16")
    case = Case("int16", plan(wide))
    assert host_differences([case], host_models([case]), seed=1, count=4) == []
    # Weights stay int8: what is left is their error.
    assert signal(wide) > signal(narrow) + 5


def test_int16_results_of_functions_have_their_fixed_scales() -> None:
    b = Builder()
    x = b.input(1, 6)
    y = b.add(Softmax(), b.add(Sigmoid(), x))
    graph = quantize(
        b.graph(y), np.random.default_rng(0).normal(0, 3, (8, 6)).astype(np.float32), activations="int16"
    )
    assert [float(s.y.q.s) for s in graph.sites()] == [1 / 32768, 1 / 32768]


def test_what_has_no_int16_form_stays_float() -> None:
    b = Builder()
    x = b.input(1, 6)
    graph = b.graph(b.linear(b.add(HardSwish(), b.linear(x, 8)), 3))
    samples = np.random.default_rng(0).normal(0, 1, (8, 6)).astype(np.float32)
    mixed = quantize(graph, samples, activations="int16")
    assert [s.op.name for s in mixed.sites()] == ["linear", "dequantize", "hard_swish", "quantize", "linear"]


def test_int16_sums_of_almost_nothing_get_a_scale_that_the_integers_can_serve() -> None:
    b = Builder()
    x = b.input(1, 6)
    graph = b.graph(b.add(Sub(), b.add(Add(), x, b.constant([1e-6])), x))
    samples = np.random.default_rng(0).normal(0, 1, (8, 6)).astype(np.float32)
    quantize(graph, samples, activations="int16")  # verified


def test_int4_weights_take_half_the_flash(tmp_path: Path) -> None:
    full, half = quantize(small_cnn(), SAMPLES), quantize(small_cnn(), SAMPLES, weights="int4")
    weights = [t for t in half.tensors.values() if t.dtype == "int4"]
    assert weights
    assert all(t.data.min() >= -7 and t.data.max() <= 7 for t in weights if t.data is not None)
    assert sum(t.nbytes for t in weights) == sum(-(-t.size // 2) for t in weights)
    assert half.weight_bytes() < full.weight_bytes()
    case = Case("int4", plan(half))
    assert host_differences([case], host_models([case]), seed=1, count=4) == []
    assert 5 < signal(half) < signal(full)
    save(half, tmp_path / "half.lil")
    again = load(tmp_path / "half.lil")
    assert again.tensors.keys() == half.tensors.keys()
    for graph in (again, widened(half)):
        assert np.array_equal(run(graph, SAMPLES), run(half, SAMPLES))


def test_types_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match=r"activations 'int32' and weights 'int8'; choose int8 or int16"):
        quantize(small_cnn(), SAMPLES, activations="int32")  # type: ignore[arg-type]
