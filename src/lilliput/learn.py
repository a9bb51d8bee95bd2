"""A graph as a differentiable torch module: every operator's torch form, the float constants as parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lilliput.errors import UserError
from lilliput.graph import Graph


class GraphModule(nn.Module):
    """Runs a float graph in torch, channels-last as the graph has it. Constants are trainable."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        if graph.states:
            raise UserError("the model keeps states from run to run; train it first, then make it stateful")
        integers = [t.name for t in graph.tensors.values() if t.quant is not None]
        if integers:
            raise UserError(
                f"only a float graph has a differentiable form; tensor '{integers[0]}' is quantized"
            )
        self.graph = graph
        self.slots: dict[str, str] = {}
        for i, t in enumerate(t for t in graph.tensors.values() if t.data is not None):
            value = torch.tensor(t.data)
            self.slots[t.name] = f"c{i}"
            if value.is_floating_point():
                self.register_parameter(f"c{i}", nn.Parameter(value))
            else:
                self.register_buffer(f"c{i}", value)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One tensor, or a tuple in the order of the graph's outputs."""
        values: dict[str, Tensor] = dict(zip(self.graph.inputs, inputs, strict=True))
        values.update({name: getattr(self, slot) for name, slot in self.slots.items()})
        for node in self.graph.nodes:
            result = node.op.torch(self.graph.site(node), *(values[name] for name in node.inputs))
            results = result if isinstance(result, tuple) else (result,)
            values.update(zip(node.outputs, results, strict=True))
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs[0] if len(outputs) == 1 else outputs


def to_torch(graph: Graph) -> GraphModule:
    """The differentiable module of a float graph, whatever it was imported from."""
    return GraphModule(graph)
