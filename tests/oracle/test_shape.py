"""Data movement against TFLM: every tensor of one-operator models with random shapes, indices and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.errors import UserError
from lilliput.graph import Array, Shape
from lilliput.importers.tflite import load_tflite
from lilliput.ops.shape import Slice
from tflite_builder import Model

pytestmark = pytest.mark.slow
Rng = np.random.Generator
CASES = 40


class Draft:
    """A model of one operator between random inputs; types without quantization are drawn too."""

    def __init__(self, rng: Rng, dtypes: Sequence[str] = ("int8", "int8", "int16", "float32")) -> None:
        self.rng, self.dtype, self.model = rng, str(rng.choice(dtypes)), Model()
        self.scale, self.zero = log_uniform(rng, 0.005, 0.2), zero_point(rng)
        self.inputs: list[tuple[int, Shape]] = []

    def tensor(self, shape: Sequence[int], data: Array | None = None) -> int:
        if self.dtype != "int8":
            return self.model.tensor(shape, self.dtype, data=data)
        return self.model.tensor(shape, "int8", self.scale, self.zero, data=data)

    def input(self, shape: Sequence[int]) -> int:
        self.inputs.append((self.tensor(shape), tuple(shape)))
        return self.inputs[-1][0]

    def integers(self, values: Sequence[int] | Sequence[Sequence[int]] | int) -> int:
        array = np.array(values, np.int32)
        return self.model.tensor(array.shape, "int32", data=array)

    def values(self, shape: Sequence[int]) -> Array:
        if self.dtype == "int8":
            return int8(self.rng, shape)
        if self.dtype == "float32":
            return self.rng.normal(0, 2, tuple(shape)).astype(np.float32)
        return self.rng.integers(-30000, 30000, tuple(shape)).astype(self.dtype)

    def done(
        self, op: str, ins: Sequence[int], outs: Sequence[Shape], label: str, **options: object
    ) -> OneOp:
        results = [self.tensor(shape) for shape in outs]
        self.model.op(op, ins, results, **options)
        model = self.model.inputs(*(i for i, _ in self.inputs)).outputs(*results).to_bytes()
        runs = [[self.values(shape) for _, shape in self.inputs] for _ in range(2)]
        return OneOp(f"{op} {self.dtype} {label}", model, runs)


def shape_of(rng: Rng, least: int, most: int, largest: int = 7) -> Shape:
    rank = int(rng.integers(least, most + 1))
    return (*(int(n) for n in rng.integers(1, largest, rank - 1)), int(rng.integers(2, largest + 3)))


def transpose(rng: Rng) -> OneOp:
    m, shape = Draft(rng), shape_of(rng, 2, 5)
    perm = [int(p) for p in rng.permutation(len(shape))]
    ins = [m.input(shape), m.integers(perm)]
    return m.done("TRANSPOSE", ins, [tuple(shape[p] for p in perm)], f"{shape} {perm}")


def slice_(rng: Rng) -> OneOp:
    m, shape = Draft(rng), shape_of(rng, 1, 5)
    begin = [int(rng.integers(0, n)) for n in shape]
    begin[-1] = max(begin[-1], 1)  # never the whole
    size = [int(rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    given = [
        -1 if b + s == n and rng.random() < 0.5 else s for n, b, s in zip(shape, begin, size, strict=True)
    ]
    ins = [m.input(shape), m.integers(begin), m.integers(given)]
    return m.done("SLICE", ins, [tuple(size)], f"{shape} from {begin} size {given}")


def strided_slice(rng: Rng) -> OneOp:
    while True:
        shape = shape_of(rng, 1, 4)
        strides = [int(rng.choice([1, 2, 3, -1, -2])) for _ in shape]
        begin, end = ([int(v) for v in rng.integers(-9, 10, len(shape))] for _ in range(2))
        masks = [int(v) for v in rng.integers(0, 1 << len(shape), 2)]
        shrink = int(rng.integers(0, 1 << len(shape))) if rng.random() < 0.3 else 0
        chosen, kept = [], []
        for axis, n in enumerate(shape):
            if shrink >> axis & 1:
                masks, strides[axis] = [mask & ~(1 << axis) for mask in masks], 1
                begin[axis] = int(rng.integers(-n, n))
                end[axis] = begin[axis] + 1
                chosen.append(np.arange(n)[[begin[axis]]])
                continue
            first = None if masks[0] >> axis & 1 else begin[axis]
            last = None if masks[1] >> axis & 1 else end[axis]
            chosen.append(np.arange(n)[slice(first, last, strides[axis])])
            kept.append(len(chosen[-1]))
        sizes = [len(c) for c in chosen]
        if 0 not in sizes and sizes != list(shape) and kept:
            break
    m = Draft(rng)
    ins = [m.input(shape), m.integers(begin), m.integers(end), m.integers(strides)]
    options = {"begin_mask": masks[0], "end_mask": masks[1], "shrink_axis_mask": shrink}
    label = f"{shape} [{begin}:{end}:{strides}] {options}"
    return m.done("STRIDED_SLICE", ins, [tuple(kept)], label, **options)


def pad(rng: Rng) -> OneOp:
    m, shape = Draft(rng), tuple(int(n) for n in rng.integers(2, 8, int(rng.integers(1, 5))))
    pads = (rng.integers(0, 3, (len(shape), 2)) * (rng.random((len(shape), 2)) < 0.35)).tolist()
    pads[-1][int(rng.integers(0, 2))] = 1  # never nothing
    ins = [m.input(shape), m.integers(pads)]
    valued = bool(rng.random() < 0.5)
    if valued:
        data = m.values((1,))
        ins.append(m.tensor((1,), data[:1]))
    result = tuple(n + sum(p) for n, p in zip(shape, pads, strict=True))
    return m.done("PADV2" if valued else "PAD", ins, [result], f"{shape} {pads} zero point {m.zero}")


def concatenation(rng: Rng) -> OneOp:
    m, shape = Draft(rng), shape_of(rng, 1, 4, 6)
    axis, total, ins = int(rng.integers(0, len(shape))), 0, []
    for i in range(int(rng.integers(1, 5))):
        one = (*shape[:axis], int(rng.integers(1, 6)), *shape[axis + 1 :])
        total += one[axis]
        ins.append(m.tensor(one, m.values(one)) if i and rng.random() < 0.25 else m.input(one))
    given = axis - len(shape) if rng.random() < 0.5 else axis
    result = (*shape[:axis], total, *shape[axis + 1 :])
    return m.done("CONCATENATION", ins, [result], f"{len(ins)} into {result} along {given}", axis=given)


def pack(rng: Rng) -> OneOp:
    m, shape = Draft(rng, ("int8", "float32")), shape_of(rng, 1, 3)
    axis, count = int(rng.integers(0, len(shape) + 1)), int(rng.integers(2, 4))
    ins = [m.input(shape) for _ in range(count)]
    result = (*shape[:axis], count, *shape[axis:])
    return m.done("PACK", ins, [result], f"{count} of {shape} at {axis}", axis=axis, values_count=count)


def split(rng: Rng) -> OneOp:
    m, shape = Draft(rng, ("int8", "float32")), shape_of(rng, 1, 4)
    axis, count = int(rng.integers(0, len(shape))), int(rng.integers(2, 4))
    part = shape
    shape = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    ins = [m.integers(axis), m.input(shape)]
    return m.done("SPLIT", ins, [part] * count, f"{shape} along {axis}", num_splits=count)


def split_v(rng: Rng) -> OneOp:
    m, shape = Draft(rng, ("int8", "float32")), shape_of(rng, 1, 4)
    axis = int(rng.integers(0, len(shape)))
    sizes = [int(n) for n in rng.integers(1, 5, int(rng.integers(2, 4)))]
    parts = [(*shape[:axis], n, *shape[axis + 1 :]) for n in sizes]
    shape = (*shape[:axis], sum(sizes), *shape[axis + 1 :])
    given = [-1, *sizes[1:]] if rng.random() < 0.3 else sizes
    ins = [m.input(shape), m.integers(given), m.integers(axis)]
    return m.done("SPLIT_V", ins, parts, f"{shape} along {axis} into {given}", num_splits=len(sizes))


def unpack(rng: Rng) -> OneOp:
    m, shape = Draft(rng, ("int8", "float32")), shape_of(rng, 2, 4)
    axis = int(rng.integers(0, len(shape)))
    shape = (*shape[:axis], int(rng.integers(2, 4)), *shape[axis + 1 :])
    part = shape[:axis] + shape[axis + 1 :]
    ins = [m.input(shape)]
    return m.done("UNPACK", ins, [part] * shape[axis], f"{shape} along {axis}", axis=axis, num=shape[axis])


def resize_nearest(rng: Rng) -> OneOp:
    m = Draft(rng, ("int8",))
    h, w, c = (int(n) for n in rng.integers(1, 9, 3))
    size = [int(n) for n in rng.integers(1, 20, 2)]
    if rng.random() < 0.3:
        size = [h * int(rng.integers(1, 4)), w * int(rng.integers(1, 4))]
    options = {"align_corners": bool(rng.random() < 0.4), "half_pixel_centers": bool(rng.random() < 0.4)}
    ins = [m.input((1, h, w, c)), m.integers(size)]
    label = f"{h}x{w}x{c} to {size} {options}"
    return m.done("RESIZE_NEAREST_NEIGHBOR", ins, [(1, *size, c)], label, **options)


@pytest.mark.parametrize(
    ("draft", "seed"),
    [
        (transpose, 1),
        (slice_, 2),
        (strided_slice, 3),
        (pad, 4),
        (concatenation, 5),
        (pack, 6),
        (split, 7),
        (split_v, 8),
        (unpack, 9),
        (resize_nearest, 10),
    ],
)
def test_equals_tflm(draft: Callable[[Rng], OneOp], seed: int) -> None:
    rng = np.random.default_rng(seed)
    compare([draft(rng) for _ in range(CASES)], least_telling=CASES // 2)


def viewed(rng: Rng) -> OneOp:
    """A view and then a transpose: a view alone has no code that could be wrong."""
    m, shape = Draft(rng), shape_of(rng, 2, 4)
    kind = str(rng.choice(["RESHAPE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"]))
    options: dict[str, object] = {}
    if kind == "RESHAPE":
        numbers = [int(n) for n in rng.permutation(shape)]
        result: Shape = (1, *numbers) if rng.random() < 0.5 else (int(np.prod(numbers[:-1])), numbers[-1])
        extra = [m.integers(result)]
    elif kind == "SQUEEZE":
        axis = int(rng.integers(0, len(shape)))
        result, shape = shape, (*shape[:axis], 1, *shape[axis:])
        extra, options = [], {"squeeze_dims": [axis]}
    else:
        axis = int(rng.integers(0, len(shape) + 1))
        result = (*shape[:axis], 1, *shape[axis:])
        extra = [m.integers(axis)]
    middle = [m.input(shape), *extra]
    between = m.tensor(result)
    m.model.op(kind, middle, [between], **options)
    perm = list(range(len(result)))[::-1]
    return m.done(
        "TRANSPOSE", [between, m.integers(perm)], [result[::-1]], f"after {kind} {shape} to {result}"
    )


def test_views_equal_tflm() -> None:
    rng = np.random.default_rng(11)
    compare([viewed(rng) for _ in range(CASES)], least_telling=CASES // 2)


def test_pad_value_is_taken_as_it_is_at_every_integer() -> None:
    """PADV2 over all of int8 under several quantizations: nothing is lost on the way through real numbers."""
    models = []
    for scale, zero in ((0.0117, -128), (0.3, 127), (1e-6, 3), (0.05, 0)):
        m = Model()
        x = m.tensor((1, 2), "int8", scale, zero)
        parts = []
        for value in range(-128, 128, 5):
            y = m.tensor((1, 4), "int8", scale, zero)
            fill = m.tensor((1,), "int8", scale, zero, data=np.array([value], np.int8))
            pads = m.tensor((2, 2), "int32", data=np.array([[0, 0], [1, 1]], np.int32))
            m.op("PADV2", [x, pads, fill], [y])
            parts.append(y)
        models.append(
            OneOp(f"{scale} {zero}", m.inputs(x).outputs(*parts).to_bytes(), [[np.array([[5, -7]], np.int8)]])
        )
    compare(models, len(models))


@pytest.mark.parametrize(
    ("op", "constants", "result", "options", "words"),
    [
        ("TRANSPOSE", [[0, 0, 1]], (2, 2, 3), {}, "not a permutation"),
        ("SLICE", [[0, 0, 9], [1, 1, 1]], (1, 1, 1), {}, "do not fit"),
        ("SLICE", [[0, 0, 0], [1, 0, 1]], (1, 1, 1), {}, "do not fit"),
        ("STRIDED_SLICE", [[0, 0, 0], [2, 3, 4], [1, 0, 1]], (2, 3, 4), {}, "stride is 0"),
        ("STRIDED_SLICE", [[0, 2, 0], [2, 2, 4], [1, 1, 1]], (2, 1, 4), {}, "the file says"),
        (
            "STRIDED_SLICE",
            [[0, 0, 0], [2, 3, 4], [1, 1, 1]],
            (2, 3, 4),
            {"new_axis_mask": 1},
            "the file says",
        ),
        ("PAD", [[[0, 0], [0, -1], [0, 0]]], (2, 2, 4), {}, "paddings"),
        ("RESHAPE", [[5, 5]], (5, 5), {}, "sizes differ"),
        ("UNPACK", [], (2, 3), {"axis": 5, "num": 1}, "axis 5"),
        ("CONCATENATION", [], (2, 3, 9), {"axis": 2}, "gives the shape"),
        ("TRANSPOSE", [[0, 2, 1]], (2, 3, 4), {}, "the file says"),
    ],
)
def test_refuses_what_does_not_fit(
    op: str, constants: list[list[int]], result: Shape, options, words: str
) -> None:
    m = Model()
    x = m.tensor((2, 3, 4), "int8", 0.1, 3)
    arrays = [np.array(c, np.int32) for c in constants]
    ins = [x, *(m.tensor(a.shape, "int32", data=a) for a in arrays)]
    y = m.tensor(result, "int8", 0.1, 3)
    m.op(op, ins, [y], **options)
    with pytest.raises(UserError, match=words):
        load_tflite(m.inputs(x).outputs(y).to_bytes())


def test_negative_strides_are_counted_from_the_right_end() -> None:
    """A planted error in the first index or the direction must show: the exact operator is known here."""
    m = Model()
    x = m.tensor((1, 7), "int8", 0.1, 3)
    ins = [x, *(m.tensor((2,), "int32", data=np.array(v, np.int32)) for v in ([0, -2], [1, 0], [1, -2]))]
    y = m.tensor((1, 3), "int8", 0.1, 3)
    m.op("STRIDED_SLICE", ins, [y])
    (node,) = load_tflite(m.inputs(x).outputs(y).to_bytes()).nodes
    assert node.op == Slice((0, 5), (1, 3), (1, -2))
