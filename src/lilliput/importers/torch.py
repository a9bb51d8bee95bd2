"""PyTorch -> Graph through `torch.export`, without decompositions. Planes become channels-last on the way."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Tensor, verify
from lilliput.importers.registry import torch_converters
from lilliput.op import Op
from lilliput.ops.shape import Reshape, Transpose

NHWC = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """A tensor of ours that stands for one of torch's: stored axis j holds torch's dimension order[j]."""

    name: str
    order: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One ATen call with its arguments by name, defaults filled in."""

    target: str
    arguments: dict[str, Any]
    name: str

    def __getitem__(self, key: str) -> Any:
        return self.arguments[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.arguments.get(key, default)


@dataclass
class TorchBuilder:
    """What converters use to look at arguments and to add nodes."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    values: dict[FxNode, Any] = field(default_factory=dict)
    where: str = ""

    def value(self, argument: Any) -> Value:
        """The tensor an argument stands for; numbers and arrays become constants."""
        if isinstance(argument, FxNode):
            found = self.values[argument]
            return found if isinstance(found, Value) else self.constant(np.asarray(found, np.float32))
        return self.constant(np.asarray(argument, np.float32))

    def tensor(self, value: Value) -> Tensor:
        return self.tensors[value.name]

    def shape(self, value: Value) -> tuple[int, ...]:
        """Torch's shape: dimensions in torch's order."""
        stored = self.tensor(value).shape
        return tuple(stored[value.order.index(d)] for d in range(len(stored)))

    def is_constant(self, argument: Any) -> bool:
        return not isinstance(argument, FxNode) or self.tensor(self.value(argument)).constant

    def data(self, argument: Any) -> Array:
        """The numbers of a constant argument, in torch's dimension order."""
        value = self.value(argument)
        found = self.tensor(value).data
        if found is None:
            raise UserError(f"layer '{self.where}': weights that are computed at run time are not supported")
        return np.transpose(found, [value.order.index(d) for d in range(found.ndim)])

    def constant(self, data: Array) -> Value:
        name = f"{self.where or 'constant'}.c{len(self.tensors)}"
        data = np.array(data, order="C")
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), data=data)
        return Value(name, tuple(range(data.ndim)))

    def add(self, op: Op, ins: Sequence[Value], order: tuple[int, ...] | None = None) -> Value:
        """Append a node; the result keeps the first input's dimension order unless another is given."""
        sources = [self.tensor(v) for v in ins]
        (shape,) = op.infer(sources)
        name = f"{self.where}.{op.name}{len(self.nodes)}"
        self.tensors[name] = Tensor(name, shape, op.result_dtype(sources))
        self.nodes.append(Node(op, tuple(v.name for v in ins), (name,), self.where))
        if order is None:
            order = ins[0].order if len(ins[0].order) == len(shape) else tuple(range(len(shape)))
        return Value(name, order)

    def axis(self, value: Value, dim: int) -> int:
        """Where torch's dimension `dim` is stored."""
        return value.order.index(dim % len(value.order))

    def reorder(self, value: Value, order: tuple[int, ...]) -> Value:
        """The same value stored in another order of dimensions; free where only axes of size one move."""
        if value.order == order:
            return value
        perm = tuple(value.order.index(d) for d in order)
        t = self.tensor(value)
        if t.data is not None:
            return Value(self.constant(np.transpose(t.data, perm)).name, order)
        moving = [p for p in perm if t.shape[p] != 1]
        if moving == sorted(moving):
            return self.add(Reshape(tuple(t.shape[p] for p in perm)), [value], order)
        return self.add(Transpose(perm), [value], order)

    def logical(self, value: Value) -> Value:
        """Stored in torch's own order, for operators that count elements (reshape)."""
        return self.reorder(value, tuple(range(len(value.order))))

    def channels_last(self, value: Value) -> Value:
        """Stored as NHWC, for operators over planes."""
        if len(value.order) != 4:
            raise UserError(f"layer '{self.where}': expected 4 dimensions, found {len(value.order)}")
        return self.reorder(value, NHWC)


