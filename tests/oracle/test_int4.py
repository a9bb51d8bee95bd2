"""Weights of four bits against TFLM: every integer of random one-operator models, with every kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.importers.tflite import load_tflite
from lilliput.op import usable
from lilliput.ops.conv.kernels_int4 import packed, widened
from lilliput.plan import plan
from tflite_builder import Model

pytestmark = pytest.mark.slow
Rng = np.random.Generator


def weighted(op: str) -> Callable[[Rng], OneOp]:
    """Scales such that most results are neither constant nor saturated; odd sizes, so that rows share bytes."""

    def make(rng: Rng) -> OneOp:
        c = int(rng.integers(1, 8))
        size, window, stride = rng.integers(4, 9, 2), rng.choice([1, 2, 3], 2), rng.choice([1, 1, 2], 2)
        options: dict[str, Any] = {
            "fused_activation": str(rng.choice(["NONE", "NONE", "NONE", "RELU", "RELU6"]))
        }
        if op == "FULLY_CONNECTED":
            channels, k = int(rng.integers(1, 12)), int(rng.integers(1, 90))
            x_shape, w_shape, y_shape, axis = (int(rng.integers(1, 3)), k), (channels, k), (channels,), 0
            y_shape = (x_shape[0], channels)
        else:
            options |= {"padding": "SAME", "stride_h": int(stride[0]), "stride_w": int(stride[1])}
            groups = int(rng.choice([1, 1, 1, 2])) if op == "CONV_2D" else 1
            x_shape = (1, *map(int, size), c * groups)
            if op == "CONV_2D":
                channels, axis = groups * int(rng.integers(1, 10)), 0
                w_shape = (channels, *map(int, window), c)
            else:
                channels, axis = c * int(rng.choice([1, 1, 2])), 3
                w_shape = (1, *map(int, window), channels)
                options["depth_multiplier"] = channels // c
            y_shape = (1, *map(int, -(-size // stride)), channels)
        taps = int(np.prod(w_shape)) // channels
        per_channel = op != "FULLY_CONNECTED" and rng.random() < 0.7  # TFLM refuses it there
        sx, zx, zy = log_uniform(rng, 0.003, 0.3), zero_point(rng), int(rng.integers(-60, 60))
        sw = [log_uniform(rng, 0.01, 0.1) for _ in range(channels if per_channel else 1)]
        spread = 75 * 4.6 * np.sqrt(taps)
        left = rng.random() < 1 / 10
        sy = sx * float(np.mean(sw)) * (1.0 if left else spread) / log_uniform(rng, 1.5 if left else 30, 120)
        weights = rng.integers(-8, 8, w_shape)
        m = Model()
        x = m.tensor(x_shape, "int8", sx, zx)
        w = m.tensor(w_shape, "int4", sw, 0, packed(weights), axis)
        bias = m.tensor((channels,), "int32", sx * np.array(sw), 0, rng.integers(-spread, spread, channels))
        y = m.tensor(y_shape, "int8", sy, zy)
        m.op(op, [x, w, bias], [y], **options)
        runs = [[int8(rng, x_shape)] for _ in range(2)]
        return OneOp(
            f"{op} {x_shape} {w_shape} {options} left {left}", m.inputs(x).outputs(y).to_bytes(), runs
        )

    return make


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_equal_to_tflm(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([weighted(op)(rng) for _ in range(60)], least_telling=35)


def test_packed_stays_packed_and_widening_gives_the_same_results() -> None:
    """int4 is read by its own kernels only, in half the bytes; as int8 it meets those of int8."""
    rng = np.random.default_rng(4)
    graph = load_tflite(weighted("CONV_2D")(rng).model)
    wide = widened(graph)
    (narrow_site,), (wide_site,) = graph.sites(), wide.sites()
    assert narrow_site.ins[1].nbytes == (narrow_site.ins[1].size + 1) // 2
    assert wide_site.ins[1].nbytes == narrow_site.ins[1].size
    kernels, others = ({k.name for k in usable(s, frozenset())} for s in (narrow_site, wide_site))
    assert kernels
    assert others
    assert not kernels & others
    assert plan(graph).steps[0].kernel.params(narrow_site)["w"].nbytes <= (narrow_site.ins[1].size + 8) // 2
    x = int8(rng, narrow_site.x.shape)
    constants = [np.asarray(t.data) for t in narrow_site.ins[1:]]
    assert np.array_equal(
        narrow_site.op.run(narrow_site, x, *constants)[0], wide_site.op.run(wide_site, x, *constants)[0]
    )
