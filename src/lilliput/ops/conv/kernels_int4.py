"""Kernels for weights of four bits, two to a byte in flash; the sums and results are those of int8 layers.

The rule, in one place: a constant of type int4 is computed by these kernels and by no other, so that flash holds it
packed, for that is why a model has it. Where speed matters more than flash, `widened` makes int8 of it beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lilliput.graph import Array, Graph
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common, kernels


def widened(graph: Graph) -> Graph:
    """The graph with its int4 constants as int8: twice the flash, the same results, faster kernels."""
    tensors = {n: replace(t, dtype="int8") if t.dtype == "int4" else t for n, t in graph.tensors.items()}
    return replace(graph, tensors=tensors)


def is_s4(site: Site) -> bool:
    """int8 activations and int4 weights."""
    constant = all(t.constant for t in site.ins[1:])
    return constant and site.x.dtype == site.y.dtype == "int8" and site.ins[1].dtype == "int4"


def packed(values: Array) -> Array:
    """Two to a byte, the low half first; the last byte of an odd number has an empty half."""
    flat = values.reshape(-1).astype(np.int64) & 15
    pairs = np.pad(flat, (0, flat.size % 2)).reshape(-1, 2)
    return np.asarray(pairs[:, 0] | pairs[:, 1] << 4, np.uint8)


def packed_fours(rows: Array) -> Array:
    """[channel, taps] -> blocks of four channels tap by tap, then the channels left over, each from a whole byte."""
    whole = len(rows) // 4 * 4
    parts = [packed(common.pack_4(rows[:whole])), *(packed(row) for row in rows[whole:])]
    return np.concatenate(parts)


def _op(site: Site) -> Any:
    return site.op


def _pairs(site: Site) -> Params:
    params = _repacked(kernels.CONV_S8_4X2)(site)
    return {**params, "w": params["w"].view(np.int8)}  # the struct is that of int8


def _rows(site: Site) -> Rows:
    rows: Rows = _op(site).rows(site)
    return rows


def _conv(site: Site) -> Params:
    params = dict(kernels.CONV_S8.params(site))
    return {**params, "w": packed(np.asarray(site.ins[1].data))}


def _when_4x2(site: Site) -> bool:
    """As for int8: two pixels in a row, no groups, and only shifts to the right."""
    return is_s4(site) and kernels.two_pixels(site)


def _when_4x1(site: Site) -> bool:
    return is_s4(site) and kernels.one_pixel(site)


def _repacked(kernel: Kernel) -> Any:
    """The parameters of an int8 kernel that reads channels in fours, with packed weights."""

    def params(site: Site) -> Params:
        weights, bias = kernels.constants(site)
        channels = kernels.channels_of(site, weights, bias)
        return {**kernel.params(site), "w": packed_fours(channels.weights)}

    return params


CONV_S4 = (
    Kernel(
        common.HERE / "conv_s4_4x2.c",
        _when_4x2,
        _pairs,
        _rows,
        scratch=kernels.CONV_S8_4X2.scratch,
        overlap=kernels.CONV_S8_4X2.overlap,
    ),
    Kernel(common.HERE / "conv_s4_4x1.c", _when_4x1, _repacked(kernels.CONV_S8_4X1), _rows),
    Kernel(common.HERE / "conv_s4.c", is_s4, _conv, _rows),
)
"""From the fastest to the simplest."""
