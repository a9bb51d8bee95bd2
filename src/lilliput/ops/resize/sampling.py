"""How ONNX's sampling and scattering of planes become ours: grids, patches put together, pooling undone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.registry import aten, onnx
from lilliput.ops.binary import Add, Mul
from lilliput.ops.index.elements import ScatterElements
from lilliput.ops.index.tuples import ScatterND
from lilliput.ops.resize.grid_sample import PADDING, GridSample
from lilliput.ops.shape.importing import padded, part, permuted, selected, view_as

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode
    from lilliput.importers.torch import Call, TorchBuilder

Mode = Literal["nearest", "linear", "cubic"]
Border = Literal["zeros", "border", "reflection"]


def _sampled(b: Builder, x: Value, grid: Value, mode: str, padding: str, *, align: bool) -> Value:
    known: dict[str, Mode] = {"bilinear": "linear", "bicubic": "cubic"}
    kind = known.get(mode, cast(Mode, mode))
    if padding not in PADDING or kind not in ("nearest", "linear", "cubic"):
        raise UserError(f"layer '{b.where}': mode '{mode}' with padding '{padding}' is not supported")
    x = b.channels_last(x)
    return b.add(GridSample(kind, cast(Border, padding), align), [x, b.logical(grid)], x.order)


@onnx("GridSample", planes=True)
def grid_sample(b: OnnxBuilder, n: OnnxNode) -> Value:
    mode, padding = str(n.attr("mode", "linear")), str(n.attr("padding_mode", "zeros"))
    if mode in ("cubic", "bicubic") and padding == "border":
        raise UserError(
            f"{n.where}: mode 'cubic' with padding 'border' is not supported: ONNX moves the place, PyTorch every "
            "tap; use 'reflection' or 'zeros'"
        )
    return _sampled(b, b.value(n, 0), b.value(n, 1), mode, padding, align=bool(n.attr("align_corners", 0)))


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def torch_grid_sample(b: TorchBuilder, call: Call) -> Value:
    mode, padding = (int(call[key]) for key in ("interpolation_mode", "padding_mode"))
    names = ("bilinear", "nearest", "bicubic")
    align = bool(call["align_corners"])
    return _sampled(
        b, b.value(call["input"]), b.value(call["grid"]), names[mode], PADDING[padding], align=align
    )


@onnx("AffineGrid", moves=True)
def affine_grid(b: OnnxBuilder, n: OnnxNode) -> Value:
    """y[n, places..., i] = sum over j of place_j * theta[n, i, j], where the last place is 1."""
    theta, sizes = b.value(n, 0), [int(v) for v in b.data(n, 1).reshape(-1)][2:]
    batch, dims, _ = b.shape(theta)
    if len(sizes) != dims:
        raise UserError(f"{n.where}: matrices {b.shape(theta)} for planes of {sizes}")
    b.afford(sum(sizes))
    axes = [_steps(size, align=bool(n.attr("align_corners", 0))) for size in sizes]
    b.afford(math.prod(sizes) * (dims + 1))
    places = [*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes, np.float32)]
    result: Value | None = None
    for j, place in enumerate(places):
        column = view_as(b, selected(b, theta, 2, j), (batch, *[1] * dims, dims))
        factor = b.constant(place.astype(np.float32).reshape(1, *sizes, 1))
        product = b.add(Mul(), [b.logical(column), factor], tuple(range(dims + 2)))
        result = product if result is None else b.add(Add(), [result, product], product.order)
    assert result is not None
    return result


def _steps(size: int, *, align: bool) -> Array:
    """The places of an axis from -1 to 1: of its elements' corners, or of their middles."""
    if align:
        return np.linspace(-1, 1, size) if size > 1 else np.zeros(1)
    return (2 * np.arange(size) + 1) / size - 1


@onnx("MaxUnpool", moves=True)
def max_unpool(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Indices count the elements of the whole unpooled tensor in ONNX's order; all else is zero."""
    x, indices = b.value(n, 0), b.value(n, 1)
    shape = b.shape(x)
    window = [int(k) for k in n.attr("kernel_shape")]
    strides = [int(s) for s in n.attr("strides") or [1] * len(window)]
    pads = [int(p) for p in n.attr("pads") or [0] * (2 * len(window))]
    sizes = [
        (d - 1) * s + k - pads[i] - pads[i + len(window)]
        for i, (d, s, k) in enumerate(zip(shape[2:], strides, window, strict=True))
    ]
    whole = (*shape[:2], *sizes)
    b.afford(math.prod(whole))
    zeros = b.constant(np.zeros(math.prod(whole), np.float32))
    flat = [view_as(b, b.logical(v), (math.prod(shape),)) for v in (indices, x)]
    y = view_as(b, b.add(ScatterElements(0), [zeros, *flat]), whole)
    if b.has(n, 2):
        wanted = [int(v) for v in b.data(n, 2).reshape(-1)]
        y = padded(b, y, [(0, m - d) for d, m in zip(whole, wanted, strict=True)])
    return y


@onnx("Col2Im", moves=True)
def col2im(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Patches [N, C * window, places] added up where they overlap, in a padded picture that is cut afterwards."""
    x = b.value(n, 0)
    sizes, window = ([int(v) for v in b.data(n, i).reshape(-1)] for i in (1, 2))
    dims = len(sizes)
    strides, dilations = ([int(v) for v in n.attr(key) or [1] * dims] for key in ("strides", "dilations"))
    pads = [int(v) for v in n.attr("pads") or [0] * (2 * dims)]
    whole = [size + pads[i] + pads[i + dims] for i, size in enumerate(sizes)]
    counts = [
        (size - d * (k - 1) - 1) // s + 1
        for size, d, k, s in zip(whole, dilations, window, strides, strict=True)
    ]
    batch, features, places = b.shape(x)
    taps = math.prod(window)
    if places != math.prod(counts) or features % taps:
        raise UserError(f"{n.where}: {b.shape(x)} are no patches {window} of {sizes}")
    k = np.indices(window).reshape(dims, -1, 1) * np.array(dilations).reshape(-1, 1, 1)
    at = np.indices(counts).reshape(dims, 1, -1) * np.array(strides).reshape(-1, 1, 1)
    chosen = np.ravel_multi_index(tuple(k + at), whole).reshape(-1, 1).astype(np.int32)
    inner = batch * features // taps
    updates = permuted(view_as(b, b.logical(x), (inner, taps * places)), (1, 0))
    b.afford(math.prod(whole) * inner)
    zeros = b.constant(np.zeros((math.prod(whole), inner), np.float32))
    y = b.add(ScatterND("add"), [zeros, b.constant(chosen), b.logical(updates)])
    y = view_as(b, permuted(y, (1, 0)), (batch, features // taps, *whole))
    for i, size in enumerate(sizes):
        y = part(b, y, 2 + i, pads[i], size)
    return y
