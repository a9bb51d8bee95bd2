"""ONNX files as plain values: parsed by the `onnx` package, then checked under limits before anything is believed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Shape
from lilliput.importers.alternatives import alternatives

if TYPE_CHECKING:
    import onnx

MAX_FILE = 256 * 2**20
MAX_NODES = 50_000
MAX_RANK = 8
MAX_ELEMENTS = 2**26
"""Limits of what is read: far beyond any microcontroller, far below what hurts."""
OLDEST_OPSET = 7
DEFAULT_DOMAINS = ("", "ai.onnx")
KNOWN_DOMAINS = (*DEFAULT_DOMAINS, "ai.onnx.ml", "com.microsoft")

TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
    21: "uint4",
    22: "int4",
}
"""onnx.TensorProto.DataType."""
COMPUTED = {
    "float16": "float32",
    "float64": "float32",
    "bfloat16": "float32",
    "uint4": "uint8",
    "int4": "int8",
}
"""What other types become on the way in: the device computes reals in float32."""


@dataclass(frozen=True)
class OnnxNode:
    """One operator. `op` carries its domain unless that is the default: "Conv", "ai.onnx.ml:Scaler"."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int
    """The opset of its domain that the file uses."""

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    @property
    def where(self) -> str:
        return f"layer '{self.name}' ({self.op})"


@dataclass(frozen=True)
class OnnxInput:
    """A graph input: unknown dimensions are None or the name that the file gives them."""

    name: str
    dtype: str
    dims: tuple[int | str | None, ...] | None


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A whole file: nodes in execution order, constants as arrays."""

    inputs: tuple[OnnxInput, ...]
    outputs: tuple[str, ...]
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    producer: str = ""
    names: frozenset[str] = field(default_factory=frozenset)


def read_onnx(source: Path | bytes, *, external_data: bool = False) -> OnnxModel:
    """The model of a file or of its bytes. UserError says what is wrong with it.

    `external_data` admits weights in other files, which must lie in the model's own folder.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError("reading .onnx files needs the onnx package: pip install 'lilliput[onnx]'") from error
    folder = None
    if isinstance(source, Path):
        if source.stat().st_size > MAX_FILE:
            raise UserError(f"the file takes {source.stat().st_size} bytes, expected at most {MAX_FILE}")
        folder = source.parent
        source = source.read_bytes()
    if len(source) > MAX_FILE:
        raise UserError(f"the model takes {len(source)} bytes, expected at most {MAX_FILE}")
    try:
        proto = onnx.ModelProto.FromString(source)
    except (DecodeError, ValueError, RecursionError) as error:
        raise UserError(f"this is not an ONNX file: {error}") from error
    return _model(_inlined(proto), folder if external_data else None)


