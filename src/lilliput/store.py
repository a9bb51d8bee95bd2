"""The .lil file: a graph as JSON and raw arrays in one zip, read with every size checked and no pickle."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.errors import GraphError, UserError
from lilliput.graph import INT_RANGE, ITEM_SIZE, Array, Graph, Node, Quant, Tensor, verify
from lilliput.op import REGISTRY, Op

FORMAT = 1
LIMIT = 256 * 1024 * 1024
"""Largest file, and largest sum of its parts when unpacked."""

Name = Annotated[str, Field(max_length=1000)]
Small = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _QuantFile(_Strict):
    scale: list[float] = Field(min_length=1, max_length=1 << 20)
    zero_point: list[int] = Field(min_length=1, max_length=1 << 20)
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


class _GraphFile(_Strict):
    format: int
    inputs: list[Name]
    outputs: list[Name]
    nodes: list[_NodeFile] = Field(max_length=100_000)
    tensors: list[_TensorFile] = Field(max_length=400_000)
    meta: dict[str, Any] = {}


def save(graph: Graph, path: Path) -> None:
    """Write a graph; the file appears whole or not at all. The same graph gives the same bytes."""
    arrays: dict[str, Array] = {}
    tensors = []
    for t in graph.tensors.values():
        key = None
        if t.data is not None:
            key = f"{len(arrays)}.bin"
            arrays[key] = t.data
        tensors.append(_TensorFile(name=t.name, shape=list(t.shape), dtype=t.dtype, quant=_quant_file(t), data=key))
    nodes = [
        _NodeFile(
            op=n.op.name, attributes=dataclasses.asdict(n.op), inputs=list(n.inputs), outputs=list(n.outputs), name=n.name
        )
        for n in graph.nodes
    ]
    file = _GraphFile(
        format=FORMAT,
        inputs=list(graph.inputs),
        outputs=list(graph.outputs),
        nodes=nodes,
        tensors=tensors,
        meta=dict(graph.meta),
    )
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            _entry(archive, "graph.json", json.dumps(file.model_dump(), indent=1).encode())
            for key, data in arrays.items():
                _entry(archive, key, np.ascontiguousarray(data).tobytes())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"cannot write '{path}': {error.strerror or error}") from error


def _entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # a fixed date: the same graph, the same bytes
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)


def _quant_file(t: Tensor) -> _QuantFile | None:
    if t.quant is None:
        return None
    q = t.quant
    return _QuantFile(scale=[float(s) for s in q.scale], zero_point=[int(z) for z in q.zero_point], axis=q.axis)


def load(path: Path) -> Graph:
    """Read a graph, believing nothing: sizes, names, types and shapes are checked before use."""
    try:
        if path.stat().st_size > LIMIT:
            raise UserError(f"'{path}' is larger than {LIMIT} bytes")
        with zipfile.ZipFile(path) as archive:
            parts = _unpack(archive, path)
        file = _GraphFile.model_validate_json(parts.pop("graph.json", b""))
    except FileNotFoundError as error:
        raise UserError(f"'{path}' does not exist") from error
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"'{path}' cannot be read as a .lil graph: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"'{path}' is not a .lil graph: {where or 'graph.json'}: {first['msg']}") from error
    if file.format != FORMAT:
        raise UserError(f"'{path}' has format {file.format}; this version reads format {FORMAT}")
    try:
        return verify(_graph(file, parts))
    except (GraphError, ValueError, TypeError, KeyError, IndexError, AssertionError, ArithmeticError) as error:
        raise UserError(f"'{path}' holds a graph that breaks a rule: {error}") from error


def _unpack(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise UserError(f"'{path}' names a part twice")
    if sum(info.file_size for info in infos) > LIMIT:
        raise UserError(f"'{path}' unpacks to more than {LIMIT} bytes")
    return {info.filename: archive.read(info) for info in infos}


def _graph(file: _GraphFile, parts: Mapping[str, bytes]) -> Graph:
    tensors = {}
    for t in file.tensors:
        if t.name in tensors:
            raise GraphError(f"tensor '{t.name}' is there twice")
        tensors[t.name] = _tensor(t, parts)
    nodes = tuple(Node(_op(n), tuple(n.inputs), tuple(n.outputs), n.name) for n in file.nodes)
    used = [*file.inputs, *file.outputs, *(name for n in nodes for name in (*n.inputs, *n.outputs))]
    for name in used:
        if name not in tensors:
            raise GraphError(f"tensor '{name}' is used and not described")
    return Graph(tuple(file.inputs), tuple(file.outputs), nodes, tensors, file.meta)


def _tensor(t: _TensorFile, parts: Mapping[str, bytes]) -> Tensor:
    if t.dtype not in ITEM_SIZE:
        raise GraphError(f"tensor '{t.name}' has the unknown type '{t.dtype}'")
    data = None
    if t.data is not None:
        content = parts.get(t.data)
        expected = math.prod(t.shape) * ITEM_SIZE[t.dtype]
        if content is None or len(content) != expected:
            found = "nothing" if content is None else f"{len(content)} bytes"
            raise GraphError(f"tensor '{t.name}' {tuple(t.shape)} needs {expected} bytes, '{t.data}' holds {found}")
        data = np.frombuffer(content, t.dtype).reshape(t.shape)
    quant = None
    if t.quant is not None:
        if t.dtype not in INT_RANGE or len(t.quant.scale) != len(t.quant.zero_point):
            raise GraphError(f"tensor '{t.name}' has a quantization that does not fit")
        scale = np.array(t.quant.scale, np.float32)
        quant = Quant(scale, np.array(t.quant.zero_point, np.int32), t.quant.axis)
        if t.quant.axis is None and len(scale) != 1:
            raise GraphError(f"tensor '{t.name}' has {len(scale)} scales and no axis")
    return Tensor(t.name, tuple(t.shape), t.dtype, quant, data)


def _op(n: _NodeFile) -> Op:
    cls = REGISTRY.get(n.op)
    if cls is None:
        raise GraphError(f"operator '{n.op}' of '{n.name}' is unknown")
    fields = {f.name for f in dataclasses.fields(cls)}
    if set(n.attributes) != fields:
        raise GraphError(f"operator '{n.op}' of '{n.name}' has attributes {sorted(n.attributes)}, expected {sorted(fields)}")
    return cls(**{key: _tuples(value) for key, value in n.attributes.items()})


def _tuples(value: Any) -> Any:
    """JSON lists back to the tuples that attributes are made of; only plain numbers, strings and null pass."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise GraphError(f"an attribute holds {type(value).__name__}")
