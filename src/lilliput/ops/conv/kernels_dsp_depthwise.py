"""Kernels of depthwise convolutions for Armv7E-M and Armv8-M cores with the DSP extension (c/depthwise_dsp.h)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from lilliput.graph import Array
from lilliput.op import Kernel, Params, Site
from lilliput.ops.conv import common
from lilliput.ops.conv.blocks import depthwise_channels, in_blocks, op_of, rows_of
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels import is_s8

FOUR = 4
"""Channels of a block."""
SIDE = 3
"""Of the window."""
COLUMN = 24
"""Bytes of a widened column of a block."""
WORDS = 16
"""Bytes of two rows of a column of a block when they are widened together."""
MOST_COLUMNS = 26
"""A longer row is computed in parts."""
SHIFT = 10
"""By which dw_s8_dsp_line.c shifts right, whatever the channel."""


def _fits(site: Site) -> bool:
    """int8, one output per input channel, at least four, and no window that lies in the padding."""
    if not is_s8(site) or site.y.shape[3] != site.x.shape[3] or site.y.shape[3] < FOUR:
        return False
    g = op_of(site).geometry(site)
    return (g.dilation == 1 or g.kw == 1) and g.pad < g.kw and (g.ow - 1) * g.stride - g.pad < g.iw


def _small(site: Site) -> bool:
    """Windows within 3 x 3."""
    g = op_of(site).geometry(site)
    return g.kh <= SIDE and g.kw <= SIDE and _fits(site)


@dataclass(frozen=True, eq=False)
class Line:
    """Per channel, how dw_s8_dsp_line.c makes results: ((2^power acc + rest) m / 2^32 + offset) / 2^SHIFT."""

    power: Array
    rest: Array
    m: Array
    offset: Array

    def least(self, results: Array) -> Array:
        """[result, channel]: the least accumulators whose results are at least these."""
        needed = ((results[:, None] << SHIFT) - self.offset) << 32
        return -(-(-(-needed // self.m) - self.rest) // (1 << self.power))


def line_of(channels: Channels) -> Line | None:
    """The constants, if they are proved to give every result.

    With k = SHIFT - n, the right shift n of a channel being smaller than SHIFT, TFLM's result is

      floor((floor(acc m / 2^31 + 1/2) + i) / 2^n) = floor((2^k acc m / 2^31 + 2^(k - 1) + 2^k i) / 2^SHIFT)

    but for halves below the zero point, which the clamp must cut off. Channels that shift further take a smaller
    multiplier, and 2^(k - 1) as a part of their accumulator: that is not exact, so that several are tried.
    """
    n = -channels.shift.astype(np.int64)
    if channels.clamp[0] < channels.out_zp or (n < 1).any() or (n > 30).any():
        return None
    k = SHIFT - np.minimum(n, SHIFT - 1)
    m = channels.m.astype(np.int64)
    offset = np.broadcast_to((2 * channels.out_zp + 1) << (SHIFT - 1), n.shape)
    line = Line(k + 1, np.zeros_like(n), m, offset + (1 << (k - 1)))
    right = _fits_words(channels, line)
    far = np.flatnonzero(n >= SHIFT)
    if not right[n < SHIFT].all() or not far.size:
        return line if right.all() else None
    of_far = {name: getattr(channels, name)[far] for name in ("weights", "bias", "m", "shift")}
    tried = _far_line(replace(channels, **of_far))
    if tried is None:
        return None
    for whole, part in zip(vars(line).values(), vars(tried).values(), strict=True):
        whole[far] = part
    return line


def _far_line(channels: Channels) -> Line | None:
    """For channels that shift by SHIFT or more."""
    n, m = -channels.shift.astype(np.int64), np.maximum(channels.m.astype(np.int64), 1)
    offset = np.full_like(n, (2 * channels.out_zp + 1) << (SHIFT - 1))
    right, found = np.zeros(n.shape, bool), Line(n, n, n, offset)
    for power, up in product(range(2, 9), (0, 1)):
        smaller = np.maximum(np.round(m * 2.0 ** (SHIFT + 1 - power - n)).astype(np.int64), 1)
        other = Line(np.full_like(n, power), (1 << (power + 30)) // m + up, smaller, offset)
        better = ~right & _fits_words(channels, other) & _gives_every_result(channels, other)
        pairs = zip(vars(found).values(), vars(other).values(), strict=True)
        found, right = Line(*(np.where(better, theirs, ours) for ours, theirs in pairs)), right | better
        if right.all():
            return found
    return None


def _fits_words(channels: Channels, line: Line) -> Array:
    """Where nothing can overflow: weights are halfwords, partial sums words."""
    scaled = channels.weights.astype(np.int64) << line.power[:, None]
    widest = max(127 - channels.in_zp, channels.in_zp + 128)
    bias = np.abs(channels.bias.astype(np.int64)) << line.power
    bound = bias + np.abs(scaled).sum(1) * widest + line.rest
    return np.asarray(((scaled >= -(2**15)) & (scaled < 2**15)).all(1) & (bound < 2**31))


def _gives_every_result(channels: Channels, line: Line) -> Array:
    """Where each step of the line begins where TFLM's does, among the reachable accumulators."""
    lo, hi = channels.clamp
    results = np.arange(lo + 1, hi + 1)
    begins = line.least(results)
    least, most = channels.reach
    reached = channels.output(np.clip(begins, least, most)) >= results[:, None]
    early = channels.output(np.clip(begins - 1, least, most)) >= results[:, None]
    same = np.where(begins > most, ~reached, reached) & ((begins <= least) | ~early)
    return np.asarray(same.all(0))


