"""Reads the arrays of an HDF5 file as Keras writes them, every address, size and count checked before use.

Only what h5py writes by default is read (superblock 0, groups as symbol tables, contiguous arrays of numbers), and
only from the file's own bytes: external storage, links, filters, chunks and references are refused. The structures
are those of the "HDF5 File Format Specification Version 2.0".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_MEMBERS = 100_000
MAX_RANK = 8
MAX_LEVELS = 8
"""Of a tree of members: each level holds dozens of times those of the one below."""

SPACE, LINKS, TYPE, LINK, EXTERNAL, LAYOUT, FILTERS, CONTINUED, TABLE = 1, 2, 3, 6, 7, 8, 11, 16, 17
"""Message types of an object's header."""

FLOATS = {
    (2, 0, 16, 10, 5, 0, 10, 15): "float16",
    (4, 0, 32, 23, 8, 0, 23, 127): "float32",
    (8, 0, 64, 52, 11, 0, 52, 1023): "float64",
}
"""Size; bit offset, precision, exponent's place and size, mantissa's place and size, exponent bias."""

Messages = dict[int, bytes]


class BrokenHdf5Error(UserError):
    """The file is not what its structures say."""


class Hdf5:
    """The members of an HDF5 file: arrays by their path, "layers/dense/vars/0"."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read_bytes = 0
        self.members = 0
        if data[:8] != SIGNATURE:
            raise BrokenHdf5Error("it does not start as an HDF5 file")
        version, sizes = self.at(8, 1)[0], self.at(13, 2)
        if version > 1 or sizes != b"\x08\x08":
            raise BrokenHdf5Error(
                f"superblock version {version} with numbers of {sizes[0]} bytes, expected 0 with 8; save the model "
                "with Keras itself"
            )
        extra = 4 if version == 1 else 0
        base, _, end, _ = struct.unpack("<4Q", self.at(24 + extra, 32))
        if base != 0 or end > len(data):
            raise BrokenHdf5Error(f"it says that it spans bytes {base} to {end}, found {len(data)}")
        (self.root,) = struct.unpack("<Q", self.at(64 + extra, 8))
        self._groups: dict[int, dict[str, int]] = {}

    def at(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise BrokenHdf5Error(f"{size} bytes at {offset} are outside of its {len(self.data)}")
        return self.data[offset : offset + size]

    def find(self, path: str) -> int | None:
        """Where the object of a path is, None where there is none."""
        found: int = self.root
        for name in filter(None, path.split("/")):
            inside = self.group(found).get(name)
            if inside is None:
                return None
            found = inside
        return found

    def names(self, path: str) -> list[str]:
        """The members of a group, none where it does not exist."""
        found = self.find(path)
        return [] if found is None else list(self.group(found))

    def group(self, address: int) -> dict[str, int]:
        """Name -> address of the members of a group."""
        if address not in self._groups:
            table = self.messages(address).get(TABLE)
            members: dict[str, int] = {}
            if table is not None:
                tree, heap = struct.unpack("<2Q", _whole(table, 16))
                members.update(self._entries(tree, self._heap(heap)))
            self._groups[address] = members
        return self._groups[address]

    def _heap(self, address: int) -> bytes:
        """The names of a group."""
        head = self.at(address, 32)
        if head[:4] != b"HEAP":
            raise BrokenHdf5Error(f"no heap of names at {address}")
        size, _, start = struct.unpack("<3Q", head[8:])
        return self.at(start, size)

    def _entries(self, root: int, names: bytes) -> Iterator[tuple[str, int]]:
        """(name, address) of a tree's leaves; a node that is there twice would be a cycle or a bomb."""
        front, seen = [(root, MAX_LEVELS)], set()
        while front:
            address, levels = front.pop()
            if address in seen or levels == 0:
                raise BrokenHdf5Error(f"the tree of members at {root} is no tree")
            seen.add(address)
            head = self.at(address, 8)
            if head[:4] == b"TREE":
                (count,) = struct.unpack("<H", head[6:])
                body = self.at(address + 24, 16 * count + 8)
                children = struct.unpack(f"<{2 * count + 1}Q", body)[1::2]
                front += [(child, levels - 1) for child in children]
            elif head[:4] == b"SNOD":
                (count,) = struct.unpack("<H", head[6:])
                self.members += count
                if self.members > MAX_MEMBERS:
                    raise BrokenHdf5Error(f"more than {MAX_MEMBERS} members")
                for i in range(count):
                    name, target, kind = struct.unpack("<QQI", self.at(address + 8 + 40 * i, 20))
                    if kind == 2:
                        raise BrokenHdf5Error("a symbolic link, which Keras does not write")
                    yield _text(names, name), target
            else:
                raise BrokenHdf5Error(f"no node of members at {address}")

    def messages(self, address: int) -> Messages:
        """Message type -> content of an object's header; of several of one type the first."""
        version, _, count, _, size = struct.unpack("<BBHII", self.at(address, 12))
        if version != 1:
            raise BrokenHdf5Error(
                f"an object of version {version} at {address}, expected 1; save the model with Keras itself"
            )
        found: Messages = {}
        blocks, seen = [(address + 16, size)], set()
        while blocks:
            start, length = blocks.pop()
            if start in seen:
                raise BrokenHdf5Error(f"the object at {address} continues in itself")
            seen.add(start)
            block, offset = self.at(start, length), 0
            while offset + 8 <= len(block) and count > 0:
                kind, n, flags = struct.unpack_from("<HHB", block, offset)
                content = _whole(block[offset + 8 : offset + 8 + n], n)
                offset, count = offset + 8 + n, count - 1
                if kind == CONTINUED:
                    blocks.append(struct.unpack("<2Q", _whole(content, 16)))
                elif kind in (LINKS, LINK):
                    raise BrokenHdf5Error("links of the newer kind, which Keras does not write")
                elif kind in (SPACE, TYPE, EXTERNAL, LAYOUT, FILTERS, TABLE):
                    if flags & 2:
                        raise BrokenHdf5Error("a shared message, which Keras does not write")
                    found.setdefault(kind, content)
        return found

    def array(self, address: int) -> Array:
        """The numbers of an array: a view of the file's own bytes. All that are read together fit in the file once."""
        m = self.messages(address)
        if EXTERNAL in m:
            raise BrokenHdf5Error("its data are in another file, which is never read")
        if FILTERS in m or not {SPACE, TYPE, LAYOUT} <= m.keys():
            raise BrokenHdf5Error("an array that is compressed or incomplete; Keras writes plain ones")
        shape, dtype = _shape(m[SPACE]), _dtype(m[TYPE])
        count = 1
        for d in shape:
            count *= d
        size = count * dtype.itemsize
        raw = self._stored(m[LAYOUT], size)
        self.read_bytes += size
        if self.read_bytes > len(self.data):
            raise BrokenHdf5Error("arrays lie over one another")
        return np.frombuffer(raw, dtype, count).reshape(shape)

    def _stored(self, layout: bytes, size: int) -> memoryview | bytes:
        version, kind = _whole(layout[:2], 2)
        if version != 3 or kind not in (0, 1):
            raise BrokenHdf5Error(
                f"an array stored in the way {version}.{kind}, expected 3.0 or 3.1: Keras writes plain ones"
            )
        if kind == 0:
            (n,) = struct.unpack("<H", _whole(layout[2:4], 2))
            content: memoryview | bytes = layout[4 : 4 + n]
        else:
            start, n = struct.unpack("<2Q", _whole(layout[2:18], 16))
            if size and (start + n > len(self.data)):
                raise BrokenHdf5Error(f"{n} bytes at {start} are outside of its {len(self.data)}")
            content = memoryview(self.data)[start : start + n]
        if len(content) < size:
            raise BrokenHdf5Error(f"an array of {size} bytes, {len(content)} are stored")
        return content


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise BrokenHdf5Error(f"{len(data)} bytes where {size} are needed")
    return data[:size]