def load_torch(module: torch.nn.Module, example: torch.Tensor | Array) -> Graph:
    """The float graph of a module in eval mode; `example` is one input with batch 1, in torch's layout."""
    example = torch.as_tensor(example)
    modes = [(m, m.training) for m in module.modules()]
    try:
        program = torch.export.export(module.eval(), (example,))
    except Exception as error:  # torch.export raises many types; all mean the same to the user
        raise UserError(f"torch.export cannot trace the module: {error}") from error
    finally:
        for m, training in modes:  # each its own: some of a training model's layers may be frozen
            m.training = training
    return _convert(program)


def _convert(program: torch.export.ExportedProgram) -> Graph:
    b = TorchBuilder()
    inputs: list[str] = []
    constants = _constants(program)
    fx = program.graph_module.graph
    for node in fx.nodes:
        if node.op == "placeholder":
            if node.name in constants:
                b.where = node.name
                b.values[node] = b.constant(constants[node.name])
            else:
                b.values[node] = _input(b, node)
                inputs.append(b.values[node].name)
        elif node.op == "call_function":
            b.where = _module_path(node)
            b.values[node] = _call(b, node)
    outputs = tuple(_output(b, arg) for arg in _flat(fx.output_node().args[0]))
    graph = Graph(tuple(inputs), outputs, tuple(b.nodes), b.tensors)
    return verify(graph.with_nodes(graph.nodes))


def _constants(program: torch.export.ExportedProgram) -> dict[str, Array]:
    """Placeholder name -> numbers, for parameters, buffers and lifted constants."""
    signature = program.graph_signature
    state: dict[str, Any] = {**program.state_dict, **program.constants}
    found = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {name: _finite(key, state[key].detach().cpu().numpy()) for name, key in found.items()}


def _finite(key: str, data: Array) -> Array:
    strange = np.count_nonzero(~np.isfinite(data)) if data.dtype.kind == "f" else 0
    if strange:
        raise UserError(
            f"'{key}' holds NaN or infinite values ({strange} of {data.size}); train the model again"
        )
    return data


def _input(b: TorchBuilder, node: FxNode) -> Value:
    shape = tuple(int(d) for d in node.meta["val"].shape)
    if not shape or shape[0] != 1:
        raise UserError(
            f"the example input has shape {shape}; give one sample with a leading batch dimension of 1"
        )
    order = NHWC if len(shape) == 4 else tuple(range(len(shape)))
    b.tensors[node.name] = Tensor(node.name, tuple(shape[d] for d in order))
    return Value(node.name, order)


def _output(b: TorchBuilder, argument: Any) -> str:
    """An output is stored as an input is: planes channels-last, everything else in torch's order."""
    value = b.value(argument)
    return (b.channels_last(value) if len(value.order) == 4 else b.logical(value)).name


def _module_path(node: FxNode) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return (paths[-1] if paths else node.name).replace("L__self___", "").removeprefix("L['self'].")


def _call(b: TorchBuilder, node: FxNode) -> Any:
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, FxNode)
        return b.values[source][index]
    target = getattr(node.target, "_schema", None)
    if target is None:
        raise UserError(f"layer '{b.where}': '{node.target}' is not an ATen operator")
    name = target.name.split("::")[-1]
    converter = torch_converters().get(name) or torch_converters().get(name.rstrip("_"))
    if converter is None:
        known = ", ".join(sorted(torch_converters()))
        raise UserError(f"layer '{b.where}': operator '{name}' is not supported. Supported: {known}")
    arguments = {a.name: a.default_value for a in target.arguments if a.has_default_value()}
    arguments.update(zip((a.name for a in target.arguments), node.args, strict=False))
    arguments.update(node.kwargs)
    return converter(b, Call(name, arguments, b.where))


def _flat(tree: Any) -> Iterator[Any]:
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _flat(item)
    else:
        yield tree
