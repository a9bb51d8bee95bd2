"""Operators of ONNX Runtime's own domain, com.microsoft: graphs written by hand, results from their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lilliput.evaluate import step_through
from lilliput.graph import Array
from lilliput.importers.onnx import load_onnx, stored
from lilliput.passes import simplify

RNG = np.random.default_rng(4)
X = RNG.normal(0, 2, (1, 4, 3, 5)).astype(np.float32)
ERF = np.vectorize(math.erf)


def computed(
    kind: str, ins: Sequence[Array], domain: str = "com.microsoft", opset: int = 19, **attributes: Any
) -> Array:
    """What our graph of one operator says for its first operand; the others are constants, None is left out."""
    names = [f"i{i}" if given is not None else "" for i, given in enumerate(ins)]
    node = helper.make_node(kind, names, ["y"], name=kind, domain=domain, **attributes)
    start = helper.make_tensor_value_info("i0", helper.np_dtype_to_tensor_dtype(ins[0].dtype), ins[0].shape)
    end = helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)
    constants = [
        c if isinstance(c, onnx.TensorProto) else numpy_helper.from_array(np.asarray(c), n)
        for n, c in zip(names[1:], ins[1:], strict=True)
        if n
    ]
    graph = helper.make_graph([node], "g", [start], [end], constants)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    found = simplify(load_onnx(helper.make_model(graph, opset_imports=sets).SerializeToString()))
    orders = found.meta.get("orders", {})
    result = step_through(found, {"i0": stored(ins[0], orders.get("i0"))})["y"]
    return np.transpose(result, np.argsort(orders["y"])) if "y" in orders else result


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Gelu": lambda x: 0.5 * x * (1 + ERF(x / math.sqrt(2))),
    "FastGelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "QuickGelu": lambda x: x / (1 + np.exp(-1.702 * x)),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_activations(kind: str) -> None:
    np.testing.assert_allclose(computed(kind, [X]), FUNCTIONS[kind](X.astype(np.float64)), atol=2e-6)


def test_simplified_layer_normalization() -> None:
    gain = RNG.normal(1, 0.3, 5).astype(np.float32)
    expected = X / np.sqrt(np.square(X.astype(np.float64)).mean(-1, keepdims=True) + 1e-3) * gain
    found = computed("SimplifiedLayerNormalization", [X, gain], axis=-1, epsilon=1e-3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def scale(s: float, zero: int, dtype: str = "uint8") -> tuple[Array, Array]:
    return np.array(s, np.float32), np.array(zero, dtype)


def real(q: Array, s: Array, zero: Array) -> Array:
    return (q.astype(np.float64) - float(zero)) * s


def whole(x: Array, s: Array, zero: Array) -> Array:
    info = np.iinfo(zero.dtype)
    return np.clip(np.rint(x / s) + float(zero), info.min, info.max)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul", "QLinearGlobalAveragePool", "QGemm"])
def test_quantized_operators(kind: str, dtype: str) -> None:
    """One step at most beside the formula, which rounds once, and equal to it nearly everywhere.

    A mean is rounded twice here, to steps of its input before those of its result.
    """
    low = np.iinfo(dtype).min
    x = RNG.integers(low, low + 256, (1, 4, 3, 5)).astype(dtype)
    w = RNG.integers(low, low + 256, (1, 4, 1, 5)).astype(dtype)
    for_x, for_w = scale(0.03, low + 120, dtype), scale(0.02, low + 90, dtype)
    if kind == "QLinearGlobalAveragePool":
        x, for_y = RNG.integers(low, low + 256, (1, 40, 3, 5)).astype(dtype), scale(0.02, low + 100, dtype)
        found = computed(kind, [x, *for_x, *for_y], channels_last=0)
        expected = whole(real(x, *for_x).mean((2, 3), keepdims=True), *for_y)
    elif kind == "QGemm":
        x, for_y = x.reshape(12, 5), scale(0.15, low + 128, dtype)
        w = RNG.integers(-127, 128, (6, 5)).astype(np.int8)
        for_w = (RNG.uniform(0.01, 0.03, 6).astype(np.float32), np.zeros(6, np.int8))
        c = RNG.integers(-900, 900, 6).astype(np.int32)
        found = computed(kind, [x, *for_x, w, *for_w, c, *for_y], transB=1)
        steps = float(for_x[0]) * for_w[0].astype(np.float64)
        expected = whole(real(x, *for_x) @ (w * for_w[0][:, None]).T + c * steps, *for_y)
    else:
        for_y = scale(0.05 if kind == "QLinearAdd" else 0.06, low + 128, dtype)
        found = computed(kind, [x, *for_x, w, *for_w, *for_y])
        a, b = real(x, *for_x), real(w, *for_w)
        expected = whole(a + b if kind == "QLinearAdd" else a * b, *for_y)
    off = np.abs(found.astype(np.int64) - expected)
    assert found.dtype == dtype
    assert off.max() <= 1
    assert (off == 0).mean() > (0.7 if kind == "QLinearGlobalAveragePool" else 0.9)


@pytest.mark.parametrize(("kind", "lo", "hi"), [(TensorProto.INT4, -8, 7), (TensorProto.UINT4, 0, 15)])
def test_four_bits_saturate(kind: int, lo: int, hi: int) -> None:
    """QuantizeLinear takes its type from the zero point: values beyond four bits stop there."""
    zero = helper.make_tensor("i2", kind, (), [3])
    step = np.array(0.25, np.float32)
    found = computed("QuantizeLinear", [X, step, zero], domain="", opset=21)  # type: ignore[list-item]
    expected = np.clip(np.rint(X / step) + 3, lo, hi)
    assert {lo, hi} <= set(expected.reshape(-1).tolist())
    np.testing.assert_array_equal(found, expected)
