"""How ONNX's convolutions become ours, of one, two or three axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.conv.axes import Axis, axes
from lilliput.ops.conv.importing import convolved, transposed
from lilliput.ops.shape import Concat, Pad, Slice

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


def _bias(b: OnnxBuilder, n: OnnxNode, channels: int) -> Value:
    if not b.has(n, 2):
        return b.constant(np.zeros(channels, np.float32))
    b.data(n, 2)  # says so where it is not known
    return b.value(n, 2)


def _kernel(n: OnnxNode, shape: tuple[int, ...]) -> list[int]:
    """The window, which the weights have as well."""
    given = n.attr("kernel_shape", shape)
    if tuple(given) != tuple(shape):
        raise UserError(f"{n.where}: kernel_shape {list(given)}, but the weights have {list(shape)}")
    return list(shape)


@onnx("Conv", planes=True)
def conv(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, w = b.value(n, 0), b.data(n, 1)  # [O, I / groups, *window]
    if not 3 <= len(x.order) <= 5 or w.ndim != len(x.order):
        raise UserError(
            f"{n.where}: an input of {len(x.order)} dimensions and weights {w.shape}; 3 to 5 are supported"
        )
    x = b.channels_last(x)
    window = axes(n, b.tensor(x).shape[1:-1], _kernel(n, w.shape[2:]))
    return convolved(b, x, b.value(n, 1), _bias(b, n, len(w)), window, int(n.attr("group", 1)))


@onnx("ConvTranspose", planes=True)
def conv_transpose(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, w = b.value(n, 0), b.data(n, 1)  # [I, O / groups, *window]
    groups = int(n.attr("group", 1))
    if not 3 <= len(x.order) <= 5 or w.ndim != len(x.order):
        raise UserError(
            f"{n.where}: an input of {len(x.order)} dimensions and weights {w.shape}; 3 to 5 are supported"
        )
    x = b.channels_last(x)
    window, crops = _transposed_axes(n, b.tensor(x).shape[1:-1], _kernel(n, w.shape[2:]))
    return transposed(b, x, b.value(n, 1), _bias(b, n, w.shape[1] * groups), window, crops, groups)


def _transposed_axes(
    n: OnnxNode, sizes: tuple[int, ...], kernel: list[int]
) -> tuple[list[Axis], list[tuple[int, int]]]:
    """Windows, and what is cut off the whole result before and after; from pads, or from the wanted shape."""
    rank = len(sizes)
    extra, wanted = n.attr("output_padding", (0,) * rank), n.attr("output_shape")
    auto, same = n.attr("auto_pad", "NOTSET"), n.attr("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
    strides, dilations = (list(n.attr(name, (1,) * rank)) for name in ("strides", "dilations"))
    pads = list(n.attr("pads", (0,) * 2 * rank))
    if [len(extra), len(strides), len(dilations), len(pads)] != [rank, rank, rank, 2 * rank]:
        raise UserError(f"{n.where}: its attributes do not fit {rank} axes")
    if min(*strides, *dilations) < 1 or min(extra) < 0 or max(*strides, *dilations, *extra) > 4096:
        raise UserError(
            f"{n.where}: strides {strides}, dilations {dilations} and output_padding {list(extra)}"
        )
    windows, crops = [], []
    for i, size in enumerate(sizes):
        axis = Axis(kernel[i], strides[i], dilations[i])
        whole = (size - 1) * axis.stride + axis.span + extra[i]
        if wanted is not None or same:
            target = int(wanted[-rank + i]) if wanted is not None else size * axis.stride
            total = whole - target
            less = max(total, 0) // 2
            first = max(total, 0) - less if auto == "SAME_LOWER" else less
            crop = (first, total - first - extra[i])
        else:
            crop = (pads[i], pads[rank + i] - extra[i])
        if auto == "VALID":
            crop = (0, -extra[i])
        windows.append(axis)
        crops.append(crop)
    return windows, crops


@onnx("ConvInteger", planes=True)
def conv_integer(b: OnnxBuilder, n: OnnxNode) -> Value:
    """In float32, which holds whole numbers below 2^24 exactly: larger sums are refused."""
    x, w = b.value(n, 0), b.data(n, 1).astype(np.int64)
    shape = b.shape(x)
    zero_w = b.data(n, 3).astype(np.int64) if b.has(n, 3) else np.zeros(1, np.int64)
    w = w - (zero_w.reshape(-1, *(1,) * (w.ndim - 1)) if zero_w.size > 1 else zero_w.reshape(()))
    if np.abs(w).reshape(len(w), -1).sum(1).max() * 255 >= 1 << 24:
        raise UserError(f"{n.where}: its sums may need more than 24 bits; QLinearConv has no such limit")
    real = ask(b, n, "Cast", [x], to=1)
    if b.has(n, 2):
        real = ask(b, n, "Sub", [real, b.constant(b.data(n, 2).astype(np.float32).reshape(()))])
    window = axes(n, shape[2:], _kernel(n, w.shape[2:]))
    weights, bias = b.constant(w.astype(np.float32)), b.constant(np.zeros(len(w), np.float32))
    y = convolved(b, b.channels_last(real), weights, bias, window, int(n.attr("group", 1)))
    return ask(b, n, "Cast", [y], to=6)


@onnx("CausalConvWithState")
def causal_conv(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, Value]:
    """Depthwise along the time, over what came before: the last (window - 1) steps are the next call's past."""
    x, w = b.channels_last(b.value(n, 0)), b.data(n, 1)
    batch, length, channels = b.tensor(x).shape
    k = w.shape[2]
    if b.has(n, 3) and k > 1:
        past = b.channels_last(b.value(n, 3))
        x = b.add(Concat(1), [past, x], x.order)
    elif k > 1:
        x = b.add(Pad(((0, 0), (k - 1, 0), (0, 0))), [x], x.order)
    y = convolved(b, x, b.value(n, 1), _bias(b, n, channels), [Axis(k)], channels)
    if n.attr("activation", "none") in ("silu", "swish"):
        y = ask(b, n, "Mul", [y, ask(b, n, "Sigmoid", [y])])
    state = x if k == 1 else b.add(Slice((0, length, 0), (batch, k - 1, channels), (1, 1, 1)), [x], x.order)
    return y, state
