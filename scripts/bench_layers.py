"""Single layers: instructions per MAC by shape and core, by type of numbers, and of recurrent cells by the step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lilliput.examples import float_graph, ranges_of
from lilliput.firmware import compile
from lilliput.graph import Graph
from lilliput.importers.torch import load_torch
from lilliput.op import Example
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.passes import simplify
from lilliput.quantize import quantize

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
class Cost:
    """One build: instructions of a run, bytes, bytes, and the kernel of the layer that has the MACs."""

    instructions: int
    macs: int
    flash: int
    ram: int
    kernel: str


def cost(graph: Graph, target: str) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        p = compile(graph, target, name="layer", out=folder).profile()
    heaviest = max(p["layers"], key=lambda layer: layer["macs"])
    return Cost(p["instructions"], p["macs"], p["flash"]["total"], p["ram"]["total"], heaviest["kernel"])


def layers() -> Iterator[tuple[str, Example]]:
    """The shape classes that networks for microcontrollers are made of."""
    rng = np.random.default_rng(0)

    def w(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    for pixels, ic, oc in ((12, 64, 64), (24, 16, 32), (24, 8, 16), (14, 48, 8), (14, 8, 48)):
        yield (
            f"pointwise {pixels}x{pixels} {ic}->{oc}",
            Example(Conv2d(), ((1, pixels, pixels, ic), w(oc, 1, 1, ic), np.zeros(oc, np.float32))),
        )
    same = ((1, 1), (1, 1))
    for size, ic, oc, stride in ((8, 16, 16, 1), (32, 3, 16, 1), (28, 1, 16, 2)):
        yield (
            f"conv 3x3 {size}x{size} {ic}->{oc} /{stride}",
            Example(
                Conv2d(stride=(stride, stride), padding=same),
                ((1, size, size, ic), w(oc, 3, 3, ic), np.zeros(oc, np.float32)),
            ),
        )
    for size, c, stride in ((12, 64, 1), (48, 8, 1), (14, 48, 2)):
        yield (
            f"depthwise 3x3 {size}x{size} {c} /{stride}",
            Example(
                DepthwiseConv2d(stride=(stride, stride), padding=same),
                ((1, size, size, c), w(1, 3, 3, c), np.zeros(c, np.float32)),
            ),
        )
    yield "linear 64->64", Example(Linear(), ((1, 64), w(64, 64), np.zeros(64, np.float32)))


def by_shape(targets: Sequence[str]) -> list[str]:
    """Instructions per MAC of int8 layers, a column per core."""
    lines = ["| layer | kernel | " + " | ".join(targets) + " |", "|---|---|" + "--:|" * len(targets)]
    for label, example in layers():
        graph = float_graph(example)
        integer = quantize(graph, ranges=ranges_of(graph, 1))
        found = [cost(integer, target) for target in targets]
        kernels = ", ".join(dict.fromkeys(c.kernel for c in found))
        counts = " | ".join(f"{c.instructions / c.macs:.2f}" for c in found)
        lines.append(f"| {label} | {kernels} | {counts} |")
    return lines


def by_type() -> list[str]:
    """The same layers in every type of numbers."""
    lines = [
        "| layer | numbers | kernel | core | per MAC | flash B | RAM B |",
        "|---|---|---|---|--:|--:|--:|",
    ]
    for label, example in layers():
        if label not in TYPED:
            continue
        graph = float_graph(example)
        ranges = ranges_of(graph, 1)
        forms = {name: quantize(graph, ranges=ranges, **options) for name, options in TYPES.items()}
        for name, form in {**forms, "float32": graph}.items():
            for core in CORES:
                c = cost(form, core)
                per_mac = f"{c.instructions / c.macs:.2f}"
                lines.append(
                    f"| {label} | {name} | {c.kernel} | {core} | {per_mac} | {c.flash:,} | {c.ram:,} |"
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
                steps = f"{c.instructions / STEPS:,.0f} | {c.instructions / c.macs:.2f}"
                lines.append(
                    f"| {name} {FEATURES}->{UNITS} | {numbers} | {core} | {steps} | {c.flash:,} | {c.ram:,} |"
                )
    return lines
