"""The .tflite reader: what it reads from real models and from built ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from lilliput.errors import UserError
from lilliput.importers import tflite_schema
from lilliput.importers.tflite_reader import read_tflite
from shared import shared
from tflite_builder import Model, pack, small_model
from tflm import Tflm, run_all_tensors

TAIL = {"AVERAGE_POOL_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
REFERENCE = {
    "kws": ("kws_ref_model.tflite", {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 4, **TAIL}, (1, 49, 10, 1)),
    "ic": ("pretrainedResnet_quant.tflite", {"CONV_2D": 9, "ADD": 3, **TAIL}, (1, 32, 32, 3)),
    "vww": ("vww_96_int8.tflite", {"CONV_2D": 14, "DEPTHWISE_CONV_2D": 13, **TAIL}, (1, 96, 96, 3)),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_model_is_read(name: str) -> None:
    file, counts, shape = REFERENCE[name]
    model = read_tflite(shared("models", file))
    refs = np.load(shared("refs", f"{name}.npz"))
    assert Counter(op.op for op in model.operators) == counts
    x, y = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    assert x.shape == shape
    assert y.shape == (1, refs["tflm_pip"].shape[1])
    for tensor, key in ((x, "in"), (y, "out")):
        assert tensor.scale is not None
        assert tensor.zero_point is not None
        assert tensor.scale[0] == np.float32(refs[f"{key}_scale"])
        assert tensor.zero_point[0] == refs[f"{key}_zp"]
        assert tensor.dtype == "int8"
    conv = model.operators[0]
    weights = model.tensors[conv.inputs[1]]
    assert weights.scale is not None
    assert weights.scale.shape == (weights.shape[0],)
    assert weights.data is not None
    assert weights.data.shape == weights.shape
    assert weights.data.std() > 10  # real weights, not a misread block of zeros
    assert not weights.data.flags.writeable
    assert conv.options["fused_activation"] == "RELU"


@pytest.mark.parametrize("name", REFERENCE)
def test_oracle_reproduces_the_reference_outputs(name: str) -> None:
    data = shared("models", REFERENCE[name][0]).read_bytes()
    refs = np.load(shared("refs", f"{name}.npz"))
    model, oracle = read_tflite(data), Tflm(data)
    for x, expected in zip(refs["x"], refs["tflm_pip"], strict=True):
        tensors = oracle.run(x)
        np.testing.assert_array_equal(tensors[model.outputs[0]].ravel(), expected)
    assert set(tensors) >= {index for op in model.operators for index in op.outputs}


@pytest.mark.parametrize("name", REFERENCE)
def test_reader_agrees_with_the_generated_accessors(name: str) -> None:
    """Names, shapes, scales and constants against the schema's own Python code."""
    assert_same_as_schema(shared("models", REFERENCE[name][0]).read_bytes())


def test_small_model_agrees_with_the_generated_accessors() -> None:
    assert_same_as_schema(small_model().to_bytes())


def assert_same_as_schema(data: bytes) -> None:
    theirs = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    graph, ours = theirs.subgraphs[0], read_tflite(data)
    assert ours.description == theirs.description.decode()
    assert ours.inputs == tuple(graph.inputs)
    assert ours.outputs == tuple(graph.outputs)
    assert len(ours.tensors) == len(graph.tensors)
    for mine, other in zip(ours.tensors, graph.tensors, strict=True):
        assert mine.name == other.name.decode()
        assert mine.shape == tuple(other.shape)
        assert getattr(schema.TensorType, mine.dtype.upper()) == other.type
        scale = None if other.quantization is None else other.quantization.scale
        assert (mine.scale is None) == (scale is None)
        if mine.scale is not None:
            np.testing.assert_array_equal(mine.scale, np.float32(scale))
            np.testing.assert_array_equal(mine.zero_point, other.quantization.zeroPoint)
            assert mine.quantized_dimension == other.quantization.quantizedDimension
        raw = theirs.buffers[other.buffer].data
        assert (mine.data is None) == (raw is None)
        if mine.data is not None:
            assert mine.data.tobytes() == bytes(raw)
    for mine_op, other_op in zip(ours.operators, graph.operators, strict=True):
        code = theirs.operatorCodes[other_op.opcodeIndex]
        assert getattr(schema.BuiltinOperator, mine_op.op) == max(
            code.builtinCode, code.deprecatedBuiltinCode
        )
        assert mine_op.inputs == tuple(other_op.inputs)
        assert mine_op.outputs == tuple(other_op.outputs)


def test_schema_tables_agree_with_the_generated_ones() -> None:
    for number, name in enumerate(tflite_schema.OPERATORS):
        assert getattr(schema.BuiltinOperator, name) == number
    for number, name in enumerate(tflite_schema.TENSOR_TYPES):
        assert getattr(schema.TensorType, name.upper()) == number
    for name in ("ACTIVATIONS", "PADDING", "MIRROR_MODES"):
        enum = {
            "ACTIVATIONS": schema.ActivationFunctionType,
            "PADDING": schema.Padding,
            "MIRROR_MODES": schema.MirrorPadMode,
        }[name]
        assert [getattr(enum, word) for word in getattr(tflite_schema, name)] == list(
            range(len(getattr(tflite_schema, name)))
        )


