"""The .lil file: a graph as JSON and raw arrays in one zip, read with every size checked and no pickle."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.errors import GraphError, UserError
from lilliput.files import replacing
from lilliput.graph import INT_RANGE, ITEM_SIZE, Array, Graph, Node, Quant, Tensor, numpy_type, verify
from lilliput.op import REGISTRY, Op

FORMATS = (1, 2)
"""The second has states; a graph without is written in the first, which older versions read."""
LIMIT = 64 * 1024 * 1024
"""Largest file, and largest sum of its parts when unpacked: 32 times the flash of a large microcontroller."""
STRUCTURE_LIMIT = 8 * 1024 * 1024
"""Largest graph.json, for parsed JSON takes many times its size."""
PARTS = 400_000

BROKEN_FILE = (OSError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError)
BROKEN_GRAPH = (GraphError, ValueError, TypeError, LookupError, ArithmeticError)

Name = Annotated[str, Field(max_length=1000)]
Small = Annotated[int, Field(ge=1, le=2**31 - 1)]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _QuantFile(_Strict):
    scale: list[float] = Field(min_length=1, max_length=1 << 20)
    zero_point: list[Int32] = Field(min_length=1, max_length=1 << 20)
    axis: int | None = None


class _TensorFile(_Strict):
    name: Name
    shape: list[Small] = Field(max_length=8)
    dtype: str
    quant: _QuantFile | None = None
    data: str | None = None


class _NodeFile(_Strict):
    op: str
    attributes: dict[str, Any]
    inputs: list[Name] = Field(max_length=4096)
    outputs: list[Name] = Field(max_length=4096)
    name: Name = ""


class _Meta(BaseModel):
    """Who puts a key into `Graph.meta` checks its content. Labels are strings, for they go into the C."""

    model_config = ConfigDict(extra="allow", frozen=True)
    labels: list[Name] = Field(default=[], max_length=100_000)


class _GraphFile(_Strict):
    format: int
    inputs: list[Name] = Field(min_length=1, max_length=4096)
    outputs: list[Name] = Field(min_length=1, max_length=4096)
    nodes: list[_NodeFile] = Field(max_length=100_000)
    tensors: list[_TensorFile] = Field(max_length=PARTS)
    meta: _Meta = _Meta()
    states: list[tuple[Name, Name]] = Field(default=[], max_length=4096)


def save(graph: Graph, path: Path) -> None:
    """Write a graph; the file appears whole or not at all. The same graph gives the same bytes."""
    arrays: dict[str, Array] = {}
    tensors = []
    for t in graph.tensors.values():
        key = None
        if t.data is not None:
            key = f"{len(arrays)}.bin"
            arrays[key] = t.data
        tensors.append(
            _TensorFile(name=t.name, shape=list(t.shape), dtype=t.dtype, quant=_quant_file(t), data=key)
        )
    nodes = [
        _NodeFile(
            op=n.op.name,
            attributes=dataclasses.asdict(n.op),
            inputs=list(n.inputs),
            outputs=list(n.outputs),
            name=n.name,
        )
        for n in graph.nodes
    ]
    states: dict[str, Any] = {"states": list(graph.states)} if graph.states else {}
    file = _GraphFile(
        format=FORMATS[bool(graph.states)],
        inputs=list(graph.inputs),
        outputs=list(graph.outputs),
        nodes=nodes,
        tensors=tensors,
        meta=_Meta.model_validate(dict(graph.meta)),
        **states,
    )
    structure = json.dumps(file.model_dump(exclude_unset=True), indent=1).encode()
    size = sum(data.nbytes for data in arrays.values())
    if len(structure) > STRUCTURE_LIMIT or len(structure) + size > LIMIT:
        raise UserError(
            f"cannot write '{path}': {len(structure)} bytes of structure and {size} of weights are more than "
            f"a .lil file may hold ({STRUCTURE_LIMIT}, and {LIMIT} together)"
        )
    with replacing(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        _entry(archive, "graph.json", structure)
        for key, data in arrays.items():
            _entry(archive, key, np.ascontiguousarray(data).tobytes())


def _entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # a fixed date: the same graph, the same bytes
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)


def _quant_file(t: Tensor) -> _QuantFile | None:
    if t.quant is None:
        return None
    q = t.quant
    return _QuantFile(
        scale=[float(s) for s in q.scale], zero_point=[int(z) for z in q.zero_point], axis=q.axis
    )


def load(path: Path) -> Graph:
    """Read a graph, believing nothing: sizes, names, types and shapes are checked before use."""
    try:
        if path.stat().st_size > LIMIT:
            raise UserError(f"'{path}' is larger than {LIMIT} bytes")
        with zipfile.ZipFile(path) as archive:
            read = functools.partial(_content, archive, _parts(archive, path))
            file = _GraphFile.model_validate_json(read("graph.json", STRUCTURE_LIMIT))
            if file.format not in FORMATS:
                known = " or ".join(map(str, FORMATS))
                raise UserError(f"'{path}' has format {file.format}; this version reads format {known}")
            return verify(_graph(file, read))
    except FileNotFoundError as error:
        raise UserError(f"'{path}' does not exist") from error
    except ValidationError as error:
        raise UserError(f"'{path}' is not a .lil graph: {_first(error) or 'graph.json'}") from error
    except BROKEN_FILE as error:
        raise UserError(f"'{path}' cannot be read as a .lil graph: {error}") from error
    except BROKEN_GRAPH as error:
        raise UserError(f"'{path}' holds a graph that breaks a rule: {error}") from error


def _first(error: ValidationError) -> str:
    """Where the first mistake is, and what."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'graph.json'}: {first['msg']}"


