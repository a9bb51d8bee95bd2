"""Hostile .onnx files: each is refused with its own clear error, and any bytes give a graph or a UserError."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.importers.onnx import load_onnx
from lilliput.loading import load

FLOAT = TensorProto.FLOAT


def small() -> onnx.ModelProto:
    """conv, relu, flatten, gemm: constants, attributes of all kinds."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(0, 1, (4, 2, 3, 3)).astype(np.float32),
        "b": np.zeros(4, np.float32),
        "v": rng.normal(0, 1, (5, 100)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Flatten", ["r"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "dense", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", FLOAT, (1, 2, 5, 5))],
        [helper.make_tensor_value_info("y", FLOAT, (1, 5))],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


Change = Callable[[Any], object]


def attribute(node: int, name: str, value: object) -> Change:
    """Give a node another value of an attribute."""

    def change(m: onnx.ModelProto) -> None:
        n = m.graph.node[node]
        kept = [a for a in n.attribute if a.name != name]
        del n.attribute[:]
        n.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def dims(index: int, values: list[int]) -> Change:
    """Let a constant claim another shape."""

    def change(m: onnx.ModelProto) -> None:
        del m.graph.initializer[index].dims[:]
        m.graph.initializer[index].dims.extend(values)

    return change


def shape(values: list[int]) -> Change:
    return lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, values))


def constant(index: int, data: np.ndarray) -> Change:
    def change(m: onnx.ModelProto) -> None:
        m.graph.initializer[index].CopyFrom(numpy_helper.from_array(data, m.graph.initializer[index].name))

    return change


def external(location: str, **more: str) -> Change:
    def change(m: onnx.ModelProto) -> None:
        t = m.graph.initializer[0]
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            t.external_data.add(key=key, value=value)

    return change


def looping(m: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("y", FLOAT, (1,))])
    m.graph.node[1].attribute.append(helper.make_attribute("body", body))


def recursive(m: onnx.ModelProto) -> None:
    node = helper.make_node("again", ["a"], ["b"], domain="mine")
    m.functions.append(
        helper.make_function("mine", "again", ["a"], ["b"], [node], [helper.make_opsetid("mine", 1)])
    )


