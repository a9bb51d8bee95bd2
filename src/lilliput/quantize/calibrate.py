"""Calibration: the range of every activation over a sample set, by min-max, percentile or least squared error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import Samples, run, sample_count
from lilliput.graph import Array, Graph, Quant
from lilliput.quantize.hidden import cut, least_that_counts, rows_read, within

Method = Literal["minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
Range = tuple[float, float]
BINS = 2048
TAIL = 1e-4
"""Share of the values that `percentile` lets saturate, half at each end."""


def calibrate(graph: Graph, samples: Samples, method: Method = "minmax") -> dict[str, Range]:
    """Tensor name -> (low, high) for every activation of a float graph."""
    if method not in METHODS:
        raise UserError(f"unknown calibration method '{method}'; choose one of {', '.join(METHODS)}")
    if sample_count(samples) == 0:
        raise UserError("the calibration set is empty; a few hundred typical samples are enough")
    ranges = _extremes(graph, samples)
    if method == "minmax":
        return ranges
    choose = _percentile if method == "percentile" else _least_squares
    kept = cut(graph, ranges).ranges  # what will be cut, an absurd range, tells nothing in bins
    wide = {name: (lo, hi) for name, (lo, hi) in ranges.items() if lo < hi and kept[name] == (lo, hi)}
    counts = _histograms(graph, samples, wide)
    return ranges | {name: choose(counts[name], lo, hi) for name, (lo, hi) in wide.items()}


def _extremes(graph: Graph, samples: Samples) -> dict[str, Range]:
    """The least and the greatest; of what is read near the greatest of a row only, the least that counts."""
    ranges: dict[str, Range] = {}
    reaches = rows_read(graph)
    greatest: dict[str, list[Array]] = {name: [] for name in reaches}

    def watch(name: str, value: Array) -> None:
        if value.dtype != np.float32:
            return
        if name in reaches:
            greatest[name].append(value.max(-1))
        lo, hi = float(value.min()), float(value.max())
        if not (np.isfinite(lo) and np.isfinite(hi)):
            raise UserError(
                f"calibration: tensor '{name}' becomes NaN or infinite; check the model and the samples"
            )
        old = ranges.get(name, (lo, hi))
        ranges[name] = (min(lo, old[0]), max(hi, old[1]))

    run(graph, samples, watch)
    for name, rows in greatest.items():
        lo, hi = ranges[name]
        ranges[name] = within((lo, hi), (least_that_counts(rows, reaches[name]), hi))
    return ranges


def _histograms(graph: Graph, samples: Samples, ranges: Mapping[str, Range]) -> dict[str, Array]:
    counts = {name: np.zeros(BINS, np.int64) for name in ranges}

    def watch(name: str, value: Array) -> None:
        if name in counts:
            # float64: 2048 bins of a narrow range may lie closer than float32 can tell apart.
            counts[name] += np.histogram(value.astype(np.float64), BINS, ranges[name])[0]

    run(graph, samples, watch)
    return counts


def _percentile(counts: Array, lo: float, hi: float) -> Range:
    share = np.cumsum(counts) / max(counts.sum(), 1)
    edges = np.linspace(lo, hi, BINS + 1)
    first = int(np.searchsorted(share, TAIL / 2, side="right"))
    last = int(np.searchsorted(share, 1 - TAIL / 2, side="left"))
    return float(edges[first]), float(edges[min(last + 1, BINS)])


def _least_squares(counts: Array, lo: float, hi: float) -> Range:
    """The range, cut at both ends in steps, whose 255 intervals give the least squared error on the histogram."""
    centres = lo + (np.arange(BINS) + 0.5) * (hi - lo) / BINS
    best, error = (lo, hi), np.inf
    for cut_lo in np.linspace(1.0, 0.3, 15) if lo < 0 else (1.0,):
        for cut_hi in np.linspace(1.0, 0.3, 15):
            a, b = lo * cut_lo, hi * cut_hi
            quant = range_quant(a, b)
            # float64 and no int8 cast: hundreds of candidates per tensor.
            steps = np.clip(np.round(centres / float(quant.s)) + quant.z, -128, 127) - quant.z
            found = float((counts * (steps * float(quant.s) - centres) ** 2).sum())
            if found < error:
                best, error = (a, b), found
    return best


def range_quant(lo: float, hi: float, dtype: str = "int8") -> Quant:
    """The quantization of a range, widened to hold zero exactly: asymmetric int8, symmetric int16."""
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    if hi - lo < 1e-30:  # a tensor that is always zero
        return Quant.per_tensor(1.0, 0)
    if dtype == "int16":
        return Quant.per_tensor(float(max(np.float32(max(-lo, hi) / 32767), np.finfo(np.float32).tiny)), 0)
    scale = np.float32((hi - lo) / 255)
    scale = max(scale, np.finfo(np.float32).tiny)
    zero = int(np.clip(np.round(-128 - lo / float(scale)), -128, 127))
    return Quant.per_tensor(float(scale), zero)
