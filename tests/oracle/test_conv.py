"""The convolution family against TFLM: every integer of random one-operator models, with every kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.tflite import load_tflite
from tflite_builder import Model

pytestmark = pytest.mark.slow
ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
Rng = np.random.Generator
Pair = tuple[int, int]


def plane(rng: Rng) -> tuple[Pair, Pair, dict[str, Any], Pair]:
    """Input size, window, options, output size."""
    padding = str(rng.choice(["SAME", "VALID"]))
    size, window, stride, dilation, out = ([0, 0] for _ in range(5))
    for i in range(2):
        size[i] = int(rng.integers(1, 10))
        window[i] = int(rng.choice([1, 1, 2, 3, 3, 5]))
        stride[i] = int(rng.choice([1, 1, 2, 3]))
        dilation[i] = int(rng.choice([1, 1, 2, 3])) if window[i] > 1 else 1
        reach = (window[i] - 1) * dilation[i] + 1
        if padding == "VALID":
            size[i] = max(size[i], reach)
        out[i] = -(-size[i] // stride[i]) if padding == "SAME" else (size[i] - reach) // stride[i] + 1
    options = {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "fused_activation": str(rng.choice(ACTIVATIONS)),
    }
    return (size[0], size[1]), (window[0], window[1]), options, (out[0], out[1])


def weighted(
    rng: Rng, op: str, x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], axis: int, **options: Any
) -> OneOp:
    """Scales such that most results are neither constant nor saturated; one case in six shifts left."""
    left = rng.random() < 1 / 6
    channels = w[axis]
    taps = int(np.prod(w)) // channels if op != "DEPTHWISE_CONV_2D" else w[1] * w[2]
    reach = 1 if left else 127
    weights = rng.integers(-reach, reach, w, dtype=np.int8, endpoint=True)
    per_channel = bool(rng.integers(2))
    sx, zx = log_uniform(rng, 0.003, 0.3), zero_point(rng)
    sw = np.array([log_uniform(rng, 0.001, 0.02) for _ in range(channels if per_channel else 1)], np.float32)
    if left:
        x_lo, x_hi = max(-128, zx - 2), min(127, zx + 2)
        sy = sx * float(sw.max()) / log_uniform(rng, 1.5, 20)
        bias = rng.integers(-3, 3, channels)
    else:
        x_lo, x_hi = -128, 127
        spread = 75 * 75 * np.sqrt(taps)
        sy = sx * float(sw.mean()) * spread / log_uniform(rng, 30, 120)
        bias = rng.integers(-spread, spread, channels)
    m = Model()
    a = m.tensor(x, "int8", sx, zx)
    operands = [a, m.tensor(w, "int8", sw, 0, weights, axis)]
    with_bias = rng.random() < 0.8
    if with_bias:
        operands.append(m.tensor((channels,), "int32", sx * sw.astype(float), 0, bias))
    elif rng.random() < 0.5 and op != "DEPTHWISE_CONV_2D":  # where TFLM reads through -1 and crashes
        operands.append(-1)
    zy = zero_point(rng)
    b = m.tensor(y, "int8", sy, zy)
    m.op(op, operands, [b], **options)
    label = f"{op} {x} {w} {options} {'left' if left else 'right'} zero points {zx} {zy} bias {with_bias}"
    runs = [[int8(rng, x, x_lo, x_hi)] for _ in range(2)]
    return OneOp(
        f"{label} {'per channel' if per_channel else 'per tensor'}", m.inputs(a).outputs(b).to_bytes(), runs
    )


def conv(rng: Rng) -> OneOp:
    (h, w), (kh, kw), options, (oh, ow) = plane(rng)
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inside, outside = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    o = groups * outside
    return weighted(
        rng, "CONV_2D", (1, h, w, groups * inside), (o, kh, kw, inside), (1, oh, ow, o), 0, **options
    )


def depthwise(rng: Rng) -> OneOp:
    (h, w), (kh, kw), options, (oh, ow) = plane(rng)
    c, multiplier = int(rng.integers(1, 9)), int(rng.choice([1, 1, 1, 2, 3]))
    o = c * multiplier
    shapes = (1, h, w, c), (1, kh, kw, o), (1, oh, ow, o)
    return weighted(rng, "DEPTHWISE_CONV_2D", *shapes, 3, depth_multiplier=multiplier, **options)


def linear(rng: Rng) -> OneOp:
    k, o = int(rng.integers(1, 70)), int(rng.integers(1, 14))
    lead: tuple[int, ...] = (1,)
    keep = False
    kind = rng.choice(["vector", "rows", "kept", "flattened"])
    if kind == "rows":
        lead = (int(rng.integers(2, 6)),)
    elif kind == "kept":
        lead, keep = (1, int(rng.integers(1, 5))), True
    x = (*lead, k)
    if kind == "flattened":
        x, k = (1, 3, 2, int(rng.integers(1, 9))), 0
        k = 6 * x[3]
    act = str(rng.choice(ACTIVATIONS))
    return weighted(
        rng, "FULLY_CONNECTED", x, (o, k), (*lead, o), 0, keep_num_dims=keep, fused_activation=act
    )


@pytest.mark.parametrize(("make", "seed"), [(conv, 1), (depthwise, 2), (linear, 3)])
def test_equals_tflm(make: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    compare([make(rng) for _ in range(72)], least_telling=48)


def test_halves_round_away_from_zero() -> None:
    """Accumulators one by one through scales that are powers of two: every rounding case."""
    models = []
    for shift in range(1, 8):
        x = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)
        weights = np.array([1, -1, 3, -3], np.int8).reshape(4, 1, 1, 1)
        m = Model()
        a = m.tensor(x.shape, "int8", 1.0, 0)
        w = m.tensor(weights.shape, "int8", 1.0, 0, weights)
        y = m.tensor((1, 16, 16, 4), "int8", float(2**shift), -1)
        m.op("CONV_2D", [a, w], [y], padding="VALID", stride_h=1, stride_w=1)
        models.append(OneOp(f"shift {shift}", m.inputs(a).outputs(y).to_bytes(), [[x]]))
    compare(models, len(models) // 2)


def one_by_one(weights: Array, zp: int = 0, x: tuple[int, ...] = (1, 2, 2, 3)) -> bytes:
    m = Model()
    a = m.tensor(x, "int8", 0.1, 0)
    w = m.tensor(weights.shape, "int8", 0.1, zp, weights)
    y = m.tensor((*x[:3], len(weights)), "int8", 0.1, 0)
    m.op("CONV_2D", [a, w], [y], padding="VALID", stride_h=1, stride_w=1)
    return m.inputs(a).outputs(y).to_bytes()


def test_weights_with_a_zero_point_are_refused() -> None:
    with pytest.raises(UserError, match=r"operator 0 \(CONV_2D\).*zero point 3"):
        load_tflite(one_by_one(np.ones((2, 1, 1, 3), np.int8), zp=3))


def test_channels_that_fit_no_groups_are_refused() -> None:
    with pytest.raises(UserError, match="3 input channels do not divide into groups of 2"):
        load_tflite(one_by_one(np.ones((2, 1, 1, 2), np.int8)))


def test_several_samples_equal_tflm() -> None:
    """A batch in the file is computed plane by plane, whatever the window is."""
    rng = np.random.default_rng(4)
    models = []
    for window in ((1, 1), (3, 2)):
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
        w, dw = (5, *window, 2), (1, *window, 4)
        models.append(weighted(rng, "CONV_2D", (3, 4, 5, 2), w, (3, 4, 5, 5), 0, **options))
        options["depth_multiplier"] = 2
        models.append(weighted(rng, "DEPTHWISE_CONV_2D", (3, 4, 5, 2), dw, (3, 4, 5, 4), 3, **options))
    compare(models, 3)
