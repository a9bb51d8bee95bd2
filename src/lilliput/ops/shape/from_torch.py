"""How ATen's data movement becomes ours: most of it only renames axes, so that little moves on the device."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.ops.shape.importing import (
    blocks_to_space,
    expanded,
    joined,
    padded,
    part,
    parts,
    permuted,
    resolved,
    selected,
    space_to_blocks,
    taken,
    tiled,
    unsqueezed,
    view_as,
)
from lilliput.ops.shape.resize import ResizeNearest, nearest
from lilliput.ops.unary.from_torch import converted

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _input(b: TorchBuilder, call: Call) -> Value:
    return b.value(call["self"] if "self" in call.arguments else call["input"])


# ---- the same elements in the same order


@aten("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias", moves=True)
def view(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    sizes = [int(n) for n in (call["size"] if "size" in call.arguments else call["shape"])]
    return view_as(b, x, resolved(sizes, int(np.prod(b.shape(x), dtype=np.int64))))


@aten("flatten", moves=True)
def flatten(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape = b.shape(x)
    first, last = int(call["start_dim"]) % len(shape), int(call["end_dim"]) % len(shape)
    middle = int(np.prod(shape[first : last + 1], dtype=np.int64))
    return view_as(b, x, (*shape[:first], middle, *shape[last + 1 :]))


@aten("unflatten", moves=True)
def unflatten(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape, sizes = b.shape(x), [int(n) for n in call["sizes"]]
    dim = int(call["dim"]) % len(shape)
    return view_as(b, x, (*shape[:dim], *resolved(sizes, shape[dim]), *shape[dim + 1 :]))


@aten("squeeze", moves=True)
def squeeze(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape, dim = b.shape(x), call.get("dim")
    asked = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {int(d) % len(shape) for d in asked}
    return view_as(b, x, tuple(n for d, n in enumerate(shape) if d not in gone or n != 1))


@aten("unsqueeze", moves=True)
def unsqueeze(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    return unsqueezed(b, x, int(call["dim"]) % (len(x.order) + 1))


@aten("contiguous", "clone", "alias", "detach", "lift_fresh_copy", "_to_copy", "to", "type_as")
def identity(b: TorchBuilder, call: Call) -> Value:
    """The same numbers, in another type where one is asked for: by name, or as another tensor has it."""
    x = _input(b, call)
    if call.get("other") is not None:
        return converted(b, x, b.tensor(b.value(call["other"])).dtype)
    dtype = call.get("dtype")
    return x if dtype is None else converted(b, x, str(dtype).removeprefix("torch."))


@aten("expand", "expand_copy", "broadcast_to")
def expand(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    size = [int(n) for n in call["size"]]
    shape = [1] * (len(size) - len(x.order)) + list(b.shape(x))
    return expanded(b, x, tuple(d if n == -1 else n for n, d in zip(size, shape, strict=True)))


@aten("expand_as")
def expand_as(b: TorchBuilder, call: Call) -> Value:
    return expanded(b, _input(b, call), b.shape(b.value(call["other"])))


@aten("repeat", "tile")
def repeat(b: TorchBuilder, call: Call) -> Value:
    return tiled(b, _input(b, call), _ints(call["repeats"] if "repeats" in call.arguments else call["dims"]))


@aten("repeat_interleave")
def repeat_interleave(b: TorchBuilder, call: Call) -> Value:
    x, times = _input(b, call), call["repeats"]
    if not isinstance(times, int):
        raise UserError(f"layer '{b.where}': repeat_interleave is supported with one number of repeats")
    if call.get("dim") is None:
        x = view_as(b, x, (int(np.prod(b.shape(x), dtype=np.int64)),))
    dim, size = _along(b, x, int(call.get("dim") or 0))
    return taken(b, x, dim, np.repeat(np.arange(size), times))


@aten("roll")
def roll(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    shape, dims = b.shape(x), _ints(call.get("dims") or [])
    if not dims:  # the elements in one row
        x = view_as(b, x, (int(np.prod(shape, dtype=np.int64)),))
    for d, shift in zip(dims or [0], _ints(call["shifts"]), strict=True):
        dim, size = _along(b, x, d)
        if shift % size:
            cut = parts(b, x, dim, [size - shift % size, shift % size])
            x = joined(b, cut[::-1], dim)
    return view_as(b, x, shape)


@aten("_assert_tensor_metadata")
def checked(b: TorchBuilder, call: Call) -> Value:
    """What torch.export leaves beside a conversion: a statement about a tensor, not an operator."""
    return b.value(call["a"])


# ---- other orders of axes: nothing moves until somebody needs the order


@aten("permute", moves=True)
def permute(b: TorchBuilder, call: Call) -> Value:
    return permuted(_input(b, call), [int(d) for d in call["dims"]])


@aten("transpose", "t", "numpy_T", "mT", "swapaxes", "swapdims", moves=True)
def transpose(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dims = list(range(len(x.order)))
    if call.target == "numpy_T":
        return permuted(x, dims[::-1])
    if len(dims) < 2:
        return x
    first = call.get("dim0", call.get("axis0", -2))
    second = call.get("dim1", call.get("axis1", -1))
    dims[first], dims[second] = dims[second], dims[first]
    return permuted(x, dims)


@aten("movedim", "moveaxis", moves=True)
def movedim(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    rank = len(x.order)
    source, target = ([int(d) % rank for d in _ints(call[key])] for key in ("source", "destination"))
    dims = [d for d in range(rank) if d not in source]
    for place, d in sorted(zip(target, source, strict=True)):
        dims.insert(place, d)
    return permuted(x, dims)


def _ints(value: Any) -> list[int]:
    return [int(value)] if isinstance(value, int) else [int(v) for v in value]


# ---- parts


def _along(b: TorchBuilder, x: Value, dim: int) -> tuple[int, int]:
    """The dimension counted from the front, and its size."""
    shape = b.shape(x)
    return dim % len(shape), shape[dim]


@aten("slice")
def slice_(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    chosen = range(size)[slice(call["start"], call["end"], int(call["step"]))]
    return part(b, x, dim, chosen.start, len(chosen), chosen.step)


@aten("select", moves=True)
def select(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return selected(b, x, dim, int(call["index"]) % size)


@aten("narrow")
def narrow(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return part(b, x, dim, int(call["start"]) % size, int(call["length"]))


@aten("flip")
def flip(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    for d in _ints(call["dims"]):
        dim, size = _along(b, x, d)
        x = part(b, x, dim, size - 1, size, -1)
    return x


@aten("split", "split_with_sizes")
def split(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    given = call["split_sizes"] if "split_sizes" in call.arguments else call["split_size"]
    step = given if isinstance(given, int) else 0
    return parts(b, x, dim, [min(step, size - i) for i in range(0, size, step)] if step else _ints(given))


@aten("chunk")
def chunk(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    step = -(-size // int(call["chunks"]))
    return parts(b, x, dim, [min(step, size - i) for i in range(0, size, step)])


@aten("unbind", moves=True)
def unbind(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    return tuple(selected(b, x, dim, i) for i in range(size))


# ---- joining, padding, resizing


@aten("cat", "concat", "concatenate")
def cat(b: TorchBuilder, call: Call) -> Value:
    return joined(b, [b.value(t) for t in call["tensors"]], int(call["dim"]))


@aten("stack", moves=True)
def stack(b: TorchBuilder, call: Call) -> Value:
    values = [b.value(t) for t in call["tensors"]]
    dim = int(call["dim"]) % (len(values[0].order) + 1)
    return joined(b, [unsqueezed(b, v, dim) for v in values], dim)


@aten("pad", "constant_pad_nd")
def pad(b: TorchBuilder, call: Call) -> Value:
    value = call.get("value")
    return _pad(b, call, str(call.get("mode", "constant")), 0.0 if value is None else float(value))


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(b: TorchBuilder, call: Call) -> Value:
    return _pad(b, call, "reflect")


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(b: TorchBuilder, call: Call) -> Value:
    return _pad(b, call, "replicate")


def _pad(b: TorchBuilder, call: Call, mode: str, value: float = 0.0) -> Value:
    """Torch lists the last dimension first."""
    x = _input(b, call)
    given = _ints(call["pad"] if "pad" in call.arguments else call["padding"])
    widths = [(0, 0)] * len(x.order)
    for i in range(len(given) // 2):
        widths[len(x.order) - 1 - i] = (given[2 * i], given[2 * i + 1])
    return padded(b, x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode), value)


@aten("pixel_shuffle")
def pixel_shuffle(b: TorchBuilder, call: Call) -> Value:
    return blocks_to_space(b, _input(b, call), int(call["upscale_factor"]), channels_outermost=True)


@aten("pixel_unshuffle")
def pixel_unshuffle(b: TorchBuilder, call: Call) -> Value:
    return space_to_blocks(b, _input(b, call), int(call["downscale_factor"]), channels_outermost=True)


@aten("channel_shuffle")
def channel_shuffle(b: TorchBuilder, call: Call) -> Value:
    x, groups = _input(b, call), int(call["groups"])
    n, c, *rest = b.shape(x)
    y = view_as(b, x, (n, groups, c // groups, *rest))
    return view_as(b, permuted(y, (0, 2, 1, *range(3, len(rest) + 3))), (n, c, *rest))


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
    return b.add(ResizeNearest(rows, columns), [x], x.order)


def _nearest(size: int, count: int, factor: float | None, *, half: bool) -> tuple[int, ...]:
    """PyTorch's choice of a source index: the factor as given by the user, else the ratio of the sizes."""
    if count == size:
        return tuple(range(size))
    scale = np.float32(1.0 / factor) if factor else np.float32(size) / np.float32(count)
    return nearest(count, size, np.float32(scale), half=half)


