"""int16 activations against TFLM: every integer of random one-operator models, with every kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from against_tflm import OneOp, compare, log_uniform
from lilliput.graph import Array
from lilliput.ops.requantize.kernels import PAIRS, REAL
from tflite_builder import Model

pytestmark = pytest.mark.slow
ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
Rng = np.random.Generator
FULL = 1 / 32768
SHAPES = ((1, 10), (1, 1), (1, 33), (3, 7), (1, 4, 3, 5), (1, 700))


def int16(rng: Rng, shape: Sequence[int], spread: float = 1.0) -> Array:
    """Integers over the whole range, both ends present; `spread` < 1 keeps the others nearer to zero."""
    values = (rng.integers(-32768, 32768, tuple(shape)) * spread).astype(np.int16)
    values.flat[0], values.flat[-1] = -32768, 32767
    return values


def binary(op: str) -> Callable[[Rng], OneOp]:
    def make(rng: Rng) -> OneOp:
        shape = (1, int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 6)))
        other = tuple(d if rng.random() < 0.7 else 1 for d in shape)
        sa, sb = log_uniform(rng, 1e-5, 1e-3), log_uniform(rng, 1e-5, 1e-3)
        size = sa * sb * 2**15 if op == "MUL" else max(sa, sb)
        sy = size * log_uniform(rng, 0.3, 4)
        zeros = [0, 0, 0] if op == "MUL" or rng.random() < 0.7 else rng.integers(-9000, 9000, 3)
        m = Model()
        a, b = m.tensor(shape, "int16", sa, zeros[0]), m.tensor(other, "int16", sb, zeros[1])
        y = m.tensor(shape, "int16", sy, zeros[2])
        options = {"fused_activation": str(rng.choice(ACTIVATIONS))}
        m.op(op, [a, b], [y], **options)
        runs = [[int16(rng, shape), int16(rng, other)] for _ in range(2)]
        label = f"{op} {shape} {other} scales {sa} {sb} {sy} {options}"
        return OneOp(label, m.inputs(a, b).outputs(y).to_bytes(), runs)

    return make


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL"])
def test_sums_and_products(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([binary(op)(rng) for _ in range(60)], least_telling=40)


def unary(op: str) -> Callable[[Rng], OneOp]:
    """Functions whose result has a scale of its own, or the fixed one."""

    def make(rng: Rng) -> OneOp:
        shape = (1, int(rng.integers(1, 400)))
        fixed = op in ("LOGISTIC", "TANH")
        zx = zy = 0
        if fixed:
            sx = float(
                rng.choice([2.0**-12, 2.0**-11, 2.0**-10, 2.0**-12 * 1.0004, log_uniform(rng, 1e-7, 4), 1e-4])
            )
            sy = FULL
        else:
            sx = log_uniform(rng, 1e-4, 1e-2)
            sy = sx * log_uniform(rng, 0.2, 3)
            if op in ("RELU6", "LEAKY_RELU") and rng.random() < 0.3:
                zx, zy = (int(z) for z in rng.integers(-9000, 9000, 2))
        m = Model()
        x, y = m.tensor(shape, "int16", sx, zx), m.tensor(shape, "int16", sy, zy)
        options = {"alpha": float(rng.choice([0.1, 0.01, -0.4, 2.0]))} if op == "LEAKY_RELU" else {}
        m.op(op, [x], [y], **options)
        runs = [[int16(rng, shape, spread)] for spread in (1.0, 0.1)]
        return OneOp(f"{op} {shape} {sx} {zx} {sy} {zy} {options}", m.inputs(x).outputs(y).to_bytes(), runs)

    return make


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU"])
def test_functions_of_one_value(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([unary(op)(rng) for _ in range(60)], least_telling=25)


TYPES = {"int8": (0.05, 0.5), "uint8": (0.05, 0.5), "int16": (2e-4, 2e-3), "int32": (1e-9, 1e-8)}


def requantized(pair: tuple[str, str]) -> Callable[[Rng], OneOp]:
    def make(rng: Rng) -> OneOp:
        shape = (1, int(rng.integers(1, 300)))
        scales = [log_uniform(rng, *TYPES[t]) if t in TYPES else None for t in pair]
        zeros = [
            int(rng.integers(np.iinfo(t).min, np.iinfo(t).max)) if t in ("int8", "uint8") else 0 for t in pair
        ]
        if rng.random() < 0.3 and "uint8" in pair:
            scales, zeros = [0.1, 0.1], [128 if t == "uint8" else 0 for t in pair]
        m = Model()
        x, y = (m.tensor(shape, t, s, z) for t, s, z in zip(pair, scales, zeros, strict=True))
        m.op("DEQUANTIZE" if pair[1] == "float32" else "QUANTIZE", [x], [y])
        if pair[0] == "float32":
            size = (scales[1] or 1.0) * np.iinfo(pair[1]).max
            values = [rng.normal(0, size, shape).astype(np.float32) for _ in range(2)]
        else:
            info = np.iinfo(pair[0])
            values = [rng.integers(info.min, info.max, shape, dtype=pair[0], endpoint=True) for _ in range(2)]
        return OneOp(
            f"{pair} {shape} {scales} {zeros}", m.inputs(x).outputs(y).to_bytes(), [[v] for v in values]
        )

    return make


REAL_PAIRS = [("float32", "int8"), ("float32", "int16"), *((t, "float32") for t in REAL)]


@pytest.mark.parametrize("pair", [*PAIRS, *REAL_PAIRS], ids="-".join)
def test_between_quantizations(pair: tuple[str, str]) -> None:
    rng = np.random.default_rng(sum(map(ord, "".join(pair))))
    compare([requantized(pair)(rng) for _ in range(30)], least_telling=20)


def softmax(rng: Rng) -> OneOp:
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    sx, beta = log_uniform(rng, 1e-6, 1e-3), float(rng.choice([1.0, 1.0, 0.3, 4.0]))
    m = Model()
    x, y = m.tensor(shape, "int16", sx), m.tensor(shape, "int16", FULL)
    m.op("SOFTMAX", [x], [y], beta=beta)
    runs = [[int16(rng, shape, spread)] for spread in (1.0, 0.2)]
    return OneOp(f"SOFTMAX {shape} {sx} {beta}", m.inputs(x).outputs(y).to_bytes(), runs)


def pool(rng: Rng) -> OneOp:
    op = str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    size, window, stride = rng.integers(3, 9, 2), rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    padding = str(rng.choice(["SAME", "VALID"])) if (window <= size).all() else "SAME"
    out = -(-size // stride) if padding == "SAME" else (size - window) // stride + 1
    c, s, z = int(rng.integers(1, 6)), log_uniform(rng, 1e-5, 1e-3), int(rng.choice([0, 0, 500]))
    options = {"fused_activation": str(rng.choice(ACTIVATIONS)), "padding": padding}
    sizes = dict(
        zip(
            ("filter_height", "filter_width", "stride_h", "stride_w"),
            map(int, (*window, *stride)),
            strict=True,
        )
    )
    m = Model()
    shape = (1, *map(int, size), c)
    x, y = m.tensor(shape, "int16", s, z), m.tensor((1, *map(int, out), c), "int16", s, z)
    m.op(op, [x], [y], **options, **sizes)
    return OneOp(
        f"{op} {shape} {s} {z} {options} {sizes}", m.inputs(x).outputs(y).to_bytes(), [[int16(rng, shape)]]
    )


def mean(rng: Rng) -> OneOp:
    shape = (1, *(int(n) for n in rng.integers(1, 9, 3)))
    axes = sorted(int(a) for a in rng.choice([1, 2, 3], int(rng.integers(1, 4)), replace=False))
    sx, (zx, zy) = (
        log_uniform(rng, 1e-5, 1e-3),
        (0, 0) if rng.random() < 0.6 else rng.integers(-5000, 5000, 2),
    )
    keep = bool(rng.integers(2))
    out = [1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes]
    m = Model()
    x = m.tensor(shape, "int16", sx, zx)
    a = m.tensor((len(axes),), "int32", data=axes)
    y = m.tensor(out, "int16", sx * log_uniform(rng, 0.1, 2), zy)
    m.op("MEAN", [x, a], [y], keep_dims=keep)
    return OneOp(
        f"MEAN {shape} {axes} {sx} {zx}",
        m.inputs(x).outputs(y).to_bytes(),
        [[int16(rng, shape)], [int16(rng, shape, 0.1)]],
    )


@pytest.mark.parametrize("make", [softmax, pool, mean])
def test_windows_and_rows(make: Callable[[Rng], OneOp]) -> None:
    rng = np.random.default_rng(17)
    compare([make(rng) for _ in range(60)], least_telling=30)


def weighted(op: str, bias_type: str | None) -> Callable[[Rng], OneOp]:
    """Scales such that most results are neither constant nor saturated."""

    def make(rng: Rng) -> OneOp:
        c, padding = int(rng.integers(1, 6)), str(rng.choice(["SAME", "VALID"]))
        size, window, stride = rng.integers(4, 9, 2), rng.choice([1, 1, 2, 3], 2), rng.choice([1, 1, 2], 2)
        dilation = (
            rng.choice([1, 1, 2], 2) if (window > 1).all() and (stride == 1).all() else np.array([1, 1])
        )
        reach = (window - 1) * dilation + 1
        if padding == "VALID":
            size = np.maximum(size, reach)
        out = -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1
        options: dict[str, Any] = {"fused_activation": str(rng.choice(ACTIVATIONS))}
        if op == "FULLY_CONNECTED":
            o, k = int(rng.integers(1, 12)), int(rng.integers(1, 90))
            x_shape, w_shape, y_shape, axis, channels = (1, k), (o, k), (1, o), 0, o
        else:
            sizes = ("stride_h", "stride_w", "dilation_h", "dilation_w")
            options |= {"padding": padding, **dict(zip(sizes, map(int, (*stride, *dilation)), strict=True))}
            groups = int(rng.choice([1, 1, 2])) if op == "CONV_2D" else 1
            x_shape = (1, *map(int, size), c * groups)
            channels = groups * int(rng.integers(1, 7)) if op == "CONV_2D" else c * int(rng.choice([1, 1, 2]))
            w_shape = (
                (channels, *map(int, window), c) if op == "CONV_2D" else (1, *map(int, window), channels)
            )
            axis = 0 if op == "CONV_2D" else 3
            y_shape = (1, *map(int, out), channels)
            if op == "DEPTHWISE_CONV_2D":
                options["depth_multiplier"] = channels // c
        taps = int(np.prod(w_shape)) // channels
        sx = log_uniform(rng, 1e-5, 1e-3)
        sw = [log_uniform(rng, 0.001, 0.02) for _ in range(channels if rng.random() < 0.7 else 1)]
        spread = 75 * 19000 * np.sqrt(taps)
        huge = bias_type == "int64" and rng.random() < 0.3
        m = Model()
        x = m.tensor(x_shape, "int16", sx)
        w = m.tensor(w_shape, "int8", sw, 0, rng.integers(-127, 128, w_shape), axis)
        operands = [x, w]
        if bias_type:
            bias = rng.integers(-spread, spread, channels) * (1000 if huge else 1)
            operands.append(m.tensor((channels,), bias_type, sx * np.array(sw), 0, bias))
        elif op == "FULLY_CONNECTED":
            operands.append(-1)
        sy = sx * float(np.mean(sw)) * spread * (1000 if huge else 1) / log_uniform(rng, 8000, 30000)
        y = m.tensor(y_shape, "int16", sy)
        m.op(op, operands, [y], **options)
        runs = [[int16(rng, x_shape)] for _ in range(2)]
        return OneOp(
            f"{op} {x_shape} {w_shape} {options} bias {bias_type}", m.inputs(x).outputs(y).to_bytes(), runs
        )

    return make


FORMS = [
    *(("CONV_2D", bias) for bias in (None, "int32", "int64")),
    *(("FULLY_CONNECTED", bias) for bias in (None, "int32", "int64")),
    *(("DEPTHWISE_CONV_2D", bias) for bias in (None, "int64")),
]


@pytest.mark.parametrize(("op", "bias"), FORMS)
def test_weights_of_int8(op: str, bias: str | None) -> None:
    rng = np.random.default_rng(sum(map(ord, f"{op}{bias}")))
    compare([weighted(op, bias)(rng) for _ in range(40)], least_telling=25)


def extremum(rng: Rng) -> OneOp:
    op, scale = str(rng.choice(["MAXIMUM", "MINIMUM"])), log_uniform(rng, 1e-5, 1e-3)
    shape = (1, int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 6)))
    other = tuple(d if rng.random() < 0.7 else 1 for d in shape)
    m = Model()
    a, b, y = (m.tensor(s, "int16", scale) for s in (shape, other, shape))
    m.op(op, [a, b], [y])
    runs = [[int16(rng, shape), int16(rng, other)]]
    return OneOp(f"{op} {shape} {other}", m.inputs(a, b).outputs(y).to_bytes(), runs)


def test_the_larger_and_the_smaller() -> None:
    rng = np.random.default_rng(23)
    compare([extremum(rng) for _ in range(40)], least_telling=25)
