"""PyTorch -> Graph through `torch.export`, without decompositions. Planes become channels-last on the way."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch.fx import Node as FxNode

from lilliput.errors import UserError
from lilliput.graph import INT_RANGE, ITEM_SIZE, Array, Graph, Tensor, verify
from lilliput.importers.alternatives import alternatives
from lilliput.importers.builder import NHWC, Builder
from lilliput.importers.builder import Value as Value
from lilliput.importers.registry import moves_axes, torch_converters, wants_planes


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
    integers: str | None = None
    """The type of the tensors of the call that is converted, where all of them hold integers."""

    def value(self, argument: Any) -> Value:
        """The tensor an argument stands for; numbers become constants.

        They are real, but for a whole number beside tensors of integers.
        """
        found = self.values[argument] if isinstance(argument, FxNode) else argument
        if isinstance(found, Value):
            return found
        whole = self.integers if isinstance(found, int) and not isinstance(found, bool) else None
        if whole is not None and not np.iinfo(whole).min <= found <= np.iinfo(whole).max:
            raise UserError(f"layer '{self.where}': {found} does not fit the {whole} of the other operand")
        return self.constant(np.asarray(found, whole or "float32"))

    def is_constant(self, argument: Any) -> bool:
        return not isinstance(argument, FxNode) or self.tensor(self.value(argument)).constant

    def data(self, argument: Any) -> Array:
        """The numbers of a constant argument, in torch's dimension order."""
        found = self.numbers(self.value(argument))
        if found is None:
            raise UserError(f"layer '{self.where}': weights that are computed at run time are not supported")
        return found


Examples = torch.Tensor | Array | tuple[torch.Tensor | Array, ...]


def load_torch(module: torch.nn.Module, example: Examples) -> Graph:
    """The float graph of a module in eval mode; `example` is one input with batch 1, in torch's layout, or all of them.

    Planes are stored channels-last, those of images always, others where the model computes on planes before it moves
    their axes: `meta["orders"]` tells for inputs and outputs of other than four dimensions.
    """
    examples = tuple(torch.as_tensor(x) for x in (example if isinstance(example, tuple) else (example,)))
    modes = [(m, m.training) for m in module.modules()]
    try:
        with warnings.catch_warnings():
            # torch's own recurrent layers renew a list of their weights whenever they run.
            warnings.filterwarnings("ignore", r"The tensor attributes? .*_flat_weights", UserWarning)
            program = torch.export.export(module.eval(), examples)
    except Exception as error:  # torch.export raises many types; all mean the same to the user
        raise UserError(f"torch.export cannot trace the module: {error}") from error
    finally:
        for m, training in modes:  # each its own: some of a training model's layers may be frozen
            m.training = training
    return _convert(program)


def _convert(program: torch.export.ExportedProgram) -> Graph:
    b = TorchBuilder()
    inputs: list[Value] = []
    constants = _constants(program)
    fx = program.graph_module.graph
    for node in fx.nodes:
        if node.op == "placeholder":
            if node.name in constants:
                b.where = node.name
                b.values[node] = b.constant(constants[node.name])
            else:
                b.values[node] = _input(b, node)
                inputs.append(b.values[node])
        elif node.op == "call_function":
            b.where = _module_path(node)
            b.values[node] = _call(b, node)
    outputs = tuple(_output(b, arg, inputs) for arg in _flat(fx.output_node().args[0]))
    orders = {
        v.name: list(v.order)
        for v in (*inputs, *outputs)
        if len(v.order) != 4 and v.order != tuple(range(len(v.order)))
    }
    graph = Graph(
        tuple(v.name for v in inputs),
        tuple(v.name for v in outputs),
        tuple(b.nodes),
        b.tensors,
        {"orders": orders} if orders else {},
    )
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
    weights = signature.inputs_to_parameters
    return {
        name: _finite(key, state[key].detach().cpu().numpy(), masks=name not in weights)
        for name, key in found.items()
    }


