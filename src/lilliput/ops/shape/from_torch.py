"""How ATen's data movement becomes ours: most of it only renames axes, so that little moves on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Shape, Tensor
from lilliput.importers.registry import aten
from lilliput.op import Op, Site
from lilliput.ops.shape.concat import Concat
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.resize import ResizeNearest, nearest
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _add(b: TorchBuilder, op: Op, ins: Sequence[Value], order: tuple[int, ...]) -> Value:
    """A node, or the result itself when everything is known."""
    sources = tuple(b.tensor(v) for v in ins)
    data = [t.data for t in sources if t.data is not None]
    if len(data) < len(sources):
        return b.add(op, ins, order)
    result = Tensor("y", op.infer(sources)[0], op.result_dtype(sources))
    return replace(b.constant(op.run(Site(op, sources, (result,)), *data)[0]), order=order)


def _input(b: TorchBuilder, call: Call) -> Value:
    return b.value(call["self"] if "self" in call.arguments else call["input"])


# ---- the same elements in the same order


def view_as(b: TorchBuilder, x: Value, target: Shape) -> Value:
    """Torch's reshape. Dimensions that lie together as needed stay so; only the others are transposed."""
    shape = b.shape(x)
    groups, leading = _groups(shape, target)
    # By the innermost member: what lies together, such as channels, stays innermost.
    groups.sort(key=lambda group: max(x.order.index(d) for d in group[0]))
    ones = [d for d in x.order if shape[d] == 1]
    wanted = (*ones, *(d for ins, _ in groups for d in ins))
    order = (*range(leading), *(d for _, outs in groups for d in outs))
    if [d for d in x.order if shape[d] != 1] != [d for d in wanted if shape[d] != 1]:
        x = _add(b, Transpose(tuple(x.order.index(d) for d in wanted)), [x], wanted)
    stored = tuple(target[d] for d in order)
    if stored == b.tensor(x).shape:
        return replace(x, order=order)
    return _add(b, Reshape(stored), [x], order)


def _groups(shape: Shape, target: Shape) -> tuple[list[tuple[list[int], list[int]]], int]:
    """Runs of old dimensions longer than one with the new ones they become; how many new ones lead as 1."""
    old = [d for d, n in enumerate(shape) if n != 1]
    leading = next((j for j, n in enumerate(target) if n != 1), len(target))
    groups: list[tuple[list[int], list[int]]] = []
    i, j = 0, leading
    while i < len(old):
        ins, outs = [old[i]], [j]
        have, made = shape[old[i]], target[j]
        i, j = i + 1, j + 1
        while have != made:
            if made < have:
                made, j = made * target[j], j + 1
                outs.append(j - 1)
            else:
                have, i = have * shape[old[i]], i + 1
                ins.append(old[i - 1])
        groups.append((ins, outs))
    if groups:
        groups[-1][1].extend(range(j, len(target)))
    return groups, leading


