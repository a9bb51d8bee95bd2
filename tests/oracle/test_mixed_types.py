"""Files that mix types: float layers with integer weights, float16 weights, and uint8, which TFLM refuses as we do."""

from __future__ import annotations

import numpy as np
import pytest

from batch import same
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.graph import Graph
from lilliput.importers.tflite import load_tflite
from tflite_builder import Model
from tflm import Tflm

pytestmark = pytest.mark.slow
OPTIONS = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
RNG = np.random.default_rng(0)
WEIGHTS = RNG.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
SCALES = RNG.uniform(0.01, 0.02, 4).astype(np.float32)
REAL = (WEIGHTS.astype(np.float32).T * SCALES).T


def conv(weights: str, x: str = "float32") -> bytes:
    """A convolution of float32 with weights of another type, or of another type altogether."""
    m = Model()
    a = m.tensor((1, 5, 5, 2), x, *(() if x == "float32" else (0.1, 3 if x == "int16" else 0)))
    y = m.tensor((1, 5, 5, 4), x, *(() if x == "float32" else (0.1, 0)))
    if weights == "float16":
        half = m.tensor(WEIGHTS.shape, "float16", data=REAL.astype(np.float16))
        w = m.tensor(WEIGHTS.shape, "float32")
        m.op("DEQUANTIZE", [half], [w])
    elif weights == "float32":
        w = m.tensor(WEIGHTS.shape, "float32", data=REAL)
    else:
        w = m.tensor(WEIGHTS.shape, weights, SCALES, 0, np.abs(WEIGHTS), 0)
        if weights == "int8":
            w = m.tensor(WEIGHTS.shape, weights, SCALES, 0, WEIGHTS, 0)
    m.op("CONV_2D", [a, w], [y], **OPTIONS)
    return m.inputs(a).outputs(y).to_bytes()


def result(graph: Graph, x: np.ndarray) -> np.ndarray:
    (value,) = step_through(graph, {graph.inputs[0]: x}).values()
    return value


def test_dynamic_range_layers_compute_with_the_numbers_their_weights_stand_for() -> None:
    """TFLM refuses the file; it computes the same layer with float weights."""
    x = RNG.normal(0, 1, (1, 5, 5, 2)).astype(np.float32)
    with pytest.raises(RuntimeError):
        Tflm(conv("int8")).run(x)
    expected = next(v for v in Tflm(conv("float32")).run(x).values() if v.shape == (1, 5, 5, 4))
    assert same(expected, result(load_tflite(conv("int8")), x), 1.0)


def test_float16_weights_become_float32() -> None:
    graph = load_tflite(conv("float16"))
    assert [n.op.name for n in graph.nodes] == ["conv2d"]
    stored = graph.tensors[graph.nodes[0].inputs[1]].data
    assert stored is not None
    assert np.array_equal(stored, REAL.astype(np.float16).astype(np.float32))


def test_uint8_layers_are_refused() -> None:
    with pytest.raises(UserError, match="uint8 is what old converters wrote, TFLM refuses it as well"):
        load_tflite(conv("uint8", "uint8"))
    with pytest.raises(RuntimeError):
        Tflm(conv("uint8", "uint8"))


def test_int16_with_a_zero_point_is_refused() -> None:
    with pytest.raises(UserError, match="int16 with zero points 3 and 0, expected 0"):
        load_tflite(conv("int8", "int16"))


@pytest.mark.parametrize(
    ("x", "y"), [("float32", "uint8"), ("uint8", "int16"), ("int16", "uint8"), ("int32", "int32")]
)
def test_pairs_that_tflm_lacks_are_refused(x: str, y: str) -> None:
    m = Model()
    a = m.tensor((1, 4), x, *(() if x == "float32" else (0.1, 0)))
    b = m.tensor((1, 4), y, 0.1, 0)
    m.op("QUANTIZE", [a], [b])
    model = m.inputs(a).outputs(b).to_bytes()
    with pytest.raises(UserError, match=f"{x} to {y} is not supported"):
        load_tflite(model)
    with pytest.raises(RuntimeError):
        Tflm(model).run(np.zeros((1, 4), x))
