"""How foreign pooling becomes ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.conv.convert import check_reach, integer
from lilliput.ops.pool.from_torch import max_pool as max_pool  # registers torch's other pooling
from lilliput.ops.pool.pool2d import AvgPool2d, MaxPool2d, quants_differ

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _borders(plane: Pair, window: Pair, stride: Pair, pad: Pair, dilation: Pair, ceil: bool) -> Padding:
    """The padding with which every window that torch computes fits exactly."""

    def ends(size: int, k: int, s: int, p: int, d: int) -> Pair:
        span = d * (k - 1) + 1
        free = size + 2 * p - span
        count = (-(-free // s) if ceil else free // s) + 1
        if ceil and (count - 1) * s >= size + p:  # no window starts in the padding after the input
            count -= 1
        return p, max((count - 1) * s + span - size - p, 0)

    top, left = (ends(*each) for each in zip(plane, window, stride, pad, dilation, strict=True))
    return (top, left)


@aten("max_pool2d")
def max_pool2d(b: TorchBuilder, call: Call) -> Value:
    x = b.channels_last(b.value(call["self"]))
    window = _pair(call["kernel_size"])
    stride = _pair(call["stride"] or window)
    dilation = _pair(call["dilation"])
    _, h, w, _ = b.tensor(x).shape
    padding = _borders((h, w), window, stride, _pair(call["padding"]), dilation, bool(call["ceil_mode"]))
    return b.add(MaxPool2d(window, stride, padding, dilation=dilation), [x])


@aten("avg_pool2d")
def avg_pool2d(b: TorchBuilder, call: Call) -> Value:
    x = b.channels_last(b.value(call["self"]))
    window = _pair(call["kernel_size"])
    stride, pad = _pair(call["stride"] or window), _pair(call["padding"])
    if call["divisor_override"] not in (None, window[0] * window[1]):
        raise UserError(
            f"layer '{b.where}': divisor_override={call['divisor_override']} is not supported; leave it "
            "out and scale the result"
        )
    if call["count_include_pad"] and any(pad):
        from lilliput.ops.shape import Pad

        x = b.add(Pad(((0, 0), (pad[0], pad[0]), (pad[1], pad[1]), (0, 0))), [x])
        pad = (0, 0)
    _, h, w, _ = b.tensor(x).shape
    padding = _borders((h, w), window, stride, pad, (1, 1), bool(call["ceil_mode"]))
    return b.add(AvgPool2d(window, stride, padding), [x])


def _adaptive(b: TorchBuilder, call: Call, x: Value) -> Pair:
    """The window, and stride, that divides the plane into the wanted number of parts."""
    _, h, w, _ = b.tensor(x).shape
    wanted = call["output_size"]
    rows, columns = (wanted, wanted) if isinstance(wanted, int) else wanted
    rows, columns = rows or h, columns or w
    if h % rows or w % columns:
        raise UserError(
            f"layer '{b.where}': adaptive pooling of {h}x{w} to {rows}x{columns} needs windows of several "
            "sizes; only output sizes that divide the input's are supported"
        )
    return h // rows, w // columns


@aten("adaptive_avg_pool2d")
def adaptive_avg_pool2d(b: TorchBuilder, call: Call) -> Value:
    from lilliput.ops.reduce import Mean

    x = b.channels_last(b.value(call["self"]))
    window = _adaptive(b, call, x)
    if window == b.tensor(x).shape[1:3]:
        return b.add(Mean((1, 2), keep_dims=True), [x])
    return b.add(AvgPool2d(window, window), [x])


@aten("adaptive_max_pool2d")
def adaptive_max_pool2d(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    """Torch returns the indices too: a value without a tensor, which nothing may read."""
    from lilliput.importers.torch import Value

    x = b.channels_last(b.value(call["self"]))
    window = _adaptive(b, call, x)
    return b.add(MaxPool2d(window, window), [x]), Value("indices of adaptive_max_pool2d", x.order)


def _tflite_pool(b: TfliteBuilder, o: TfliteOperator, cls: type[AvgPool2d] | type[MaxPool2d]) -> None:
    from lilliput.importers.tflite import same_padding

    x, y = b.tensor(o, 0), b.output(o)
    if len(x.shape) != 4:
        raise UserError(f"{b.where(o)}: the input has shape {x.shape}, expected 4 dimensions")
    window = (integer(o, "filter_height"), integer(o, "filter_width"))
    stride = (integer(o, "stride_h"), integer(o, "stride_w"))
    if min(*window, *stride) < 1:
        raise UserError(f"{b.where(o)}: window {window} and stride {stride} must be positive")
    if x.quant is not None and y.quant is not None and (reason := quants_differ(x, y)):
        raise UserError(f"{b.where(o)}: {reason}; convert the model again with TensorFlow's own converter")
    for size, k in zip(x.shape[1:3], window, strict=True):
        check_reach(b, o, size, k)
    padding: Padding = ((0, 0), (0, 0))
    if o.options["padding"] == "SAME":
        top, left = (same_padding(d, k, s, 1) for d, k, s in zip(x.shape[1:3], window, stride, strict=True))
        padding = (top, left)
    b.add(o, cls(window, stride, padding, b.activation(o)), b.inputs(o))


@tflite("MAX_POOL_2D")
def tflite_max_pool(b: TfliteBuilder, o: TfliteOperator) -> None:
    _tflite_pool(b, o, MaxPool2d)


@tflite("AVERAGE_POOL_2D")
def tflite_avg_pool(b: TfliteBuilder, o: TfliteOperator) -> None:
    _tflite_pool(b, o, AvgPool2d)
