"""How ONNX's Resize and Upsample become ours: indices and weights of every axis are computed here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.resize import sampling as sampling
from lilliput.ops.resize.importing import interpolated, nearest_planes
from lilliput.ops.resize.positions import Axis

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("Upsample")
def upsample(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    shape = b.shape(x)
    given = n.attr("scales") or b.data(n, 1).reshape(-1)
    axes = [
        Axis(size, math.floor(size * float(scale)), float(scale), "asymmetric")
        for size, scale in zip(shape, given, strict=True)
    ]
    return _resized(b, x, axes, "nearest" if n.attr("mode", "nearest") == "nearest" else "linear", n)


@onnx("Resize")
def resize(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    mode = str(n.attr("mode", "nearest"))
    axes = _axes(b, n)
    if mode not in ("nearest", "linear", "cubic"):
        raise UserError(f"{n.where}: mode '{mode}' is not one of nearest, linear, cubic")
    return _resized(b, x, axes, mode, n)


def _axes(b: OnnxBuilder, n: OnnxNode) -> list[Axis]:
    """What becomes of every dimension."""
    shape = b.shape(b.value(n, 0))
    if n.version < 11:
        scales: list[float] | None = [float(v) for v in b.data(n, 1).reshape(-1)]
        sizes, roi = None, None
    else:
        roi, scales = ([float(v) for v in b.data(n, i).reshape(-1)] if b.has(n, i) else None for i in (1, 2))
        sizes = [int(v) for v in b.data(n, 3).reshape(-1)] if b.has(n, 3) else None
    mode = str(n.attr("coordinate_transformation_mode", "half_pixel" if n.version >= 11 else "asymmetric"))
    rank = len(shape)
    dims = [int(d) % rank for d in n.attr("axes") or range(rank)]
    if sizes:
        counts, factors = _by_size(n, [shape[d] for d in dims], sizes)
    elif scales:
        factors = scales
        counts = [math.floor(shape[d] * s) for d, s in zip(dims, scales, strict=True)]
    else:
        raise UserError(f"{n.where}: neither scales nor sizes")
    axes = [Axis(size, size, 1.0, mode) for size in shape]
    for i, d in enumerate(dims):
        part = (roi[i], roi[i + len(dims)]) if roi and mode == "tf_crop_and_resize" else (0.0, 1.0)
        if counts[i] < 1 or not factors[i] > 0 or not math.isfinite(factors[i]):
            raise UserError(f"{n.where}: dimension {d} of {shape[d]} would become {counts[i]}")
        axes[d] = Axis(shape[d], counts[i], factors[i], mode, part)
    return axes


def _by_size(n: OnnxNode, old: list[int], sizes: list[int]) -> tuple[list[int], list[float]]:
    """Sizes and scales; one scale for all where the aspect ratio is kept."""
    policy = str(n.attr("keep_aspect_ratio_policy", "stretch"))
    factors = [m / size for m, size in zip(sizes, old, strict=True)]
    if policy == "stretch":
        return sizes, factors
    scale = min(factors) if policy == "not_larger" else max(factors)
    return [math.floor(scale * size + 0.5) for size in old], [scale] * len(old)


def _resized(b: OnnxBuilder, x: Value, axes: list[Axis], mode: str, n: OnnxNode) -> Value:
    changing = {
        d: a for d, a in enumerate(axes) if a.count != a.size or a.scale != 1.0 or a.roi != (0.0, 1.0)
    }
    if mode == "nearest":
        rounding = str(n.attr("nearest_mode", "round_prefer_floor" if n.version >= 11 else "floor"))
        return nearest_planes(b, x, {d: a.nearest(rounding) for d, a in changing.items()})
    value = float(n.attr("extrapolation_value", 0.0))
    outside = any(a.outside().any() for a in changing.values())
    exclude, antialias = bool(n.attr("exclude_outside", 0)), bool(n.attr("antialias", 0))
    if value and outside:
        from lilliput.ops.binary import Add

        x = b.add(Add(), [x, b.constant(np.array(-value, np.float32))], x.order)
    taps = {
        d: a.taps(mode, cubic=float(n.attr("cubic_coeff_a", -0.75)), antialias=antialias, inside=exclude)
        for d, a in changing.items()
    }
    y = interpolated(b, x, changing, taps, mode, plain=not (exclude or antialias or outside))
    if value and outside:
        y = b.add(Add(), [y, b.constant(np.array(value, np.float32))], y.order)
    return y
