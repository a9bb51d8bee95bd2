"""Hostile .tflite files: broken fields are named, and any bytes give a model or a UserError."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from lilliput.errors import UserError
from lilliput.importers.tflite_reader import TfliteModel, read_tflite
from test_tflite_reader import REFERENCE, shared
from tflite_builder import Model, pack, small_model


def verdict(data: bytes) -> TfliteModel | UserError:
    """What reading gives; anything but a model or a UserError, or more than two seconds, fails the test."""
    start = time.monotonic()
    result: TfliteModel | UserError
    try:
        result = read_tflite(data)
    except UserError as error:
        result = error
    assert time.monotonic() - start < 2
    return result


def spoil(change: Callable[[Any], None]) -> Callable[[], bytes]:
    """The small model with one thing changed in the schema's object."""

    def data() -> bytes:
        model = small_model().to_object()
        change(model)
        return pack(model)

    return data


def setter(path: str, value: object) -> Callable[[], bytes]:
    """`path` from the main graph, such as "tensors.0.shape"; from the model when it starts with a dot."""

    def change(model: Any) -> None:
        at = model if path.startswith(".") else model.subgraphs[0]
        *parts, last = path.strip(".").split(".")
        for part in parts:
            at = at[int(part)] if part.isdigit() else getattr(at, part)
        setattr(at, last, value)

    return spoil(change)