def _finite(key: str, data: Array, *, masks: bool) -> Array:
    """What is no parameter may be a mask, with minus infinity where it hides something."""
    wrong = ~np.isfinite(data) & ~((data == -np.inf) & masks) if data.dtype.kind == "f" else np.zeros(0)
    strange = np.count_nonzero(wrong)
    if strange:
        raise UserError(
            f"'{key}' holds NaN or infinite values ({strange} of {data.size}); train the model again"
        )
    return data


REALS = ("float16", "bfloat16", "float32", "float64")
"""What is computed in float32."""


def _input(b: TorchBuilder, node: FxNode) -> Value:
    example = node.meta["val"]
    shape = tuple(int(d) for d in example.shape)
    dtype = str(example.dtype).removeprefix("torch.")
    dtype = "float32" if dtype in REALS else dtype
    if dtype not in ITEM_SIZE:
        raise UserError(f"input '{node.name}' has the type {dtype}; known are {', '.join(ITEM_SIZE)}")
    steps_first = len(shape) == 3 and shape[0] != 1 and shape[1] == 1  # what recurrent layers take by default
    if not shape or (shape[0] != 1 and not steps_first):
        raise UserError(
            f"the example input has shape {shape}; give one sample with a leading batch dimension of 1"
        )
    rank = len(shape)
    order = tuple(range(rank))
    if rank == 4:
        order = NHWC
    elif steps_first:
        order = (1, 0, 2)
    elif rank >= 3 and _reaches_planes(node):
        order = (0, *range(2, rank), 1)
    b.tensors[node.name] = Tensor(node.name, tuple(shape[d] for d in order), dtype)
    return Value(node.name, order)


def _reaches_planes(source: FxNode) -> bool:
    """Whether an input meets an operator over planes before its axes are moved: then it is stored channels-last."""
    seen, front = {source}, [source]
    while front:
        for user in front.pop().users:
            name = _aten(user)
            if name is None or user in seen or user.all_input_nodes[0] not in seen:
                continue
            if wants_planes(name):
                return True
            seen.add(user)
            front += [] if moves_axes(name) else [user]
    return False


def _output(b: TorchBuilder, argument: Any, inputs: list[Value]) -> Value:
    """An output is stored as an input is: planes channels-last, everything else in torch's order."""
    value = b.value(argument)
    if len(value.order) == 4:
        return b.channels_last(value)
    last = (0, *range(2, len(value.order)), 1)
    kept = value.order == last and any(v.order == last for v in inputs)
    return value if kept else b.logical(value)


def _aten(node: FxNode) -> str | None:
    """The name of an ATen operator without overload: "conv2d"; None for what is no such."""
    schema = getattr(node.target, "_schema", None)
    return None if schema is None else str(schema.name.split("::")[-1])


def _integers(b: TorchBuilder, node: FxNode) -> str | None:
    """The widest type of a call's tensors, those of truths aside, where all of them hold integers."""
    found = [b.values.get(n) for n in node.all_input_nodes]
    types = {b.tensor(v).dtype for v in found if isinstance(v, Value)} - {"bool"}
    return max(types, key=lambda t: ITEM_SIZE[t]) if types and types <= set(INT_RANGE) else None


def _module_path(node: FxNode) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return (paths[-1] if paths else node.name).replace("L__self___", "").removeprefix("L['self'].")


def _call(b: TorchBuilder, node: FxNode) -> Any:
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, FxNode)
        return b.values[source][index]
    name = _aten(node)
    if name is None:
        raise UserError(f"layer '{b.where}': '{node.target}' is not an ATen operator")
    target = cast(Any, node.target)._schema
    converter = torch_converters().get(name) or torch_converters().get(name.rstrip("_"))
    if converter is None:
        raise UserError(
            f"layer '{b.where}': operator '{name}' is not supported. {alternatives(name, torch_converters(), 'torch')}"
        )
    arguments = {a.name: a.default_value for a in target.arguments if a.has_default_value()}
    arguments.update(zip((a.name for a in target.arguments), node.args, strict=False))
    arguments.update(node.kwargs)
    b.integers = _integers(b, node)
    return converter(b, Call(name, arguments, b.where))


def _flat(tree: Any) -> Iterator[Any]:
    if isinstance(tree, list | tuple):
        for item in tree:
            yield from _flat(item)
    else:
        yield tree