def _text(names: bytes, offset: int) -> str:
    end = names.find(b"\0", offset) if offset < len(names) else -1
    if end < 0:
        raise BrokenHdf5Error("a name outside of the names")
    return names[offset:end].decode("utf-8", "replace")


def _shape(space: bytes) -> tuple[int, ...]:
    version, rank = _whole(space, 4)[:2]
    start = {1: 8, 2: 4}.get(version)
    if start is None or rank > MAX_RANK:
        raise BrokenHdf5Error(
            f"an array of {rank} dimensions (version {version}), expected at most {MAX_RANK}"
        )
    return struct.unpack(f"<{rank}Q", _whole(space[start:], 8 * rank)[: 8 * rank])


def _dtype(message: bytes) -> np.dtype[Any]:
    head = _whole(message, 8)
    kind, bits, size = head[0] & 15, head[1], struct.unpack("<I", head[4:])[0]
    if kind == 0 and size in (1, 2, 4, 8) and not bits & 1:
        return np.dtype(f"{'i' if bits & 8 else 'u'}{size}")
    if kind == 1 and not bits & 1:
        name = FLOATS.get((size, *struct.unpack("<HHBBBBI", _whole(message[8:], 12))))
        if name is not None:
            return np.dtype(name)
    raise BrokenHdf5Error(
        f"numbers of class {kind} with {size} bytes; known are float16, float32, float64 and integers"
    )
