"""Graph -> ONNX: float operators, with quantize and dequantize pairs (QDQ) where the graph computes in integers.

Tensors of four dimensions become NCHW, which ONNX's operators expect. Other tools compute what stands between the pairs
in their own arithmetic: their integers may differ from ours by one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.exporters.registry import onnx_writers
from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Quant, Shape, Tensor
from lilliput.version import __version__

if TYPE_CHECKING:
    import onnx

OPSET = 21
IR_VERSION = 10
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def order(rank: int) -> tuple[int, ...]:
    """Our axis that each dimension of ONNX's is."""
    return TO_NCHW if rank == 4 else tuple(range(rank))


def dims(shape: Shape) -> Shape:
    """ONNX's shape of a tensor of ours."""
    return tuple(shape[i] for i in order(len(shape)))


def dim(axis: int, rank: int) -> int:
    """ONNX's dimension of an axis of ours."""
    return order(rank).index(axis % rank)


@dataclass
class OnnxWriter:
    """What the operators' writers use: `real` for operands, `node` for operators, `result` for what comes out."""

    graph: Graph
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    reals: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    where: str = ""

    def real(self, t: Tensor) -> str:
        """The float value of a tensor of the graph; of a quantized constant, dequantized in the file."""
        if t.data is None:
            return self.reals[t.name]
        return self.constant(np.transpose(t.data, order(t.data.ndim)), t.quant, t.name)

    def constant(self, data: Array, quant: Quant | None = None, key: str = "") -> str:
        """A constant as it is, or dequantized; `quant.axis` counts in the axes of the graph."""
        if key in self.reals and key:
            return self.reals[key]
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(data)
        if quant is not None:
            name = self.dequantized(name, str(data.dtype), quant, data.ndim)
        if key:
            self.reals[key] = name
        return name

    def weights(self, t: Tensor, data: Array, axis: int) -> str:
        """Weights brought into ONNX's layout, their channels along `axis` of it."""
        quant = t.quant
        if quant is None:
            return self.constant(data)
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(data)
        scale, zero = self._parameters(quant, "int8")
        return self.node("DequantizeLinear", [name, scale, zero], axis=axis)

    def bias(self, t: Tensor, x: Tensor, w: Tensor) -> str:
        """An integer bias with the scales that it has by definition."""
        assert t.data is not None
        if t.dtype not in ("int32", "int64"):
            return self.real(t)
        scales = (x.q.s * w.q.scale).astype(np.float32)
        if t.dtype == "int64":  # beside int16 activations; DequantizeLinear takes no such integers
            return self.constant((t.data * scales.astype(np.float64)).astype(np.float32))
        return self.constant(t.data, Quant(scales, np.zeros(len(scales), np.int32), 0))

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A node with one output; its name."""
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], f"n{len(self.nodes)}", **attributes))
        return name

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.asarray(values, np.int64))

    def floats(self, *values: float) -> str:
        return self.constant(np.asarray(values if len(values) != 1 else values[0], np.float32))

    def result(self, t: Tensor, value: str, clamp: Clamp = None) -> None:
        """The value of a result: clamped, and through a pair of quantize and dequantize where it is an integer."""
        if clamp is not None:
            value = self.clamped(value, clamp)
        if t.quant is None:
            self.reals[t.name] = self.names[t.name] = value
            return
        scale, zero = self._parameters(t.quant, t.dtype)
        self.names[t.name] = self.node("QuantizeLinear", [value, scale, zero])
        self.reals[t.name] = self.dequantized(self.names[t.name], t.dtype, t.quant, len(t.shape))

    def clamped(self, value: str, clamp: tuple[float, float]) -> str:
        if clamp == (0.0, float("inf")):
            return self.node("Relu", [value])
        lo, hi = ("" if not np.isfinite(bound) else self.floats(bound) for bound in clamp)
        return self.node("Clip", [value, lo, hi] if hi else [value, lo])

    def transposed(self, value: str, perm: Sequence[int]) -> str:
        """The value with its dimensions in another order; itself where that is no change."""
        if list(perm) == list(range(len(perm))):
            return value
        return self.node("Transpose", [value], perm=list(perm))

    def operand(self, t: Tensor, rank: int) -> str:
        """A value that broadcasts with others of `rank` dimensions."""
        missing = rank - len(t.shape)
        if not missing or not t.shape:
            return self.real(t)
        shape = (1,) * missing + t.shape
        if t.data is not None:
            return self.constant(np.transpose(t.data.reshape(shape), order(rank)), t.quant)
        value = self.node("Reshape", [self.transposed(self.real(t), _back(len(t.shape))), self.ints(shape)])
        return self.transposed(value, order(rank))

    def refuse(self, why: str) -> UserError:
        return UserError(f"{self.where} cannot be written to ONNX: {why}")

    def _parameters(self, quant: Quant, dtype: str) -> tuple[str, str]:
        single = quant.axis is None or len(quant.scale) == 1
        scale = quant.scale[0] if single else quant.scale
        zero = quant.zero_point[0] if single else quant.zero_point
        return self.constant(np.asarray(scale, np.float32)), self.constant(np.asarray(zero, dtype))

    def dequantized(self, name: str, dtype: str, quant: Quant, rank: int) -> str:
        """The real values of a tensor of the file."""
        scale, zero = self._parameters(quant, dtype)
        axis = {} if quant.axis is None or len(quant.scale) == 1 else {"axis": dim(quant.axis, rank)}
        return self.node("DequantizeLinear", [name, scale, zero], **axis)


def _back(rank: int) -> tuple[int, ...]:
    return TO_NHWC if rank == 4 else tuple(range(rank))


def export_onnx(graph: Graph) -> bytes:
    """The bytes of the .onnx file. UserError names the first layer that is not known here."""
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise UserError("writing .onnx files needs the onnx package: pip install 'lilliput[onnx]'") from error
    w = OnnxWriter(graph)
    inputs = []
    for i, name in enumerate(graph.inputs):
        t = graph.tensors[name]
        w.names[name] = f"input{i or ''}"
        inputs.append(_port(t, w.names[name]))
        w.reals[name] = w.names[name]
        if t.quant is not None:
            w.reals[name] = w.dequantized(w.names[name], t.dtype, t.quant, len(t.shape))
    for site in graph.sites():
        w.where = f"layer '{site.name}' ({site.op.name})"
        writer = onnx_writers().get(type(site.op))
        if writer is None:
            known = ", ".join(sorted(op.name for op in onnx_writers()))
            raise w.refuse(f"it is not among {known}")
        writer(w, site)
    outputs = []
    for i, name in enumerate(graph.outputs):
        out = f"output{i or ''}"
        w.nodes.append(helper.make_node("Identity", [w.names[name]], [out], f"{out}_identity"))
        outputs.append(_port(graph.tensors[name], out))
    constants = [numpy_helper.from_array(data, name) for name, data in w.constants.items()]
    made = helper.make_graph(w.nodes, "lilliput", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "Lilliput", __version__
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _port(t: Tensor, name: str) -> onnx.ValueInfoProto:
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(t.dtype))
    return helper.make_tensor_value_info(name, kind, dims(t.shape))
