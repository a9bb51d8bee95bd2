"""Indexing, blocks, borders and resampling against TFLM: every tensor of one-operator models, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.evaluate import step_through
from lilliput.graph import Array, Shape
from lilliput.importers.tflite import load_tflite
from tflite_builder import Model

Rng = np.random.Generator
CASES = 24


class Draft:
    """A model of one operator: the first input is data of a random type, the others are integers."""

    def __init__(self, rng: Rng, dtypes: Sequence[str] = ("int8", "float32")) -> None:
        self.rng, self.dtype, self.model = rng, str(rng.choice(dtypes)), Model()
        self.scale, self.zero = log_uniform(rng, 0.005, 0.2), zero_point(rng)
        self.inputs: list[tuple[int, Callable[[], Array]]] = []

    def tensor(self, shape: Sequence[int]) -> int:
        if self.dtype != "int8":
            return self.model.tensor(shape, self.dtype)
        return self.model.tensor(shape, "int8", self.scale, self.zero)

    def data(self, shape: Sequence[int]) -> int:
        index = self.tensor(shape)
        self.inputs.append((index, lambda: self.values(shape)))
        return index

    def values(self, shape: Sequence[int]) -> Array:
        if self.dtype == "int8":
            return int8(self.rng, shape)
        if self.dtype == "float32":
            return self.rng.normal(0, 2, tuple(shape)).astype(np.float32)
        return self.rng.integers(-30000, 30000, tuple(shape)).astype(self.dtype)

    def constant(self, values: object, dtype: str = "int32") -> int:
        array = np.array(values, dtype)
        return self.model.tensor(array.shape, dtype, data=array)

    def computed(self, draw: Callable[[], Array]) -> int:
        """Integers that come as an input."""
        first = draw()
        index = self.model.tensor(first.shape, str(first.dtype))
        self.inputs.append((index, draw))
        return index

    def done(self, op: str, ins: Sequence[int], out: Shape, label: str, **options: object) -> OneOp:
        y = self.tensor(out)
        self.model.op(op, ins, [y], **options)
        model = self.model.inputs(*(i for i, _ in self.inputs)).outputs(y).to_bytes()
        return OneOp(
            f"{op} {self.dtype} {label}", model, [[draw() for _, draw in self.inputs] for _ in range(2)]
        )


def sizes(rng: Rng, rank: int, most: int = 6) -> list[int]:
    return [int(n) for n in rng.integers(2, most + 1, rank)]


def indices_of(rng: Rng, shape: Sequence[int], limits: Sequence[int] | int) -> Callable[[], Array]:
    return lambda: rng.integers(0, limits, tuple(shape)).astype(np.int32)


def gather(rng: Rng) -> OneOp:
    m, x = Draft(rng), sizes(rng, int(rng.integers(1, 5)))
    lead = int(rng.integers(0, min(2, len(x))))
    axis = int(rng.integers(lead, len(x)))
    chosen = (*x[:lead], *sizes(rng, int(rng.integers(1, 3)), 4))
    draw = indices_of(rng, chosen, x[axis])
    ins = [m.data(x), m.constant(draw()) if rng.random() < 0.4 else m.computed(draw)]
    result = (*x[:axis], *chosen[lead:], *x[axis + 1 :])
    return m.done("GATHER", ins, result, f"{x} {chosen} axis {axis}", axis=axis, batch_dims=lead)


def gather_nd(rng: Rng) -> OneOp:
    m, x = Draft(rng), sizes(rng, int(rng.integers(1, 5)))
    k = int(rng.integers(1, len(x) + 1))
    chosen = (*sizes(rng, int(rng.integers(1, 3)), 4), k)
    ins = [m.data(x), m.computed(indices_of(rng, chosen, x[:k]))]
    return m.done("GATHER_ND", ins, (*chosen[:-1], *x[k:]), f"{x} {chosen}")


def broadcast_to(rng: Rng) -> OneOp:
    m, shape = Draft(rng), sizes(rng, int(rng.integers(1, 5)))
    x = [1 if rng.random() < 0.5 else n for n in shape][int(rng.integers(0, len(shape))) :]
    x[-1] = max(x[-1], 1)
    ins = [m.data(x), m.constant(shape)]
    return m.done("BROADCAST_TO", ins, tuple(shape), f"{x} to {shape}")


def mirror_pad(rng: Rng) -> OneOp:
    m, x = Draft(rng), sizes(rng, int(rng.integers(1, 5)))
    symmetric = bool(rng.random() < 0.5)
    pads = [[int(v) for v in rng.integers(0, n + symmetric, 2)] for n in x]
    pads[-1][0] = 1
    result = tuple(n + sum(p) for n, p in zip(x, pads, strict=True))
    mode = "SYMMETRIC" if symmetric else "REFLECT"
    return m.done("MIRROR_PAD", [m.data(x), m.constant(pads)], result, f"{x} {pads} {mode}", mode=mode)


def reverse(rng: Rng) -> OneOp:
    m, x = Draft(rng, ("int8", "int16", "float32")), sizes(rng, int(rng.integers(1, 5)))
    axis = int(rng.integers(0, len(x)))
    return m.done("REVERSE_V2", [m.data(x), m.constant([axis])], tuple(x), f"{x} axis {axis}")


def space_to_depth(rng: Rng) -> OneOp:
    m, (h, w, c, k) = Draft(rng), sizes(rng, 4, 3)
    ins = [m.data((1, h * k, w * k, c))]
    return m.done("SPACE_TO_DEPTH", ins, (1, h, w, c * k * k), f"{h}x{w}x{c} by {k}", block_size=k)


def depth_to_space(rng: Rng) -> OneOp:
    m, (h, w, c, k) = Draft(rng), sizes(rng, 4, 3)
    ins = [m.data((1, h, w, c * k * k))]
    return m.done("DEPTH_TO_SPACE", ins, (1, h * k, w * k, c), f"{h}x{w}x{c} by {k}", block_size=k)


def space_to_batch(rng: Rng) -> OneOp:
    """Without padding: the wheel pads with whatever lies in memory there."""
    m, (h, w, c, kh, kw) = Draft(rng), sizes(rng, 5, 3)
    ins = [m.data((1, h * kh, w * kw, c)), m.constant([kh, kw]), m.constant([[0, 0], [0, 0]])]
    return m.done("SPACE_TO_BATCH_ND", ins, (kh * kw, h, w, c), f"{h}x{w}x{c} by {kh}x{kw}")


def batch_to_space(rng: Rng) -> OneOp:
    m, (h, w, c, kh, kw) = Draft(rng), sizes(rng, 5, 3)
    top, right = (int(v) for v in rng.integers(0, 3, 2))
    ins = [m.data((kh * kw, h, w, c)), m.constant([kh, kw]), m.constant([[top, 0], [0, right]])]
    result = (1, h * kh - top, w * kw - right, c)
    return m.done("BATCH_TO_SPACE_ND", ins, result, f"{h}x{w}x{c} {kh}x{kw} crops {top} {right}")


def resize_bilinear(rng: Rng) -> OneOp:
    m = Draft(rng)
    h, w, c = (int(n) for n in rng.integers(1, 9, 3))
    size = [int(n) for n in rng.integers(1, 20, 2)]
    align = bool(rng.random() < 0.4)
    options = {"align_corners": align, "half_pixel_centers": not align and bool(rng.random() < 0.6)}
    ins = [m.data((1, h, w, c)), m.constant(size)]
    return m.done("RESIZE_BILINEAR", ins, (1, *size, c), f"{h}x{w}x{c} to {size} {options}", **options)


def cumsum(rng: Rng) -> OneOp:
    m, x = Draft(rng), sizes(rng, int(rng.integers(1, 5)), 12)
    axis = int(rng.integers(0, len(x)))
    options = {"exclusive": bool(rng.random() < 0.5), "reverse": bool(rng.random() < 0.5)}
    ins = [m.data(x), m.constant([axis])]
    return m.done("CUMSUM", ins, tuple(x), f"{x} axis {axis} {options}", **options)


def update_slice(rng: Rng) -> OneOp:
    m, x = Draft(rng), sizes(rng, int(rng.integers(1, 5)))
    axis = int(rng.integers(0, len(x)))
    part = [*x[:axis], int(rng.integers(1, x[axis] + 1)), *x[axis + 1 :]]
    ins = [m.data(x), m.data(part), m.computed(indices_of(rng, (len(x),), 8))]
    return m.done("DYNAMIC_UPDATE_SLICE", ins, tuple(x), f"{part} into {x}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draft", "seed"),
    [
        (gather, 1),
        (gather_nd, 2),
        (broadcast_to, 3),
        (mirror_pad, 4),
        (reverse, 5),
        (space_to_depth, 6),
        (depth_to_space, 7),
        (space_to_batch, 8),
        (batch_to_space, 9),
        (resize_bilinear, 10),
        (cumsum, 11),
        (update_slice, 12),
    ],
)
def test_equals_tflm(draft: Callable[[Rng], OneOp], seed: int) -> None:
    rng = np.random.default_rng(seed)
    compare([draft(rng) for _ in range(CASES)], least_telling=CASES // 3)


def known(op: str, ins: Sequence[object], out: Shape, x: Array, **options: object) -> Array:
    """What the numpy reference computes for one operator of int8 input x and constants."""
    m = Model()
    inputs = [m.tensor(x.shape, "int8", 0.1, 3)]
    for values in ins:
        array = np.array(values, np.int32)
        inputs.append(m.tensor(array.shape, "int32", data=array))
    y = m.tensor(out, "int8", 0.1, 3)
    m.op(op, inputs, [y], **options)
    graph = load_tflite(m.inputs(inputs[0]).outputs(y).to_bytes())
    return step_through(graph, {graph.inputs[0]: x})[graph.outputs[0]]


def test_what_tflm_lacks() -> None:
    """Masks of slices that add axes, padded blocks, tiles, index ranges: numpy says what they mean."""
    x = np.arange(-30, 30, dtype=np.int8).reshape(3, 4, 5)
    found = known(
        "STRIDED_SLICE", [[0, 0, 1], [0, 0, 3], [1, 1, 1]], (1, 3, 4, 2), x, new_axis_mask=1, ellipsis_mask=2
    )
    assert np.array_equal(found, x[None, ..., 1:3])
    masks = {"shrink_axis_mask": 1, "new_axis_mask": 2, "offset": True}
    found = known("STRIDED_SLICE", [[2, 0, 1], [1, 0, 2], [1, 1, 1]], (1, 2, 5), x, **masks)
    assert np.array_equal(found, x[2, None, 1:3])
    assert np.array_equal(known("TILE", [[2, 1, 3]], (6, 4, 15), x), np.tile(x, (2, 1, 3)))
    padded = np.pad(x[None, :, :4, :1], ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=3)
    blocks = padded.reshape(1, 2, 2, 2, 2, 1).transpose(2, 4, 0, 1, 3, 5).reshape(4, 2, 2, 1)
    found = known("SPACE_TO_BATCH_ND", [[2, 2], [[1, 0], [0, 0]]], (4, 2, 2, 1), x[None, :, :4, :1].copy())
    assert np.array_equal(found, blocks)
