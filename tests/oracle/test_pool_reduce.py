"""Pooling, mean, softmax and argmax against TFLM (every integer) and against torch (float32, conventions)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.graph import Array
from lilliput.importers.tflite import load_tflite
from lilliput.importers.torch import load_torch
from tflite_builder import Model

pytestmark = pytest.mark.slow
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
Rng = np.random.Generator


def one(
    op: str,
    x: tuple[int, ...],
    y: tuple[int, ...],
    sx,
    zx,
    sy,
    zy,
    extra: Array | None = None,
    dtype="int8",
    **options,
):
    """A model of one operator with one int8 input and at most one int32 constant."""
    m = Model()
    a = m.tensor(x, "int8", sx, zx)
    constants = [] if extra is None else [m.tensor(extra.shape, "int32", data=extra)]
    b = m.tensor(y, dtype, sy, zy)
    m.op(op, [a, *constants], [b], **options)
    return m.inputs(a).outputs(b).to_bytes()


def pool(op: str, rng: Rng) -> OneOp:
    h, w = (int(v) for v in rng.integers(1, 12, 2))
    c = int(rng.choice([1, 2, 3, 5, 8]))
    padding = str(rng.choice(["SAME", "VALID"]))
    if rng.random() < 0.15:
        h, w, window, padding = 25, 5, (25, 5), "VALID"
    elif padding == "VALID":
        window = (int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1)))
    else:
        window = (int(rng.integers(1, h + 4)), int(rng.integers(1, w + 4)))
    stride = tuple(int(v) for v in rng.integers(1, 5, 2))
    sizes = zip((h, w), window, stride, strict=True)
    oh, ow = (-(-n // s) if padding == "SAME" else (n - k) // s + 1 for n, k, s in sizes)
    scale, zp, act = log_uniform(rng, 0.005, 0.2), zero_point(rng), str(rng.choice(ACTIVATIONS))
    model = one(
        op,
        (1, h, w, c),
        (1, oh, ow, c),
        scale,
        zp,
        scale,
        zp,
        padding=padding,
        stride_h=stride[0],
        stride_w=stride[1],
        filter_height=window[0],
        filter_width=window[1],
        fused_activation=act,
    )
    label = f"{op} {h}x{w}x{c} window {window} stride {stride} {padding} {act} zero point {zp}"
    return OneOp(label, model, [[int8(rng, (1, h, w, c))], [int8(rng, (1, h, w, c), -128, 0)]])


@pytest.mark.parametrize(("op", "seed"), [("MAX_POOL_2D", 1), ("AVERAGE_POOL_2D", 2)])
def test_pooling_equals_tflm(op: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Activations and maxima make many results constant.
    compare([pool(op, rng) for _ in range(72)], least_telling=30)


def test_average_of_every_sum_rounds_as_tflm() -> None:
    """All sums of a window: halves of either sign, and the exactness of the reciprocal at its limit."""
    models = []
    for h, w in ((1, 2), (2, 2), (1, 3), (3, 5), (19, 19), (20, 20)):
        n = h * w
        sums = np.linspace(-128 * n, 127 * n, 700).astype(int)
        x = np.empty((1, h, w, len(sums)), np.int8)
        for c, total in enumerate(sums):
            each, rest = divmod(int(total), n)
            x[0, :, :, c] = (each + (np.arange(n) < rest)).reshape(h, w)
        model = one(
            "AVERAGE_POOL_2D",
            x.shape,
            (1, 1, 1, len(sums)),
            0.1,
            0,
            0.1,
            0,
            padding="VALID",
            stride_h=1,
            stride_w=1,
            filter_height=h,
            filter_width=w,
        )
        models.append(OneOp(f"every sum of {h}x{w}", model, [[x]]))
    compare(models, len(models))


def mean(rng: Rng) -> OneOp:
    shape = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 6))))
    count = int(rng.integers(1, len(shape) + 1))
    axes = sorted(int(a) for a in rng.choice(len(shape), count, replace=False))
    if rng.random() < 0.2:
        shape, axes = (1, 25, 5, 12), [1, 2]
    keep = bool(rng.integers(2))
    y = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    sx = log_uniform(rng, 0.001, 1)
    reduced = float(np.prod([shape[a] for a in axes]))
    sy = sx * log_uniform(rng, 0.3, 3) / np.sqrt(reduced)
    signed = np.array([a - len(shape) if rng.random() < 0.5 else a for a in axes], np.int32)
    model = one("MEAN", shape, y, sx, zero_point(rng), sy, int(rng.integers(-40, 40)), signed, keep_dims=keep)
    return OneOp(f"MEAN {shape} axes {axes} keep {keep}", model, [[int8(rng, shape)] for _ in range(2)])


def test_mean_equals_tflm() -> None:
    rng = np.random.default_rng(3)
    models = [mean(rng) for _ in range(72)]
    for factor in (1e-9, 2e-7, 1.0, 100.0, 3e5):  # shifts of either sign, far out
        x = int8(rng, (1, 3, 4, 9), -3, 5)
        axes = np.array([1, 2], np.int32)
        model = one("MEAN", x.shape, (1, 9), 0.01, 1, 0.01 / factor, -7, axes, keep_dims=False)
        models.append(OneOp(f"MEAN scale factor {factor}", model, [[x]]))
    compare(models, 48)


def softmax(rng: Rng) -> OneOp:
    n = int(rng.choice([1, 2, 3, 10, 12, 35, 257, 511]))
    lead = tuple(int(v) for v in rng.integers(1, 4, int(rng.integers(1, 3))))
    sx, beta = log_uniform(rng, 1e-4, 2), float(rng.choice([1.0, 1.0, 0.1, 0.37, 5.0]))
    shape = (*lead, n)
    model = one("SOFTMAX", shape, shape, sx, zero_point(rng), 1 / 256, -128, beta=beta)
    narrow = int(rng.integers(-128, 100))
    runs = [[int8(rng, shape)], [int8(rng, shape, narrow, narrow + int(rng.integers(1, 28)))]]
    return OneOp(f"SOFTMAX {shape} scale {sx} beta {beta}", model, runs)


def test_softmax_equals_tflm() -> None:
    rng = np.random.default_rng(4)
    models = [softmax(rng) for _ in range(72)]
    for sx in (1.6e-8, 1e-6, 15.9, 16.0, 31.0, 40.0, 1000.0):  # shifts from 0 to their greatest
        x = np.arange(127, 119, -1, dtype=np.int8)[None]
        models.append(
            OneOp(
                f"SOFTMAX scale {sx}", one("SOFTMAX", x.shape, x.shape, sx, 0, 1 / 256, -128, beta=1.0), [[x]]
            )
        )
    compare(models, 25)


def argmax(rng: Rng) -> OneOp:
    shape = tuple(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 5))))
    axis = int(rng.integers(-len(shape), len(shape)))
    y = tuple(d for i, d in enumerate(shape) if i != axis % len(shape))
    model = one(
        "ARG_MAX", shape, y, 0.1, 0, None, 0, np.array([axis], np.int32), dtype="int32", output_type="INT32"
    )
    few = int(rng.integers(0, 3))  # a narrow range makes equals certain
    return OneOp(f"ARG_MAX {shape} axis {axis}", model, [[int8(rng, shape)], [int8(rng, shape, 5, 5 + few)]])


def test_argmax_equals_tflm() -> None:
    rng = np.random.default_rng(5)
    compare([argmax(rng) for _ in range(64)], 40)


def test_pooling_between_two_quantizations_is_refused() -> None:
    model = one(
        "AVERAGE_POOL_2D",
        (1, 4, 4, 2),
        (1, 2, 2, 2),
        0.1,
        0,
        0.2,
        0,
        padding="VALID",
        stride_h=2,
        stride_w=2,
        filter_height=2,
        filter_width=2,
    )
    with pytest.raises(UserError, match=r"operator 0 \(AVERAGE_POOL_2D\).*scale 0.2.*differs.*scale 0.1"):
        load_tflite(model)


def test_softmax_with_another_result_scale_is_refused() -> None:
    with pytest.raises(UserError, match=r"operator 0 \(SOFTMAX\).*expected scale 1/256"):
        load_tflite(one("SOFTMAX", (1, 4), (1, 4), 0.1, 0, 1 / 128, -128, beta=1.0))


def test_argmax_of_a_wide_type_and_unknown_axes_are_refused() -> None:
    axis = np.array([1], np.int32)
    with pytest.raises(UserError, match="int64"):
        load_tflite(one("ARG_MAX", (1, 4), (1,), 0.1, 0, None, 0, axis, dtype="int64"))
    with pytest.raises(UserError, match=r"axes \[2\]"):
        load_tflite(one("MEAN", (1, 4), (1,), 0.1, 0, 0.1, 0, axis + 1))


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


IMAGE, ROWS = (1, 3, 7, 10), (1, 5, 6)
TORCH = {
    "max": (nn.MaxPool2d(2), IMAGE),
    "max stride padding": (nn.MaxPool2d((3, 2), (2, 3), (1, 0)), IMAGE),
    "max dilation": (nn.MaxPool2d(2, 1, 1, dilation=(3, 2)), IMAGE),
    "max ceil": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "max ceil, last window outside": (nn.MaxPool2d(2, 3, 1, ceil_mode=True), IMAGE),
    "avg": (nn.AvgPool2d(3, 2), IMAGE),
    "avg padding counted": (nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg padding not counted": (nn.AvgPool2d((4, 3), 2, (2, 1), count_include_pad=False), IMAGE),
    "avg ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "avg ceil, padding not counted": (nn.AvgPool2d(2, 3, 1, ceil_mode=True, count_include_pad=False), IMAGE),
    "global": (nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive": (nn.AdaptiveAvgPool2d((7, 2)), IMAGE),
    "adaptive max": (nn.AdaptiveMaxPool2d((1, 5)), IMAGE),
    "adaptive, one side kept": (nn.AdaptiveAvgPool2d((None, 5)), IMAGE),
    "mean of the plane": (Apply(lambda x: x.mean((2, 3))), IMAGE),
    "mean of channels, kept": (Apply(lambda x: x.mean(1, keepdim=True)), IMAGE),
    "mean of height": (Apply(lambda x: x.mean(-2)), IMAGE),
    "mean of rows": (Apply(lambda x: x.mean(dim=-1)), ROWS),
    "softmax": (nn.Softmax(-1), ROWS),
    "softmax of rows": (nn.Softmax(1), ROWS),
    "softmax of channels": (nn.Softmax(1), IMAGE),
    "softmax of height": (Apply(lambda x: torch.softmax(x, 2)), IMAGE),
    "argmax": (Apply(lambda x: torch.argmax(x, 1)), ROWS),
    "argmax of channels": (Apply(lambda x: x.argmax(1)), IMAGE),
    "argmax of width, kept": (Apply(lambda x: x.argmax(3, keepdim=True)), IMAGE),
}


@pytest.mark.parametrize("name", TORCH)
def test_import_equals_torch(name: str) -> None:
    module, shape = TORCH[name]
    torch.manual_seed(0)
    x = torch.randn(shape)
    module = nn.Sequential(module, nn.Flatten())  # whatever the order in which the result is stored
    expected = module(x).numpy()
    found = run(load_torch(module, x), x.permute(0, 2, 3, 1).numpy() if len(shape) == 4 else x.numpy())
    if expected.dtype == np.int64:
        assert np.array_equal(found, expected)
    else:  # another order of summation: a few units in the last place of the largest value
        assert np.allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override=3"),
        (nn.AdaptiveAvgPool2d(3), "7x10 to 3x3"),
        (Apply(lambda x: x.mean()), "mixes the samples"),
        (Apply(lambda x: x.argmax()), "mixes the samples"),
        (nn.Softmax(0), "mixes the samples"),
    ],
)
def test_what_cannot_be_imported_says_why(module: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_torch(module, torch.zeros(IMAGE))


def test_an_absurd_window_is_refused() -> None:
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "filter_height": 2**30, "filter_width": 1}
    with pytest.raises(UserError, match=r"operator 0 \(MAX_POOL_2D\).*1073741824.*absurd"):
        load_tflite(one("MAX_POOL_2D", (1, 4, 4, 2), (1, 4, 4, 2), 0.1, 0, 0.1, 0, **options))
