"""TensorFlow Lite -> Graph: walks the operators of a parsed file; each op's `convert.py` knows its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lilliput.errors import GraphError, UserError
from lilliput.graph import Array, Graph, Node, Quant, Tensor, verify
from lilliput.importers.alternatives import alternatives
from lilliput.importers.bounded import AFFORDABLE, FORMS, MAX_ELEMENTS
from lilliput.importers.registry import tflite_converters
from lilliput.importers.tflite_reader import TfliteModel, TfliteOperator, TfliteTensor, read_tflite
from lilliput.op import Op

BROKEN = (GraphError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, MemoryError)
"""What a file that no converter of TensorFlow would write may lead to."""

ACTIVATIONS = {
    "NONE": None,
    "RELU": (0.0, float("inf")),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


@dataclass
class TfliteBuilder:
    """What converters use: the file's tensors by index, constants, and `add`."""

    model: TfliteModel
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    """Variables of the file: the tensor that a run starts from, the tensor that holds it in the end."""
    affordable: int = AFFORDABLE
    """Elements of constants that may still be made; what is in the file was added (`load_tflite`)."""

    def name(self, index: int) -> str:
        """Our name of a file's tensor. Indices keep it unique and tame."""
        return f"t{index}"

    def tensor(self, o: TfliteOperator, i: int) -> Tensor:
        """Input i of an operator."""
        if i >= len(o.inputs) or o.inputs[i] < 0:
            raise UserError(f"{self.where(o)}: input {i} is missing")
        return self.tensors[self.name(o.inputs[i])]

    def has(self, o: TfliteOperator, i: int) -> bool:
        """Whether optional input i is given."""
        return i < len(o.inputs) and o.inputs[i] >= 0

    def output(self, o: TfliteOperator, i: int = 0) -> Tensor:
        return self.tensors[self.name(o.outputs[i])]

    def data(self, o: TfliteOperator, i: int) -> Array:
        """The numbers of a constant input."""
        found = self.tensor(o, i).data
        if found is None:
            raise UserError(f"{self.where(o)}: input {i} must be a constant")
        return found

    def constant(
        self, o: TfliteOperator, data: Array, quant: Quant | None = None, dtype: str | None = None
    ) -> str:
        """A new constant that belongs to operator o, of its array's type unless `dtype` says int4; returns its name."""
        name = f"o{o.index}.c{len(self.tensors)}"
        data = np.ascontiguousarray(data)
        self.afford(o, data.size)
        self.tensors[name] = Tensor(name, data.shape, dtype or str(data.dtype), quant, data)
        return name

    def afford(self, o: TfliteOperator, elements: int) -> None:
        """Refuse constants that grow far beyond what is in the file."""
        self.affordable -= elements
        if self.affordable < 0:
            raise UserError(
                f"{self.where(o)}: a constant of {elements} elements, more than a file of this size may ask for"
            )

    def add(self, o: TfliteOperator, op: Op, inputs: tuple[str, ...], outputs: tuple[str, ...] = ()) -> None:
        """A node for o; without `outputs` it writes the operator's own."""
        outputs = outputs or tuple(self.name(i) for i in o.outputs)
        self.nodes.append(Node(op, inputs, outputs, f"{o.op.lower()}_{o.index}"))

    def inputs(self, o: TfliteOperator) -> tuple[str, ...]:
        return tuple(self.name(i) for i in o.inputs)

    def activation(self, o: TfliteOperator) -> tuple[float, float] | None:
        """The fused activation as a clamp of real values."""
        kind = str(o.options.get("fused_activation", "NONE"))
        if kind not in ACTIVATIONS:
            raise UserError(f"{self.where(o)}: fused activation {kind} is not supported")
        return ACTIVATIONS[kind]

    def where(self, o: TfliteOperator) -> str:
        return f"operator {o.index} ({o.op})"


def same_padding(size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's SAME: as many outputs as ceil(size / stride), the odd row of padding after."""
    total = max((-(-size // stride) - 1) * stride + dilation * (window - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def load_tflite(source: Path | bytes) -> Graph:
    """The graph of a .tflite file, int8 or float32, with the file's own quantization."""
    model = read_tflite(source)
    b = TfliteBuilder(model)
    b.affordable += FORMS * sum(t.data.size for t in model.tensors if t.data is not None)
    for t in model.tensors:
        b.tensors[b.name(t.index)] = _tensor(b, t)
    for o in model.operators:
        converter = tflite_converters().get(o.op)
        if converter is None:
            raise UserError(
                f"{b.where(o)} is not supported. {alternatives(o.op, tflite_converters(), 'tflite')}"
            )
        try:
            converter(b, o)
        except BROKEN as error:
            raise UserError(f"{b.where(o)}: its operands or options do not fit: {error}") from error
    inputs = tuple(b.name(i) for i in model.inputs)
    outputs = tuple(b.name(i) for i in model.outputs)
    graph = Graph(inputs, outputs, tuple(b.nodes), b.tensors, states=tuple(b.states))
    try:
        return verify(graph.with_nodes(graph.nodes))
    except BROKEN as error:
        raise UserError(f"the model breaks a rule: {error}") from error


def _tensor(b: TfliteBuilder, t: TfliteTensor) -> Tensor:
    if t.data is None and math.prod(t.shape) > MAX_ELEMENTS:
        raise UserError(f"tensor {t.index} has the shape {t.shape}, expected at most {MAX_ELEMENTS} elements")
    quant = None
    if t.scale is not None and t.zero_point is not None and len(t.scale):
        axis = t.quantized_dimension if len(t.scale) > 1 else None
        quant = Quant(t.scale.astype(np.float32), t.zero_point.astype(np.int32), axis)
    return Tensor(b.name(t.index), t.shape, t.dtype, quant, t.data)
