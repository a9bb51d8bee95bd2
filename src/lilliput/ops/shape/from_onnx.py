"""How ONNX's data movement becomes ours: most of it only renames axes, so that little moves on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import ITEM_SIZE, Array
from lilliput.importers.registry import onnx
from lilliput.ops.shape import importing

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

MAX_CONSTANT = 1 << 27
"""Elements of a constant that a node makes."""


def integers(b: OnnxBuilder, n: OnnxNode, i: int) -> list[int]:
    """Input i as a list of whole numbers known now."""
    return [int(v) for v in b.data(n, i).reshape(-1)]


def dimension(n: OnnxNode, d: int, rank: int) -> int:
    """A dimension counted from the front."""
    if not -rank <= d < rank:
        raise UserError(f"{n.where}: dimension {d} of a tensor of {rank}")
    return d % rank


# ---- the same elements in the same order


@onnx("Reshape", moves=True)
def reshape(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    shape = b.shape(x)
    wanted = b.ints(n, "shape", 1) or []
    if not n.attr("allowzero", 0):
        wanted = [shape[i] if d == 0 and i < len(shape) else d for i, d in enumerate(wanted)]
    return importing.view_as(b, x, importing.resolved(wanted, math.prod(shape)))


@onnx("Flatten", moves=True)
def flatten(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    shape, axis = b.shape(x), int(n.attr("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        raise UserError(f"{n.where}: axis {axis} of a tensor of {len(shape)} dimensions")
    axis = axis + len(shape) if axis < 0 else axis
    return importing.view_as(b, x, (math.prod(shape[:axis]), math.prod(shape[axis:])))


@onnx("Squeeze", moves=True)
def squeeze(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    shape, given = b.shape(x), b.ints(n, "axes", 1)
    rank = len(shape)
    gone = {d for d, m in enumerate(shape) if m == 1}
    if given is not None:
        asked = {dimension(n, d, rank) for d in given}
        if not asked <= gone:
            raise UserError(f"{n.where}: dimensions {given} of {shape} are not all of one element")
        gone = asked
    return importing.view_as(b, x, tuple(m for d, m in enumerate(shape) if d not in gone))


@onnx("Unsqueeze", moves=True)
def unsqueeze(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    given = b.ints(n, "axes", 1) or []
    rank = len(x.order) + len(given)
    fresh = {dimension(n, d, rank) for d in given}
    if len(fresh) != len(given):
        raise UserError(f"{n.where}: the axes {given[:12]} name a dimension twice")
    old = iter(b.shape(x))
    return importing.view_as(b, x, tuple(1 if d in fresh else next(old) for d in range(rank)))


@onnx("Transpose", moves=True)
def transpose(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    return importing.permuted(x, n.attr("perm") or range(len(x.order))[::-1])


# ---- what is known when the model is imported


@onnx("Shape", moves=True)
def shape(b: OnnxBuilder, n: OnnxNode) -> Value:
    found = b.shape(b.value(n, 0))
    chosen = found[slice(int(n.attr("start", 0)), n.attr("end"))]
    return b.constant(np.array(chosen, np.int64))


@onnx("Size", moves=True)
def size(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.constant(np.array(math.prod(b.shape(b.value(n, 0))), np.int64))


@onnx("Constant", moves=True)
def constant(b: OnnxBuilder, n: OnnxNode) -> Value:
    value = n.attr("value")
    if value is not None:
        return b.constant(np.asarray(value))
    for name, dtype in (("value_float", "float32"), ("value_int", "int64")):
        for key in (name, f"{name}s"):
            if n.attr(key) is not None:
                return b.constant(np.array(n.attr(key), dtype))
    for key in ("value_string", "value_strings"):
        if n.attr(key) is not None:
            return b.constant(np.array(n.attr(key), object))
    raise UserError(f"{n.where}: no value that is supported (sparse tensors are not)")


@onnx("ConstantOfShape", moves=True)
def constant_of_shape(b: OnnxBuilder, n: OnnxNode) -> Value:
    sizes = integers(b, n, 0)
    if min(sizes, default=0) < 0 or math.prod(sizes) > MAX_CONSTANT:
        raise UserError(f"{n.where}: the shape {sizes}, expected at most {MAX_CONSTANT} elements")
    value = n.attr("value")
    value = np.zeros(1, np.float32) if value is None else np.asarray(value)
    b.afford(math.prod(sizes))
    return b.constant(np.full(sizes, value.reshape(-1)[0]))


@onnx("Range", moves=True)
def range_(b: OnnxBuilder, n: OnnxNode) -> Value:
    start, limit, delta = (b.data(n, i).reshape(()) for i in range(3))
    if delta == 0:
        raise UserError(f"{n.where}: the step is 0")
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0)
    if count > MAX_CONSTANT:
        raise UserError(f"{n.where}: {count} elements, expected at most {MAX_CONSTANT}")
    b.afford(count)
    return b.constant((start + np.arange(count) * delta).astype(start.dtype))


@onnx("EyeLike", moves=True)
def eye_like(b: OnnxBuilder, n: OnnxNode) -> Value:
    rows, columns = b.shape(b.value(n, 0))
    dtype = n.attr("dtype")
    kind = b.tensor(b.value(n, 0)).dtype if dtype is None else element_type(n, int(dtype))
    b.afford(rows * columns)
    return b.constant(np.eye(rows, columns, int(n.attr("k", 0)), dtype=kind))


def element_type(n: OnnxNode, number: int) -> str:
    """The name of one of ONNX's element types, as we compute with it."""
    from lilliput.importers.onnx_reader import COMPUTED, TYPES

    name = TYPES.get(number, str(number))
    name = COMPUTED.get(name, name)
    if name not in ITEM_SIZE:
        raise UserError(f"{n.where}: the element type {name} is not supported")
    return name


