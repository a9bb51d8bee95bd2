"""Reads FlatBuffers from untrusted bytes: each offset, table, vector and string is checked before use.

The format (google.github.io/flatbuffers, "FlatBuffer Internals"): the file starts with the offset of the
root table. A table starts with the signed distance back to its vtable; the vtable lists, for each field
slot, where in the table the field lies (0: absent). Strings, vectors and sub-tables are reached by an
unsigned offset from the field; they start with their length. All integers are little-endian.

Python has no verifier for FlatBuffers, and the generated accessors trust the file, hence this one. Offsets
are Python integers, so nothing overflows. Nothing here recurses, and a reading budget proportional to the
file keeps a file that points to the same bytes again and again from costing more than an honest one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lilliput.errors import UserError

# An honest file has each byte read about once; strings and vectors may be shared a little.
_READS_PER_BYTE = 4
_READS_AT_LEAST = 1 << 16


class Source:
    """The bytes of one file, its name for messages, and what may still be copied out of it."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self._budget = _READS_PER_BYTE * len(data) + _READS_AT_LEAST

    def fail(self, where: str, found: str, expected: str) -> UserError:
        """The error to raise; the remedy is the same for every broken file."""
        return UserError(
            f"{self.name}: {where}: {found}, expected {expected}; "
            "the file is damaged or was not written by a TensorFlow Lite converter: export it again"
        )

    def spend(self, amount: int, where: str) -> None:
        self._budget -= amount
        if self._budget < 0:
            raise self.fail(where, "the same bytes are used over and over", "each vector to be stored once")

    def span(self, start: int, size: int, where: str) -> None:
        """Raises unless bytes [start, start + size) lie inside the file."""
        if start < 0 or size < 0 or start + size > len(self.data):
            found = f"bytes {start} to {start + size} of a file of {len(self.data)} bytes"
            raise self.fail(where, found, "a place inside the file")

    def number(self, code: str, start: int, where: str) -> int | float:
        """One little-endian number; `code` is a `struct` format character."""
        self.span(start, struct.calcsize("<" + code), where)
        value: int | float = struct.unpack_from("<" + code, self.data, start)[0]
        return value

    def offset(self, start: int, where: str) -> int:
        return int(self.number("I", start, where))

    def root(self, where: str) -> Table:
        return table_at(self, self.offset(0, where), where)


@dataclass(frozen=True)
class Table:
    """A table whose vtable was checked; fields are addressed by slot number and stay unchecked until read."""

    source: Source
    start: int
    size: int
    vtable: int
    slots: int
    where: str

    def _field(self, slot: int, size: int, name: str) -> int | None:
        """Position in the file of a field of `size` bytes, or None when it is absent."""
        if slot >= self.slots:
            return None
        relative = int(self.source.number("H", self.vtable + 4 + 2 * slot, self.where))
        if relative == 0:
            return None
        if relative < 4 or relative + size > self.size:
            found = f"field {name} lies at byte {relative} of a table of {self.size} bytes"
            raise self.source.fail(self.where, found, "a field inside its table")
        return self.start + relative

    def number(self, slot: int, code: str, name: str, default: int | float) -> int | float:
        at = self._field(slot, struct.calcsize("<" + code), name)
        return default if at is None else self.source.number(code, at, f"{self.where}: {name}")

    def integer(self, slot: int, code: str, name: str, default: int = 0) -> int:
        return int(self.number(slot, code, name, default))

    def _target(self, slot: int, name: str) -> int | None:
        """Position of what an offset field points to, or None when the field is absent."""
        at = self._field(slot, 4, name)
        return None if at is None else at + self.source.offset(at, f"{self.where}: {name}")

    def has(self, slot: int, name: str) -> bool:
        return self._target(slot, name) is not None

    def table(self, slot: int, name: str) -> Table | None:
        at = self._target(slot, name)
        return None if at is None else table_at(self.source, at, f"{self.where}: {name}")

    def _vector(self, slot: int, name: str, item_size: int, limit: int) -> tuple[int, int] | None:
        """(position of the first element, number of elements) of a vector that lies inside the file."""
        at = self._target(slot, name)
        if at is None:
            return None
        where = f"{self.where}: {name}"
        count = self.source.offset(at, where)
        if count > limit:
            raise self.source.fail(where, f"{count} elements", f"at most {limit}")
        self.source.span(at + 4, count * item_size, where)
        return at + 4, count

    def tables(self, slot: int, name: str, limit: int) -> list[Table]:
        """A vector of tables; an absent vector is an empty one."""
        vector = self._vector(slot, name, 4, limit)
        if vector is None:
            return []
        first, count = vector
        found = []
        for index in range(count):
            where = f"{self.where}: {name} {index}" if self.where else f"{name} {index}"
            at = first + 4 * index
            found.append(table_at(self.source, at + self.source.offset(at, where), where))
        return found

    def array(self, slot: int, dtype: str, name: str, limit: int) -> NDArray[np.generic] | None:
        """A vector of numbers as a fresh array of numpy type `dtype` ("<i4", "<f4", …)."""
        item = np.dtype(dtype)
        vector = self._vector(slot, name, item.itemsize, limit)
        if vector is None:
            return None
        first, count = vector
        self.source.spend(count * item.itemsize, f"{self.where}: {name}")
        return np.frombuffer(self.source.data, item, count, first).astype(item.newbyteorder("="))

    def integers(self, slot: int, name: str, limit: int, dtype: str = "<i4") -> tuple[int, ...]:
        values = self.array(slot, dtype, name, limit)
        return () if values is None else tuple(int(v) for v in values)

    def bytes_span(self, slot: int, name: str) -> tuple[int, int]:
        """(position, length) of a vector of bytes, not copied; length 0 when absent."""
        vector = self._vector(slot, name, 1, len(self.source.data))
        return (0, 0) if vector is None else vector

    def string(self, slot: int, name: str, limit: int = 4096) -> str:
        """A UTF-8 string; an absent one is empty."""
        vector = self._vector(slot, name, 1, limit)
        if vector is None:
            return ""
        first, count = vector
        where = f"{self.where}: {name}"
        self.source.spend(count, where)
        raw = self.source.data[first : first + count]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.source.fail(where, f"bytes {raw[:40]!r}", "text in UTF-8") from error


def table_at(source: Source, start: int, where: str) -> Table:
    """The table at byte `start`, with its vtable checked."""
    source.span(start, 4, where)
    vtable = start - int(source.number("i", start, where))
    source.span(vtable, 4, where)
    vtable_size = int(source.number("H", vtable, where))
    size = int(source.number("H", vtable + 2, where))
    if vtable_size < 4 or vtable_size % 2:
        raise source.fail(where, f"a vtable of {vtable_size} bytes", "an even size of at least 4")
    if size < 4:
        raise source.fail(where, f"a table of {size} bytes", "at least 4")
    source.span(vtable, vtable_size, where)
    source.span(start, size, where)
    return Table(source, start, size, vtable, (vtable_size - 4) // 2, where)
