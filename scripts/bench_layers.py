"""Single layers: by shape, core and compiler; by type of numbers; recurrent cells by the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from bench_models import Cost, available, cost, gathered
from torch import nn

from lilliput.examples import float_graph, ranges_of
from lilliput.graph import Graph
from lilliput.importers.torch import load_torch
from lilliput.op import Example
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.ops.pool import AvgPool2d, MaxPool2d
from lilliput.ops.softmax import Softmax
from lilliput.passes import simplify
from lilliput.quantize import quantize
from lilliput.target import load_target

CORES = ("cortex-m0plus", "cortex-m4")
"""Where types and cells are compared."""
TYPES: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8, int4 weights": {"weights": "int4"},
    "int16, int8 weights": {"activations": "int16"},
}
TYPED = (
    "pointwise 12x12 64->64",
    "conv 3x3 8x8 16->16 /1",
    "depthwise 3x3 12x12 64 /1",
    "linear 64->64",
)
"""The shapes whose types are compared."""
STEPS, FEATURES, UNITS = 16, 9, 32


@dataclass(frozen=True)
class LayerRow:
    """An int8 layer alone, as a model: `units` are its multiply-accumulates, or its results where it has none."""

    label: str
    core: str
    compiler: str
    units: int
    cost: Cost

    @property
    def per_unit(self) -> float:
        return self.cost.instructions / self.units

    @property
    def kernel(self) -> str:
        return ", ".join(dict.fromkeys(self.cost.kernels))


def w(*shape: int) -> np.ndarray:
    """Weights, the same in every run."""
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def convolution(
    size: tuple[int, int, int], oc: int, window: int | tuple[int, int], stride: int = 1
) -> Example:
    """With TensorFlow's "same" padding: more of it behind than before."""
    taps = (window, window) if isinstance(window, int) else window
    op = Conv2d(stride=(stride, stride), padding=_same(size, taps, stride))
    return Example(op, ((1, *size), w(oc, *taps, size[2]), np.zeros(oc, np.float32)))


def depthwise(size: tuple[int, int, int], stride: int = 1) -> Example:
    op = DepthwiseConv2d(stride=(stride, stride), padding=_same(size, (3, 3), stride))
    return Example(op, ((1, *size), w(1, 3, 3, size[2]), np.zeros(size[2], np.float32)))