def _parts(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    parts = {info.filename: info for info in infos}
    if len(parts) != len(infos):
        raise UserError(f"'{path}' names a part twice")
    if len(parts) > PARTS or sum(info.file_size for info in infos) > LIMIT:
        raise UserError(f"'{path}' unpacks to more than {LIMIT} bytes or {PARTS} parts")
    return parts


def _content(archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    """A part of at most `most` bytes; its size is known before anything is unpacked."""
    info = parts.get(name)
    if info is None:
        raise GraphError(f"the part '{name}' is missing")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise GraphError(f"the part '{name}' is compressed by method {info.compress_type}")
    if info.file_size > most:
        raise GraphError(f"the part '{name}' unpacks to {info.file_size} bytes, at most {most} are expected")
    return archive.read(info)


Read = Callable[[str, int], bytes]


def _graph(file: _GraphFile, read: Read) -> Graph:
    tensors: dict[str, Tensor] = {}
    for t in file.tensors:
        if t.name in tensors:
            raise GraphError(f"tensor '{t.name}' is there twice")
        tensors[t.name] = _tensor(t, read)
    nodes = tuple(Node(_op(n), tuple(n.inputs), tuple(n.outputs), n.name) for n in file.nodes)
    used = [*file.inputs, *file.outputs, *(name for n in nodes for name in (*n.inputs, *n.outputs))]
    used += [name for pair in file.states for name in pair]
    for name in used:
        if name not in tensors:
            raise GraphError(f"tensor '{name}' is used and not described")
    meta = file.meta.model_dump(exclude_unset=True)
    return Graph(tuple(file.inputs), tuple(file.outputs), nodes, tensors, meta, tuple(file.states))


def _tensor(t: _TensorFile, read: Read) -> Tensor:
    if numpy_type(t.dtype) not in ITEM_SIZE:
        raise GraphError(f"tensor '{t.name}' has the unknown type '{t.dtype}'")
    data = None
    size = math.prod(t.shape) * ITEM_SIZE[numpy_type(t.dtype)]
    if size > LIMIT:
        raise GraphError(
            f"tensor '{t.name}' {tuple(t.shape)} would take {size} bytes; at most {LIMIT} are accepted"
        )
    if t.data is not None:
        content = read(t.data, size)
        if len(content) != size:
            raise GraphError(
                f"tensor '{t.name}' {tuple(t.shape)} needs {size} bytes, '{t.data}' holds {len(content)}"
            )
        data = np.frombuffer(content, numpy_type(t.dtype)).reshape(t.shape)
    quant = None
    if t.quant is not None:
        if t.dtype not in INT_RANGE:
            raise GraphError(f"tensor '{t.name}' is {t.dtype} and yet quantized")
        with np.errstate(over="ignore"):  # becomes infinite, which `verify` refuses
            scale = np.array(t.quant.scale, np.float32)
        quant = Quant(scale, np.array(t.quant.zero_point, np.int32), t.quant.axis)
    return Tensor(t.name, tuple(t.shape), t.dtype, quant, data)


def _op(n: _NodeFile) -> Op:
    cls = REGISTRY.get(n.op)
    if cls is None:
        raise GraphError(f"operator '{n.op}' of '{n.name}' is unknown")
    fields = {f.name for f in dataclasses.fields(cls)}
    if set(n.attributes) != fields:
        raise GraphError(
            f"operator '{n.op}' of '{n.name}' has the attributes {sorted(n.attributes)}, "
            f"expected {sorted(fields)}"
        )
    try:
        return _attributes(n.op).validate_json(json.dumps(n.attributes), strict=True)
    except ValidationError as error:
        raise GraphError(f"operator '{n.op}' of '{n.name}': attribute {_first(error)}") from error


@functools.cache
def _attributes(name: str) -> TypeAdapter[Op]:
    """Checks attributes against the types that the operator's class declares; JSON lists become tuples."""
    return TypeAdapter(REGISTRY[name])
