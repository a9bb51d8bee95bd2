"""Reads a .tflite file into plain values and trusts nothing in it: the first half of its importer.

What comes out is complete and consistent: every index is in range, every constant has exactly the bytes of
its shape, every scale is finite and positive, and operators are in an order in which they can run. What an
operator means, and whether it can be compiled, is decided later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lilliput.errors import UserError
from lilliput.importers import tflite_schema as schema
from lilliput.importers.flatbuffer import Source, Table

MAX_FILE_BYTES = 64 << 20
MAX_TENSORS = 8192
MAX_OPERATORS = 8192
MAX_OPERANDS = 256
MAX_RANK = 8
MAX_ELEMENTS = 1 << 31

OptionValue = int | float | str | bool | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """`scale` and `zero_point` are arrays of one element, or one per channel along `quantized_dimension`;
    None when the tensor is not quantized. `data` is None for a tensor that is computed; int4 constants come
    unpacked as int8."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: NDArray[np.float32] | None
    zero_point: NDArray[np.int64] | None
    quantized_dimension: int
    data: NDArray[np.generic] | None
    is_variable: bool = False


@dataclass(frozen=True)
class TfliteOperator:
    """`op` is the name in the schema, or `CUSTOM:name`; operands are tensor indices, -1 for one left out."""

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, OptionValue]


@dataclass(frozen=True, eq=False)
class TfliteModel:
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str


def read_tflite(source: str | Path | bytes, max_bytes: int = MAX_FILE_BYTES) -> TfliteModel:
    """Reads the only subgraph of a TensorFlow Lite model; `UserError` for anything not well formed."""
    file = _load(source, max_bytes)
    root = _root(file)
    subgraphs = root.tables(2, "subgraph", MAX_OPERATORS)
    if len(subgraphs) != 1:
        raise UserError(
            f"{file.name}: the model has {len(subgraphs)} subgraphs, expected 1: "
            "control flow (IF, WHILE) is not supported, export the model without it"
        )
    graph = subgraphs[0]
    buffers = _buffers(root)
    tensors = tuple(
        _tensor(table, i, buffers) for i, table in enumerate(graph.tables(0, "tensor", MAX_TENSORS))
    )
    codes = [_operator_code(code) for code in root.tables(1, "operator code", MAX_OPERATORS)]
    operators = tuple(
        _operator(table, i, codes, len(tensors))
        for i, table in enumerate(graph.tables(3, "operator", MAX_OPERATORS))
    )
    inputs = _indices(graph, 1, "inputs", len(tensors))
    outputs = _indices(graph, 2, "outputs", len(tensors))
    model = TfliteModel(tensors, operators, inputs, outputs, root.string(3, "description"))
    _check_order(file, model)
    return model


def _load(source: str | Path | bytes, max_bytes: int) -> Source:
    if isinstance(source, bytes):
        data, name = source, "model"
    else:
        path = Path(source)
        name = str(path)
        try:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)
        except OSError as error:
            raise UserError(f"{name}: cannot be read ({error.strerror}): give a .tflite file") from error
    if len(data) > max_bytes:
        raise UserError(
            f"{name}: more than {max_bytes} bytes, the largest model that is read: "
            "no microcontroller holds it, choose a smaller model"
        )
    return Source(data, name)


def _root(file: Source) -> Table:
    identifier = file.data[4:8]
    if identifier != schema.FILE_IDENTIFIER:
        raise file.fail("header", f"identifier {identifier!r}", f"{schema.FILE_IDENTIFIER!r}")
    root = file.root("model")
    version = root.integer(0, "I", "version")
    if version != schema.VERSION:
        raise file.fail("model", f"schema version {version}", f"version {schema.VERSION}")
    return root


def _buffers(root: Table) -> list[tuple[int, int]]:
    """(position, length) in the file of each buffer's bytes; length 0 for an empty one."""
    spans = []
    for table in root.tables(4, "buffer", MAX_TENSORS + MAX_OPERATORS):
        start, size = table.bytes_span(0, "data")
        offset, length = table.integer(1, "Q", "offset"), table.integer(2, "Q", "size")
        # Models over 2 GB keep data behind the FlatBuffer; offsets 0 and 1 are the writer's "not used".
        if size == 0 and offset > 1 and length:
            table.source.span(offset, length, f"{table.where}: external data")
            start, size = offset, length
        spans.append((start, size))
    return spans