def sample_value(option: tflite_schema.Option, position: int) -> Any:
    """A value that differs from the default and from the field's neighbours."""
    if option.kind == "enum":
        return option.names[1 + position % (len(option.names) - 1)]
    values: dict[str, Any] = {"bool": not option.default, "float": 0.5 + position, "ints": (1, 7 + position)}
    return values.get(option.kind, 3 + position)


@pytest.mark.parametrize("op", tflite_schema.OPTIONS)
def test_options_round_trip(op: str) -> None:
    """Each option is written by the schema's code under its name and read back by ours from the slot."""
    fields = tflite_schema.OPTIONS[op][1]
    options = {field.name: sample_value(field, i) for i, field in enumerate(fields)}
    m = Model()
    x, y = m.tensor((1, 4), scale=0.1), m.tensor((1, 4), scale=0.1)
    m.op(op, [x], [y], version=2, **options)
    operator = read_tflite(m.inputs(x).outputs(y).to_bytes()).operators[0]
    assert (operator.op, operator.version, operator.options) == (op, 2, options)


def test_options_left_out_get_the_schema_defaults() -> None:
    m = Model()
    x, y = m.tensor((1, 4), scale=0.1), m.tensor((1, 4), scale=0.1)
    m.op("SOFTMAX", [x], [y])
    data = m.inputs(x).outputs(y).to_object()
    data.subgraphs[0].operators[0].builtinOptionsType = 0
    data.subgraphs[0].operators[0].builtinOptions = None
    assert read_tflite(pack(data)).operators[0].options == {"beta": 0.0}


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64", "bool", "float16"])
def test_constants_of_each_type(dtype: str) -> None:
    values = np.array([[1, 0, 1], [2, 3, 100]]).astype(dtype)
    m = Model()
    x, y = m.tensor((2, 3), dtype), m.tensor((2, 3), dtype)
    m.op("ADD", [x, m.tensor((2, 3), dtype, data=values)], [y])
    data = read_tflite(m.inputs(x).outputs(y).to_bytes()).tensors[2].data
    assert data is not None
    assert data.dtype == values.dtype
    np.testing.assert_array_equal(data, values)


def test_int4_constants_are_unpacked() -> None:
    m = Model()
    x, y = m.tensor((1, 5), scale=0.1), m.tensor((1, 5), scale=0.1)
    m.op("ADD", [x, m.tensor((1, 5), "int4", scale=0.1, data=[0x21, 0x8F, 0x07])], [y])
    data = read_tflite(m.inputs(x).outputs(y).to_bytes()).tensors[2].data
    assert data is not None
    np.testing.assert_array_equal(data, [[1, 2, -1, -8, 7]])


def test_data_behind_the_flatbuffer_is_read() -> None:
    model = small_model().to_object()
    behind = bytes(model.buffers[1].data)
    model.buffers[1].data, model.buffers[1].size = None, len(behind)
    model.buffers[1].offset = 1 << 20
    start = len(pack(model))
    model.buffers[1].offset = start
    data = pack(model)
    assert len(data) == start
    weights = read_tflite(data + behind).tensors[1]
    assert weights.data is not None
    assert weights.data.tobytes() == behind
    with pytest.raises(UserError, match="external data"):
        read_tflite(data + behind[:-1])


def test_custom_operator_is_named() -> None:
    m = Model()
    x, y = m.tensor((1, 4), scale=0.1), m.tensor((1, 4), scale=0.1)
    m.custom_op("TFLite_Detection", [x], [y])
    assert read_tflite(m.inputs(x).outputs(y).to_bytes()).operators[0].op == "CUSTOM:TFLite_Detection"


def test_state_may_be_read_before_it_is_written() -> None:
    model = small_model().to_object()
    model.subgraphs[0].tensors[3].isVariable = True
    model.subgraphs[0].operators[0].outputs = [4]
    model.subgraphs[0].operators[1].outputs = [3]
    model.subgraphs[0].operators[1].inputs = [3]
    assert read_tflite(pack(model)).tensors[3].is_variable


def test_builder_runs_in_the_oracle() -> None:
    """One operator whose result is known by hand: 4-bit shift of what RELU keeps."""
    m = Model()
    x, y = m.tensor((1, 4), scale=0.5), m.tensor((1, 4), scale=0.25, zp=-128)
    m.op("RELU", [x], [y])
    tensors = run_all_tensors(m.inputs(x).outputs(y).to_bytes(), np.array([[-3, 0, 5, 127]], np.int8))
    np.testing.assert_array_equal(tensors[y], [[-128, -128, -118, 126]])
