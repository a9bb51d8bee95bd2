"""How foreign convolutions and linear layers become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Quant, Tensor
from lilliput.importers.registry import aten, tflite
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.conv.conv2d import Conv2d
from lilliput.ops.conv.depthwise import DepthwiseConv2d
from lilliput.ops.conv.from_torch import conv as conv  # registers torch's other convolutions
from lilliput.ops.conv.linear import Linear
from lilliput.ops.conv.transposed import ConvTranspose2d

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _bias(b: TorchBuilder, call: Call, channels: int) -> Array:
    return np.zeros(channels, np.float32) if call["bias"] is None else b.data(call["bias"])


def _pair(value: list[int]) -> tuple[int, int]:
    return (value[0], value[-1])


@aten("conv2d")
def conv2d(b: TorchBuilder, call: Call) -> Value:
    x = b.channels_last(b.value(call["input"]))
    w = b.data(call["weight"])  # [O, I / groups, KH, KW]
    stride, dilation, groups = _pair(call["stride"]), _pair(call["dilation"]), int(call["groups"])
    padding = _torch_padding(call, w.shape[2:], dilation)
    bias = b.constant(_bias(b, call, len(w)))
    if groups == b.tensor(x).shape[3] and w.shape[1] == 1 and groups > 1:
        weights = b.constant(w.transpose(1, 2, 3, 0))
        return b.add(DepthwiseConv2d(stride, padding, dilation), [x, weights, bias])
    weights = b.constant(w.transpose(0, 2, 3, 1))
    return b.add(Conv2d(stride, padding, dilation, groups), [x, weights, bias])


def _torch_padding(call: Call, kernel: tuple[int, ...], dilation: tuple[int, int]) -> Padding:
    given = call["padding"]
    if given == "valid":
        return ((0, 0), (0, 0))
    if given == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return ((totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2))
    h, w = _pair(given)
    return ((h, h), (w, w))


@aten("linear")
def linear(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["input"])
    features = len(x.order) - 1  # they must lie innermost, the rest may stay as it lies
    x = b.reorder(x, (*(d for d in x.order if d != features), features))
    w = b.data(call["weight"])
    return b.add(Linear(), [x, b.constant(w), b.constant(_bias(b, call, len(w)))])


@aten("addmm")
def addmm(b: TorchBuilder, call: Call) -> Value:
    if (call["beta"], call["alpha"]) != (1, 1):
        raise UserError(
            f"layer '{b.where}': addmm with beta {call['beta']} and alpha {call['alpha']}, expected 1 and 1"
        )
    x = b.logical(b.value(call["mat1"]))
    w = b.data(call["mat2"]).T
    return b.add(Linear(), [x, b.constant(w), b.constant(b.data(call["self"]))])


def check_reach(b: TfliteBuilder, o: TfliteOperator, size: int, window: int) -> None:
    """Refuse a window far larger than its input: a file must not make us pad without bound."""
    if window > 2 * size + 64:
        raise UserError(f"{b.where(o)}: a window over {window} pixels is absurd for an input of {size}")


def integer(o: TfliteOperator, name: str) -> int:
    """An option that the reader's schema says is an integer."""
    value = o.options[name]
    assert isinstance(value, int)
    return value


def _window(b: TfliteBuilder, o: TfliteOperator, kernel: Pair) -> tuple[Padding, Pair, Pair]:
    from lilliput.importers.tflite import same_padding

    _, h, w, _ = b.tensor(o, 0).shape
    stride = (integer(o, "stride_h"), integer(o, "stride_w"))
    dilation = (integer(o, "dilation_h"), integer(o, "dilation_w"))
    if min(*stride, *dilation) < 1:
        raise UserError(f"{b.where(o)}: stride {stride} and dilation {dilation} must be positive")
    if o.options["padding"] == "VALID":
        return ((0, 0), (0, 0)), stride, dilation
    for size, k, d in zip((h, w), kernel, dilation, strict=True):
        check_reach(b, o, size, d * (k - 1) + 1)
    pads = (same_padding(s, k, st, d) for s, k, st, d in zip((h, w), kernel, stride, dilation, strict=True))
    top, left = pads
    return (top, left), stride, dilation