def two_subgraphs(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def sparse(model: Any) -> None:
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


def nan_constant() -> bytes:
    m = Model()
    x, y = m.tensor((1, 2), "float32"), m.tensor((1, 2), "float32")
    m.op("ADD", [x, m.tensor((1, 2), "float32", data=[1.0, float("nan")])], [y])
    return m.inputs(x).outputs(y).to_bytes()


def swapped_operators(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def cycle(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [7, 1, 2]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "identifier"),
    "not a model": (lambda: b"\x00" * 400, "identifier"),
    "root beyond the end": (
        lambda: struct.pack("<I", 1 << 30) + small_model().to_bytes()[4:],
        "inside the file",
    ),
    "schema version": (setter(".version", 2), "schema version 2"),
    "no subgraph": (setter(".subgraphs", []), "0 subgraphs"),
    "two subgraphs": (spoil(two_subgraphs), "2 subgraphs"),
    "zero dimension": (setter("tensors.0.shape", [1, 0, 4, 2]), r"shape \(1, 0, 4, 2\)"),
    "negative dimension": (setter("tensors.0.shape", [-1, 5, 4, 2]), r"shape \(-1, 5, 4, 2\)"),
    "rank 9": (setter("tensors.0.shape", [1] * 9), "9 elements, expected at most 8"),
    "product over 2^31": (setter("tensors.0.shape", [1 << 16, 1 << 16]), "4294967296 elements"),
    "product wraps 2^64": (setter("tensors.0.shape", [1 << 30, 1 << 30, 16]), "elements"),
    "constant too short": (setter("tensors.1.shape", [3, 3, 3, 4]), "54 bytes of data, expected 108"),
    "constant too long": (setter("tensors.1.shape", [3, 3, 3, 1]), "54 bytes of data, expected 27"),
    "buffer index": (setter("tensors.0.buffer", 999), "buffer 999"),
    "unknown type": (setter("tensors.0.type", 99), "type 99"),
    "string tensor": (setter("tensors.0.type", 5), "string are not supported"),
    "zero scale": (setter("tensors.0.quantization.scale", [0.0]), "scale 0.0"),
    "negative scale": (setter("tensors.0.quantization.scale", [-1.0]), "scale -1.0"),
    "NaN scale": (setter("tensors.0.quantization.scale", [float("nan")]), "scale nan"),
    "infinite scale": (setter("tensors.0.quantization.scale", [float("inf")]), "scale inf"),
    "scale count": (setter("tensors.1.quantization.scale", [0.1, 0.2]), "2 scales, expected 1 or 3"),
    "zero point count": (setter("tensors.1.quantization.zeroPoint", [0, 0]), "2 zero points"),
    "zero point range": (setter("tensors.0.quantization.zeroPoint", [128]), "zero point 128"),
    "quantized dimension": (setter("tensors.1.quantization.quantizedDimension", 4), "quantized dimension 4"),
    "negative axis": (setter("tensors.1.quantization.quantizedDimension", -1), "quantized dimension -1"),
    "sparse tensor": (spoil(sparse), "sparse"),
    "external buffer": (setter("tensors.0.externalBuffer", 1), "outside the file"),
    "NaN constant": (nan_constant, "NaN"),
    "operator input": (setter("operators.0.inputs", [0, 99, 2]), "tensor 99"),
    "operator input below -1": (setter("operators.0.inputs", [0, -2, 2]), "tensor -2"),
    "operator output": (setter("operators.0.outputs", [-1]), "tensor -1"),
    "graph input": (setter("inputs", [99]), "tensor 99"),
    "graph output": (setter("outputs", [-1]), "tensor -1"),
    "constant as input": (setter("inputs", [0, 1]), "is a constant"),
    "nothing writes the output": (setter("operators", []), "no operator writes"),
    "operators out of order": (spoil(swapped_operators), "nothing before it writes"),
    "cycle": (spoil(cycle), "cycle"),
    "two writers": (setter("operators.1.outputs", [3]), "already written"),
    "writes a constant": (setter("operators.1.outputs", [1]), "is a constant"),
    "operator code index": (setter("operators.0.opcodeIndex", 77), "operator code 77"),
    "unknown operator": (setter(".operatorCodes.0.builtinCode", 5000), "operator number 5000"),
    "wrong options table": (setter("operators.0.builtinOptionsType", 9), "options of type 9"),
    "stride 0": (setter("operators.0.builtinOptions.strideW", 0), "stride_w 0"),
    "negative dilation": (setter("operators.0.builtinOptions.dilationHFactor", -3), "dilation_h -3"),
    "unknown padding": (setter("operators.0.builtinOptions.padding", 9), "padding 9"),
    "unknown activation": (
        setter("operators.0.builtinOptions.fusedActivationFunction", 77),
        "fused_activation 77",
    ),
    "name not UTF-8": (setter("tensors.0.name", b"\xff\xfe"), "UTF-8"),
}


@pytest.mark.parametrize("field", ["builtinCode", "deprecatedBuiltinCode"])
def test_the_larger_of_the_two_operator_codes_counts(field: str) -> None:
    assert read_tflite(setter(f".operatorCodes.0.{field}", 0)()).operators[0].op == "CONV_2D"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model_is_refused(name: str) -> None:
    data, message = HOSTILE[name]
    with pytest.raises(UserError, match=message) as caught:
        read_tflite(data())
    assert str(caught.value).startswith("model: ")


def test_missing_and_oversized_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.tflite: cannot be read"):
        read_tflite(tmp_path / "absent.tflite")
    with pytest.raises(UserError, match="cannot be read"):
        read_tflite(tmp_path)
    big = tmp_path / "big.tflite"
    big.write_bytes(small_model().to_bytes())
    assert len(read_tflite(big).operators) == 4
    with pytest.raises(UserError, match="more than 100 bytes"):
        read_tflite(big, max_bytes=100)


def test_every_truncation_is_refused_or_read() -> None:
    data = small_model().to_bytes()
    verdicts = [verdict(data[:length]) for length in range(0, len(data), 7)]
    assert all(isinstance(v, UserError) for v in verdicts[: len(verdicts) // 2])


@pytest.mark.parametrize("name", REFERENCE)
def test_truncated_reference_models(name: str) -> None:
    data = shared(f"models/{REFERENCE[name][0]}").read_bytes()
    for part in range(50):
        assert isinstance(verdict(data[: len(data) * part // 50]), UserError)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_changed(seed: int) -> None:
    """A small model is nearly all structure, so most flips hit it. A model or a UserError, nothing else."""
    data = small_model().to_bytes()
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(250):
        spoiled = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            spoiled[int(rng.integers(len(data)))] = int(
                rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
            )
        refused += isinstance(verdict(bytes(spoiled)), UserError)
    assert 50 < refused < 250  # some flips hit weights or names and are harmless


@pytest.mark.parametrize("seed", range(2))
def test_words_replaced_by_extreme_offsets(seed: int) -> None:
    data = small_model().to_bytes()
    rng = np.random.default_rng(seed)
    extremes = [0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data) - 1, len(data), 0xFFFF, 0x10000]
    for at in range(0, len(data) - 4, 4):
        word = struct.pack("<I", int(rng.choice(extremes)))
        verdict(data[:at] + word + data[at + 4 :])


class SharedQuantization(schema.QuantizationParametersT):
    """Packs once and gives the same place in the file to every tensor that asks."""

    place: int | None = None

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the schema's name)
        if self.place is None:
            self.place = super().Pack(builder)
        return self.place


@pytest.mark.parametrize(("tensors", "refused"), [(3, False), (4000, True)])
def test_a_file_cannot_make_the_reader_work_without_end(tensors: int, refused: bool) -> None:
    """Thousands of tensors that share one long vector of scales: the reading budget stops it."""
    scales = 40_000
    m = Model()
    x, y = m.tensor((scales,), scale=0.5), m.tensor((scales,), scale=0.5)
    for _ in range(tensors - 2):
        m.tensor((scales,))
    m.op("RELU", [x], [y])
    model = m.inputs(x).outputs(y).to_object()
    shared_by_all = SharedQuantization()
    shared_by_all.scale = [0.5] * scales
    for tensor in model.subgraphs[0].tensors:
        tensor.quantization = shared_by_all
    result = verdict(pack(model))
    assert isinstance(result, UserError) == refused
    if refused:
        assert "over and over" in str(result)
