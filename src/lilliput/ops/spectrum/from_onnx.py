"""How ONNX's Fourier transforms, windows and mel weights become ours. Sizes must be known: windows are constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.spectrum.dft import Dft

if TYPE_CHECKING:
    from lilliput.graph import Array
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

LARGEST = 1 << 16
"""Samples of a transform or a window: more than any microcontroller holds."""
WINDOWS = {
    "HannWindow": (0.5, -0.5, 0.0),
    "HammingWindow": (25 / 46, -21 / 46, 0.0),
    "BlackmanWindow": (0.42, -0.5, 0.08),
}
"""Coefficients of 1, cos(a) and cos(2 a) for angles a along the window."""


def _number(b: OnnxBuilder, n: OnnxNode, i: int) -> int:
    return int(b.data(n, i).reshape(-1)[0])


def _size(n: OnnxNode, what: str, found: int) -> int:
    if not 1 <= found <= LARGEST:
        raise UserError(f"{n.where}: {what} is {found}, expected 1 to {LARGEST}")
    return found


@onnx(*WINDOWS)
def window(b: OnnxBuilder, n: OnnxNode) -> Value:
    size = _size(n, "size", _number(b, n, 0))
    whole = size if n.attr("periodic", 1) else max(size - 1, 1)
    angle = 2 * np.pi * np.arange(size) / whole
    one, first, second = WINDOWS[n.op]
    return b.constant((one + first * np.cos(angle) + second * np.cos(2 * angle)).astype(np.float32))


@onnx("MelWeightMatrix")
def mel_weights(b: OnnxBuilder, n: OnnxNode) -> Value:
    bins, length, rate = (_size(n, f"input {i}", _number(b, n, i)) for i in range(3))
    edges = np.array([float(b.data(n, i).reshape(-1)[0]) for i in (3, 4)])
    low, high = 2595 * np.log10(1 + edges / 700)
    mel = low + np.arange(bins + 2) * (high - low) / (bins + 2)
    points = ((length + 1) * 700 * (10 ** (mel / 2595) - 1) // rate).astype(int)
    if points.min() < 0 or points.max() > length // 2:
        raise UserError(
            f"{n.where}: frequencies {edges.tolist()} lie outside a spectrum of {length} at {rate} Hz"
        )
    return b.constant(_triangles(points, length // 2 + 1))


def _triangles(points: Array, rows: int) -> Array:
    """[rows, bins]: up from one point to the next and down to the one after."""
    weights = np.zeros((rows, len(points) - 2), np.float32)
    for i, (left, centre, right) in enumerate(zip(points, points[1:], points[2:], strict=False)):
        weights[centre, i] = 1
        weights[left:centre, i] = (np.arange(left, centre) - left) / max(centre - left, 1)
        weights[centre:right, i] = (right - np.arange(centre, right)) / max(right - centre, 1)
    return weights


def _transform(
    b: OnnxBuilder, n: OnnxNode, x: Value, dim: int, length: int, inverse: bool, onesided: bool
) -> Value:
    """The transform along a dimension of a signal whose last dimension are the parts of complex numbers."""
    last = len(x.order) - 1
    if x.order[-1] != last:
        x = b.logical(x)
    return b.add(Dft(b.axis(x, dim), _size(n, "the length", length), inverse, onesided), [x])


@onnx("DFT")
def dft(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    rank = len(x.order)
    given = _number(b, n, 2) if b.has(n, 2) else int(n.attr("axis", 1 if n.version < 20 else -2))
    if not -rank <= given < rank or given % rank == rank - 1:
        raise UserError(
            f"{n.where}: axis {given} of a signal of {rank} dimensions, the last one for the parts"
        )
    dim, inverse, onesided = given % rank, bool(n.attr("inverse", 0)), bool(n.attr("onesided", 0))
    size = b.shape(x)[dim]
    length = 2 * (size - 1) if inverse and onesided else size
    return _transform(b, n, x, dim, _number(b, n, 1) if b.has(n, 1) else length, inverse, onesided)


@onnx("STFT")
def stft(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Frames of the signal, weighted by a window and transformed."""
    x, step = b.value(n, 0), _size(n, "the step", _number(b, n, 1))
    if len(x.order) == 2:
        x = ask(b, n, "Unsqueeze", [x, b.constant(np.array([2], np.int64))])
    shape = b.shape(x)
    weights = b.optional(n, 2)
    length = _number(b, n, 3) if b.has(n, 3) else shape[1] if weights is None else len(weights)
    if not 1 <= length <= shape[1]:
        raise UserError(f"{n.where}: frames of {length} of a signal of {shape[1]} samples")
    starts = np.arange(0, shape[1] - length + 1, step)
    b.afford(len(starts) * length)
    frames = b.constant(starts[:, None] + np.arange(length, dtype=np.int64))
    y = ask(b, n, "Gather", [x, frames], axis=1)
    if weights is not None:
        y = ask(b, n, "Mul", [y, b.constant(weights.astype(np.float32).reshape(-1, 1))])
    onesided = bool(n.attr("onesided", 1)) and shape[2] == 1
    return _transform(b, n, y, 2, length, False, onesided)
