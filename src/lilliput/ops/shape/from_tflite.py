"""How TensorFlow Lite's data movement becomes ours: masks, negative and open indices are resolved here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Shape, Tensor
from lilliput.importers.registry import tflite
from lilliput.op import Op
from lilliput.ops.shape.concat import Concat
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.resize import ResizeNearest, nearest, tflite_scale
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator


def ints(b: TfliteBuilder, o: TfliteOperator, i: int, count: int | None = None) -> tuple[int, ...]:
    """A constant input that is a list of integers."""
    data = b.data(o, i)
    if data.dtype.kind not in "iu" or data.ndim > 1 or (count is not None and data.size != count):
        raise UserError(
            f"{b.where(o)}: input {i} is {data.dtype}{data.shape}, expected {count or 'some'} integers"
        )
    return tuple(int(v) for v in data.reshape(-1))


def option(o: TfliteOperator, name: str) -> int:
    """A field of the operator's options that the reader has parsed as an integer."""
    value = o.options.get(name, 0)
    assert isinstance(value, int)
    return value


def add(b: TfliteBuilder, o: TfliteOperator, op: Op, inputs: tuple[str, ...], output: int = 0) -> None:
    """A node for result `output` of o; what it computes must have the shape that the file states."""
    wanted = b.output(o, output)
    sources = [b.tensors[name] for name in inputs]
    (shape,) = op.infer(sources)
    if shape != wanted.shape:
        raise UserError(f"{b.where(o)}: gives the shape {shape}, the file says {wanted.shape}")
    if any(t.dtype != wanted.dtype for t in sources[:1] + [t for t in sources if t.quant is not None]):
        raise UserError(f"{b.where(o)}: {sources[0].dtype} in and {wanted.dtype} out, expected one type")
    b.add(o, op, inputs, (wanted.name,))


def between(b: TfliteBuilder, o: TfliteOperator, op: Op, *names: str, output: int = 0) -> str:
    """An inner step of o whose result gets a tensor of its own, in the quantization of the given output."""
    sources, final = [b.tensors[name] for name in names], b.output(o, output)
    (shape,) = op.infer(sources)
    made = Tensor(f"o{o.index}.s{len(b.tensors)}", shape, sources[0].dtype, final.quant)
    b.tensors[made.name] = made
    b.add(o, op, names, (made.name,))
    return made.name


def view(b: TfliteBuilder, o: TfliteOperator, name: str, output: int = 0) -> None:
    """Result `output` as the same elements under the shape the file states."""
    source, wanted = b.tensors[name], b.output(o, output)
    if source.size != wanted.size:
        raise UserError(f"{b.where(o)}: {source.shape} cannot become {wanted.shape}, the sizes differ")
    add(b, o, Reshape(wanted.shape), (name,), output)


