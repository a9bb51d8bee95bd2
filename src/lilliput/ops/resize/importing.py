"""What the converters of PyTorch and ONNX share: resizing of any dimensions of a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lilliput.graph import Array
from lilliput.ops.resize.bilinear import ONE, ResizeBilinear, tflm_positions
from lilliput.ops.resize.interpolate import Interpolate
from lilliput.ops.resize.positions import Axis, Taps
from lilliput.ops.shape import ResizeNearest
from lilliput.ops.shape.importing import taken

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value


def _planes(b: Builder, x: Value, dims: Mapping[int, object]) -> bool:
    """Whether only rows and columns of a picture change; then it is stored channels-last."""
    return len(x.order) == 4 and set(dims) <= {2, 3} and b.shape(x)[0] == 1


def nearest_planes(b: Builder, x: Value, chosen: Mapping[int, Array]) -> Value:
    """Every dimension d of `chosen` from its elements chosen[d]."""
    if chosen and _planes(b, x, chosen):
        x = b.channels_last(x)
        _, h, w, _ = b.tensor(x).shape
        rows, columns = (chosen.get(d, np.arange(n)) for d, n in ((2, h), (3, w)))
        return b.add(ResizeNearest(tuple(rows.tolist()), tuple(columns.tolist())), [x], x.order)
    for d, indices in chosen.items():
        x = taken(b, x, d, indices)
    return x


def interpolated(
    b: Builder, x: Value, axes: Mapping[int, Axis], taps: Mapping[int, Taps], kind: str, *, plain: bool
) -> Value:
    """Weighted sums along every dimension of `axes`; plain linear ones of planes in one step, which int8 has too."""
    if axes and kind == "linear" and plain and _planes(b, x, axes):
        x = b.channels_last(x)
        _, h, w, _ = b.tensor(x).shape
        rows, columns = (axes.get(d, Axis(n, n, 1.0)) for d, n in ((2, h), (3, w)))
        real = [tuple(_near(a).astype(np.float32).tolist()) for a in (rows, columns)]
        whole = [tuple(_in_1024ths(a)) for a in (rows, columns)]
        return b.add(ResizeBilinear(real[0], real[1], whole[0], whole[1]), [x], x.order)
    for d in sorted(axes, key=lambda d: axes[d].count / axes[d].size):  # what shrinks first
        tables = (b.constant(taps[d].indices), b.constant(taps[d].weights))
        x = b.add(Interpolate(b.axis(x, d)), [x, *tables], x.order)
    return x


def _near(axis: Axis) -> Array:
    """Positions; what lies outside stands for the nearest element."""
    return np.clip(axis.positions(), 0, axis.size - 1)


def _in_1024ths(axis: Axis) -> list[int]:
    """TFLM's positions where its formulas are meant, else the nearest 1024ths."""
    half = axis.mode in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
    align = axis.mode == "align_corners"
    real, whole = tflm_positions(axis.size, axis.count, align=align, half=half)
    if np.abs(np.array(real) - axis.positions()).max() < 1e-3:
        return whole
    return [int(v) for v in np.floor(_near(axis) * ONE + 0.5)]
