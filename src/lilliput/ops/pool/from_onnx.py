"""How ONNX's pooling becomes ours, over one, two or three axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.conv.axes import Axis, as_plane, as_stored, axes, pairs
from lilliput.ops.pool.importing import averaged, ends, maximum, pooled, total
from lilliput.ops.pool.index import MaxIndex2d
from lilliput.ops.pool.pool2d import MaxPool2d
from lilliput.ops.reduce import Mean

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode
    from lilliput.op import Op


def _window(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, list[Axis]]:
    """The input channels-last, and the window along each axis."""
    x = b.value(n, 0)
    if not 3 <= len(x.order) <= 5:
        raise UserError(f"{n.where}: an input of {len(x.order)} dimensions; 3 to 5 are supported")
    x = b.channels_last(x)
    kernel = n.attr("kernel_shape")
    if kernel is None:
        raise UserError(f"{n.where}: kernel_shape is missing")
    return x, axes(n, b.tensor(x).shape[1:-1], kernel)


def _ends(b: OnnxBuilder, n: OnnxNode, x: Value, window: list[Axis]) -> list[Axis]:
    ceil = bool(n.attr("ceil_mode", 0)) and n.attr("auto_pad", "NOTSET") == "NOTSET"
    return ends(b, x, window, ceil=ceil)


@onnx("MaxPool", planes=True)
def max_pool(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    x, window = _window(b, n)
    to = _ends(b, n, x, window)
    y = pooled(b, x, to, maximum)
    if len(n.outputs) < 2:
        return (y,)
    if len(to) > 2:
        raise UserError(f"{n.where}: indices of a maximum over three axes are not supported")

    def index(two: list[Axis], channels: int) -> tuple[Op, list[Array]]:
        return MaxIndex2d(*pairs(two), column_major=bool(n.attr("storage_order", 0))), []

    return y, pooled(b, x, to, index)


@onnx("AveragePool", planes=True)
def average_pool(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, window = _window(b, n)
    return averaged(b, x, window, _ends(b, n, x, window), padding=bool(n.attr("count_include_pad", 0)))


@onnx("LpPool", planes=True)
def lp_pool(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, window = _window(b, n)
    p = int(n.attr("p", 2))
    sums = pooled(b, _power(b, n, x, p), _ends(b, n, x, window), total)
    return _root(b, n, sums, p)


def _power(b: OnnxBuilder, n: OnnxNode, x: Value, p: int) -> Value:
    """|x|^p."""
    if p < 1:
        raise UserError(f"{n.where}: p={p}, expected at least 1")
    if p == 2:
        return ask(b, n, "Mul", [x, x])
    x = ask(b, n, "Abs", [x])
    return x if p == 1 else ask(b, n, "Pow", [x, b.constant(np.array(p, np.float32))])


def _root(b: OnnxBuilder, n: OnnxNode, x: Value, p: int) -> Value:
    if p == 1:
        return x
    return (
        ask(b, n, "Sqrt", [x]) if p == 2 else ask(b, n, "Pow", [x, b.constant(np.array(1 / p, np.float32))])
    )


def _everything(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    return b.channels_last(x) if len(x.order) > 2 else x


@onnx("GlobalAveragePool", planes=True)
def global_average(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = _everything(b, n)
    inner = tuple(range(1, len(x.order) - 1))
    return b.add(Mean(inner, keep_dims=True), [x]) if inner else x


@onnx("GlobalMaxPool", planes=True)
def global_max(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = _everything(b, n)
    batch, *plane, channels = b.tensor(x).shape
    if not plane:
        return x
    row = as_plane(b, x, (batch, 1, math.prod(plane), channels))
    y = b.add(MaxPool2d((1, math.prod(plane)), (1, 1)), [row])
    return as_stored(b, y, (batch, *(1 for _ in plane), channels))


@onnx("GlobalLpPool", planes=True)
def global_lp(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, p = _everything(b, n), int(n.attr("p", 2))
    inner = tuple(range(1, len(x.order) - 1))
    count = math.prod(b.tensor(x).shape[i] for i in inner)
    mean = b.add(Mean(inner, keep_dims=True), [_power(b, n, x, p)])
    return _root(b, n, ask(b, n, "Mul", [mean, b.constant(np.array(count, np.float32))]), p)