def _tensor(table: Table, index: int, buffers: list[tuple[int, int]]) -> TfliteTensor:
    name = table.string(3, "name")
    where = f"tensor {index} ({name[:80]!r})"
    file = table.source
    code = table.integer(1, "b", "type")
    dtype = schema.TENSOR_TYPES[code] if 0 <= code < len(schema.TENSOR_TYPES) else f"type {code}"
    if dtype not in schema.NUMPY_TYPES:
        supported = ", ".join(schema.NUMPY_TYPES)
        raise UserError(f"{file.name}: {where}: values of {dtype} are not supported, expected {supported}")
    shape = _shape(table, where)
    if table.has(6, "sparsity"):
        raise UserError(f"{file.name}: {where}: sparse storage is not supported: export dense weights")
    if table.integer(10, "I", "external buffer"):
        raise UserError(f"{file.name}: {where}: data outside the file is not supported: export one file")
    scale, zero_point, axis = _quantization(table, where, dtype, shape)
    buffer = table.integer(2, "I", "buffer")
    if buffer >= len(buffers):
        raise file.fail(where, f"buffer {buffer}", f"one of the {len(buffers)} buffers")
    data = _constant(file, where, buffers[buffer], dtype, shape) if buffers[buffer][1] else None
    variable = bool(table.integer(5, "B", "is_variable"))
    return TfliteTensor(index, name, shape, dtype, scale, zero_point, axis, data, variable)


def _shape(table: Table, where: str) -> tuple[int, ...]:
    shape = table.integers(0, "shape", MAX_RANK)
    if any(n < 1 for n in shape):
        raise UserError(
            f"{table.source.name}: {where}: shape {shape}, expected every dimension to be at least 1: "
            "export the model with fixed shapes"
        )
    if math.prod(shape) > MAX_ELEMENTS:
        raise table.source.fail(where, f"{math.prod(shape)} elements", f"at most {MAX_ELEMENTS}")
    return shape


def _quantization(
    tensor: Table, where: str, dtype: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64] | None, int]:
    """(scale, zero point, axis); (None, None, 0) for a tensor without scales or not of integers."""
    table = tensor.table(4, "quantization")
    if table is None or dtype not in schema.INTEGER_RANGES:
        return None, None, 0
    file = table.source
    details = table.integer(4, "B", "details_type")
    if details:
        found = f"quantization scheme {details}"
        raise UserError(f"{file.name}: {where}: {found} is not supported, expected affine (0)")
    scales = table.array(2, "<f4", "scale", MAX_ELEMENTS)
    if scales is None or scales.size == 0:
        return None, None, 0
    scale = scales.astype(np.float32)
    bad = np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))
    if bad.size:
        raise file.fail(where, f"scale {scale[bad[0]]} of channel {bad[0]}", "a finite scale above 0")
    axis = table.integer(6, "i", "quantized_dimension")
    if scale.size > 1:
        if not 0 <= axis < len(shape):
            raise file.fail(where, f"quantized dimension {axis}", f"a dimension of shape {shape}")
        if scale.size != shape[axis]:
            expected = f"1 or {shape[axis]}, dimension {axis} of shape {shape}"
            raise file.fail(where, f"{scale.size} scales", expected)
    return scale, _zero_point(table, where, dtype, scale.size), axis


def _zero_point(table: Table, where: str, dtype: str, count: int) -> NDArray[np.int64]:
    """One zero point per scale; absent ones are 0."""
    values = table.array(3, "<i8", "zero_point", MAX_ELEMENTS)
    if values is None or values.size == 0:
        return np.zeros(count, np.int64)
    if values.size not in (1, count):
        raise table.source.fail(where, f"{values.size} zero points", f"1 or {count}, as many as scales")
    zeros = np.broadcast_to(values.astype(np.int64), (count,)).copy()
    low, high = schema.INTEGER_RANGES[dtype]
    for zero in (int(zeros.min()), int(zeros.max())):
        if not low <= zero <= high:
            raise table.source.fail(where, f"zero point {zero}", f"{low} to {high}, the range of {dtype}")
    return zeros


