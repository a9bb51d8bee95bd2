"""What rounding costs: decisions of an integer graph that differ from the float one, and how far numbers are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.evaluate import outputs
from lilliput.graph import Array, Graph


@dataclass(frozen=True)
class OutputLoss:
    """One output over the samples: how many integer results differ, or the differences of real ones."""

    name: str
    samples: int
    different: int
    largest: float
    mean: float


def loss(graph: Graph, integers: Graph, samples: Array) -> tuple[OutputLoss, ...]:
    """Per output of `graph`, against `integers`, which `quantize` made of it; samples are real."""
    before, after = outputs(graph, samples), outputs(integers, samples)
    rows = []
    for name, new in zip(graph.outputs, integers.outputs, strict=True):
        real, found = before[name].astype(np.float64), after[new]
        quant = integers.tensors[new].quant
        if before[name].dtype != np.float32:
            differ = int((before[name] != found).reshape(len(found), -1).any(axis=1).sum())
            rows.append(OutputLoss(name, len(samples), differ, 0.0, 0.0))
            continue
        gap = np.abs(real - (found if quant is None else quant.dequantize(found)))
        rows.append(OutputLoss(name, len(samples), 0, float(gap.max()), float(gap.mean())))
    return tuple(rows)