# ---- parts


@onnx("Slice")
def slice_(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    starts, ends = b.ints(n, "starts", 1), b.ints(n, "ends", 2)
    if starts is None or ends is None:
        raise UserError(f"{n.where}: starts and ends are missing")
    axes = b.ints(n, "axes", 3) or list(range(len(starts)))
    steps = (b.ints(n, "steps", 4) if b.has(n, 4) else None) or [1] * len(starts)
    chosen: dict[int, range] = {}
    for first, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        dim = dimension(n, axis, len(x.order))
        if step == 0:
            raise UserError(f"{n.where}: the step of dimension {dim} is 0")
        chosen[dim] = _range(first, end, step, b.shape(x)[dim])
    return importing.region(b, x, chosen)


def _range(first: int, end: int, step: int, size: int) -> range:
    """ONNX's bounds: negative ones count from the end, then all are clamped."""
    low, high = (0, size) if step > 0 else (-1, size - 1)

    def bound(at: int) -> int:
        return min(max(at + size if at < 0 else at, low), high)

    return range(bound(first), bound(end), step)


@onnx("Split")
def split(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    x = b.value(n, 0)
    dim = dimension(n, int(n.attr("axis", 0)), len(x.order))
    sizes, whole = b.ints(n, "split", 1), b.shape(x)[dim]
    if sizes is None:
        each = -(-whole // len(n.outputs))
        sizes = [max(min(each, whole - i * each), 0) for i in range(len(n.outputs))]
    return importing.parts(b, x, dim, sizes)


@onnx("Compress")
def compress(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, wanted = b.value(n, 0), np.flatnonzero(b.data(n, 1))
    axis = n.attr("axis")
    if axis is None:
        return importing.taken(b, importing.view_as(b, x, (math.prod(b.shape(x)),)), 0, wanted)
    return importing.taken(b, x, dimension(n, int(axis), len(x.order)), wanted)


@onnx("CenterCropPad")
def center_crop_pad(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, sizes = b.value(n, 0), integers(b, n, 1)
    rank = len(x.order)
    axes = n.attr("axes") or range(rank)
    widths = [(0, 0)] * rank
    for axis, wanted in zip(axes, sizes, strict=True):
        dim = dimension(n, int(axis), rank)
        more = wanted - b.shape(x)[dim]
        before = more // 2 if more > 0 else -((-more) // 2)  # the odd element goes at the end
        widths[dim] = (before, more - before)
    return importing.padded(b, x, widths)


# ---- joining, repeating, padding


@onnx("Concat")
def concat(b: OnnxBuilder, n: OnnxNode) -> Value:
    values = b.inputs(n)
    return importing.joined(b, values, dimension(n, int(n.attr("axis", 1)), len(values[0].order)))


@onnx("Expand")
def expand(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, wanted = b.value(n, 0), tuple(integers(b, n, 1))
    return importing.expanded(b, x, np.broadcast_shapes(b.shape(x), wanted))


@onnx("Tile")
def tile(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    if n.version < 6:
        repeats = [1] * len(x.order)
        repeats[integers(b, n, 2)[0]] = integers(b, n, 1)[0]
        return importing.tiled(b, x, repeats)
    return importing.tiled(b, x, integers(b, n, 1))


@onnx("Pad")
def pad(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    rank = len(x.order)
    given = n.attr("paddings") or b.ints(n, "pads", 1) or []
    axes = [dimension(n, d, rank) for d in integers(b, n, 3)] if b.has(n, 3) else list(range(rank))
    value = float(b.data(n, 2).reshape(-1)[0]) if b.has(n, 2) else float(n.attr("value", 0.0))
    if len(given) != 2 * len(axes):
        raise UserError(f"{n.where}: {len(given)} widths of padding for {len(axes)} dimensions")
    widths = [(0, 0)] * rank
    for i, dim in enumerate(axes):
        widths[dim] = (int(given[i]), int(given[i + len(axes)]))
    return importing.padded(b, x, widths, str(n.attr("mode", "constant")), value)


@onnx("DepthToSpace", planes=True)
def depth_to_space(b: OnnxBuilder, n: OnnxNode) -> Value:
    outermost = n.attr("mode", "DCR") == "CRD"
    x, block = b.value(n, 0), _block(b, n)
    if b.shape(x)[1] % block**2:
        raise UserError(f"{n.where}: {b.shape(x)[1]} channels cannot be spread over {block} x {block} pixels")
    return importing.blocks_to_space(b, x, block, channels_outermost=outermost)


@onnx("SpaceToDepth", planes=True)
def space_to_depth(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, block = b.value(n, 0), _block(b, n)
    if any(m % block for m in b.shape(x)[2:]):
        raise UserError(f"{n.where}: {b.shape(x)} cannot be cut into blocks of {block}")
    return importing.space_to_blocks(b, x, block)


def _block(b: OnnxBuilder, n: OnnxNode) -> int:
    block = int(n.attr("blocksize", 0))
    if block < 1 or len(b.value(n, 0).order) != 4:
        raise UserError(f"{n.where}: blocks of {block} in {b.shape(b.value(n, 0))}, expected N, C, H, W")
    return block


# ---- what nobody can lay out in memory


@onnx("NonZero", "Unique", "NonMaxSuppression")
def data_dependent(b: OnnxBuilder, n: OnnxNode) -> Value:
    if n.op == "NonZero" and b.tensor(b.value(n, 0)).constant:
        found: Sequence[Array] = np.nonzero(b.data(n, 0))
        return b.constant(np.array(found, np.int64))
    raise UserError(
        f"{n.where}: the shape of its result depends on the data, and memory is laid out when the model is "
        "compiled. Make its result an output of the model's part before it, and do this step in the application"
    )


def flattened(b: OnnxBuilder, x: Value) -> Value:
    """All elements in the framework's order, one dimension."""
    return replace(importing.view_as(b, x, (math.prod(b.shape(x)),)), order=(0,))
