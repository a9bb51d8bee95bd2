"""PyTorch -> Graph through `torch.export`, without decompositions. Planes become channels-last on the way."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.fx import Node as FxNode

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Tensor, verify
from lilliput.importers.builder import NHWC, Builder
from lilliput.importers.builder import Value as Value
from lilliput.importers.registry import torch_converters


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
class TorchBuilder(Builder):
    """What converters use to look at arguments and to add nodes."""

    values: dict[FxNode, Any] = field(default_factory=dict)

    def value(self, argument: Any) -> Value:
        """The tensor an argument stands for; numbers and arrays become constants."""
        if isinstance(argument, FxNode):
            found = self.values[argument]
            return found if isinstance(found, Value) else self.constant(np.asarray(found, np.float32))
        return self.constant(np.asarray(argument, np.float32))

    def is_constant(self, argument: Any) -> bool:
        return not isinstance(argument, FxNode) or self.tensor(self.value(argument)).constant

    def data(self, argument: Any) -> Array:
        """The numbers of a constant argument, in torch's dimension order."""
        found = self.numbers(self.value(argument))
        if found is None:
            raise UserError(f"layer '{self.where}': weights that are computed at run time are not supported")
        return found


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