def _constant(
    file: Source, where: str, span: tuple[int, int], dtype: str, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    """The values of a constant, read-only; a view of the file where the type allows it."""
    start, size = span
    elements = math.prod(shape)
    item = np.dtype(schema.NUMPY_TYPES[dtype])
    needed = (elements + 1) // 2 if dtype == "int4" else elements * item.itemsize
    if size != needed:
        raise file.fail(where, f"{size} bytes of data", f"{needed} for {dtype} of shape {shape}")
    raw = np.frombuffer(file.data, item, needed // item.itemsize, start)
    if dtype in ("float16", "float32", "float64"):
        file.spend(size, where)
        if not np.isfinite(raw).all():
            raise UserError(f"{file.name}: {where}: NaN or infinity among its values: train it again")
    if dtype in ("int4", "bool") or not raw.flags.aligned:
        file.spend(size, where)
    if dtype == "int4":
        raw = _unpack_int4(raw, elements)
    elif dtype == "bool":
        raw = raw != 0
    elif not raw.flags.aligned:
        raw = raw.copy()
    values = raw.astype(raw.dtype.newbyteorder("="), copy=False).reshape(shape)
    values.flags.writeable = False
    return values


def _unpack_int4(raw: NDArray[np.uint8], elements: int) -> NDArray[np.int8]:
    """Two values to a byte, the low half first."""
    halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:elements].astype(np.int8)
    return np.where(halves > 7, halves - 16, halves).astype(np.int8)


def _operator_code(table: Table) -> tuple[str, int]:
    """(name, version). Old files hold the code in a byte, newer ones also in 32 bits: the larger counts."""
    code = max(table.integer(0, "b", "deprecated code"), table.integer(3, "i", "code"))
    version = table.integer(2, "i", "version", 1)
    if code == schema.CUSTOM:
        return f"CUSTOM:{table.string(1, 'custom code', 256)}", version
    if not 0 <= code < len(schema.OPERATORS):
        raise UserError(
            f"{table.source.name}: {table.where}: operator number {code} is not known, "
            f"expected 0 to {len(schema.OPERATORS) - 1}: export the model for an older TensorFlow Lite"
        )
    return schema.OPERATORS[code], version


def _operator(table: Table, index: int, codes: list[tuple[str, int]], tensors: int) -> TfliteOperator:
    code = table.integer(0, "I", "opcode_index")
    if code >= len(codes):
        raise table.source.fail(table.where, f"operator code {code}", f"one of the {len(codes)} in the file")
    op, version = codes[code]
    inputs = _indices(table, 1, "inputs", tensors, lowest=-1)
    outputs = _indices(table, 2, "outputs", tensors)
    return TfliteOperator(index, op, version, inputs, outputs, _options(table, f"{table.where} ({op})", op))


def _indices(table: Table, slot: int, name: str, tensors: int, lowest: int = 0) -> tuple[int, ...]:
    values = table.integers(slot, name, MAX_OPERANDS)
    for value in values:
        if not lowest <= value < tensors:
            raise table.source.fail(f"{table.where}: {name}", f"tensor {value}", f"{lowest} to {tensors - 1}")
    return values


def _options(table: Table, where: str, op: str) -> dict[str, OptionValue]:
    """The operator's options by name, with the schema's defaults for what the file leaves out."""
    if op not in schema.OPTIONS:
        return {}
    number, fields = schema.OPTIONS[op]
    found = table.integer(3, "B", "builtin_options_type")
    if found not in (0, number):
        raise table.source.fail(where, f"options of type {found}", f"type {number}")
    options = table.table(4, "options") if found else None
    return {field.name: _option(options, where, table.source, field) for field in fields}


def _option(options: Table | None, where: str, file: Source, field: schema.Option) -> OptionValue:
    name = field.name
    if field.kind == "ints":
        return () if options is None else options.integers(field.slot, name, MAX_RANK)
    code = {"int": "i", "size": "i", "float": "f", "bool": "B", "enum": "b"}[field.kind]
    assert not isinstance(field.default, tuple)
    value = field.default if options is None else options.number(field.slot, code, name, field.default)
    if field.kind == "float":
        if not math.isfinite(value):
            raise file.fail(where, f"{name} {value}", "a finite number")
        return float(value)
    number = int(value)
    if field.kind == "bool":
        return bool(number)
    if field.kind == "enum":
        if not 0 <= number < len(field.names):
            expected = f"0 to {len(field.names) - 1} ({', '.join(field.names)})"
            raise file.fail(where, f"{name} {number}", expected)
        return field.names[number]
    if field.kind == "size" and number < 1:
        raise file.fail(where, f"{name} {number}", "at least 1")
    return number


def _check_order(file: Source, model: TfliteModel) -> None:
    """Every operator reads only inputs, constants, state and what an earlier one wrote, all written once."""
    fixed = {t.index for t in model.tensors if t.data is not None}
    ready = fixed | set(model.inputs) | {t.index for t in model.tensors if t.is_variable}
    for index in model.inputs:
        if index in fixed:
            raise file.fail("inputs", f"tensor {index}, which is a constant", "a tensor without data")
    written = fixed | set(model.inputs)
    for operator in model.operators:
        where = f"operator {operator.index} ({operator.op})"
        for index in operator.inputs:
            if index >= 0 and index not in ready:
                found = f"input tensor {index}, which nothing before it writes,"
                raise file.fail(where, found, "operators in the order they run, without a cycle")
        for index in operator.outputs:
            if index in written:
                found = f"output tensor {index}, which is a constant, an input or already written,"
                raise file.fail(where, found, "one writer for each tensor")
            written.add(index)
            ready.add(index)
    for index in model.outputs:
        if index not in ready:
            raise file.fail("outputs", f"tensor {index}, which no operator writes", "a computed tensor")