def _same(
    size: tuple[int, int, int], taps: tuple[int, int], stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    pads = []
    for length, taken in zip(size, taps, strict=False):
        need = max((-(-length // stride) - 1) * stride + taken - length, 0)
        pads.append((need // 2, need - need // 2))
    return pads[0], pads[1]


def linear(inputs: int, outputs: int) -> Example:
    return Example(Linear(), ((1, inputs), w(outputs, inputs), np.zeros(outputs, np.float32)))


LAYERS: Mapping[str, Example] = {
    "pointwise 12x12 64->64": convolution((12, 12, 64), 64, 1),
    "pointwise 24x24 16->32": convolution((24, 24, 16), 32, 1),
    "pointwise 24x24 8->16": convolution((24, 24, 8), 16, 1),
    "pointwise 14x14 48->8": convolution((14, 14, 48), 8, 1),
    "pointwise 14x14 8->48": convolution((14, 14, 8), 48, 1),
    "pointwise 25x5 64->64": convolution((25, 5, 64), 64, 1),
    "pointwise 3x3 256->256": convolution((3, 3, 256), 256, 1),
    "conv 1x1 32x32 16->32 /2": convolution((32, 32, 16), 32, 1, 2),
    "conv 3x3 8x8 16->16 /1": convolution((8, 8, 16), 16, 3),
    "conv 3x3 32x32 3->16 /1": convolution((32, 32, 3), 16, 3),
    "conv 3x3 32x32 16->16 /1": convolution((32, 32, 16), 16, 3),
    "conv 3x3 32x32 16->32 /2": convolution((32, 32, 16), 32, 3, 2),
    "conv 3x3 8x8 64->64 /1": convolution((8, 8, 64), 64, 3),
    "conv 3x3 96x96 3->8 /2": convolution((96, 96, 3), 8, 3, 2),
    "conv 3x3 28x28 1->16 /2": convolution((28, 28, 1), 16, 3, 2),
    "conv 10x4 49x10 1->64 /2": convolution((49, 10, 1), 64, (10, 4), 2),
    "depthwise 3x3 12x12 64 /1": depthwise((12, 12, 64)),
    "depthwise 3x3 25x5 64 /1": depthwise((25, 5, 64)),
    "depthwise 3x3 48x48 8 /1": depthwise((48, 48, 8)),
    "depthwise 3x3 48x48 16 /2": depthwise((48, 48, 16), 2),
    "depthwise 3x3 14x14 48 /2": depthwise((14, 14, 48), 2),
    "depthwise 3x3 3x3 256 /1": depthwise((3, 3, 256)),
    "linear 64->64": linear(64, 64),
    "linear 320->96": linear(320, 96),
    "add 32x32x16": Example(Add(), ((1, 32, 32, 16), (1, 32, 32, 16))),
    "avg_pool 8x8x64 to one": Example(AvgPool2d((8, 8), (8, 8)), ((1, 8, 8, 64),)),
    "max_pool 2x2 24x24x16 /2": Example(MaxPool2d((2, 2), (2, 2)), ((1, 24, 24, 16),)),
    "softmax 12": Example(Softmax(), ((1, 12),)),
}
"""The shape classes that networks for microcontrollers are made of, those of the MLPerf Tiny models among them."""
COMPILERS = ("zig", "gcc")


@cache
def integer(label: str) -> Graph:
    graph = float_graph(LAYERS[label])
    return quantize(graph, ranges=ranges_of(graph, 1))


def layer_row(label: str, core: str, compiler: str = "zig") -> LayerRow:
    graph = integer(label)
    units = graph.macs() or sum(graph.tensors[name].size for name in graph.outputs)
    return LayerRow(label, core, compiler, units, cost(graph, core, compiler=compiler))


def bench_layers(cores: Sequence[str], labels: Sequence[str] = tuple(LAYERS)) -> list[LayerRow]:
    """Every layer on every core, with each compiler that is installed."""
    compilers = {core: [c for c in COMPILERS if available(c, load_target(core).gcc_prefix)] for core in cores}
    cases = [(label, core, compiler) for label in labels for core in cores for compiler in compilers[core]]
    return gathered(cases, lambda case: layer_row(*case))


def by_type() -> list[str]:
    """The same layers in every type of numbers."""
    lines = [
        "| layer | numbers | kernel | core | per MAC | flash B | RAM B |",
        "|---|---|---|---|--:|--:|--:|",
    ]
    for label in TYPED:
        graph = float_graph(LAYERS[label])
        ranges = ranges_of(graph, 1)
        forms = {name: quantize(graph, ranges=ranges, **options) for name, options in TYPES.items()}
        for name, form in {**forms, "float32": graph}.items():
            for core in CORES:
                c = cost(form, core)
                per_mac = f"{c.instructions / form.macs():.2f}"
                lines.append(
                    f"| {label} | {name} | {c.kernels[0]} | {core} | {per_mac} | {c.flash:,} | {c.ram:,} |"
                )
    return lines


class Sequences(nn.Module):
    """A recurrent layer and a linear one on its last step."""

    def __init__(self, layer: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer = layer(FEATURES, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][:, -1])


def by_step() -> list[str]:
    """Recurrent layers: one step of a sequence."""
    lines = [
        "| layer | numbers | core | instructions per step | per MAC | flash B | RAM B |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    samples = np.random.default_rng(0).normal(size=(16, STEPS, FEATURES)).astype(np.float32)
    for name, layer in {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN}.items():
        torch.manual_seed(0)
        graph = simplify(load_torch(Sequences(layer).eval(), torch.from_numpy(samples[:1])))
        for numbers, form in {"int8, int16 states": quantize(graph, samples), "float32": graph}.items():
            for core in CORES:
                c = cost(form, core)
                steps = f"{c.instructions / STEPS:,.0f} | {c.instructions / form.macs():.2f}"
                lines.append(
                    f"| {name} {FEATURES}->{UNITS} | {numbers} | {core} | {steps} | {c.flash:,} | {c.ram:,} |"
                )
    return lines
