"""Layers with int16 results, for `examples()`: both forms of their sums, biases up to what these may hold."""

from __future__ import annotations

import numpy as np

from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Op

ENDS = {"int64": 2**46, "int32": 2**31 - 1}
SMALLEST = {"int64": -34.0, "int32": -28.0}
"""Logarithm of the result per accumulator of the first channel."""


def int16_layer(op: Op, shape: Shape, weights: Array, bias: str, largest: int | None = None) -> Graph:
    """One layer of int8 `weights` under scales of every kind; sums of 64 bits, or of 32 that wrap."""
    (axis,) = op.weights.values()
    channels = weights.shape[axis]
    ends = float(ENDS[bias] if largest is None else largest)
    biases = np.linspace(-ends, ends, channels).astype(np.int64) >> np.resize([0, 12, 24], channels)
    scales = np.exp2(np.linspace(SMALLEST[bias], -4, channels)) * 1.1
    x = Tensor("x", shape, "int16", Quant.per_tensor(1 + 2.0**-14, 0))
    w_quant = Quant(scales.astype(np.float32), np.zeros(channels, np.int32), axis)
    w = Tensor("w", weights.shape, "int8", w_quant, weights.astype(np.int8))
    b = Tensor("b", (channels,), bias, data=biases.astype(bias))
    (result,) = op.infer([x, w, b])
    y = Tensor("y", result, "int16", Quant.per_tensor(1.0, 0))
    node = Node(op, ("x", "w", "b"), ("y",), op.name)
    return Graph(("x",), ("y",), (node,), {t.name: t for t in (x, w, b, y)})
