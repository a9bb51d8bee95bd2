"""Statistics over time of windows [T, channels], as a graph: the device takes windows as its sensors give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Graph, Tensor, verify
from lilliput.importers.builder import Builder, Value
from lilliput.ops.binary import Mul, Sub
from lilliput.ops.reduce import Deviation, Mean, ReduceL1, ReduceMax, ReduceMin, ReduceSumSquare
from lilliput.ops.shape import Concat, Reshape, Slice

Statistic = Callable[[Builder, Value], Value]
TIME = (1,)


def _part(b: Builder, x: Value, begin: int, steps: int) -> Value:
    """Some steps of the window in a row."""
    _, _, channels = b.shape(x)
    return b.add(Slice((0, begin, 0), (1, steps, channels), (1, 1, 1)), [x])


def _over(b: Builder, total: Value, count: int) -> Value:
    """A sum divided by how many values it is of."""
    return b.add(Mul(), [total, b.constant(np.array([1 / count], np.float32))])


def _mean_abs_diff(b: Builder, x: Value) -> Value:
    _, steps, _ = b.shape(x)
    moved = b.add(Sub(), [_part(b, x, 1, steps - 1), _part(b, x, 0, steps - 1)])
    return _over(b, b.add(ReduceL1(TIME), [moved]), steps - 1)


def _change(b: Builder, x: Value) -> Value:
    _, steps, channels = b.shape(x)
    moved = b.add(Sub(), [_part(b, x, steps - 1, 1), _part(b, x, 0, 1)])
    return b.add(Reshape((1, channels)), [moved])


STATISTICS: dict[str, Statistic] = {
    "mean": lambda b, x: b.add(Mean(TIME), [x]),
    "std": lambda b, x: b.add(Deviation(TIME), [x]),
    "min": lambda b, x: b.add(ReduceMin(TIME), [x]),
    "max": lambda b, x: b.add(ReduceMax(TIME), [x]),
    "mean_abs_diff": _mean_abs_diff,
    "energy": lambda b, x: _over(b, b.add(ReduceSumSquare(TIME), [x]), b.shape(x)[1]),
    "change": _change,
}
"""Of each channel over the window: `std` is of the values themselves (divided by T), `mean_abs_diff` the mean of
|x[t] - x[t - 1]|, `energy` the mean square, `change` the last value less the first."""


def statistics(steps: int, channels: int, names: Sequence[str]) -> Graph:
    """x [1, T, C] float32 -> [1, statistics * C], in the order of `names`, each for all channels."""
    if steps < 2:
        raise UserError(f"features: windows of {steps} step; statistics over time need at least 2")
    x = Tensor("x", (1, steps, channels))
    b = Builder({x.name: x})
    parts = []
    for name in names:
        b.where = f"features.{name}"
        parts.append(STATISTICS[name](b, Value(x.name, (0, 1, 2))))
    b.where = "features"
    y = b.add(Concat(1), parts) if len(parts) > 1 else parts[0]
    return verify(Graph((x.name,), (y.name,), (), b.tensors).with_nodes(b.nodes))
