"""Kernels of convolutions for cores with MVE (Helium)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from lilliput.graph import Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels import ConvLike, channels_of, constants, is_s8

MVE = frozenset({"mve"})
VECTOR = 16
"""Bytes of a vector register."""
COPIED = 512
"""Bytes of windows that are copied at once, but for larger ones."""
LANES = 8
"""Channels of a block of depthwise convolutions."""
MOST_TAPS = 49
"""Of dw_s8_mve_any.c, whose list of taps has that length."""
OFFSETS = 256
"""A scattered store of bytes reaches so far."""


def _op(site: Site) -> ConvLike:
    return cast(ConvLike, site.op)


def _rows(site: Site) -> Rows:
    return _op(site).rows(site)


def _requantized(channels: Channels) -> Params:
    return {"out_zp": channels.out_zp, "lo": channels.clamp[0], "hi": channels.clamp[1]}


def _channels(site: Site) -> Channels:
    return channels_of(site, *constants(site))


def _blocks(taps: int) -> int:
    return -(-taps // VECTOR)


def _stream(channels: Channels) -> Array:
    """For every four channels {bias[4], int8 [blocks][4][16], mult[4], shift[4]}; taps and channels padded with 0."""
    count, taps = channels.weights.shape
    tiles, blocks = -(-count // 4), _blocks(taps)
    w = np.zeros((4 * tiles, VECTOR * blocks), np.int8)
    w[:count, :taps] = channels.weights
    q = np.zeros((3, 4 * tiles), np.int32)
    q[:, :count] = channels.folded_bias(), channels.m, channels.shift
    words = np.ascontiguousarray(w.reshape(tiles, 4, blocks, VECTOR).transpose(0, 2, 1, 3)).view("<i4")
    bias, m, shift = q.reshape(3, tiles, 4)
    return np.concatenate([bias, words.reshape(tiles, -1), m, shift], axis=1).astype(np.int32).reshape(-1)


def _when(site: Site) -> bool:
    """One group, windows without gaps along the row, channels that shift right."""
    if not is_s8(site) or _op(site).groups != 1 or _op(site).geometry(site).dilation != 1:
        return False
    return _channels(site).shift_right()


# Windows that are pieces of a row


def _when_row(site: Site) -> bool:
    g = _op(site).geometry(site)
    return _when(site) and g.kh == 1 and g.pad == 0 and (g.ow - 1) * g.stride + g.kw <= g.iw


def _when_linear(site: Site) -> bool:
    return _op(site).geometry(site).ow == 1 and _when_row(site)


def _linear(site: Site) -> Params:
    g, stream = _op(site).geometry(site), _stream(channels := _channels(site))
    return {
        "w": stream,
        "words": stream.size,
        "taps": g.kw * g.ic,
        "oc": g.oc,
        **_requantized(channels),
    }


def _together(g: common.Geometry) -> int:
    """Pixels that are copied at once: pairs, as many as fit COPIED bytes."""
    return 2 * max(COPIED // (2 * VECTOR * _blocks(g.kw * g.ic)), 1)


def _row(site: Site) -> Params:
    g = _op(site).geometry(site)
    return {
        **_linear(site),
        "blocks": _blocks(g.kw * g.ic),
        "ow": g.ow,
        "step": g.stride * g.ic,
        "together": _together(g),
    }


def _row_scratch(site: Site) -> int:
    g = _op(site).geometry(site)
    return min(_together(g), g.ow) * VECTOR * _blocks(g.kw * g.ic)


def _row_overlap(site: Site) -> int | None:
    """The results of pixels that were copied together must end before the next ones, which are not copied yet."""
    g = _op(site).geometry(site)
    if _rows(site).out_rows != 1:
        return None
    gain, ends = g.stride * g.ic - g.oc, range(_together(g), g.ow, _together(g))
    return min(gain * ends[0], gain * ends[-1]) if ends else site.x.nbytes


# Windows of several rows


def _columns(site: Site) -> tuple[int, int, int]:
    """Columns that are seen: padding on the left, of the input, padding on the right."""
    g = _op(site).geometry(site)
    seen = (g.ow - 1) * g.stride + g.kw
    inside = max(min(g.iw, seen - g.pad), 0)
    left = min(g.pad, seen)
    return left, inside, seen - left - inside


def _several(g: common.Geometry) -> int:
    """Columns that fit a vector and whose places fit its offsets; 1: as they come."""
    pitch = g.kh * g.ic
    fit = min(VECTOR // g.ic, (OFFSETS - g.ic) // pitch + 1) if g.ic <= VECTOR else 1
    return max(fit, 1)


def _places(g: common.Geometry) -> Array:
    """Where the bytes of several columns go, from the place of the first."""
    i = np.arange(VECTOR)
    places = i // g.ic * g.kh * g.ic + i % g.ic
    return np.where(i < _several(g) * g.ic, places, 0).astype(np.uint8)


def _by_columns(site: Site) -> Params:
    g, channels = _op(site).geometry(site), _channels(site)
    taps = channels.weights.reshape(-1, g.kh, g.kw, g.ic).transpose(0, 2, 1, 3)
    weights = taps.reshape(len(taps), -1)
    stream = _stream(Channels(**{**vars(channels), "weights": weights}))
    left, inside, right = _columns(site)
    return {
        "w": stream,
        "places": _places(g),
        "words": stream.size,
        "blocks": _blocks(weights.shape[1]),
        "oc": g.oc,
        "ow": g.ow,
        "kh": g.kh,
        "ic": g.ic,
        "left": left,
        "inside": inside,
        "right": right,
        "step": g.stride * g.kh * g.ic,
        "several": _several(g),
        "in_zp": site.x.q.z,
        **_requantized(channels),
    }


def _columns_scratch(site: Site) -> int:
    """All columns, and what the last window's last vector reads behind them."""
    g = _op(site).geometry(site)
    size = sum(_columns(site)) * g.kh * g.ic
    taps = g.kw * g.kh * g.ic
    return size + VECTOR * _blocks(taps) - taps


