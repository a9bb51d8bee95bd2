"""What the converters of PyTorch and ONNX share: data movement in terms of the framework's dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Shape
from lilliput.ops.shape.broadcast import Broadcast
from lilliput.ops.shape.concat import Concat
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value


def view_as(b: Builder, x: Value, target: Shape) -> Value:
    """A reshape. Dimensions that lie together as needed stay so; only the others are transposed."""
    shape = b.shape(x)
    if int(np.prod(shape, dtype=np.int64)) != int(np.prod(target, dtype=np.int64)):
        raise UserError(f"layer '{b.where}': {shape} cannot become {target}: the sizes differ")
    data = b.numbers(x)
    if data is not None:
        return b.constant(data.reshape(target))
    groups, leading = _groups(shape, target)
    # By the innermost member: what lies together, such as channels, stays innermost.
    groups.sort(key=lambda group: max(x.order.index(d) for d in group[0]))
    ones = [d for d in x.order if shape[d] == 1]
    wanted = (*ones, *(d for ins, _ in groups for d in ins))
    order = (*range(leading), *(d for _, outs in groups for d in outs))
    if [d for d in x.order if shape[d] != 1] != [d for d in wanted if shape[d] != 1]:
        x = b.add(Transpose(tuple(x.order.index(d) for d in wanted)), [x], wanted)
    stored = tuple(target[d] for d in order)
    if stored == b.tensor(x).shape:
        return replace(x, order=order)
    return b.add(Reshape(stored), [x], order)


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


def resolved(sizes: Sequence[int], total: int) -> Shape:
    """Sizes of which one may be -1: what is left of `total` elements."""
    known = int(np.prod([n for n in sizes if n != -1], dtype=np.int64))
    return tuple((total // known if known else 0) if n == -1 else n for n in sizes)


def unsqueezed(b: Builder, x: Value, dim: int) -> Value:
    shape = b.shape(x)
    return view_as(b, x, (*shape[:dim], 1, *shape[dim:]))


def permuted(x: Value, dims: Sequence[int]) -> Value:
    """Dimension i of the result is dimension dims[i] of x: nothing moves until somebody needs the order."""
    now = [d % len(dims) for d in dims]
    if sorted(now) != list(range(len(x.order))):
        raise UserError(f"{list(dims)} is not a permutation of {len(x.order)} dimensions")
    return replace(x, order=tuple(now.index(d) for d in x.order))


def part(b: Builder, x: Value, dim: int, first: int, count: int, step: int = 1) -> Value:
    """`count` indices of dimension `dim`."""
    return region(b, x, {dim: range(first, first + count * step, step)})


def region(b: Builder, x: Value, chosen: Mapping[int, range]) -> Value:
    """The given indices of some dimensions and all of the others."""
    t = b.tensor(x)
    axes = {b.axis(x, dim): indices for dim, indices in chosen.items()}
    if t.data is not None:  # here the result may be empty: lists of sizes often are
        data = t.data
        for axis, indices in axes.items():
            data = data.take(np.array(indices, np.int64), axis)
        return b.constant(data, x.order)
    empty = [dim for dim, indices in chosen.items() if not len(indices)]
    if empty:
        raise UserError(f"layer '{b.where}': a slice of dimension {empty[0]} of {b.shape(x)} is empty")
    taken = [axes.get(axis, range(n)) for axis, n in enumerate(t.shape)]
    op = Slice(tuple(r.start for r in taken), tuple(map(len, taken)), tuple(r.step for r in taken))
    return x if op.whole(t.shape) else b.add(op, [x], x.order)


def parts(b: Builder, x: Value, dim: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    """Dimension `dim` cut into pieces of the given sizes, which are all of it."""
    if sum(sizes) != b.shape(x)[dim] or min(sizes, default=-1) < 0:
        raise UserError(
            f"layer '{b.where}': the sizes {list(sizes)} do not make dimension {dim} of {b.shape(x)}"
        )
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(part(b, x, dim, int(first), n) for first, n in zip(starts, sizes, strict=False))


def selected(b: Builder, x: Value, dim: int, index: int) -> Value:
    """One index of a dimension, which disappears."""
    shape = b.shape(x)
    return view_as(b, part(b, x, dim, index, 1), (*shape[:dim], *shape[dim + 1 :]))


def joined(b: Builder, values: Sequence[Value], dim: int) -> Value:
    """All in the storage order of the first that is computed: what is constant is reordered offline."""
    if all(b.tensor(v).constant for v in values):
        return b.constant(np.concatenate([b.numbers(v) for v in values], dim))
    values = [v for v in values if 0 not in b.shape(v)]
    order = next(v.order for v in values if not b.tensor(v).constant)
    values = [b.reorder(v, order) for v in values]
    return values[0] if len(values) == 1 else b.add(Concat(b.axis(values[0], dim)), values, order)


def expanded(b: Builder, x: Value, target: Shape) -> Value:
    """Broadcast to `target` as numpy does; dimensions of one are repeated."""
    x = b.as_rank(x, len(target))
    shape = b.shape(x)
    wrong = [d for d, (n, m) in enumerate(zip(shape, target, strict=True)) if n not in (1, m)]
    if wrong:
        raise UserError(f"layer '{b.where}': {shape} cannot be repeated to {target} (dimension {wrong[0]})")
    stored = tuple(target[d] for d in x.order)
    return x if stored == b.tensor(x).shape else b.add(Broadcast(stored), [x], x.order)


def tiled(b: Builder, x: Value, repeats: Sequence[int]) -> Value:
    """The whole dimension d repeated repeats[d] times: one after the other, the innermost first."""
    x = b.as_rank(x, len(repeats))
    repeats = [1] * (len(x.order) - len(repeats)) + list(repeats)
    data = b.numbers(x)
    if data is not None:
        b.afford(data.size * math.prod(max(n, 0) for n in repeats))
        return b.constant(np.tile(data, repeats))
    stored, copies = b.tensor(x).shape, [repeats[d] for d in x.order]
    if min(copies, default=1) < 1:
        raise UserError(f"layer '{b.where}': repeats {list(repeats)} leave nothing")
    order, sizes = x.order, list(stored)
    for axis in reversed(range(len(sizes))):
        if copies[axis] > 1:
            outer, inner = math.prod(sizes[:axis]), math.prod(sizes[axis:])
            x = b.add(Reshape((outer, 1, inner)), [x], (0, 1, 2))
            x = b.add(Broadcast((outer, copies[axis], inner)), [x])
            sizes[axis] *= copies[axis]
    return b.add(Reshape(tuple(sizes)), [x], order) if sizes != list(stored) else x


def taken(b: Builder, x: Value, dim: int, indices: Sequence[int] | Array) -> Value:
    """The given indices of a dimension, all known now: a slice where they lie evenly."""
    from lilliput.ops.index.gather import Gather

    chosen = np.asarray(indices, np.int64)
    size = b.shape(x)[dim]
    if chosen.size and not (-size <= chosen.min() and chosen.max() < size):
        raise UserError(f"layer '{b.where}': index {chosen.tolist()[:8]} of a dimension of {size}")
    chosen = np.where(chosen < 0, chosen + size, chosen)
    steps = np.unique(np.diff(chosen))
    if len(chosen) < 2 or (len(steps) == 1 and steps[0] != 0):
        step = int(steps[0]) if len(steps) else 1
        return part(b, x, dim, int(chosen[0]) if len(chosen) else 0, len(chosen), step)
    data = b.tensor(x).data
    if data is not None:
        return b.constant(data.take(chosen, b.axis(x, dim)), x.order)
    return b.add(Gather(b.axis(x, dim)), [x, b.constant(chosen.astype(np.int32))], x.order)


PAD_MODES = ("constant", "reflect", "edge", "wrap")


def padded(
    b: Builder, x: Value, widths: Sequence[tuple[int, int]], mode: str = "constant", value: float = 0.0
) -> Value:
    """Elements before and after every dimension; negative widths crop. Modes are numpy's."""
    if mode not in PAD_MODES:
        raise UserError(f"layer '{b.where}': padding mode '{mode}' is not one of {', '.join(PAD_MODES)}")
    cut = {
        dim: range(max(-before, 0), n - max(-after, 0))
        for dim, ((before, after), n) in enumerate(zip(widths, b.shape(x), strict=True))
        if min(before, after) < 0
    }
    x = region(b, x, cut) if cut else x
    grown = [(max(before, 0), max(after, 0)) for before, after in widths]
    if not any(map(any, grown)):
        return x
    if mode == "constant":
        return b.add(Pad(tuple(grown[d] for d in x.order), value), [x], x.order)
    for dim, around in enumerate(grown):
        if any(around):
            b.afford(b.shape(x)[dim] + sum(around))
            x = taken(b, x, dim, np.pad(np.arange(b.shape(x)[dim]), around, mode=mode))  # type: ignore[call-overload]
    return x


def blocks_to_space(b: Builder, x: Value, block: int, *, channels_outermost: bool = False) -> Value:
    """DepthToSpace of N, C, H, W; channels are (row, column, channel), or (channel, row, column)."""
    n, c, h, w = b.shape(x)
    split = (c // block**2, block, block) if channels_outermost else (block, block, c // block**2)
    y = view_as(b, x, (n, *split, h, w))
    dims = (0, 1, 4, 2, 5, 3) if channels_outermost else (0, 3, 4, 1, 5, 2)
    return _cut(b, permuted(y, dims), (n, c // block**2, h * block, w * block))


def space_to_blocks(b: Builder, x: Value, block: int, *, channels_outermost: bool = False) -> Value:
    """SpaceToDepth of N, C, H, W, the inverse of `blocks_to_space`."""
    n, c, h, w = b.shape(x)
    y = view_as(b, x, (n, c, h // block, block, w // block, block))
    dims = (0, 1, 3, 5, 2, 4) if channels_outermost else (0, 3, 5, 1, 2, 4)
    return _cut(b, permuted(y, dims), (n, c * block**2, h // block, w // block))


def _cut(b: Builder, x: Value, target: Shape) -> Value:
    return b.channels_last(view_as(b, x, target))