HOSTILE: dict[str, tuple[Change, str]] = {
    "unknown operator": (
        lambda m: setattr(m.graph.node[1], "op_type", "Magic"),
        r"not supported: 'Magic' \(layer 'relu'\)",
    ),
    "unknown domain": (lambda m: setattr(m.graph.node[1], "domain", "evil.example"), "'evil.example:Relu'"),
    "operator name with C in it": (
        lambda m: setattr(m.graph.node[1], "op_type", '"); system("id'),
        "not supported",
    ),
    "cycle": (lambda m: m.graph.node[0].input.__setitem__(0, "r"), "'conv'.* reads 'r' .* cycle"),
    "out of order": (lambda m: m.graph.node.insert(0, m.graph.node.pop()), "'dense'.* reads 'f' before"),
    "reads nothing that is there": (
        lambda m: m.graph.node[1].input.__setitem__(0, "ghost"),
        "reads 'ghost'.*nothing writes",
    ),
    "written twice": (lambda m: m.graph.node[1].output.__setitem__(0, "c"), "writes 'c'"),
    "writes an input": (lambda m: m.graph.node[1].output.__setitem__(0, "x"), "writes 'x'"),
    "writes a constant": (lambda m: m.graph.node[1].output.__setitem__(0, "w"), "writes 'w'"),
    "output nobody writes": (
        lambda m: setattr(m.graph.output[0], "name", "z"),
        "output 'z' is never written",
    ),
    "no outputs": (lambda m: m.graph.ClearField("output"), "expected at least one"),
    "output twice": (lambda m: m.graph.output.append(m.graph.output[0]), "no name twice"),
    "input twice": (lambda m: m.graph.input.append(m.graph.input[0]), "input 'x' is there twice"),
    "input without a name": (lambda m: setattr(m.graph.input[0], "name", ""), "has no name"),
    "node without inputs": (lambda m: m.graph.node[1].ClearField("input"), "'relu'.*input 0 is missing"),
    "node with too few inputs": (
        lambda m: m.graph.node[0].input.__delitem__(slice(1, 3)),
        "'conv'.*input 1 is missing",
    ),
    "too many outputs": (lambda m: m.graph.node[1].output.append("more"), "2 outputs are asked for"),
    "ancient opset": (lambda m: setattr(m.opset_import[0], "version", 3), "opset 3, expected 7 or newer"),
    "zero dimension": (shape([1, 0, 5, 5]), r"shape \(1, 0, 5, 5\), expected dimensions of at least 1"),
    "negative dimension": (shape([1, -2, 5, 5]), r"\(1, -2, 5, 5\)"),
    "input of 2^62 elements": (shape([1, 2**31, 2**31, 1]), "expected dimensions of at least 1 and at most"),
    "nine dimensions": (shape([1] * 9), "9 dimensions, expected at most 8"),
    "open dimension": (
        lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, ["n", 2, "h", 5])),
        "'h' is open; give it",
    ),
    "no shape at all": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        "has no shape; give it",
    ),
    "input of strings": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING),
        "type string",
    ),
    "input of an unknown type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "element type 99",
    ),
    "input that is a sequence": (
        lambda m: m.graph.input[0].type.sequence_type.elem_type.tensor_type.CopyFrom(onnx.TypeProto.Tensor()),
        "is a sequence, expected a tensor",
    ),
    "constant larger than its data": (
        dims(0, [4, 2, 300, 300]),
        r"constant 'w' of shape \(4, 2, 300, 300\): its data do not fit",
    ),
    "constant smaller than its data": (dims(0, [4, 2]), "its data do not fit"),
    "constant of 2^60 elements": (dims(0, [2**30, 2**30]), "expected at most 8 dimensions"),
    "constant that overflows int64": (dims(0, [2**62, 8]), "expected at most 8 dimensions"),
    "constant of a negative size": (dims(0, [4, -2, 3, 3]), "expected at most 8 dimensions"),
    "constant of twelve dimensions": (dims(1, [4] + [1] * 11), "expected at most 8 dimensions"),
    "constant of an unknown type": (
        lambda m: setattr(m.graph.initializer[0], "data_type", 77),
        "element type 77",
    ),
    "constant of strings": (
        lambda m: m.graph.initializer[0].CopyFrom(
            helper.make_tensor("w", TensorProto.STRING, (2,), [b"a", b"b"])
        ),
        "'conv'",
    ),
    "NaN among the weights": (constant(1, np.array([np.nan, 0, 0, 0], np.float32)), "NaN or infinite"),
    "infinity among the weights": (constant(1, np.array([np.inf, 0, 0, 0], np.float32)), "NaN or infinite"),
    "weights of another rank": (constant(0, np.zeros((4, 2), np.float32)), "'conv'"),
    "weights of other channels": (constant(0, np.zeros((4, 3, 3, 3), np.float32)), "'conv'"),
    "weights without channels": (constant(0, np.zeros((0, 2, 3, 3), np.float32)), "'conv'"),
    "bias of another length": (constant(1, np.zeros(7, np.float32)), "'conv'"),
    "weights that do not fit the features": (constant(2, np.zeros((5, 99), np.float32)), "'dense'"),
    "stride 0": (attribute(0, "strides", [0, 1]), "'conv'"),
    "negative stride": (attribute(0, "strides", [-1, -1]), "'conv'"),
    "huge padding": (attribute(0, "pads", [2**40, 0, 0, 0]), "'conv'"),
    "negative padding": (attribute(0, "pads", [-9, 0, 0, 0]), "'conv'"),
    "dilation 0": (attribute(0, "dilations", [0, 0]), "'conv'"),
    "groups that do not divide": (attribute(0, "group", 3), "'conv'"),
    "no groups": (attribute(0, "group", 0), "'conv'"),
    "kernel shape that lies": (attribute(0, "kernel_shape", [5, 5]), "'conv'"),
    "attribute of another kind": (attribute(0, "strides", "wide"), "'conv'"),
    "attribute twice": (
        lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0]),
        "attribute 'pads' is there twice",
    ),
    "axis outside": (attribute(2, "axis", 9), "'flat'"),
    "loop body": (looping, "attribute 'body' of kind GRAPH is not supported"),
    "function that calls itself": (recursive, "functions that call functions"),
    "sparse constants": (
        lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto()),
        "sparse constants are not supported",
    ),
    "external data without leave": (external("w.bin"), r"another file; allow it with external_data=True"),
    "nothing in it": (lambda m: m.graph.Clear(), "expected at least one"),
    "fifty thousand nodes and one": (
        lambda m: m.graph.node.extend([m.graph.node[1]] * 50_001),
        "50005 nodes, expected at most 50000",
    ),
}


def verdict(data: bytes) -> Graph | UserError:
    """A graph or a UserError, in less than two seconds; anything else fails the test."""
    start = time.monotonic()
    result: Graph | UserError
    try:
        result = load_onnx(data)
    except UserError as error:
        result = error
    assert time.monotonic() - start < 2
    return result


