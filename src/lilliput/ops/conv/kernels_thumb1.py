"""Kernels of convolutions for Armv6-M cores (Cortex-M0, M0+)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import cast

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common, kernels
from lilliput.ops.conv.channels import Channels

ISA = frozenset({"thumb1"})
LANE = 1 << 20
"""Of thumb1.h: sums of products lie between -LANE and LANE - 1."""
LOW_BITS, WIDTH_BITS, RESULT_BITS = 13, 19, 24
"""Of thumb1.h: the bits of a multiplier's low part and of a width, and what scaled values are shifted by at last."""
TRIES = 24
"""How far from the nearest multiplier one is looked for."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Requantization by 32-bit arithmetic, exact for every accumulator that a channel can reach.

    With u = max(width - max(acc - base, 0), 0) the result is
    (c - (u high + (u low >> LOW_BITS) + (bend where u > zero))) >> RESULT_BITS.
    """

    base: Array
    width: Array
    zero: Array
    bend: Array
    low: Array
    high: Array
    c: Array

    def __getitem__(self, channels: Array) -> Steps:
        return Steps(*(getattr(self, f.name)[channels] for f in fields(self)))


def _thresholds(channels: Channels) -> tuple[Array, Array, Array]:
    """The least result of each channel, and its least accumulators for every greater one, [channel, 255].

    Where the greatest result is reached, it comes again; the last array says how many are different. The result rises
    with the accumulator, so that bisection with the reference itself finds them.
    """
    least, most = channels.reach
    first = channels.output(least)
    count = channels.output(most) - first
    wanted = first[:, None] + np.minimum(np.arange(1, 256), count[:, None])
    m, shift = channels.m[:, None], channels.shift[:, None]

    def reached(acc: Array) -> Array:
        return np.asarray(fixed.finish(acc, m, shift, channels.out_zp, channels.clamp, "int8") >= wanted)

    near = (wanted - channels.out_zp - 0.5) * np.ldexp(1.0, 31 - shift) / np.maximum(m, 1)
    ends = least[:, None], most[:, None]
    lo, hi = (np.clip(np.rint(near).astype(np.int64) + away, *ends) for away in (-4, 4))
    lo, hi = np.where(reached(lo), ends[0], lo), np.where(reached(hi), hi, ends[1])
    while (hi - lo > 1).any():
        middle = (lo + hi) >> 1
        up = reached(middle)
        lo, hi = np.where(up, lo, middle), np.where(up, middle, hi)
    return first, hi, count


def steps(channels: Channels, *, bent: bool) -> Steps | None:
    """The constants for every channel, or None where some channel has none.

    Both ways to compute a result rise with the accumulator, so that they are equal everywhere if they are equal at
    every accumulator where the result changes, and at the one before. That bounds c from both sides.
    """
    first, edges, count = _thresholds(channels)
    changes = count > 0
    base = np.where(changes, edges[:, 0] - 1, channels.reach[0])
    top = np.where(changes, edges[:, -1], base)
    width = top - base
    results = (first[:, None] + np.minimum(np.arange(1, 256), count[:, None])) << RESULT_BITS
    n = -channels.shift.astype(np.int64)
    unit = np.where(n <= RESULT_BITS, np.int64(1) << np.maximum(RESULT_BITS - n, 0), 0)
    found = Steps(base, width, top, np.where(bent, unit, 0), *np.zeros((3, len(base)), np.int64))
    missing = np.ones(len(base), bool)
    for low, high in _multipliers(channels, width):
        tried = Steps(base, width, top, found.bend, low, high, found.c)
        most = np.where(changes[:, None], _slope(tried, top[:, None] - edges + 1) + results, 1 << 40).min(1)
        least = np.where(changes[:, None], _slope(tried, top[:, None] - edges) + results, -(1 << 40)).max(1)
        most = np.minimum(
            most, ((first + count + 1) << RESULT_BITS) + _slope(tried, np.zeros_like(edges))[:, 0]
        )
        least = np.maximum(least, (first << RESULT_BITS) + _slope(tried, width[:, None])[:, 0])
        fits = missing & (least < most) & (least >= -(1 << 31)) & (least < 1 << 31)
        for name, value in {"low": low, "high": high, "c": least}.items():
            getattr(found, name)[fits] = value[fits]
        missing &= ~fits
        if not missing.any():
            return found
    return None