def _inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Functions of the model itself are put in place of their calls."""
    if not proto.functions:
        return proto
    import onnx.inliner

    calls = sum(len(f.node) for f in proto.functions)
    if calls > MAX_NODES or len(proto.functions) > 1000:
        raise UserError(
            f"{len(proto.functions)} functions with {calls} nodes, expected at most {MAX_NODES} nodes"
        )
    names = {(f.domain, f.name) for f in proto.functions}
    if any((n.domain, n.op_type) in names for f in proto.functions for n in f.node):
        raise UserError("functions that call functions are not supported; export the model without them")
    try:
        return onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # the inliner is C++: its exceptions have no common type
        raise UserError(f"the functions of the model cannot be put in place: {error}") from error


def _model(proto: onnx.ModelProto, folder: Path | None) -> OnnxModel:
    versions = {d.domain: d.version for d in proto.opset_import}
    versions.setdefault("", versions.get("ai.onnx", 0))
    if proto.opset_import and 0 < versions[""] < OLDEST_OPSET:
        raise UserError(f"opset {versions['']}, expected {OLDEST_OPSET} or newer: export the model again")
    graph = proto.graph
    if len(graph.node) > MAX_NODES:
        raise UserError(f"{len(graph.node)} nodes, expected at most {MAX_NODES}")
    _check_text(graph)
    constants: dict[str, Array] = {}
    budget = MAX_ELEMENTS
    for tensor in graph.initializer:
        constants[tensor.name] = array(tensor, folder)
        budget -= constants[tensor.name].size
        if budget < 0:
            raise UserError(f"the constants hold more than {MAX_ELEMENTS} elements")
    if graph.sparse_initializer:
        raise UserError("sparse constants are not supported; export the model with dense ones")
    inputs = tuple(_input(v) for v in graph.input if v.name not in constants)
    small = _four_bits(graph)
    nodes = tuple(_sized(_node(n, i, versions, folder), small) for i, n in enumerate(graph.node))
    model = OnnxModel(inputs, tuple(v.name for v in graph.output), nodes, constants, proto.producer_name[:80])
    _check_order(model)
    return model


FOUR_BITS = (21, 22)
"""onnx.TensorProto.UINT4 and INT4, whose numbers we hold in eight."""


def _four_bits(graph: onnx.GraphProto) -> dict[str, int]:
    """Constants and inputs of four bits, with their type."""
    found = {t.name: t.data_type for t in graph.initializer}
    found |= {v.name: v.type.tensor_type.elem_type for v in graph.input}
    for node in graph.node:
        for a in node.attribute if node.op_type == "Constant" else ():
            found |= dict.fromkeys(node.output, a.t.data_type)
    return {name: dtype for name, dtype in found.items() if dtype in FOUR_BITS}


def _sized(node: OnnxNode, small: Mapping[str, int]) -> OnnxNode:
    """Who quantizes by a zero point of four bits says so: its results saturate there."""
    if node.op != "QuantizeLinear" or len(node.inputs) < 3 or node.inputs[2] not in small:
        return node
    return replace(node, attributes={**node.attributes, "output_dtype": small[node.inputs[2]]})


def _check_text(graph: onnx.GraphProto) -> None:
    """Every name is text: what is not UTF-8 comes out of a protobuf as bytes."""
    for n in graph.node:
        for name in (n.name, n.op_type, n.domain, *n.input, *n.output, *(a.name for a in n.attribute)):
            if not isinstance(name, str):
                raise UserError(f"the name {name[:40]!r} of a node, tensor or attribute is not UTF-8")
    for value in (*graph.input, *graph.output, *graph.initializer):
        if not isinstance(value.name, str):
            raise UserError(f"the name {value.name[:40]!r} of a tensor is not UTF-8")


def _check_order(model: OnnxModel) -> None:
    """Every name is written once, and before it is read."""
    known = {"", *model.constants}
    for name in (v.name for v in model.inputs):
        if name in known:
            raise UserError(f"input '{name}' is there twice or has no name")
        known.add(name)
    if not model.outputs or len(set(model.outputs)) != len(model.outputs):
        raise UserError(f"the outputs are {list(model.outputs)}, expected at least one and no name twice")
    later = {name for node in model.nodes for name in node.outputs}
    for node in model.nodes:
        for name in node.inputs:
            if name not in known:
                why = "nodes form a cycle or are out of order" if name in later else "nothing writes it"
                raise UserError(f"{node.where} reads '{name}' before it is written: {why}")
        for name in node.outputs:
            if name and name in known:
                raise UserError(f"{node.where} writes '{name}', which something else has written")
            known.add(name)
    for name in model.outputs:
        if name not in known or not name:
            raise UserError(f"output '{name}' is never written")


def _input(value: onnx.ValueInfoProto) -> OnnxInput:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UserError(f"input '{value.name}' is a {str(kind).removesuffix('_type')}, expected a tensor")
    tensor = value.type.tensor_type
    dtype = _dtype(tensor.elem_type, f"input '{value.name}'")
    if not tensor.HasField("shape"):
        return OnnxInput(value.name, dtype, None)
    dims: list[int | str | None] = []
    for d in tensor.shape.dim:
        given = d.WhichOneof("value")
        dims.append(None if given is None else d.dim_value if given == "dim_value" else d.dim_param[:40])
    if len(dims) > MAX_RANK:
        raise UserError(f"input '{value.name}' has {len(dims)} dimensions, expected at most {MAX_RANK}")
    return OnnxInput(value.name, dtype, tuple(dims))


def _dtype(number: int, where: str) -> str:
    if number not in TYPES:
        raise UserError(f"{where} has the element type {number}; known are {', '.join(TYPES.values())}")
    return TYPES[number]


def _node(node: onnx.NodeProto, i: int, versions: Mapping[str, int], folder: Path | None) -> OnnxNode:
    domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
    op = f"{domain}:{node.op_type}" if domain else node.op_type
    name = node.name or f"{node.op_type}_{i}"
    where = f"layer '{name}' ({op})"
    attributes = {}
    for a in node.attribute:
        if a.name in attributes:
            raise UserError(f"{where}: attribute '{a.name}' is there twice")
        attributes[a.name] = _attribute(a, where, folder)
    version = versions.get(domain, 0)
    return OnnxNode(op, name, tuple(node.input), tuple(node.output), attributes, version)


def _attribute(a: onnx.AttributeProto, where: str, folder: Path | None) -> Any:
    """A number, a string, an array, or a tuple of them; a subgraph stays what it is, nobody but its reader looks."""
    kinds = a.AttributeType
    if a.type == kinds.FLOAT:
        return float(a.f)
    if a.type == kinds.INT:
        return int(a.i)
    if a.type == kinds.STRING:
        return a.s.decode("utf-8", "replace")
    if a.type == kinds.TENSOR:
        return array(a.t, folder)
    if a.type == kinds.FLOATS:
        return tuple(float(v) for v in a.floats)
    if a.type == kinds.INTS:
        return tuple(int(v) for v in a.ints)
    if a.type == kinds.STRINGS:
        return tuple(v.decode("utf-8", "replace") for v in a.strings)
    what = kinds.Name(a.type) if a.type in kinds.values() else str(a.type)
    raise UserError(
        f"{where}: attribute '{a.name}' of kind {what} is not supported; loops and branches must be "
        "decided when the model is exported"
    )


def array(tensor: onnx.TensorProto, folder: Path | None) -> Array:
    """The numbers of a constant, after its dimensions and the length of its data were checked against each other."""
    import onnx

    where = f"constant '{tensor.name}'"
    dtype = _dtype(tensor.data_type, where)
    shape: Shape = tuple(tensor.dims)
    if len(shape) > MAX_RANK or any(d < 0 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise UserError(
            f"{where} has the shape {shape[:12]}, expected at most {MAX_RANK} dimensions and {MAX_ELEMENTS} elements"
        )
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, dtype, shape, folder)
    if dtype == "string":
        if len(tensor.string_data) != math.prod(shape):
            raise UserError(
                f"{where} holds {len(tensor.string_data)} strings, its shape {shape} says {math.prod(shape)}"
            )
        return np.array([s.decode("utf-8", "replace") for s in tensor.string_data], object).reshape(shape)
    try:
        values = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # to_array raises whatever numpy raises
        raise UserError(f"{where} of shape {shape}: its data do not fit: {error}") from error
    return computed(values, dtype, shape, where)


def computed(values: Array, dtype: str, shape: Shape, where: str) -> Array:
    """In the type that we compute with; infinite and missing numbers stay to be judged where they are used."""
    if values.shape != shape:
        raise UserError(f"{where} holds {values.shape}, its shape says {shape}")
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(COMPUTED.get(dtype, dtype))


def _external(tensor: onnx.TensorProto, dtype: str, shape: Shape, folder: Path | None) -> Array:
    """Data in another file: only on demand, and only inside the model's own folder."""
    where = f"constant '{tensor.name}'"
    if folder is None:
        raise UserError(f"{where} lies in another file; allow it with external_data=True (--external-data)")
    entries = {e.key: e.value for e in tensor.external_data}
    path = (folder / entries.get("location", "")).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise UserError(
            f"{where} is in '{entries.get('location')}', expected a file inside the model's folder"
        )
    if path.stat().st_nlink > 1:
        raise UserError(f"{where} is in '{path.name}', which has other names as well; copy it")
    numbers = [entries.get("offset", "0"), entries.get("length", "-1")]
    if not all(n.lstrip("-").isdecimal() for n in numbers):
        raise UserError(f"{where}: offset {numbers[0]!r} and length {numbers[1]!r}, expected numbers")
    offset, length = (int(n) for n in numbers)
    size = path.stat().st_size
    item = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
    wanted = math.prod(shape) * item.get(dtype, 4)
    if (
        dtype not in (*item, "float32", "int32")
        or not 0 <= offset <= size - wanted
        or length not in (-1, wanted)
    ):
        raise UserError(
            f"{where}: {wanted} bytes of {dtype} at {offset} with length {length}, the file has {size}"
        )
    raw = np.fromfile(path, np.dtype(dtype).newbyteorder("<"), math.prod(shape), offset=offset)
    return computed(raw.reshape(shape), dtype, shape, where)


def unsupported(nodes: Iterable[OnnxNode], known: Iterable[str]) -> str | None:
    """One message about every operator that is not known, each with its first layer; None when there is none."""
    first: dict[str, OnnxNode] = {}
    known = set(known)
    for node in nodes:
        if node.op not in known:
            first.setdefault(node.op, node)
    if not first:
        return None
    named = ", ".join(f"'{op}' (layer '{node.name}')" for op, node in first.items())
    return f"not supported: {named}. {alternatives(next(iter(first)), known, 'onnx')}"