def _operands(
    b: TfliteBuilder, o: TfliteOperator, channels: int, axis: int, at: tuple[int, int, int] = (0, 1, 2)
) -> tuple[str, str, str]:
    """Input, weights with one scale per channel along `axis`, and a bias that is there; `at` says which they are.

    An int16 layer without one adds up in 64 bits, which a bias of int64 says. Integer weights of a float32 layer
    ("dynamic range") become the numbers they stand for; TFLM refuses such models.
    """
    x, w = b.tensor(o, at[0]), b.tensor(o, at[1])
    if w.data is None:
        raise UserError(f"{b.where(o)}: weights that are computed at run time are not supported")
    quant = w.quant
    if quant is not None and quant.zero_point.any():
        raise UserError(
            f"{b.where(o)}: weights with zero point {quant.zero_point[0]}, expected 0 (symmetric)"
        )
    if quant is not None and quant.axis is None:
        quant = Quant(np.repeat(quant.scale, channels), np.repeat(quant.zero_point, channels), axis)
    if x.dtype == "float32" and quant is not None:
        weights = b.constant(o, quant.dequantize(w.data))
    else:
        weights = b.constant(o, w.data, quant, w.dtype)
    if b.has(o, at[2]):
        bias = b.name(o.inputs[at[2]])
        if b.tensor(o, at[2]).data is None:
            raise UserError(f"{b.where(o)}: a bias that is computed at run time is not supported")
    else:
        kind = {"float32": "float32", "int16": "int64"}.get(x.dtype, "int32")
        bias = b.constant(o, np.zeros(channels, kind))
    return x.name, weights, bias


@tflite("CONV_2D")
def tflite_conv(b: TfliteBuilder, o: TfliteOperator) -> None:
    w, x = _rank(b, o, 4), b.tensor(o, 0)
    padding, stride, dilation = _window(b, o, (w.shape[1], w.shape[2]))
    if x.shape[3] % w.shape[3]:
        raise UserError(
            f"{b.where(o)}: {x.shape[3]} input channels do not divide into groups of {w.shape[3]}"
        )
    op = Conv2d(stride, padding, dilation, x.shape[3] // w.shape[3], b.activation(o))
    b.add(o, op, _operands(b, o, w.shape[0], 0))


@tflite("DEPTHWISE_CONV_2D")
def tflite_depthwise(b: TfliteBuilder, o: TfliteOperator) -> None:
    w = _rank(b, o, 4)
    padding, stride, dilation = _window(b, o, (w.shape[1], w.shape[2]))
    b.add(o, DepthwiseConv2d(stride, padding, dilation, b.activation(o)), _operands(b, o, w.shape[3], 3))


@tflite("TRANSPOSE_CONV")
def tflite_transpose_conv(b: TfliteBuilder, o: TfliteOperator) -> None:
    """The padding is what a convolution of the result's size would have, cut off in front."""
    from lilliput.importers.tflite import same_padding

    w, x, y = b.tensor(o, 1), b.tensor(o, 2), b.output(o)
    if not len(w.shape) == len(x.shape) == len(y.shape) == 4:
        raise UserError(
            f"{b.where(o)}: weights {w.shape}, input {x.shape} and result {y.shape}, expected 4 dimensions"
        )
    stride = (integer(o, "stride_h"), integer(o, "stride_w"))
    if min(stride) < 1:
        raise UserError(f"{b.where(o)}: stride {stride} must be positive")
    crops = []
    for size, k, s, out in zip(x.shape[1:3], w.shape[1:3], stride, y.shape[1:3], strict=True):
        before = same_padding(out, k, s, 1)[0] if o.options["padding"] == "SAME" else 0
        crops.append((before, (size - 1) * s + k - before - out))
    op = ConvTranspose2d(stride, (crops[0], crops[1]), clamp=b.activation(o))
    b.add(o, op, _operands(b, o, w.shape[0], 0, (2, 1, 3)))


@tflite("FULLY_CONNECTED")
def tflite_linear(b: TfliteBuilder, o: TfliteOperator) -> None:
    from lilliput.ops.shape import Reshape

    w, x, y = b.tensor(o, 1), b.tensor(o, 0), b.output(o)
    if len(w.shape) != 2 or x.size % w.shape[1]:
        raise UserError(f"{b.where(o)}: weights {w.shape} do not fit an input of shape {x.shape}")
    source, weights, bias = _operands(b, o, w.shape[0], 0)
    rows = x.size // w.shape[1]
    if x.shape[-1] != w.shape[1] or y.shape[:-1] != x.shape[:-1]:  # TFLM flattens whatever comes
        flat = Tensor(f"o{o.index}.flat", (rows, w.shape[1]), x.dtype, x.quant)
        b.tensors[flat.name] = flat
        b.add(o, Reshape(flat.shape), (source,), (flat.name,))
        source = flat.name
    direct = (*b.tensors[source].shape[:-1], w.shape[0])
    if y.shape == direct:
        b.add(o, Linear(b.activation(o)), (source, weights, bias))
        return
    middle = Tensor(f"o{o.index}.rows", direct, y.dtype, y.quant)
    b.tensors[middle.name] = middle
    b.add(o, Linear(b.activation(o)), (source, weights, bias), (middle.name,))
    b.add(o, Reshape(y.shape), (middle.name,))


def _rank(b: TfliteBuilder, o: TfliteOperator, rank: int) -> Tensor:
    for i in (0, 1):
        if len(b.tensor(o, i).shape) != rank:
            raise UserError(
                f"{b.where(o)}: input {i} has shape {b.tensor(o, i).shape}, expected {rank} dimensions"
            )
    return b.tensor(o, 1)
