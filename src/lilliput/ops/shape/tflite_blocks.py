"""How TensorFlow Lite's repetitions, mirrored borders and blocks become ours: views and transposes, mostly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Shape, Tensor
from lilliput.importers.registry import tflite
from lilliput.ops.shape.broadcast import Broadcast
from lilliput.ops.shape.from_tflite import add, between, cut, ints, one_axis, option, view
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator


@tflite("BROADCAST_TO")
def broadcast_to(b: TfliteBuilder, o: TfliteOperator) -> None:
    add(b, o, Broadcast(b.output(o).shape), (b.tensor(o, 0).name,))


@tflite("TILE")
def tile(b: TfliteBuilder, o: TfliteOperator) -> None:
    """Axis after axis, the innermost first: (outer, 1, inner) repeated."""
    x = b.tensor(o, 0)
    times = ints(b, o, 1, len(x.shape))
    if min(times, default=1) < 1:
        raise UserError(f"{b.where(o)}: repeats {times} leave nothing")
    name, sizes = x.name, list(x.shape)
    for axis in reversed(range(len(sizes))):
        if times[axis] > 1:
            outer, inner = _volume(sizes[:axis]), _volume(sizes[axis:])
            name = between(b, o, Reshape((outer, 1, inner)), name)
            name = between(b, o, Broadcast((outer, times[axis], inner)), name)
            sizes[axis] *= times[axis]
    view(b, o, name)


@tflite("MIRROR_PAD")
def mirror_pad(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, widths = b.tensor(o, 0), b.data(o, 1)
    if widths.shape != (len(x.shape), 2) or widths.dtype.kind not in "iu" or widths.min() < 0:
        raise UserError(f"{b.where(o)}: paddings {widths.tolist()} do not fit the shape {x.shape}")
    mode = "symmetric" if str(o.options.get("mode")) == "SYMMETRIC" else "reflect"
    for size, around in zip(x.shape, widths.tolist(), strict=True):
        if max(around) > size - (mode == "reflect"):
            raise UserError(f"{b.where(o)}: {around} mirrored elements of {size}")
    chosen = {
        axis: np.pad(np.arange(size), around, mode=mode)  # type: ignore[call-overload]
        for axis, (size, around) in enumerate(zip(x.shape, widths.tolist(), strict=True))
        if any(around)
    }
    _taken(b, o, x, chosen)


@tflite("REVERSE_V2")
def reverse(b: TfliteBuilder, o: TfliteOperator) -> None:
    x = b.tensor(o, 0)
    turned = {one_axis(b, o, axis, len(x.shape)) for axis in ints(b, o, 1)}
    begin = tuple(n - 1 if axis in turned else 0 for axis, n in enumerate(x.shape))
    cut(b, o, x, Slice(begin, x.shape, tuple(-1 if axis in turned else 1 for axis in range(len(x.shape)))))


def _taken(b: TfliteBuilder, o: TfliteOperator, x: Tensor, chosen: dict[int, Array]) -> None:
    """The given indices of every axis."""
    from lilliput.ops.index.gather import Gather

    name = x.name
    for axis, indices in chosen.items():
        name = between(b, o, Gather(axis), name, b.constant(o, indices.astype(np.int32)))
    view(b, o, name)


def _volume(sizes: list[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))


# ---- blocks of pixels


def _block(b: TfliteBuilder, o: TfliteOperator) -> tuple[Shape, int]:
    shape, block = b.tensor(o, 0).shape, option(o, "block_size")
    if len(shape) != 4 or block < 1:
        raise UserError(f"{b.where(o)}: blocks of {block} in {shape}, expected four axes")
    return shape, block


@tflite("SPACE_TO_DEPTH")
def space_to_depth(b: TfliteBuilder, o: TfliteOperator) -> None:
    (n, h, w, c), block = _block(b, o)
    if h % block or w % block:
        raise UserError(f"{b.where(o)}: {h} x {w} pixels cannot be cut into blocks of {block}")
    name = between(b, o, Reshape((n, h // block, block, w // block, block, c)), b.tensor(o, 0).name)
    view(b, o, between(b, o, Transpose((0, 1, 3, 2, 4, 5)), name))


@tflite("DEPTH_TO_SPACE")
def depth_to_space(b: TfliteBuilder, o: TfliteOperator) -> None:
    (n, h, w, c), block = _block(b, o)
    if c % block**2:
        raise UserError(f"{b.where(o)}: {c} channels cannot be spread over {block} x {block} pixels")
    name = between(b, o, Reshape((n, h, w, block, block, c // block**2)), b.tensor(o, 0).name)
    view(b, o, between(b, o, Transpose((0, 1, 3, 2, 4, 5)), name))


def _blocks(b: TfliteBuilder, o: TfliteOperator) -> tuple[Tensor, tuple[int, ...], list[list[int]]]:
    """The input, the block of every spatial axis and the widths that are added to or cut from it."""
    x, blocks, widths = b.tensor(o, 0), ints(b, o, 1), b.data(o, 2)
    if not 1 <= len(blocks) <= len(x.shape) - 1 or min(blocks) < 1:
        raise UserError(f"{b.where(o)}: blocks {blocks} do not fit {x.shape}")
    if widths.shape != (len(blocks), 2) or widths.dtype.kind not in "iu" or widths.min() < 0:
        raise UserError(f"{b.where(o)}: widths {widths.tolist()} do not fit blocks {blocks}")
    return x, blocks, widths.tolist()


@tflite("SPACE_TO_BATCH_ND")
def space_to_batch(b: TfliteBuilder, o: TfliteOperator) -> None:
    """Pixels of one place in their blocks become one picture: pad, view, transpose, view."""
    x, blocks, widths = _blocks(b, o)
    m, rest = len(blocks), x.shape[1 + len(blocks) :]
    name, spatial = x.name, [n + sum(pad) for n, pad in zip(x.shape[1:], widths, strict=False)]
    if any(n % k for n, k in zip(spatial, blocks, strict=True)):
        raise UserError(f"{b.where(o)}: {spatial} cannot be cut into blocks {blocks}")
    if any(map(any, widths)):
        pads = ((0, 0), *((p, q) for p, q in widths), *((0, 0) for _ in rest))
        name = between(b, o, Pad(pads), name)
    split = [part for n, k in zip(spatial, blocks, strict=True) for part in (n // k, k)]
    name = between(b, o, Reshape((x.shape[0], *split, *rest)), name)
    inner, outer = (tuple(1 + 2 * i + j for i in range(m)) for j in (1, 0))
    view(b, o, between(b, o, Transpose((*inner, 0, *outer, *range(1 + 2 * m, 1 + 2 * m + len(rest)))), name))


@tflite("BATCH_TO_SPACE_ND")
def batch_to_space(b: TfliteBuilder, o: TfliteOperator) -> None:
    """The inverse: view, transpose, view, and cut."""
    x, blocks, widths = _blocks(b, o)
    m, rest, batch = len(blocks), x.shape[1 + len(blocks) :], x.shape[0] // _volume(list(blocks))
    if batch * _volume(list(blocks)) != x.shape[0]:
        raise UserError(f"{b.where(o)}: {x.shape[0]} pictures do not make blocks {blocks}")
    spatial = x.shape[1 : 1 + m]
    name = between(b, o, Reshape((*blocks, batch, *spatial, *rest)), x.name)
    pairs = tuple(axis for i in range(m) for axis in (m + 1 + i, i))
    name = between(b, o, Transpose((m, *pairs, *range(2 * m + 1, 2 * m + 1 + len(rest)))), name)
    whole = tuple(n * k for n, k in zip(spatial, blocks, strict=True))
    name = between(b, o, Reshape((batch, *whole, *rest)), name)
    begin = (0, *(p for p, _ in widths), *(0 for _ in rest))
    size = (batch, *(n - p - q for n, (p, q) in zip(whole, widths, strict=True)), *rest)
    cut(b, o, b.tensors[name], Slice(begin, size, (1,) * len(begin)))