def test_the_model_itself_is_fine() -> None:
    assert isinstance(verdict(small().SerializeToString()), Graph)


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_with_its_own_error(name: str) -> None:
    change, words = HOSTILE[name]
    model = small()
    change(model)
    with pytest.raises(UserError, match=words):
        load_onnx(model.SerializeToString())


NOT_ONNX = {
    "nothing": b"",
    "text": b"not a model at all",
    "a pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94",
    "a zip": b"PK\x03\x04" + b"\x00" * 60,
    "nested deeply": b"\x3a\x7f" * 5000,
    "a length beyond the end": b"\x3a\xff\xff\xff\xff\x0f" + b"a" * 20,
}


@pytest.mark.parametrize("name", NOT_ONNX)
def test_other_bytes_are_refused(name: str) -> None:
    assert isinstance(verdict(NOT_ONNX[name]), UserError)


def test_a_nesting_bomb_is_refused() -> None:
    """Types within types, deeper than protobuf goes."""
    inner = b""
    for _ in range(400):
        inner = (
            b"\x22"
            + _varint(len(inner) + 1 + len(_varint(len(inner))))
            + b"\x0a"
            + _varint(len(inner))
            + inner
        )
    value = b"\x0a\x01x\x12" + _varint(len(inner)) + inner
    graph = b"\x5a" + _varint(len(value)) + value
    assert isinstance(verdict(b"\x3a" + _varint(len(graph)) + graph), UserError)


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_bytes(seed: int) -> None:
    """Random changes and cuts: a graph or a UserError, and quickly."""
    rng = np.random.default_rng(seed)
    good = small().SerializeToString()
    for _ in range(150):
        data = bytearray(good[: int(rng.integers(1, len(good) + 1))] if rng.random() < 0.3 else good)
        for at in rng.integers(0, len(data), int(rng.integers(1, 6))):
            data[at] = int(rng.integers(256))
        verdict(bytes(data))


# ---- weights in other files


def _with_external(folder: Path, location: str, **more: str) -> Path:
    model = small()
    external(location, **more)(model)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_in_the_own_folder(tmp_path: Path) -> None:
    weights = numpy_helper.to_array(small().graph.initializer[0])
    (tmp_path / "w.bin").write_bytes(b"....." + weights.tobytes())
    path = _with_external(tmp_path, "w.bin", offset="5", length=str(weights.nbytes))
    graph = load(path, external_data=True)
    assert any(t.data is not None and np.isin(weights, t.data).all() for t in graph.tensors.values())


def test_external_data_elsewhere_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    size = small().graph.initializer[0].ByteSize()
    (tmp_path / "secret.bin").write_bytes(b"\0" * size)
    os.symlink(tmp_path / "secret.bin", inside / "link.bin")
    os.link(tmp_path / "secret.bin", inside / "hard.bin")
    (inside / "w.bin").write_bytes(b"\0" * 288)
    refused = {
        "../secret.bin": "expected a file inside the model's folder",
        str(tmp_path / "secret.bin"): "expected a file inside",
        "link.bin": "expected a file inside",
        "hard.bin": "has other names as well",
        "none.bin": "expected a file inside",
        "": "expected a file inside",
        ".": "expected a file inside",
    }
    for location, words in refused.items():
        with pytest.raises(UserError, match=words):
            load(_with_external(inside, location), external_data=True)
    for more, words in (
        ({"offset": "9999"}, "the file has 288"),
        ({"offset": "-4"}, "the file has 288"),
        ({"offset": "x"}, "expected numbers"),
        ({"length": "12"}, "with length 12"),
    ):
        with pytest.raises(UserError, match=words):
            load(_with_external(inside, "w.bin", **more), external_data=True)


def test_names_never_reach_the_c(tmp_path: Path) -> None:
    """A model whose every name is an attack compiles to the same C, but for the function names' tame rest."""
    from lilliput.emit import emit
    from lilliput.plan import plan

    model = small()
    evil = '*/ #include "/etc/passwd"\n%s${x}`id`'
    renamed = {n: f"{evil}{i}" for i, n in enumerate(("x", "c", "r", "f", "y", "w", "b", "v"))}
    for node in model.graph.node:
        node.name = evil
        for field in (node.input, node.output):
            field[:] = [renamed[name] for name in field]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = renamed[value.name]
    made = emit(plan(load_onnx(model.SerializeToString())), "net")
    for text in (made.source, made.header):
        assert not any(piece in text for piece in ("passwd", "`id`", "${x}", "%s"))
