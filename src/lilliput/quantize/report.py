"""How far int8 is from float32, layer by layer: the signal to quantization noise ratio."""

from __future__ import annotations

import math

import numpy as np

from lilliput.evaluate import all_tensors
from lilliput.graph import Array, Graph
from lilliput.report.data import SqnrRow


def sqnr(float_graph: Graph, int8_graph: Graph, samples: Array) -> tuple[SqnrRow, ...]:
    """Signal over noise power in dB for each layer's result over the samples (float input); inf where equal.

    `int8_graph` is what `quantize` made of `float_graph`: their tensors share names.
    """
    real, integers = all_tensors(float_graph, samples), all_tensors(int8_graph, samples)
    rows = []
    for site in float_graph.sites():
        t = int8_graph.tensors.get(site.y.name)
        if site.op.view or t is None or t.quant is None:
            continue
        exact, coarse = real[t.name], t.quant.dequantize(integers[t.name])
        rows.append(SqnrRow(site.name or t.name, site.op.name, _decibels(exact, coarse)))
    return tuple(rows)


def _decibels(exact: Array, coarse: Array) -> float:
    wide = exact.astype(np.float64)
    signal, noise = float(np.square(wide).sum()), float(np.square(wide - coarse).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
