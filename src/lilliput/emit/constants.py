"""The constants of a model as C: arrays that are stored once, parameter structs, rows of padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lilliput.emit import literals
from lilliput.graph import Array
from lilliput.op import Kernel, Rows


class Constants:
    """Constant arrays of one model, each stored once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: dict[tuple[str, bytes], str] = {}
        self.definitions: list[str] = []
        self.symbols: list[str] = []
        self.pads: dict[tuple[str, float], int] = {}

    def define(self, declared: str, body: str) -> None:
        """`declared` is a type and a name, perhaps with a size."""
        self.symbols.append(declared.split()[-1].split("[")[0])
        self.definitions.append(f"static const {declared} = {{{body}}};")

    def array(self, values: Array) -> str:
        key = (str(values.dtype), values.tobytes())
        if key not in self.names:
            self.names[key] = f"{self.prefix}_c{len(self.names)}"
            c_type = literals.C_TYPES[str(values.dtype)]
            body = literals.array(values)
            self.define(f"{c_type} {self.names[key]}[{values.size}]", f"\n{body}\n")
        return self.names[key]

    def pad_row(self, rows: Rows) -> str:
        if rows.pad_value is None or not rows.padded:
            return "NULL"
        key = (rows.dtype, float(rows.pad_value))
        self.pads[key] = max(self.pads.get(key, 0), rows.pad_length)
        return f"{self.prefix}_pad{list(self.pads).index(key)}"

    def pad_definitions(self) -> Iterable[str]:
        for i, ((dtype, value), length) in enumerate(self.pads.items()):
            body = literals.array(np.full(length, value, dtype))
            yield f"static const {literals.C_TYPES[dtype]} {self.prefix}_pad{i}[{length}] = {{\n{body}\n}};"

    def struct(self, kernel: Kernel, params: Mapping[str, Any], name: str) -> None:
        fields = []
        for field, value in params.items():
            text = self.array(value) if isinstance(value, np.ndarray) else literals.number(value)
            fields.append(f".{field} = {text}")
        self.define(f"{kernel.name}_t {name}", f"\n{literals.wrapped(fields)},\n")

    def rows(self, rows: Rows, name: str) -> None:
        fields = {
            "pad_row": self.pad_row(rows),
            "in_rows": rows.in_rows,
            "in_pitch": rows.in_pitch,
            "out_rows": rows.out_rows,
            "out_pitch": rows.out_pitch,
            "taps": rows.taps,
            "stride": rows.stride,
            "dilation": rows.dilation,
            "pad": rows.pad,
        }
        values = literals.wrapped(f".{field} = {value}" for field, value in fields.items())
        self.define(f"rows_t {name}", f"\n{values},\n")
