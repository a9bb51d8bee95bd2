"""Small graphs for tests: built node by node, float or int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.examples import ranges_of
from lilliput.graph import Array, Graph, Node, Shape, Tensor, verify
from lilliput.op import Op
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Reshape
from lilliput.quantize import quantize

SAME = ((1, 1), (1, 1))
RELU = (0.0, float("inf"))


@dataclass
class Builder:
    """Appends nodes to a float graph; `rng` makes the weights."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.tensors[name] = Tensor(name, shape)
        self.inputs.append(name)
        return name

    def constant(self, data: Array | Sequence[float], name: str = "") -> str:
        name = name or f"c{len(self.tensors)}"
        array = np.asarray(data, np.float32)
        self.tensors[name] = Tensor(name, array.shape, data=array)
        return name

    def random(self, *shape: int, size: float = 0.4) -> str:
        return self.constant(self.rng.normal(0, size, shape))

    def add(self, op: Op, *ins: str, name: str = "") -> str:
        """Append a node with one result; gives the name of that."""
        sources = [self.tensors[i] for i in ins]
        (shape,) = op.infer(sources)
        out = f"y{len(self.nodes)}"
        self.tensors[out] = Tensor(out, shape, op.result_dtype(sources))
        self.nodes.append(Node(op, ins, (out,), name or f"{op.name}_{len(self.nodes)}"))
        return out

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def conv(self, x: str, channels: int, kernel: int = 3, op: Conv2d | None = None, name: str = "") -> str:
        op = op or Conv2d(padding=SAME if kernel == 3 else ((0, 0), (0, 0)))
        w = self.random(channels, kernel, kernel, self.shape(x)[3] // op.groups)
        return self.add(op, x, w, self.random(channels), name=name)

    def depthwise(self, x: str, op: DepthwiseConv2d | None = None) -> str:
        channels = self.shape(x)[3]
        return self.add(
            op or DepthwiseConv2d(padding=SAME), x, self.random(1, 3, 3, channels), self.random(channels)
        )

    def linear(self, x: str, out: int, name: str = "") -> str:
        return self.add(Linear(), x, self.random(out, self.shape(x)[-1]), self.random(out), name=name)

    def graph(self, *outputs: str) -> Graph:
        made = Graph(tuple(self.inputs), outputs, tuple(self.nodes), self.tensors)
        return verify(made.with_nodes(made.nodes))


def small_cnn(labels: Sequence[str] = ()) -> Graph:
    """Conv, depthwise, a residual pointwise, mean over the plane, linear: one input, ten results."""
    b = Builder()
    x = b.input(1, 8, 8, 3)
    first = b.conv(x, 8, op=Conv2d(padding=SAME, stride=(2, 2), clamp=RELU), name="stem")
    second = b.depthwise(first, DepthwiseConv2d(padding=SAME, clamp=RELU))
    third = b.conv(second, 8, 1, name="point")
    joined = b.add(Add(), first, third, name="join")
    flat = b.add(Reshape((1, 8)), b.add(Mean((1, 2)), joined))
    graph = b.graph(b.linear(flat, 10, name="classify"))
    return replace(graph, meta={"labels": list(labels)}) if labels else graph


def int8(graph: Graph, seed: int = 0) -> Graph:
    """The int8 form over random ranges."""
    return quantize(graph, ranges=ranges_of(graph, seed))
