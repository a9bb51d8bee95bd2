"""Writes small .tflite models for the tests: tensors, operators with readable options, bytes.

The schema is the one inside the pinned `tflite-micro` wheel, not ours: what the reader is tested on was not
written by its author.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

# Operators that share an options table; all others are called as theirs, but for case and underscores.
_TABLE_OF = {
    "AVERAGE_POOL_2D": "Pool2D",
    "MAX_POOL_2D": "Pool2D",
    "L2_POOL_2D": "Pool2D",
    "MEAN": "Reducer",
    "SUM": "Reducer",
    "REDUCE_PROD": "Reducer",
    "REDUCE_MAX": "Reducer",
    "REDUCE_MIN": "Reducer",
    "REDUCE_ANY": "Reducer",
    "REDUCE_ALL": "Reducer",
    "MAXIMUM": "MaximumMinimum",
    "MINIMUM": "MaximumMinimum",
    "L2_NORMALIZATION": "L2Norm",
}
_TABLES = {name.lower(): name for name in vars(schema.BuiltinOptions) if name.endswith("Options")}
# The reader's short names, so that what it returns can be given back to `Model.op`.
_LONG_NAMES = {
    "fused_activation": "fused_activation_function",
    "dilation_w": "dilation_w_factor",
    "dilation_h": "dilation_h_factor",
}
_ENUMS = {
    "padding": schema.Padding,
    "fused_activation_function": schema.ActivationFunctionType,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
    "mode": schema.MirrorPadMode,
    "output_type": schema.TensorType,
    "in_data_type": schema.TensorType,
    "kernel_type": schema.LSTMKernelType,
    "out_type": schema.TensorType,
    "out_data_type": schema.TensorType,
}


def _enum(key: str, name: str) -> int:
    enum = _ENUMS[key]
    number: int = getattr(enum, name.upper() if enum is schema.TensorType else name)
    return number


def _options(op: str, values: dict[str, Any]) -> tuple[int, Any]:
    """The union tag and the object of an operator's options; (NONE, None) for an operator without a table."""
    name = _TABLES.get(_TABLE_OF.get(op, op).replace("_", "").lower() + "options")
    if name is None:
        assert not values, f"{op} has no options, got {values}"
        return schema.BuiltinOptions.NONE, None
    table = getattr(schema, name + "T")()
    fields = {field.lower(): field for field in vars(table)}
    for short, value in values.items():
        key = _LONG_NAMES.get(short, short)
        field = fields.get(key.replace("_", "").lower())
        assert field is not None, f"{name} has no field {key}; it has {sorted(vars(table))}"
        setattr(table, field, _enum(key, value) if isinstance(value, str) else value)
    return getattr(schema.BuiltinOptions, name), table


class Model:
    """A model under construction; every method that adds a tensor returns its index."""

    def __init__(self, description: str = "lilliput test") -> None:
        self._tensors: list[schema.TensorT] = []
        self._buffers: list[schema.BufferT] = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self._codes: list[schema.OperatorCodeT] = []
        self._operators: list[schema.OperatorT] = []
        self._inputs: list[int] = []
        self._outputs: list[int] = []
        self._description = description

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: float | Sequence[float] | None = None,
        zp: int | Sequence[int] = 0,
        data: np.ndarray | Sequence[Any] | None = None,
        axis: int = 0,
        name: str | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape = [int(n) for n in shape]
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.name = name or f"t{len(self._tensors)}"
        tensor.buffer = 0
        tensor.hasRank = True
        if scale is not None:
            quant = schema.QuantizationParametersT()
            quant.scale = [float(s) for s in np.atleast_1d(scale)]
            zeros = np.atleast_1d(zp)
            quant.zeroPoint = [int(z) for z in np.broadcast_to(zeros, (len(quant.scale),))]
            quant.quantizedDimension = axis
            tensor.quantization = quant
        if data is not None:
            buffer = schema.BufferT()
            numpy_type = "uint8" if dtype == "int4" else dtype  # int4 data comes packed, two values a byte
            array = np.ascontiguousarray(np.asarray(data).astype(numpy_type))
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def op(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 1, **options: Any
    ) -> int:
        """Adds operator `name`; options by their schema names, enums as strings (`padding="SAME"`)."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(name, version)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.builtinOptionsType, operator.builtinOptions = _options(name, options)
        self._operators.append(operator)
        return len(self._operators) - 1

    def custom_op(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        index = self.op("CUSTOM", inputs, outputs)
        self._codes[self._operators[index].opcodeIndex].customCode = name
        return index

    def _code(self, name: str, version: int) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # an int8 in the file
        code.version = version
        self._codes.append(code)
        return len(self._codes) - 1

    def inputs(self, *tensors: int) -> Model:
        self._inputs = list(tensors)
        return self

    def outputs(self, *tensors: int) -> Model:
        self._outputs = list(tensors)
        return self

    def to_object(self) -> schema.ModelT:
        """The schema's own object, for tests that want to spoil a field before packing."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = self._inputs, self._outputs
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.description = self._description
        model.operatorCodes, model.subgraphs, model.buffers = self._codes, [graph], self._buffers
        return model

    def to_bytes(self) -> bytes:
        return pack(self.to_object())


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def small_model() -> Model:
    """conv -> relu -> reshape -> fully connected: vectors, strings and options of all kinds."""
    rng = np.random.default_rng(3)
    m = Model("four operators")
    x = m.tensor((1, 5, 4, 2), scale=0.1, zp=3, name="x")
    w = m.tensor((3, 3, 3, 2), scale=[0.01, 0.02, 0.03], data=rng.integers(-127, 128, (3, 3, 3, 2)), name="w")
    b = m.tensor((3,), "int32", scale=[0.001, 0.002, 0.003], data=[100, -200, 300])
    y = m.tensor((1, 5, 4, 3), scale=0.3, zp=-7)
    z = m.tensor((1, 5, 4, 3), scale=0.2, zp=-128)
    flat = m.tensor((1, 60), scale=0.2, zp=-128)
    fc = m.tensor((4, 60), scale=0.05, data=rng.integers(-127, 128, (4, 60)))
    out = m.tensor((1, 4), scale=0.5, zp=5)
    m.op("CONV_2D", [x, w, b], [y], padding="SAME", stride_w=1, stride_h=1, fused_activation="RELU6")
    m.op("RELU", [y], [z])
    m.op("RESHAPE", [z], [flat], new_shape=[1, 60])
    m.op("FULLY_CONNECTED", [flat, fc, -1], [out], fused_activation="NONE")
    return m.inputs(x).outputs(out)