# ---- what is known when a model is imported


def _dtype(call: Call, default: str) -> str:
    """The type that a call asks for, as numpy names it; reals of any width are computed in float32."""
    name = str(call.get("dtype") or default).removeprefix("torch.")
    return "float32" if name in ("float64", "float16", "bfloat16") else name


@aten("arange")
def arange(b: TorchBuilder, call: Call) -> Value:
    start, end, step = call.get("start", 0), call["end"], call.get("step", 1)
    whole = all(isinstance(v, int) for v in (start, end, step))
    return b.constant(np.arange(start, end, step).astype(_dtype(call, "int64" if whole else "float32")))


@aten("zeros", "new_zeros", "ones", "new_ones", "full", "new_full")
def filled(b: TorchBuilder, call: Call) -> Value:
    value = call.get("fill_value", 1 if call.target.endswith("ones") else 0)
    plain = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "float32"
    default = plain if call.target == "full" else "float32"
    if call.target.startswith("new_"):
        default = b.tensor(_input(b, call)).dtype
    return b.constant(np.full(_ints(call["size"]), value, _dtype(call, default)))


@aten("zeros_like", "ones_like", "full_like")
def filled_like(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    value = call.get("fill_value", 1 if call.target == "ones_like" else 0)
    return b.constant(np.full(b.shape(x), value, _dtype(call, b.tensor(x).dtype)))


@aten("scalar_tensor")
def scalar(b: TorchBuilder, call: Call) -> Value:
    return b.constant(np.array(call["s"], _dtype(call, "float32")))


@aten("tensor_split")
def tensor_split(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x = _input(b, call)
    dim, size = _along(b, x, int(call["dim"]))
    if call.get("indices") is not None:
        edges = [0, *(min(max(i % size if i < 0 else i, 0), size) for i in _ints(call["indices"])), size]
        return parts(b, x, dim, [last - first for first, last in itertools.pairwise(edges)])
    count = int(call["sections"])
    return parts(b, x, dim, [size // count + (i < size % count) for i in range(count)])


@aten("hstack", "vstack", "column_stack")
def side_by_side(b: TorchBuilder, call: Call) -> Value:
    values = [b.value(t) for t in call["tensors"]]
    if min(len(v.order) for v in values) < 2:
        raise UserError(f"layer '{b.where}': {call.target} of vectors is not supported; use cat or stack")
    return joined(b, values, 0 if call.target == "vstack" else 1)


@aten("fliplr", "flipud")
def flipped(b: TorchBuilder, call: Call) -> Value:
    x = _input(b, call)
    dim, size = _along(b, x, 1 if call.target == "fliplr" else 0)
    return part(b, x, dim, size - 1, size, -1)
