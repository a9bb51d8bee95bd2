"""Matrix products and transposed convolutions against TFLM: every integer of random one-operator models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.graph import Array
from tflite_builder import Model

pytestmark = pytest.mark.slow
Rng = np.random.Generator


def products(rng: Rng) -> OneOp:
    """Matrices of a batch, either factor repeated or transposed; now and then a constant one."""
    rows, depth, columns = (int(v) for v in rng.integers(1, 9, 3))
    batch = [int(v) for v in rng.integers(1, 4, int(rng.integers(0, 3)))]
    first, second = ([1 if rng.random() < 0.25 else d for d in batch] for _ in range(2))
    whole = [max(a, b) for a, b in zip(first, second, strict=True)]
    adj_x, adj_y = (bool(v) for v in rng.integers(0, 2, 2))
    x = (*first, depth, rows) if adj_x else (*first, rows, depth)
    y = (*second, columns, depth) if adj_y else (*second, depth, columns)
    sx, sy = (log_uniform(rng, 0.003, 0.3) for _ in range(2))
    zx, zy, zz = (zero_point(rng) for _ in range(3))
    sz = sx * sy * 75 * 75 * np.sqrt(depth) / log_uniform(rng, 30, 120)
    m = Model()
    constant = rng.random() < 0.3
    a = m.tensor(x, "int8", sx, zx)
    b = m.tensor(y, "int8", sy, zy, int8(rng, y) if constant else None)
    z = m.tensor((*whole, rows, columns), "int8", sz, zz)
    m.op("BATCH_MATMUL", [a, b], [z], adj_x=adj_x, adj_y=adj_y)
    m.inputs(a) if constant else m.inputs(a, b)
    runs = [[int8(rng, x)] if constant else [int8(rng, x), int8(rng, y)] for _ in range(2)]
    label = f"{x} by {y}, transposed {adj_x} {adj_y}, zero points {zx} {zy}{' constant' if constant else ''}"
    return OneOp(label, m.outputs(z).to_bytes(), runs)


def transposed(rng: Rng) -> OneOp:
    size, window, stride, out = ([0, 0] for _ in range(4))
    padding = str(rng.choice(["SAME", "VALID"]))
    for i in range(2):
        size[i], window[i], stride[i] = (int(rng.integers(1, n)) for n in (6, 5, 4))
        out[i] = size[i] * stride[i] if padding == "SAME" else (size[i] - 1) * stride[i] + window[i]
        if padding == "SAME" and stride[i] > 1 and rng.random() < 0.3:
            out[i] -= 1  # a convolution of it has the input's size all the same
    c, o = (int(v) for v in rng.integers(1, 8, 2))
    return weighted_transposed(rng, tuple(size), c, (o, *window, c), (1, *out, o), padding, stride)


def weighted_transposed(
    rng: Rng, size: Any, c: int, w: tuple[int, ...], y: tuple[int, ...], padding: str, stride: list[int]
) -> OneOp:
    weights, x = int8(rng, w, -127), (1, *size, c)
    sx, zx, zy = log_uniform(rng, 0.003, 0.3), zero_point(rng), zero_point(rng)
    sw = np.array([log_uniform(rng, 0.001, 0.02) for _ in range(w[0])], np.float32)
    spread = 75 * 75 * np.sqrt(c * w[1] * w[2] / (stride[0] * stride[1]))
    sy = sx * float(sw.mean()) * spread / log_uniform(rng, 30, 120)
    m = Model()
    shape = m.tensor((4,), "int32", data=np.array(y, np.int32))
    a = m.tensor(x, "int8", sx, zx)
    operands = [shape, m.tensor(w, "int8", sw, 0, weights, 0), a]
    if rng.random() < 0.7:
        bias = rng.integers(-spread, spread, w[0])
        operands.append(m.tensor((w[0],), "int32", sx * sw.astype(float), 0, bias))
    z = m.tensor(y, "int8", sy, zy)
    act = str(rng.choice(["NONE", "NONE", "RELU"]))
    m.op(
        "TRANSPOSE_CONV",
        operands,
        [z],
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        fused_activation=act,
    )
    runs: list[list[Array]] = [[int8(rng, x)], [int8(rng, x)]]
    label = f"{x} window {w} stride {stride} {padding} {act} to {y}"
    return OneOp(label, m.inputs(a).outputs(z).to_bytes(), runs)


@pytest.mark.parametrize(("make", "seed"), [(products, 1), (transposed, 2)])
def test_equals_tflm(make: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = [make(rng) for _ in range(60)]
    compare([replace(m, label=f"{i}: {m.label}") for i, m in enumerate(models)], least_telling=30)
