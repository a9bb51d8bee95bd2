"""What convolutions share: windows in numpy, requantization parameters, the proof the fast kernels need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lilliput import fixed
from lilliput.fixed import Clamp
from lilliput.graph import Array, Shape
from lilliput.op import Params, Rows, Site

HERE = Path(__file__).parent
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


@dataclass(frozen=True)
class Geometry:
    """What one call of a row kernel needs to know: an input row, an output row, the window between them."""

    iw: int
    ic: int
    ow: int
    oc: int
    kh: int = 1
    kw: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0


class Windowed(Protocol):
    """The attributes that describe a sliding window."""

    @property
    def stride(self) -> Pair: ...
    @property
    def padding(self) -> Padding: ...
    @property
    def dilation(self) -> Pair: ...


def out_size(size: int, window: int, stride: int, dilation: int, pad: Pair) -> int:
    """Output positions of a window along one axis."""
    return (size + sum(pad) - dilation * (window - 1) - 1) // stride + 1


def windows(x: Array, op: Windowed, kernel: Pair, pad_value: float) -> Array:
    """(N, H, W, C) -> (N, OH, OW, KH, KW, C), a view of the padded input."""
    (top, bottom), (left, right) = op.padding
    if any((top, bottom, left, right)):
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
    span = tuple(d * (k - 1) + 1 for d, k in zip(op.dilation, kernel, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))
    view = view[:, :: op.stride[0], :: op.stride[1], :, :: op.dilation[0], :: op.dilation[1]]
    return np.moveaxis(view, 3, 5)


def effective_scale(site: Site) -> Array:
    """input scale x weight scale / output scale per channel, in double; TFLM's CONV_2D."""
    scales = site.ins[1].q.scale.astype(np.float64)
    return np.asarray(np.float64(site.x.q.s) * scales / np.float64(site.y.q.s))


def requantization(channels: int, scale: Array) -> tuple[Array, Array]:
    """Multiplier and shift (negative is right) of every output channel."""
    m, shift = fixed.multipliers(scale)
    return np.broadcast_to(m, channels).copy(), np.broadcast_to(shift, channels).copy()


def bounds(site: Site, clamp: Clamp) -> Pair:
    return fixed.clamp_range(clamp, site.y.q, site.y.dtype)


def float_bounds(clamp: Clamp) -> tuple[float, float]:
    return clamp if clamp else (-np.inf, np.inf)


def finish(site: Site, acc: Array, bias: Array, clamp: Clamp) -> Array:
    """The result of a layer from its sums of products, output channel last: bias, requantization, clamp."""
    if not site.integer:
        return np.asarray(np.clip(acc + bias, *float_bounds(clamp)).astype(np.float32))
    if site.y.dtype == "int16":
        from lilliput.ops.conv import kernels_int16

        return kernels_int16.finish(site, acc, bias, bounds(site, clamp))
    m, shift = requantization(len(bias), effective_scale(site))
    total = acc.astype(np.int64) + bias
    return fixed.finish(total, m, shift, site.y.q.z, bounds(site, clamp), site.y.dtype)


def clip_f32(clamp: Clamp) -> Params:
    lo, hi = fixed.float_range(clamp)
    return {"lo": lo, "hi": hi}


def geometry(site: Site, op: Windowed, kernel: Pair) -> Geometry:
    _, _, iw, ic = site.x.shape
    _, _, ow, oc = site.y.shape
    return Geometry(iw, ic, ow, oc, *kernel, op.stride[1], op.dilation[1], op.padding[1][0])


def one_long_row(site: Site) -> Geometry:
    """Where no window spans pixels, all of them may be one row: channels last in and out."""
    ic, oc = site.x.shape[-1], site.y.shape[-1]
    return Geometry(site.x.size // ic, ic, site.y.size // oc, oc)


def row_schedule(site: Site, op: Windowed, taps: int, pad_value: int | float) -> Rows:
    """One call per output row of an NHWC tensor."""
    _, ih, iw, ic = site.x.shape
    _, oh, ow, oc = site.y.shape
    item = site.x.nbytes // site.x.size
    return Rows(
        in_rows=ih,
        in_pitch=iw * ic * item,
        out_rows=oh,
        out_pitch=ow * oc * item,
        taps=taps,
        stride=op.stride[0],
        dilation=op.dilation[0],
        pad=op.padding[0][0],
        pad_value=pad_value,
        pad_length=iw * ic,
        dtype=site.x.dtype,
        batches=site.x.shape[0],
    )


def pack_4(rows: Array) -> Array:
    """[channel, taps] -> blocks of four channels interleaved tap by tap, then the channels left over."""
    whole = len(rows) // 4 * 4
    blocks = rows[:whole].reshape(-1, 4, rows.shape[1]).transpose(0, 2, 1)
    return np.concatenate([blocks.reshape(-1), rows[whole:].reshape(-1)])


def pack_quantization(bias: Array, m: Array, n: Array) -> Array:
    """Fours of channels as {bias[4], mult[4], four right shifts in a word}; then {bias, mult, shift} each."""
    whole = len(bias) // 4 * 4
    shifts = (n[:whole].reshape(-1, 4).astype(np.int64) << [0, 8, 16, 24]).sum(1, keepdims=True)
    blocks = np.concatenate([bias[:whole].reshape(-1, 4), m[:whole].reshape(-1, 4), shifts], axis=1)
    rest = np.stack([bias, m, n], axis=1)[whole:]
    return np.concatenate([blocks.reshape(-1), rest.reshape(-1)]).astype(np.int32)


def random_clamp(rng: np.random.Generator) -> Clamp:
    """No clamp, ReLU or ReLU6, for random graphs."""
    choices: tuple[Clamp, ...] = (None, None, (0.0, float("inf")), (0.0, 6.0))
    return choices[int(rng.integers(len(choices)))]


def random_window(rng: np.random.Generator, shape: Shape) -> tuple[Pair, dict[str, Any]] | None:
    """A window that fits a plane, with its stride, padding and dilation, for random graphs."""
    if len(shape) != 4 or shape[0] != 1:
        return None
    kernel, stride, dilation, padding = [], [], [], []
    for size in shape[1:3]:
        k = int(rng.choice([1, 1, 2, 3, 3, 5]))
        d = int(rng.choice([1, 1, 1, 2])) if k > 1 else 1
        before, after = (int(v) for v in rng.integers(0, k, 2))
        if size + before + after < d * (k - 1) + 1:
            k, d, before, after = 1, 1, 0, 0
        kernel.append(k)
        stride.append(int(rng.choice([1, 1, 2, 3])))
        dilation.append(d)
        padding.append((before, after))
    attributes = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation)}
    return (kernel[0], kernel[1]), attributes
