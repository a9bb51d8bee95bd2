"""Small files that ask for a lot: they are refused before it is computed, within two seconds and 256 MB."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.importers.onnx import load_onnx
from lilliput.importers.registry import onnx_converters, tflite_converters
from lilliput.importers.tflite import load_tflite
from lilliput.passes import simplify
from tflite_builder import Model

MEGABYTES = 256


def verdict(read: Callable[[bytes], Graph], data: bytes) -> str:
    """What is wrong with a file, "" where nothing is; within the limits."""
    onnx_converters(), tflite_converters()
    assert len(data) < 500_000
    start, result = time.process_time(), ""
    tracemalloc.start()
    try:
        simplify(read(data))
    except UserError as error:
        result = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - start < 2
    assert peak < MEGABYTES << 20
    return result


def one_node(
    op: str, *inputs: Any, x: tuple[int, ...] = (1, 2, 8, 8), opset: int = 20, **attributes: Any
) -> bytes:
    """A model of one node: None stands for the model's input x, "" for one left out, arrays for constants."""
    names, constants = [], []
    for i, given in enumerate(inputs):
        names.append("x" if given is None else "" if isinstance(given, str) else f"c{i}")
        if names[-1].startswith("c"):
            constants.append(numpy_helper.from_array(np.asarray(given), names[-1]))
    nodes = [
        helper.make_node(op, names, ["y"], "one", **attributes),
        helper.make_node("Identity", ["y"], ["z"]),
    ]
    info = helper.make_tensor_value_info
    places = [info("x", TensorProto.FLOAT, x)], [info("z", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", *places, constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    ).SerializeToString()


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


MUCH = "more than a file of this size may ask for"
LARGE = "expected at most 16777216 elements"
AXIS = "expected 1 to 1048576"
ONNX: dict[str, tuple[Callable[[], bytes], str]] = {
    "constant of a shape": (lambda: one_node("ConstantOfShape", i64(1 << 26)), MUCH),
    "constant of 2^62 elements": (lambda: one_node("ConstantOfShape", i64(1 << 31, 1 << 31)), "elements"),
    "range": (lambda: one_node("Range", np.int64(0), np.int64(1 << 26), np.int64(1)), MUCH),
    "range without end": (lambda: one_node("Range", f32(0)[0], f32(1e30)[0], f32(1e-30)[0]), "elements"),
    "unit matrix": (lambda: one_node("EyeLike", None, x=(1 << 12, 1 << 12)), MUCH),
    "constant tiled": (lambda: one_node("Tile", f32(1, 2), i64(1 << 30)), MUCH),
    "input tiled": (lambda: one_node("Tile", None, i64(1, 1, 1 << 20, 1 << 20)), LARGE),
    "constant expanded": (lambda: one_node("Expand", f32(1), i64(1 << 30)), LARGE),
    "input expanded": (lambda: one_node("Expand", None, i64(1 << 20, 1 << 20, 2, 8, 8)), LARGE),
    "resized": (lambda: one_node("Resize", None, "", "", i64(1, 2, 1 << 31, 8), mode="linear"), AXIS),
    "resized, nearest": (lambda: one_node("Resize", None, "", "", i64(1, 2, 1 << 28, 8), mode="nearest"), AXIS),
    "resized, cubic": (lambda: one_node("Resize", None, "", "", i64(1, 2, 1 << 22, 8), mode="cubic"), AXIS),
    "resized by a factor": (lambda: one_node("Resize", None, "", f32(1, 1, 1e18, 1), mode="linear"), AXIS),
    "upsampled": (lambda: one_node("Upsample", None, f32(1, 1, 1e9, 1e9), opset=9), AXIS),
    "padded": (lambda: one_node("Pad", None, i64(0, 0, 1 << 31, 0, 0, 0, 0, 0)), LARGE),
    "mirrored": (lambda: one_node("Pad", None, i64(0, 0, 1 << 27, 0, 0, 0, 0, 0), mode="reflect"), MUCH),
    "edges repeated": (lambda: one_node("Pad", None, i64(0, 0, 1 << 27, 0, 0, 0, 0, 0), mode="edge"), MUCH),
    "constant wrapped": (lambda: one_node("Pad", f32(1, 2), i64(1 << 27, 0), mode="wrap"), MUCH),
    "unpooled": (
        lambda: one_node("MaxUnpool", None, np.zeros((1, 2, 8, 8), np.int64), kernel_shape=[1 << 15, 1 << 15]),
        MUCH,
    ),
    "grid": (lambda: one_node("AffineGrid", None, i64(1, 1, 1 << 20, 1 << 20), x=(1, 2, 3)), MUCH),
    "one-hot": (lambda: one_node("OneHot", i64(1, 2), np.int64(1 << 40), f32(0, 1)), LARGE),
    "frames": (lambda: one_node("STFT", None, np.int64(1), "", np.int64(1 << 20), x=(1, 1 << 21, 1)), MUCH),
    "window of a filter": (lambda: one_node("HannWindow", np.int64(1 << 60)), "expected 1 to 65536"),
    "pooling window": (
        lambda: one_node("LpPool", None, kernel_shape=[4096] * 2, pads=[4096] * 4, x=(1, 64, 4000, 60)),
        MUCH,
    ),
    "dilated mean": (
        lambda: one_node(
            "AveragePool", None, kernel_shape=[4000] * 2, dilations=[2, 2], pads=[4000] * 4, x=(1, 64, 4000, 60)
        ),
        MUCH,
    ),
    "outer product": (lambda: one_node("Einsum", *[f32(*range(600))] * 3, equation="a,b,c->abc"), LARGE),
    "work at import": (
        lambda: one_node("Conv", np.ones((1, 1, 180, 180), np.float32), np.ones((9, 1, 90, 90), np.float32)),
        "multiplications of constants, expected at most",
    ),
    "stride of a transposed convolution": (
        lambda: one_node("ConvTranspose", None, np.ones((2, 2, 3, 3), np.float32), strides=[4000, 4000]),
        LARGE,
    ),
    "input": (lambda: one_node("Relu", None, x=(1, 1 << 12, 1 << 13)), "at most 16777216 elements"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONNX)
def test_onnx(name: str) -> None:
    make, words = ONNX[name]
    found = verdict(load_onnx, make())
    assert words in found


def test_large_pools_are_quick() -> None:
    """What is not too large is read, and its checks do not touch every window."""
    data = one_node("MaxPool", None, x=(1, 1, 1 << 20, 5), kernel_shape=[5, 5], pads=[2, 2, 2, 2])
    assert verdict(load_onnx, data) == ""
    data = one_node("LpPool", None, x=(4, 17, 255, 32, 3), kernel_shape=[2, 32, 2], p=3)
    assert verdict(load_onnx, data) == ""


def test_axes_twice() -> None:
    assert "name a dimension twice" in verdict(load_onnx, one_node("Unsqueeze", None, i64(0, 0)))


def test_outputs_beyond_the_operators() -> None:
    """The place of an output counts, not only their number."""
    values = [np.zeros(s, np.float32) for s in ((1, 6, 8), (1, 6, 2))]
    names = ["w", "r"]
    node = helper.make_node("GRU", ["x", *names], ["", "", "late"], "rnn", hidden_size=2)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [info("x", 1, (3, 1, 8))], [info("late", 1, None)],
        [numpy_helper.from_array(v, n) for v, n in zip(values, names, strict=True)],
    )  # fmt: skip
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8
    ).SerializeToString()
    assert "'rnn' (GRU): 3 outputs are asked for, 2 are supported" in verdict(load_onnx, data)


@pytest.mark.parametrize("name", [b"Relu", b"one", b"x"])
def test_names_that_are_not_text(name: bytes) -> None:
    """Protobuf hands out bytes where a string is not UTF-8."""
    length = bytes([len(name)])
    data = one_node("Relu", None).replace(length + name, length + b"\xff" * len(name))
    assert "is not UTF-8" in verdict(load_onnx, data)


def filled(elements: int) -> bytes:
    m = Model()
    x, y, z = (
        m.tensor((1, 4), "float32"),
        m.tensor((1, elements // 4, 4), "float32"),
        m.tensor((1, 4), "float32"),
    )
    shape, value = m.tensor((3,), "int32", data=[1, elements // 4, 4]), m.tensor((), "float32", data=1.0)
    m.op("FILL", [shape, value], [y])
    m.op("ADD", [x, y], [z])
    return m.inputs(x).outputs(z).to_bytes()


def resized(op: str, size: int) -> bytes:
    m = Model()
    x, y = m.tensor((1, 4, 4, 1), "float32"), m.tensor((1, 4, 4, 1), "float32")
    m.op(op, [x, m.tensor((2,), "int32", data=[size, 4])], [y])
    return m.inputs(x).outputs(y).to_bytes()


TFLITE: dict[str, tuple[Callable[[], bytes], str]] = {
    "filled": (lambda: filled(1 << 23), f"operator 0 (FILL): a constant of 8388608 elements, {MUCH}"),
    "filled without bound": (lambda: filled(1 << 30), LARGE),
    "resized": (lambda: resized("RESIZE_BILINEAR", 2**31 - 1), "cannot be resized to"),
    "resized, nearest": (lambda: resized("RESIZE_NEAREST_NEIGHBOR", 2**31 - 1), "out of range"),
}


@pytest.mark.parametrize("name", TFLITE)
def test_tflite(name: str) -> None:
    make, words = TFLITE[name]
    assert words in verdict(load_tflite, make())