@tflite("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(b: TfliteBuilder, o: TfliteOperator) -> None:
    view(b, o, b.tensor(o, 0).name)


@tflite("TRANSPOSE")
def transpose(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    rank = len(x.shape)
    perm = tuple(p + rank if p < 0 else p for p in ints(b, o, 1, rank))
    if sorted(perm) != list(range(rank)):
        raise UserError(f"{b.where(o)}: {perm} is not a permutation of {rank} axes")
    add(b, o, Transpose(perm), (x.name,))


def cut(b: TfliteBuilder, o: TfliteOperator, x: Tensor, op: Slice, output: int = 0) -> None:
    """A slice and, where axes disappear, the view that drops them."""
    if any(n < 1 for n in op.size):
        raise UserError(f"{b.where(o)}: the result {op.size} would be empty")
    whole, dropped = op.whole(x.shape), b.output(o, output).shape != op.size
    if whole:
        view(b, o, x.name, output)
    elif dropped:
        view(b, o, between(b, o, op, x.name, output=output), output)
    else:
        add(b, o, op, (x.name,), output)


@tflite("SLICE")
def slice_(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    begin, size = ints(b, o, 1, len(x.shape)), ints(b, o, 2, len(x.shape))
    size = tuple(d - f if n == -1 else n for d, f, n in zip(x.shape, begin, size, strict=True))
    for d, f, n in zip(x.shape, begin, size, strict=True):
        if f < 0 or n < 1 or f + n > d:
            raise UserError(f"{b.where(o)}: begin {begin} and size {size} do not fit {x.shape}")
    cut(b, o, x, Slice(begin, size, (1,) * len(begin)))


@tflite("STRIDED_SLICE")
def strided_slice(b: TfliteBuilder, o: TfliteOperator) -> None:
    """The result's own shape, which the file states, has the new axes and lacks those of one index."""
    x = b.tensor(o, 0)
    begins, ends, strides = (ints(b, o, i) for i in (1, 2, 3))
    if not len(begins) == len(ends) == len(strides):
        raise UserError(f"{b.where(o)}: {len(begins)} indices, {len(ends)} ends and {len(strides)} steps")
    first_mask, end_mask, shrink, more, fresh = (
        option(o, f"{m}_mask") for m in ("begin", "end", "shrink_axis", "ellipsis", "new_axis")
    )
    offset = bool(o.options.get("offset"))
    named = [i for i in range(len(begins)) if not (more | fresh) >> i & 1]
    if len(named) > len(x.shape) or more & (more - 1):
        raise UserError(f"{b.where(o)}: {len(begins)} indices do not fit the shape {x.shape}")
    taken: list[tuple[int, int, int]] = []
    result: list[int] = []
    for i in range(len(begins)):
        bit, before = 1 << i, len(taken)
        if more & bit:  # as many whole axes as are left
            rest = len(x.shape) - len(named)
            taken += [(0, d, 1) for d in x.shape[len(taken) : len(taken) + rest]]
        elif not fresh & bit:
            dim = x.shape[len(taken)]
            begin = None if first_mask & bit else begins[i]
            end = None if end_mask & bit else ends[i] + (begins[i] if offset else 0)
            taken.append(_axis(b, o, dim, begin, end, strides[i], bool(shrink & bit)))
        if fresh & bit and not more & bit:
            result.append(1)
        elif not shrink & bit or more & bit:
            result += [count for _, count, _ in taken[before:]]
    result += x.shape[len(taken) :]
    if tuple(result) != b.output(o).shape:
        raise UserError(f"{b.where(o)}: gives the shape {tuple(result)}, the file says {b.output(o).shape}")
    taken += [(0, d, 1) for d in x.shape[len(taken) :]]
    firsts, sizes, steps = zip(*taken, strict=True)
    cut(b, o, x, Slice(firsts, sizes, steps))


def _axis(
    b: TfliteBuilder,
    o: TfliteOperator,
    dim: int,
    begin: int | None,
    end: int | None,
    stride: int,
    shrink: bool,
) -> tuple[int, int, int]:
    """First index, count and step of one axis of a strided slice; Python's slices have the same rules."""
    if stride == 0:
        raise UserError(f"{b.where(o)}: a stride is 0")
    if shrink:  # one index; the end says nothing
        at = (0 if stride > 0 else dim - 1) if begin is None else begin + dim if begin < 0 else begin
        if not 0 <= at < dim:
            raise UserError(f"{b.where(o)}: index {begin} is outside an axis of {dim}")
        return at, 1, 1
    chosen = range(dim)[slice(begin, end, stride)]
    return chosen.start, len(chosen), stride


@tflite("SPLIT")
def split(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 1)
    axis = one_axis(b, o, ints(b, o, 0, 1)[0], len(x.shape))
    count = len(o.outputs)
    if x.shape[axis] % count:
        raise UserError(f"{b.where(o)}: axis {axis} of {x.shape} does not split into {count} equal parts")
    _parts(b, o, x, axis, [x.shape[axis] // count] * count)


@tflite("SPLIT_V")
def split_v(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    axis = one_axis(b, o, ints(b, o, 2, 1)[0], len(x.shape))
    sizes = list(ints(b, o, 1, len(o.outputs)))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if min(sizes) < 1 or sum(sizes) != x.shape[axis]:
        raise UserError(f"{b.where(o)}: sizes {sizes} do not fit axis {axis} of {x.shape}")
    _parts(b, o, x, axis, sizes)


def _parts(b: TfliteBuilder, o: TfliteOperator, x: Tensor, axis: int, sizes: Sequence[int]) -> None:
    first = 0
    for output, n in enumerate(sizes):
        begin, size = [0] * len(x.shape), list(x.shape)
        begin[axis], size[axis] = first, n
        cut(b, o, x, Slice(tuple(begin), tuple(size), (1,) * len(size)), output)
        first += n


def one_axis(b: TfliteBuilder, o: TfliteOperator, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise UserError(f"{b.where(o)}: axis {axis} of a tensor of {rank} axes")
    return axis % rank


@tflite("UNPACK")
def unpack(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    axis = one_axis(b, o, option(o, "axis"), len(x.shape))
    if x.shape[axis] != len(o.outputs):
        raise UserError(f"{b.where(o)}: axis {axis} of {x.shape} does not make {len(o.outputs)} tensors")
    _parts(b, o, x, axis, [1] * len(o.outputs))


@tflite("CONCATENATION")
def concatenation(b: TfliteBuilder, o: TfliteOperator) -> None:
    if b.activation(o) is not None:
        raise UserError(f"{b.where(o)}: a fused activation is not supported here")
    rank = len(b.output(o).shape)
    _concat(b, o, one_axis(b, o, option(o, "axis"), rank), b.inputs(o))


@tflite("PACK")
def pack(b: TfliteBuilder, o: TfliteOperator) -> None:
    shape = b.tensor(o, 0).shape
    axis = one_axis(b, o, option(o, "axis"), len(shape) + 1)
    view = Reshape((*shape[:axis], 1, *shape[axis:]))
    for i in range(len(o.inputs)):
        if b.tensor(o, i).shape != shape:
            raise UserError(f"{b.where(o)}: input {i} has shape {b.tensor(o, i).shape}, expected {shape}")
    _concat(b, o, axis, tuple(between(b, o, view, name) for name in b.inputs(o)))


def _concat(b: TfliteBuilder, o: TfliteOperator, axis: int, names: tuple[str, ...]) -> None:
    wanted = b.output(o).shape

    def rest(shape: Shape) -> Shape:
        return shape[:axis] + shape[axis + 1 :]

    for name in names:
        t = b.tensors[name]
        if len(t.shape) != len(wanted) or rest(t.shape) != rest(wanted):
            raise UserError(f"{b.where(o)}: {t.shape} cannot join {wanted} along axis {axis}")
    add(b, o, Concat(axis), names)


@tflite("PAD", "PADV2")
def pad(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, y = b.tensor(o, 0), b.output(o)
    widths = b.data(o, 1)
    if widths.dtype.kind not in "iu" or widths.shape != (len(x.shape), 2) or widths.min() < 0:
        raise UserError(f"{b.where(o)}: paddings {widths.tolist()} do not fit the shape {x.shape}")
    pads = tuple((int(before), int(after)) for before, after in widths)
    value = _pad_value(b, o, y) if b.has(o, 2) else 0.0
    if any(map(any, pads)):
        add(b, o, Pad(pads, value), (x.name,))
    else:
        view(b, o, x.name)


def _pad_value(b: TfliteBuilder, o: TfliteOperator, y: Tensor) -> float:
    """PADV2's value as a real number. TFLM copies it raw, so it must be in the output's quantization."""
    t = b.tensor(o, 2)
    data = b.data(o, 2)
    if data.size != 1 or t.dtype != y.dtype:
        raise UserError(f"{b.where(o)}: the padding value is {t.dtype}{t.shape}, expected one {y.dtype}")
    if y.quant is None:
        return float(data.reshape(-1)[0])
    if not y.quant.same(t.quant):
        raise UserError(f"{b.where(o)}: the padding value is quantized as {t.quant}, the result as {y.quant}")
    return float(y.quant.s) * (int(data.reshape(-1)[0]) - y.quant.z)


@tflite("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    if len(x.shape) != 4:
        raise UserError(f"{b.where(o)}: the input has shape {x.shape}, expected 4 axes")
    sizes = ints(b, o, 1, 2)
    if min(sizes) < 1 or max(sizes) > np.iinfo(np.uint16).max:
        raise UserError(f"{b.where(o)}: the size {sizes} is out of range")
    align, half = bool(o.options.get("align_corners")), bool(o.options.get("half_pixel_centers"))
    rows, columns = (
        nearest(count, size, tflite_scale(size, count, align), align=align, half=half)
        for size, count in zip(x.shape[1:3], sizes, strict=True)
    )
    add(b, o, ResizeNearest(rows, columns), (x.name,))
