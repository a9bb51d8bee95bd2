"""How torch's convolutions of other than two axes, and the transposed ones, become ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lilliput.importers.registry import aten
from lilliput.ops.conv.axes import Axis
from lilliput.ops.conv.importing import convolved, transposed

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


def many(value: int | Sequence[int], rank: int) -> list[int]:
    """An argument with a number per axis, or one for all."""
    given = [value] if isinstance(value, int) else [int(v) for v in value]
    return given * rank if len(given) == 1 else given


def _bias(b: TorchBuilder, call: Call, channels: int) -> Value:
    return b.constant(np.zeros(channels, np.float32) if call["bias"] is None else b.data(call["bias"]))


@aten("conv1d", "conv3d", planes=True)
def conv(b: TorchBuilder, call: Call) -> Value:
    x, w = b.channels_last(b.value(call["input"])), b.data(call["weight"])  # [O, I / groups, *window]
    rank = w.ndim - 2
    strides, dilations = many(call["stride"], rank), many(call["dilation"], rank)
    given = call["padding"]
    window = []
    for i, k in enumerate(w.shape[2:]):
        if given == "same":
            total = dilations[i] * (k - 1)
            pad = (total // 2, total - total // 2)
        else:
            before = 0 if given == "valid" else many(given, rank)[i]
            pad = (before, before)
        window.append(Axis(k, strides[i], dilations[i], pad))
    return convolved(b, x, b.constant(w), _bias(b, call, len(w)), window, int(call["groups"]))


@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", planes=True)
def conv_transpose(b: TorchBuilder, call: Call) -> Value:
    x, w = b.channels_last(b.value(call["input"])), b.data(call["weight"])  # [I, O / groups, *window]
    rank, groups = w.ndim - 2, int(call["groups"])
    strides, dilations, pads, extra = (
        many(call[name], rank) for name in ("stride", "dilation", "padding", "output_padding")
    )
    window = [Axis(k, s, d) for k, s, d in zip(w.shape[2:], strides, dilations, strict=True)]
    crops = [(p, p - e) for p, e in zip(pads, extra, strict=True)]
    return transposed(b, x, b.constant(w), _bias(b, call, w.shape[1] * groups), window, crops, groups)
