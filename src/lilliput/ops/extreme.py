"""Layers at the ends of int32, for `examples()`: biases and scales with which accumulators and results wrap."""

from __future__ import annotations

import numpy as np

from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Op

BIASES = (2**31 - 1, -(2**31) + 1)
SMALL, JUST_BELOW_ONE = 2.0**-26, 1 - 2.0**-28
"""Result per accumulator: one shows what the accumulator was; with the other, adding the zero point wraps too."""


def near_overflow(op: Op, shape: Shape, weights: Array) -> Graph:
    """One int8 layer of `weights` whose channels have the largest and least biases under scales of every kind."""
    axis = op.weights[1]
    channels = weights.shape[axis]
    # The input's scale times this is JUST_BELOW_ONE, and all three are float32.
    scales = (SMALL, SMALL, JUST_BELOW_ONE / (1 + 2.0**-14), 3.0)
    per_channel = np.resize(np.array(scales, np.float32), channels)
    bias = np.resize(np.array(BIASES, np.int32), channels)
    x = Tensor("x", shape, "int8", Quant.per_tensor(1 + 2.0**-14, -7))
    w_quant = Quant(per_channel, np.zeros(channels, np.int32), axis)
    w = Tensor("w", weights.shape, "int8", w_quant, weights.astype(np.int8))
    b = Tensor("b", bias.shape, "int32", data=bias)
    (result,) = op.infer([x, w, b])
    y = Tensor("y", result, "int8", Quant.per_tensor(1.0, 100))
    node = Node(op, ("x", "w", "b"), ("y",), op.name)
    return Graph(("x",), ("y",), (node,), {t.name: t for t in (x, w, b, y)})
