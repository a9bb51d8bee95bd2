"""How torch's pooling over other than two axes becomes ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.ops.conv.axes import Axis
from lilliput.ops.conv.from_torch import many
from lilliput.ops.pool.importing import averaged, ends, maximum, mean, pooled

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


def _window(b: TorchBuilder, call: Call, rank: int) -> tuple[Value, list[Axis]]:
    x = b.channels_last(b.value(call["self"]))
    kernel = many(call["kernel_size"], rank)
    strides = many(call["stride"] or kernel, rank)
    pads, dilations = many(call["padding"], rank), many(call.get("dilation", 1), rank)
    numbers = zip(kernel, strides, dilations, pads, strict=True)
    return x, [Axis(k, s, d, (p, p)) for k, s, d, p in numbers]


@aten("max_pool1d", "max_pool3d", planes=True)
def max_pool(b: TorchBuilder, call: Call) -> Value:
    x, window = _window(b, call, len(b.value(call["self"]).order) - 2)
    return pooled(b, x, ends(b, x, window, ceil=bool(call["ceil_mode"])), maximum)


@aten("avg_pool1d", "avg_pool3d", planes=True)
def avg_pool(b: TorchBuilder, call: Call) -> Value:
    x, window = _window(b, call, len(b.value(call["self"]).order) - 2)
    if call.get("divisor_override") not in (None, math.prod(a.kernel for a in window)):
        raise UserError(
            f"layer '{b.where}': divisor_override={call['divisor_override']} is not supported; leave it out"
        )
    to = ends(b, x, window, ceil=bool(call["ceil_mode"]))
    return averaged(b, x, window, to, padding=bool(call["count_include_pad"]))


def _adaptive(b: TorchBuilder, call: Call) -> tuple[Value, list[Axis]]:
    x = b.channels_last(b.value(call["self"]))
    size = b.tensor(x).shape[1]
    (wanted,) = many(call["output_size"], 1)
    if wanted < 1 or size % wanted:
        raise UserError(
            f"layer '{b.where}': adaptive pooling of {size} to {wanted} needs windows of several sizes; only output "
            "sizes that divide the input's are supported"
        )
    return x, [Axis(size // wanted, size // wanted)]


@aten("adaptive_avg_pool1d", planes=True)
def adaptive_avg_pool(b: TorchBuilder, call: Call) -> Value:
    return pooled(b, *_adaptive(b, call), mean)


@aten("adaptive_max_pool1d", planes=True)
def adaptive_max_pool(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    """Torch returns the indices too: a value without a tensor, which nothing may read."""
    from lilliput.importers.torch import Value

    y = pooled(b, *_adaptive(b, call), maximum)
    return y, Value("indices of adaptive_max_pool1d", y.order)