def _slope(s: Steps, u: Array) -> Array:
    """How much lower than c a result is before the last shift, for u of [channel, any]."""
    low, high, bend, zero = (v[:, None] for v in (s.low, s.high, s.bend, s.zero))
    return np.asarray(u * high + (u * low >> LOW_BITS) + np.where(u > zero, bend, 0))


def _multipliers(channels: Channels, width: Array) -> Iterator[tuple[Array, Array]]:
    """Low and high parts of multipliers around the true one, nearest first; width times low fits 32 bits."""
    n = -channels.shift.astype(np.int64)
    true = np.floor(np.ldexp(channels.m.astype(np.float64), LOW_BITS + RESULT_BITS - 31 - n)).astype(np.int64)
    largest = np.minimum(((1 << 32) - 1) // np.maximum(width, 1), (1 << LOW_BITS) - 1)
    for i in range(2 * TRIES):
        whole = np.maximum(true + (i + 1) // 2 * (1 - i % 2 * 2), 0)
        yield np.minimum(whole & ((1 << LOW_BITS) - 1), largest), whole >> LOW_BITS
    yield np.zeros_like(true), (true >> LOW_BITS) + 1


def _op(site: Site) -> kernels.ConvLike:
    return cast(kernels.ConvLike, site.op)


def _rows(site: Site) -> Rows:
    return _op(site).rows(site)


@functools.lru_cache(maxsize=64)
def _channels(site: Site) -> Channels:
    return kernels.channels_of(site, *kernels.constants(site))


@functools.lru_cache(maxsize=64)
def _steps(site: Site, bent: bool) -> Steps | None:
    return steps(_channels(site), bent=bent)


def lanes_fit(weights: Array) -> bool:
    """The proof of thumb1.h: sums over all of [..., channel, taps], for every int8 input, are at most 21 bits."""
    lo, hi = INT_RANGE["int8"]
    w = weights.astype(np.int64)
    least, most = np.minimum(w * lo, w * hi).sum(-1), np.maximum(w * lo, w * hi).sum(-1)
    return bool((least >= -LANE).all() and (most < LANE).all())


def parts(weights: Array) -> tuple[int, int] | None:
    """The least number of parts, and how many taps each of them has, a multiple of 8, such that their sums fit."""
    count, taps = weights.shape
    for number in range(1, taps // 64 + 2):  # 64 taps of at most 127 fit
        length = -(-taps // (8 * number)) * 8
        if lanes_fit(filled(weights, number * length).reshape(count, number, length)):
            return number, length
    return None


def fours(count: int) -> Array:
    """Channels in blocks of four, the last one overlapping rather than being short."""
    starts = np.minimum(np.arange(0, count, 4), count - 4)
    return np.asarray((starts[:, None] + np.arange(4)).reshape(-1))


def filled(weights: Array, taps: int) -> Array:
    """[channel, taps], zeros behind the last."""
    return np.pad(weights, ((0, 0), (0, taps - weights.shape[1])))


def _weights(weights: Array) -> Array:
    """[channel, taps] -> [block, taps]{four weights + 128 in a word}."""
    blocks = weights.reshape(len(weights) // 4, 4, -1).transpose(0, 2, 1).astype(np.int64) + 128
    return np.asarray((blocks << [0, 8, 16, 24]).sum(2))


def _records(s: Steps, offset: Array, *, bent: bool, wide: bool = False) -> Array:
    """The words of each channel as the kernels read them; `offset` is added to a sum to make it an accumulator."""
    width = (s.width, s.low) if wide else ((s.width << LOW_BITS) + s.low,)
    return np.stack([offset - s.base, *width, *((s.zero, s.bend) if bent else ()), s.high, s.c], axis=1)


def _usable(site: Site) -> bool:
    """int8 without groups, at least a block of channels, right shifts."""
    op = _op(site)
    if not kernels.is_s8(site) or op.groups != 1:
        return False
    return op.geometry(site).oc >= 4 and _channels(site).shift_right()


def _row(site: Site) -> bool:
    return _usable(site) and _op(site).geometry(site).ow >= 2


def _narrow(found: Steps | None) -> bool:
    return found is not None and not (found.width >> WIDTH_BITS).any()


def _when(bent: bool) -> Callable[[Site], bool]:
    return lambda site: _row(site) and lanes_fit(_channels(site).weights) and _narrow(_steps(site, bent))


def _when_deep(site: Site) -> bool:
    return _row(site) and parts(_channels(site).weights) is not None and _steps(site, True) is not None


def _blocks(site: Site, taps: int, start: int, *, bent: bool, wide: bool = False) -> tuple[Array, Array]:
    """Weights, filled up to so many taps, and records of each block; `start` is what sums are greater by."""
    channels, found = _channels(site), _steps(site, bent)
    assert found is not None
    order = fours(len(channels.bias))
    records = _records(found, channels.folded_bias() - start, bent=bent, wide=wide)[order]
    return _weights(filled(channels.weights, taps)[order]), records.reshape(len(order) // 4, -1)


def _words(*arrays: Array) -> Array:
    """One behind the other, [block, any]: of the first block, then of the second."""
    return np.concatenate(arrays, axis=1).astype(np.uint32).reshape(-1)


def _geometry(site: Site) -> Params:
    g = _op(site).geometry(site)
    last = (g.ow - 1) * g.stride - g.pad + (g.kw - 1) * g.dilation
    pad_pixel = np.full(g.ic if g.pad > 0 or last >= g.iw else 1, site.x.q.z, np.int8)
    return {"pad_pixel": pad_pixel, **asdict(g)}


def _taps(site: Site) -> int:
    return -(-int(_channels(site).weights.shape[1]) // 4) * 4


def _params(bent: bool) -> Callable[[Site], Params]:
    def params(site: Site) -> Params:
        taps = _taps(site)
        return {"w": _words(*_blocks(site, taps, LANE, bent=bent)), "taps": taps, **_geometry(site)}

    return params


def _scratch(site: Site) -> int:
    """Two words per tap and two more."""
    return 8 * (_taps(site) + 1)


def _parts(site: Site) -> tuple[int, int]:
    found = parts(_channels(site).weights)
    assert found is not None
    return found


def _params_deep(site: Site) -> Params:
    number, taps = _parts(site)
    weights, records = _blocks(site, number * taps, number * LANE, bent=True, wide=True)
    by_part = weights.reshape(-1, number, taps).transpose(1, 0, 2)
    return {"w": _words(by_part.reshape(1, -1), records.reshape(1, -1)), "taps": taps, **_geometry(site)}


def _scratch_deep(site: Site) -> int:
    """Two words per tap of a part and two more; three sums per channel."""
    return 8 * (_parts(site)[1] + 1) + 12 * len(fours(_op(site).geometry(site).oc))


def overlap(site: Site) -> int | None:
    """Three pixels are read, then written; None where windows span pixels."""
    rows, g = _rows(site), _op(site).geometry(site)
    if rows.out_rows != 1 or rows.batches != 1 or (g.kw, g.stride, g.pad) != (1, 1, 0) or g.kh != 1:
        return None
    whole = -(-g.ow // 3) - 1  # blocks behind which something is still to be read
    return min(3 * (g.ic - g.oc), 3 * whole * (g.ic - g.oc)) if whole else g.ow * g.ic


def _when_one(site: Site) -> bool:
    return _usable(site) and _op(site).geometry(site).ow == 1 and _narrow(_steps(site, True))


def _direct(site: Site) -> bool:
    """All taps, a multiple of four, lie at the beginning of one row."""
    g = _op(site).geometry(site)
    return (
        g.kh == 1 and (g.dilation == 1 or g.kw == 1) and g.pad == 0 and g.kw <= g.iw and g.kw * g.ic % 4 == 0
    )


def _params_one(site: Site) -> Params:
    g, taps = asdict(_op(site).geometry(site)), _taps(site)
    return {
        "w": _words(*_blocks(site, taps, 0, bent=True)),
        **{name: g[name] for name in ("iw", "ic", "oc", "kh", "kw", "dilation", "pad")},
        "in_zp": site.x.q.z,
        "taps": taps,
        "direct": int(_direct(site)),
    }


def _scratch_one(site: Site) -> int:
    return 0 if _direct(site) else _taps(site)


def _conv(signs: str) -> Kernel:
    bent = signs == "bent"
    name, tokens = common.HERE / "conv_s8_thumb1.c", {"SIGNS": signs}
    return Kernel(
        name, _when(bent), _params(bent), _rows, scratch=_scratch, isa=ISA, tokens=tokens, overlap=overlap
    )


CONV_S8: tuple[Kernel, ...] = (
    _conv("straight"),
    _conv("bent"),
    Kernel(
        common.HERE / "conv_s8_thumb1_deep.c",
        _when_deep,
        _params_deep,
        _rows,
        scratch=_scratch_deep,
        isa=ISA,
        overlap=overlap,
    ),
    Kernel(
        common.HERE / "conv_s8_thumb1_one.c", _when_one, _params_one, _rows, scratch=_scratch_one, isa=ISA
    ),
)


@functools.lru_cache(maxsize=64)
def _depthwise_channels(site: Site) -> Channels:
    weights, bias = site.ins[1].data, site.ins[2].data
    assert weights is not None
    assert bias is not None
    return kernels.channels_of(site, weights.reshape(-1, len(bias)).T, bias)


@functools.lru_cache(maxsize=64)
def _depthwise_steps(site: Site, bent: bool) -> Steps | None:
    return steps(_depthwise_channels(site), bent=bent)


def _when_depthwise(stride: int, *, bent: bool) -> Callable[[Site], bool]:
    """A window of 3x3, of which no more than a column lies on either side of the row."""

    def when(site: Site) -> bool:
        if not kernels.is_s8(site) or site.x.shape[3] != site.y.shape[3]:
            return False
        g = _op(site).geometry(site)
        beyond = (g.ow - 1) * g.stride - g.pad + g.kw - g.iw
        if (g.kh, g.kw, g.stride, g.dilation) != (3, 3, stride, 1) or g.pad > 1 or beyond > 1:
            return False
        return _depthwise_channels(site).shift_right() and _depthwise_steps(site, bent) is not None

    return when


def _params_depthwise(bent: bool) -> Callable[[Site], Params]:
    def params(site: Site) -> Params:
        channels, found = _depthwise_channels(site), _depthwise_steps(site, bent)
        assert found is not None
        g = _op(site).geometry(site)
        rows = (channels.weights.reshape(-1, 3, 3).astype(np.int64) & 255) << [24, 16, 8]
        step, one = g.oc, g.stride == 1
        return {
            "w": _words(rows.sum(2), _records(found, channels.folded_bias(), bent=bent)),
            "step": step,
            "end": g.iw * step,
            "first": ((2 if one else 1) - g.pad) * step,
            "right": int(g.ow - g.pad + 2 > g.iw) if one else g.ow * step,
            "in_zp": site.x.q.z,
            "y_offset": (g.pad - 2) * step if one else 0,
            "channels": g.oc,
        }

    return params


def _depthwise(name: str, stride: int, signs: str) -> Kernel:
    bent = signs == "bent"
    when, params = _when_depthwise(stride, bent=bent), _params_depthwise(bent)
    return Kernel(common.HERE / name, when, params, _rows, isa=ISA, tokens={"SIGNS": signs})


DEPTHWISE_S8: tuple[Kernel, ...] = tuple(
    _depthwise(name, stride, signs)
    for signs in ("straight", "bent")
    for name, stride in (("dw_s8_thumb1.c", 1), ("dw_s8_thumb1_two.c", 2))
)
