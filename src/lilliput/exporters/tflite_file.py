"""A .tflite file from plain values: the reverse of `importers/tflite_reader.py`, out of the same schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np

from lilliput.graph import Array, Quant
from lilliput.importers import tflite_schema as schema

DATA_ALIGNMENT = 16
"""The schema's force_align of constant data."""


@dataclass(frozen=True, eq=False)
class FileTensor:
    """One tensor; `data` is None for what is computed."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    data: Array | None = None


@dataclass(frozen=True)
class FileOperator:
    """One operator with its options by the names of `tflite_schema.OPTIONS`; operands are tensor indices."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


def write_tflite(
    tensors: Sequence[FileTensor],
    operators: Sequence[FileOperator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    description: str,
) -> bytes:
    """The bytes of a file with one subgraph."""
    b = flatbuffers.Builder(1 << 16)
    codes = list(dict.fromkeys(o.op for o in operators))
    data = [t.data for t in tensors if t.data is not None]
    buffers = [_table(b, 1, {0: None}), *(_buffer(b, d) for d in data)]
    numbers = iter(range(1, len(data) + 1))
    graph = _table(
        b,
        5,
        {
            0: _offsets(b, [_tensor(b, t, next(numbers) if t.data is not None else 0) for t in tensors]),
            1: _ints(b, inputs),
            2: _ints(b, outputs),
            3: _offsets(b, [_operator(b, o, codes.index(o.op)) for o in operators]),
            4: b.CreateString("main"),
        },
    )
    model = _table(
        b,
        5,
        {
            0: ("Uint32", schema.VERSION),
            1: _offsets(b, [_code(b, schema.OPERATORS.index(name)) for name in codes]),
            2: _offsets(b, [graph]),
            3: b.CreateString(description),
            4: _offsets(b, buffers),
        },
    )
    b.Finish(model, file_identifier=schema.FILE_IDENTIFIER)
    return bytes(b.Output())


Field = tuple[str, int | float | bool] | int | None
"""A scalar with its type, the offset of what was written before, or nothing."""


def _table(b: Any, slots: int, fields: Mapping[int, Field]) -> int:
    b.StartObject(slots)
    for slot, value in fields.items():
        if isinstance(value, tuple):
            kind, number = value
            getattr(b, f"Prepend{kind}Slot")(slot, number, None)  # without a default: always written
        elif value is not None:
            b.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(b.EndObject())


def _offsets(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _ints(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, "<i4").reshape(-1)))


def _buffer(b: Any, data: Array) -> int:
    content = data.astype(data.dtype.newbyteorder("<")).tobytes()
    b.StartVector(1, len(content), DATA_ALIGNMENT)
    b.head -= len(content)
    b.Bytes[b.head : b.head + len(content)] = content
    return _table(b, 1, {0: int(b.EndVector())})


def _tensor(b: Any, t: FileTensor, buffer: int) -> int:
    quant = None
    if t.quant is not None:
        scales = b.CreateNumpyVector(t.quant.scale.astype("<f4"))
        zeros = b.CreateNumpyVector(t.quant.zero_point.astype("<i8"))
        quant = _table(b, 7, {2: int(scales), 3: int(zeros), 6: ("Int32", t.quant.axis or 0)})
    shape, name = _ints(b, t.shape), int(b.CreateString(t.name))
    kind = ("Int8", schema.TENSOR_TYPES.index(t.dtype))
    fields: dict[int, Field] = {
        0: shape,
        1: kind,
        2: ("Uint32", buffer),
        3: name,
        4: quant,
        8: ("Bool", True),
    }
    return _table(b, 9, fields)


def _code(b: Any, number: int) -> int:
    return _table(b, 4, {0: ("Int8", min(number, 127)), 2: ("Int32", 1), 3: ("Int32", number)})


def _operator(b: Any, o: FileOperator, code: int) -> int:
    number, options = schema.OPTIONS.get(o.op, (0, ()))
    unknown = set(o.options) - {option.name for option in options}
    if unknown:
        raise ValueError(f"{o.op} has no options {unknown}")
    fields: dict[int, Field] = {}
    for option in options:
        if option.name in o.options:
            fields[option.slot] = _option(b, option, o.options[option.name])
    table = _table(b, max((f.slot for f in options), default=-1) + 1, fields) if number else None
    kind = ("Uint8", number) if number else None
    return _table(
        b, 9, {0: ("Uint32", code), 1: _ints(b, o.inputs), 2: _ints(b, o.outputs), 3: kind, 4: table}
    )


def _option(b: Any, option: schema.Option, value: Any) -> Field:
    if option.kind == "ints":
        return _ints(b, value)
    if option.kind == "enum":
        return "Int8", option.names.index(value)
    return {"float": "Float32", "bool": "Bool"}.get(option.kind, "Int32"), value