@aten("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def view(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    sizes = [int(n) for n in (call["size"] if "size" in call.arguments else call["shape"])]
    total = int(np.prod(b.shape(x), dtype=np.int64))
    known = int(np.prod([n for n in sizes if n != -1], dtype=np.int64))
    return view_as(b, x, tuple(total // known if n == -1 else n for n in sizes))


@aten("flatten")
def flatten(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape = b.shape(x)
    first, last = int(call["start_dim"]) % len(shape), int(call["end_dim"]) % len(shape)
    middle = int(np.prod(shape[first : last + 1], dtype=np.int64))
    return view_as(b, x, (*shape[:first], middle, *shape[last + 1 :]))


@aten("unflatten")
def unflatten(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape, sizes = b.shape(x), [int(n) for n in call["sizes"]]
    dim = int(call["dim"]) % len(shape)
    known = int(np.prod([n for n in sizes if n != -1], dtype=np.int64))
    parts = (shape[dim] // known if n == -1 else n for n in sizes)
    return view_as(b, x, (*shape[:dim], *parts, *shape[dim + 1 :]))


@aten("squeeze")
def squeeze(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape, dim = b.shape(x), call.get("dim")
    asked = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {int(d) % len(shape) for d in asked}
    return view_as(b, x, tuple(n for d, n in enumerate(shape) if d not in gone or n != 1))


@aten("unsqueeze")
def unsqueeze(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    return _unsqueeze(b, x, int(call["dim"]) % (len(x.order) + 1))


def _unsqueeze(b: TorchBuilder, x: Value, dim: int) -> Value:
    shape = b.shape(x)
    return view_as(b, x, (*shape[:dim], 1, *shape[dim:]))


@aten("contiguous", "clone", "alias", "detach", "lift_fresh_copy", "_to_copy", "to", "expand")
def identity(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dtype = call.get("dtype")
    if dtype is not None and str(dtype) != "torch.float32":
        raise UserError(
            f"layer '{b.where}': a conversion to {dtype} is not supported; use float32 inside the model"
        )
    shape = b.shape(x)
    size = [int(n) for n in call.get("size") or shape]
    if len(size) != len(shape) or any(n not in (-1, d) for n, d in zip(size, shape, strict=True)):
        raise UserError(
            f"layer '{b.where}': expand from {shape} to {tuple(size)} copies elements: not supported; "
            "leave the size as it is and let the next operator broadcast"
        )
    return x


@aten("_assert_tensor_metadata")
def checked(b: TorchBuilder, call: Call) -> Value:
    """What torch.export leaves beside a conversion: a statement about a tensor, not an operator."""
    return b.value(call["a"])


# ---- other orders of axes: nothing moves until somebody needs the order


def _permuted(x: Value, dims: Sequence[int]) -> Value:
    """Dimension i of the result is dimension dims[i] of x."""
    now = [d % len(dims) for d in dims]
    return replace(x, order=tuple(now.index(d) for d in x.order))


@aten("permute")
def permute(b: TorchBuilder, call: Call) -> Value:
    return _permuted(_input(b, call), [int(d) for d in call["dims"]])


@aten("transpose", "t", "numpy_T", "mT", "swapaxes", "swapdims")
def transpose(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dims = list(range(len(x.order)))
    if call.target == "numpy_T":
        return _permuted(x, dims[::-1])
    if len(dims) < 2:
        return x
    first = call.get("dim0", call.get("axis0", -2))
    second = call.get("dim1", call.get("axis1", -1))
    dims[first], dims[second] = dims[second], dims[first]
    return _permuted(x, dims)


@aten("movedim", "moveaxis")
def movedim(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    rank = len(x.order)
    source, target = ([int(d) % rank for d in _ints(call[key])] for key in ("source", "destination"))
    dims = [d for d in range(rank) if d not in source]
    for place, d in sorted(zip(target, source, strict=True)):
        dims.insert(place, d)
    return _permuted(x, dims)


def _ints(value: Any) -> list[int]:
    return [int(value)] if isinstance(value, int) else [int(v) for v in value]


# ---- parts


def _part(b: TorchBuilder, x: Value, dim: int, first: int, count: int, step: int = 1) -> Value:
    """`count` indices of torch's dimension `dim`."""
    shape = b.tensor(x).shape
    axis = b.axis(x, dim)
    if count < 1:
        raise UserError(f"layer '{b.where}': a slice of dimension {dim} of {b.shape(x)} is empty")
    begin, size, strides = [0] * len(shape), list(shape), [1] * len(shape)
    begin[axis], size[axis], strides[axis] = first, count, step
    op = Slice(tuple(begin), tuple(size), tuple(strides))
    return x if op.whole(shape) else _add(b, op, [x], x.order)


def _along(b: TorchBuilder, x: Value, dim: int) -> tuple[int, int]:
    """The dimension counted from the front, and its size."""
    shape = b.shape(x)
    return dim % len(shape), shape[dim]


@aten("slice")
def slice_(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    chosen = range(size)[slice(call["start"], call["end"], int(call["step"]))]
    return _part(b, x, dim, chosen.start, len(chosen), chosen.step)


@aten("select")
def select(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return _select(b, x, dim, int(call["index"]) % size)


def _select(b: TorchBuilder, x: Value, dim: int, index: int) -> Value:
    shape = b.shape(x)
    return view_as(b, _part(b, x, dim, index, 1), (*shape[:dim], *shape[dim + 1 :]))


@aten("narrow")
def narrow(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return _part(b, x, dim, int(call["start"]) % size, int(call["length"]))


@aten("flip")
def flip(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    for d in _ints(call["dims"]):
        dim, size = _along(b, x, d)
        x = _part(b, x, dim, size - 1, size, -1)
    return x


@aten("split", "split_with_sizes")
def split(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    given = call["split_sizes"] if "split_sizes" in call.arguments else call["split_size"]
    step = given if isinstance(given, int) else 0
    return _parts(b, x, dim, [min(step, size - i) for i in range(0, size, step)] if step else _ints(given))


@aten("chunk")
def chunk(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    step = -(-size // int(call["chunks"]))
    return _parts(b, x, dim, [min(step, size - i) for i in range(0, size, step)])


def _parts(b: TorchBuilder, x: Value, dim: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(_part(b, x, dim, int(first), n) for first, n in zip(starts, sizes, strict=False))


@aten("unbind")
def unbind(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return tuple(_select(b, x, dim, i) for i in range(size))


# ---- joining, padding, resizing


@aten("cat", "concat", "concatenate")
def cat(b: TorchBuilder, call: Call) -> Value:
    return _joined(b, [b.value(t) for t in call["tensors"]], int(call["dim"]))


@aten("stack")
def stack(b: TorchBuilder, call: Call) -> Value:
    values = [b.value(t) for t in call["tensors"]]
    dim = int(call["dim"]) % (len(values[0].order) + 1)
    return _joined(b, [_unsqueeze(b, v, dim) for v in values], dim)


def _joined(b: TorchBuilder, values: list[Value], dim: int) -> Value:
    """All in the storage order of the first that is computed: what is constant is reordered offline."""
    order = next((v.order for v in values if not b.tensor(v).constant), values[0].order)
    values = [b.reorder(v, order) for v in values]
    return values[0] if len(values) == 1 else _add(b, Concat(b.axis(values[0], dim)), values, order)


@aten("pad", "constant_pad_nd")
def pad(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    mode = call.get("mode", "constant")
    if mode != "constant":
        raise UserError(f"layer '{b.where}': padding mode '{mode}' is not supported, only 'constant'")
    widths = _ints(call["pad"])
    pads = [(0, 0)] * len(x.order)
    for i in range(len(widths) // 2):
        dim, (before, after) = len(x.order) - 1 - i, (widths[2 * i], widths[2 * i + 1])
        if min(before, after) < 0:  # torch crops where a width is negative
            cut = max(-before, 0)
            x = _part(b, x, dim, cut, b.shape(x)[dim] - cut - max(-after, 0))
        pads[b.axis(x, dim)] = (max(before, 0), max(after, 0))
    if not any(map(any, pads)):
        return x
    value = call.get("value")
    return _add(b, Pad(tuple(pads), 0.0 if value is None else float(value)), [x], x.order)


@aten("upsample_nearest2d", "_upsample_nearest_exact2d")
def upsample(b: TorchBuilder, call: Call) -> Value:
    x = b.channels_last(_input(b, call))
    _, h, w, _ = b.tensor(x).shape
    factors = call.get("scale_factors") or [call.get("scales_h"), call.get("scales_w")]
    sizes = call.get("output_size") or [int(n * f) for n, f in zip((h, w), factors, strict=True)]
    half = "exact" in call.target
    tables = (
        _nearest(n, int(count), f, half=half) for n, count, f in zip((h, w), sizes, factors, strict=True)
    )
    rows, columns = tables
    return _add(b, ResizeNearest(rows, columns), [x], x.order)


def _nearest(size: int, count: int, factor: float | None, *, half: bool) -> tuple[int, ...]:
    """PyTorch's choice of a source index: the factor as given by the user, else the ratio of the sizes."""
    if count == size:
        return tuple(range(size))
    scale = np.float32(1.0 / factor) if factor else np.float32(size) / np.float32(count)
    return nearest(count, size, np.float32(scale), half=half)