def _when_line(site: Site) -> bool:
    return _small(site) and line_of(depthwise_channels(site)) is not None


def _when_any(site: Site) -> bool:
    return _fits(site) and depthwise_channels(site).shift_right()


def _when_small(site: Site) -> bool:
    return _small(site) and _when_any(site)


def _pair(low: Array, high: Array) -> Array:
    """Two int16 in a word."""
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def _words(values: Array) -> Array:
    """The low 32 bits, as int32."""
    return np.asarray(values, np.int64).astype(np.uint32).view(np.int32)


def _window(site: Site, power: Array) -> Array:
    """The weights as [channel, row, column], multiplied by 2^power."""
    g = op_of(site).geometry(site)
    window = depthwise_channels(site).weights.astype(np.int64).reshape(-1, g.kh, g.kw)
    return window << power[:, None, None]


def _in_three(window: Array, which: Array) -> Array:
    """Columns of the header's kind [block, word]; smaller windows get weights of zero."""
    _, kh, kw = window.shape
    w = np.pad(window, ((0, 0), (0, SIDE - kh), (0, SIDE - kw)))[which]
    above = _pair(w[:, :, 0], w[:, :, 1]).transpose(0, 2, 1)  # [block, column, channel]
    below = _pair(w[:, :2, 2], w[:, 2:, 2]).transpose(0, 2, 1)
    return np.concatenate([above, below], axis=2).reshape(len(which), -1)


def _in_pairs(window: Array, which: Array) -> Array:
    """Columns of dw_s8_dsp_window.c [block, word]."""
    w = np.pad(window, ((0, 0), (0, window.shape[1] % 2), (0, 0)))[which]
    pairs = _pair(w[:, :, 0::2], w[:, :, 1::2])  # [block, channel, pair, column]
    return pairs.transpose(0, 3, 2, 1).reshape(len(which), -1)


def _blocks(bias: Array, columns: Array, constants: Array) -> Array:
    """Per block {bias[4], columns, constants of each channel}."""
    which = _fours(len(bias))
    parts = [bias[which], columns, constants[which].reshape(len(which), -1)]
    return _words(np.concatenate(parts, axis=1))


def _fours(count: int) -> Array:
    """The channels of each block."""
    return in_blocks(count, FOUR).reshape(-1, FOUR)


def _params(site: Site, blocks: Array) -> Params:
    """Of the small windows' kernels."""
    g, channels = op_of(site).geometry(site), depthwise_channels(site)
    zero = np.array([channels.in_zp])
    return {
        "blocks": blocks,
        "iw": g.iw,
        "c": g.oc,
        "ow": g.ow,
        "kh": g.kh,
        "stride": g.stride,
        "pad": g.pad,
        "columns": _columns(g, SIDE, MOST_COLUMNS),
        "zero_pair": int(_words(_pair(zero, zero))[0]),
        "lo": channels.clamp[0],
        "hi": channels.clamp[1],
    }


def _columns(g: common.Geometry, width: int, most: int) -> int:
    """How many are widened at a time, at least those of one window; the scratch memory holds them."""
    return min((g.ow - 1) * g.stride + width, max(most, width))


def _scratch(site: Site) -> int:
    return COLUMN * _columns(op_of(site).geometry(site), SIDE, MOST_COLUMNS)


def _line_params(site: Site) -> Params:
    channels = depthwise_channels(site)
    line = line_of(channels)
    assert line is not None
    columns = _in_three(_window(site, line.power), _fours(len(channels.bias)))
    bias = (channels.folded_bias() << line.power) + line.rest
    return _params(site, _blocks(bias, columns, np.stack([line.m, line.offset], axis=1)))


def _doubled(site: Site, pack: Callable[[Array, Array], Array]) -> Array:
    """The blocks of kernels that compute as scale_right() does, from sums that are doubled."""
    channels = depthwise_channels(site)
    n = -channels.shift.astype(np.int64)
    offset = (2 * channels.out_zp + 1) * (np.int64(1) << (n - 1))
    constants = np.stack([channels.m.astype(np.int64), offset, n], axis=1)
    columns = pack(_window(site, np.ones_like(n)), _fours(len(n)))
    return _blocks(2 * channels.folded_bias(), columns, constants)


def _small_params(site: Site) -> Params:
    return _params(site, _doubled(site, _in_three))


def _window_columns(site: Site) -> tuple[int, int]:
    """How many, and the bytes of one."""
    g = op_of(site).geometry(site)
    size = WORDS * ((g.kh + 1) // 2)
    return _columns(g, g.kw, MOST_COLUMNS * COLUMN // size), size


def _window_scratch(site: Site) -> int:
    count, size = _window_columns(site)
    return count * size


def _window_params(site: Site) -> Params:
    params = _params(site, _doubled(site, _in_pairs))
    return {**params, "kw": op_of(site).geometry(site).kw, "columns": _window_columns(site)[0]}


def _kernel(
    name: str,
    when: Callable[[Site], bool],
    params: Callable[[Site], Params],
    scratch: Callable[[Site], int] = _scratch,
) -> Kernel:
    return Kernel(common.HERE / f"{name}.c", when, params, rows_of, scratch=scratch, isa=frozenset({"dsp"}))


DEPTHWISE_S8 = (
    _kernel("dw_s8_dsp_line", _when_line, _line_params),
    _kernel("dw_s8_dsp", _when_small, _small_params),
    _kernel("dw_s8_dsp_window", _when_any, _window_params, _window_scratch),
)
