"""Sums, extremes, indices, L2 normalization and log-softmax against TFLM, every integer."""

from __future__ import annotations

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.errors import UserError
from lilliput.importers.tflite import load_tflite
from lilliput.ops.norm.lp_norm import inverse_root
from tflite_builder import Model

pytestmark = pytest.mark.slow
Rng = np.random.Generator


def one(
    op: str, x: tuple[int, ...], y: tuple[int, ...], quants: tuple[float, int, float, int], **options
) -> bytes:
    """A model of one operator; `axes` is its second operand, `dtype` the type of its result."""
    axes, dtype = options.pop("axes", None), options.pop("dtype", "int8")
    sx, zx, sy, zy = quants
    m = Model()
    a = m.tensor(x, "int8", sx, zx)
    extra = [] if axes is None else [m.tensor((len(axes),), "int32", data=np.array(axes, np.int32))]
    b = m.tensor(y, dtype, sy if dtype == "int8" else None, zy)
    m.op(op, [a, *extra], [b], **options)
    return m.inputs(a).outputs(b).to_bytes()


def reduction(op: str, rng: Rng) -> OneOp:
    shape = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5))))
    axes = sorted(int(a) for a in rng.choice(len(shape), int(rng.integers(1, len(shape) + 1)), replace=False))
    keep = bool(rng.integers(2))
    y = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    sx, zx = log_uniform(rng, 0.001, 1), zero_point(rng)
    count = float(np.prod([shape[a] for a in axes]))
    sy, zy = (
        (sx, zx) if op != "SUM" else (sx * log_uniform(rng, 0.3, 3) * np.sqrt(count), zero_point(rng) // 3)
    )
    signed = [a - len(shape) if rng.random() < 0.5 else a for a in axes]
    model = one(op, shape, y, (sx, zx, sy, zy), axes=signed, keep_dims=keep)
    return OneOp(f"{op} {shape} axes {axes} keep {keep}", model, [[int8(rng, shape)] for _ in range(2)])


@pytest.mark.parametrize(("op", "seed"), [("SUM", 1), ("REDUCE_MAX", 2), ("REDUCE_MIN", 3)])
def test_reductions_equal_tflm(op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    compare([reduction(op, rng) for _ in range(64)], 32)


def test_argmin_equals_tflm() -> None:
    rng, models = np.random.default_rng(4), []
    for _ in range(48):
        shape = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5))))
        axis = int(rng.integers(-len(shape), len(shape)))
        y = tuple(d for i, d in enumerate(shape) if i != axis % len(shape))
        model = one("ARG_MIN", shape, y, (0.1, 0, 0.1, 0), axes=[axis], dtype="int32", output_type="INT32")
        runs = [[int8(rng, shape)], [int8(rng, shape, 5, 5 + int(rng.integers(0, 3)))]]
        models.append(OneOp(f"ARG_MIN {shape} axis {axis}", model, runs))
    compare(models, 20)


def test_l2_normalization_equals_tflm() -> None:
    rng, models = np.random.default_rng(5), []
    for _ in range(64):
        shape = (
            *(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 4)))),
            int(rng.choice([1, 2, 7, 64, 900])),
        )
        zp, few = zero_point(rng), int(rng.integers(1, 20))
        model = one("L2_NORMALIZATION", shape, shape, (log_uniform(rng, 0.001, 1), zp, 1 / 128, 0))
        near = np.clip([zp - few, zp + few], -128, 127)
        runs = [[int8(rng, shape)], [int8(rng, shape, *map(int, near))], [np.full(shape, zp, np.int8)]]
        models.append(OneOp(f"L2_NORMALIZATION {shape} zero point {zp}", model, runs))
    compare(models, 40)


def test_inverse_root_is_one_over_the_root() -> None:
    for total in (2, 3, 100, 2**27, 2**29, 2**31 - 1):
        m, shift = inverse_root(total)
        assert abs(m * 2.0 ** (-31 - shift) * np.sqrt(total) - 1) < 1e-4, "five steps from 1 get that far"


def test_log_softmax_equals_tflm() -> None:
    rng, models = np.random.default_rng(6), []
    scales = [1.6e-8, 1e-6, 15.9, 16.0, 31.0, 40.0, 1000.0, *(log_uniform(rng, 1e-4, 4) for _ in range(48))]
    for sx in scales:
        lead = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 3))))
        shape = (*lead, int(rng.choice([1, 2, 3, 10, 35, 257, 2000])))
        low = int(rng.integers(-128, 100))
        runs = [[int8(rng, shape)], [int8(rng, shape, low, low + int(rng.integers(1, 28)))]]
        model = one("LOG_SOFTMAX", shape, shape, (sx, zero_point(rng), 16 / 256, 127))
        models.append(OneOp(f"LOG_SOFTMAX {shape} scale {sx}", model, runs))
    compare(models, 25)


@pytest.mark.parametrize("op", ["L2_NORMALIZATION", "LOG_SOFTMAX"])
def test_another_result_scale_is_refused(op: str) -> None:
    with pytest.raises(UserError, match=rf"operator 0 \({op}\).*quantization is 0.1·\(q-3\), expected"):
        load_tflite(one(op, (1, 4), (1, 4), (0.1, 0, 0.1, 3)))