Fields = Callable[[Site], Params]


def _relu(channels: Channels) -> bool:
    """The clamp makes all results below the zero point alike."""
    return channels.clamp[0] >= channels.out_zp


def _kernels(name: str, when: Callable[[Site], bool], params: Fields, **traits: Any) -> tuple[Kernel, Kernel]:
    """Without and with the rounding of negative numbers."""

    def relu(site: Site) -> bool:
        return when(site) and _relu(_channels(site))

    source = common.HERE / f"{name}.c"
    return (
        Kernel(source, relu, params, _rows, isa=MVE, tokens={"ROUNDING": "relu"}, **traits),
        Kernel(source, when, params, _rows, isa=MVE, tokens={"ROUNDING": "halves"}, **traits),
    )


LINEAR = _kernels("linear_s8_mve", _when_linear, _linear)
ROW = _kernels("conv_s8_mve_row", _when_row, _row, scratch=_row_scratch, overlap=_row_overlap)
WINDOWS = _kernels("conv_s8_mve", _when, _by_columns, scratch=_columns_scratch)
CONV_S8: tuple[Kernel, ...] = (*LINEAR, *ROW, *WINDOWS)


# Depthwise


def _taps(site: Site) -> tuple[Array, Array]:
    """Weights as [channel, taps], and the bias."""
    weights, bias = site.ins[1].data, site.ins[2].data
    assert weights is not None
    assert bias is not None
    return weights.reshape(-1, len(bias)).T, bias


def _when_any(site: Site) -> bool:
    """One output per input channel, whole blocks of channels, a window of at most MOST_TAPS."""
    if not is_s8(site) or site.y.shape[3] != site.x.shape[3] or site.y.shape[3] < LANES:
        return False
    g = _op(site).geometry(site)
    return g.kh * g.kw <= MOST_TAPS and channels_of(site, *_taps(site)).shift_right()


def _when_3x3(site: Site) -> bool:
    """Windows of 3 x 3 without gaps along the row, and pairs of taps whose sum fits 16 bits."""
    g = _op(site).geometry(site)
    if (g.kh, g.kw, g.dilation) != (3, 3, 1) or not _when_any(site):
        return False
    weights, _ = _taps(site)
    pairs = weights[:, :8].astype(np.int64).reshape(-1, 2)
    return bool((pairs.sum(1) > 2 * -128).all())


def _depthwise(site: Site) -> Params:
    g, channels = _op(site).geometry(site), channels_of(site, *_taps(site))
    starts = [*range(0, g.oc - LANES + 1, LANES), *([g.oc - LANES] if g.oc % LANES else [])]
    stream = []
    for start in starts:
        block = slice(start, start + LANES)
        bias, m, shift = (
            np.concatenate([v[block][0::2], v[block][1::2]])
            for v in (channels.folded_bias(), channels.m, channels.shift)
        )
        words = np.ascontiguousarray(channels.weights[block].T).reshape(-1).view("<i4")
        stream.append(np.concatenate([bias, words, m, shift]))
    return {
        "w": np.concatenate(stream).astype(np.int32),
        "iw": g.iw,
        "ow": g.ow,
        "oc": g.oc,
        "stride": g.stride,
        "pad": g.pad,
        "in_zp": site.x.q.z,
        **_requantized(channels),
    }


def _any(site: Site) -> Params:
    g = _op(site).geometry(site)
    return {**_depthwise(site), "kh": g.kh, "kw": g.kw, "dilation": g.dilation}


def _padding_pixel(site: Site) -> int:
    """Scratch: zero points."""
    return site.x.shape[3]


def _of_3x3(step: int, rounding: str) -> Kernel:
    def when(site: Site) -> bool:
        if _op(site).geometry(site).stride != step or not _when_3x3(site):
            return False
        return rounding == "halves" or _relu(channels_of(site, *_taps(site)))

    tokens = {"STEP": f"step_{step}", "ROUNDING": rounding}
    source = common.HERE / "dw_s8_mve.c"
    return Kernel(source, when, _depthwise, _rows, scratch=_padding_pixel, isa=MVE, tokens=tokens)


ANY = Kernel(common.HERE / "dw_s8_mve_any.c", _when_any, _any, _rows, scratch=_padding_pixel, isa=MVE)
DEPTHWISE_S8: tuple[Kernel, ...] = (
    *(_of_3x3(step, rounding) for rounding in ("relu", "halves") for step in (1, 2)),
    ANY,
)
