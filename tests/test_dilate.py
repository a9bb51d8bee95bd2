"""Space-to-batch, convolution, batch-to-space become one dilated convolution, with TFLM's integers."""

from __future__ import annotations

import numpy as np
import pytest

from lilliput.evaluate import step_through
from lilliput.graph import Graph, Shape
from lilliput.importers.tflite import load_tflite
from lilliput.passes import simplify
from tflite_builder import Model
from tflm import Tflm

Q = ("int8", 0.1, 3)


def integers(m: Model, values: object) -> int:
    data = np.array(values, np.int32)
    return m.tensor(data.shape, "int32", data=data)


def weights(m: Model, shape: Shape, axis: int) -> list[int]:
    rng = np.random.default_rng(1)
    data = rng.integers(-127, 128, shape).astype(np.int8)
    channels = shape[axis]
    w = m.tensor(shape, "int8", [0.01] * channels, [0] * channels, data=data, axis=axis)
    return [w, m.tensor((channels,), "int32", [0.001] * channels, [0] * channels, data=np.zeros(channels))]


def plane(op: str, block: tuple[int, int] = (2, 3), channels: int = 4) -> bytes:
    """A 3 x 2 window over every block[0]-th row and block[1]-th column of 8 x 6 pixels."""
    m = Model()
    x, n = m.tensor((1, 8, 6, channels), *Q), block[0] * block[1]
    parts = m.tensor((n, 8 // block[0], 6 // block[1], channels), *Q)
    m.op("SPACE_TO_BATCH_ND", [x, integers(m, block), integers(m, [[0, 0], [0, 0]])], [parts])
    conv = m.tensor((n, 8 // block[0] - 2, 6 // block[1] - 1, channels), "int8", 0.05, -4)
    deep = op == "DEPTHWISE_CONV_2D"
    w = weights(m, (1, 3, 2, channels) if deep else (channels, 3, 2, channels), 3 if deep else 0)
    options = {"depth_multiplier": 1} if deep else {}
    m.op(op, [parts, *w], [conv], padding="VALID", stride_w=1, stride_h=1, **options)
    h, w_ = 8 - 2 * block[0], 6 - block[1]
    y = m.tensor((1, h - 1, w_, channels), "int8", 0.05, -4)
    m.op("BATCH_TO_SPACE_ND", [conv, integers(m, block), integers(m, [[0, 1], [0, 0]])], [y])
    return m.inputs(x).outputs(y).to_bytes()


def series() -> bytes:
    """How Keras' Conv1D with a dilation of 4 is written: blocks of time, and an axis of one for the plane."""
    m = Model()
    x, parts = m.tensor((1, 16, 3), *Q), m.tensor((4, 4, 3), *Q)
    m.op("SPACE_TO_BATCH_ND", [x, integers(m, [4]), integers(m, [[0, 0]])], [parts])
    flat, conv = m.tensor((4, 1, 4, 3), *Q), m.tensor((4, 1, 3, 5), "int8", 0.05, -4)
    m.op("EXPAND_DIMS", [parts, integers(m, 1)], [flat])
    m.op("CONV_2D", [flat, *weights(m, (5, 1, 2, 3), 0)], [conv], padding="VALID", stride_w=1, stride_h=1)
    back, y = m.tensor((4, 3, 5), "int8", 0.05, -4), m.tensor((1, 12, 5), "int8", 0.05, -4)
    m.op("SQUEEZE", [conv], [back], squeeze_dims=[1])
    m.op("BATCH_TO_SPACE_ND", [back, integers(m, [4]), integers(m, [[0, 0]])], [y])
    return m.inputs(x).outputs(y).to_bytes()


@pytest.mark.parametrize(
    ("model", "dilation"),
    [
        (plane("CONV_2D"), (2, 3)),
        (plane("DEPTHWISE_CONV_2D"), (2, 3)),
        (plane("CONV_2D", (1, 2)), (1, 2)),
        (series(), (1, 4)),
    ],
)
def test_becomes_one_operator(model: bytes, dilation: tuple[int, int]) -> None:
    graph = simplify(load_tflite(model))
    windows = [n.op for n in graph.nodes if hasattr(n.op, "dilation")]
    assert [op.dilation for op in windows] == [dilation]
    assert all(graph.tensors[o].shape[0] == 1 for n in graph.nodes for o in n.outputs), "no batch is left"
    assert not any(n.op.name == "transpose" for n in graph.nodes)
    assert same_as_tflm(model, graph)


def test_only_blocks_are_folded() -> None:
    """Pictures that are halves of a plane, not every second pixel, are no dilation."""
    m = Model()
    x, parts = m.tensor((1, 8, 6, 4), *Q), m.tensor((2, 4, 6, 4), *Q)
    m.op("RESHAPE", [x, integers(m, [2, 4, 6, 4])], [parts])
    conv, y = m.tensor((2, 2, 5, 4), "int8", 0.05, -4), m.tensor((1, 4, 5, 4), "int8", 0.05, -4)
    m.op("CONV_2D", [parts, *weights(m, (4, 3, 2, 4), 0)], [conv], padding="VALID", stride_w=1, stride_h=1)
    m.op("RESHAPE", [conv, integers(m, [1, 4, 5, 4])], [y])
    model = m.inputs(x).outputs(y).to_bytes()
    graph = simplify(load_tflite(model))
    assert [n.op.dilation for n in graph.nodes if hasattr(n.op, "dilation")] == [(1, 1)]
    assert same_as_tflm(model, graph)


def same_as_tflm(model: bytes, graph: Graph) -> bool:
    name = graph.inputs[0]
    x = np.random.default_rng(2).integers(-128, 128, graph.tensors[name].shape).astype(np.int8)
    (y,) = graph.outputs
    found = step_through(graph, {name: x})[y]
    expected = Tflm(model).run(x)[int(y[1:])]
    return len(np.unique(found)) > 5 and np.array_equal(found, expected)
