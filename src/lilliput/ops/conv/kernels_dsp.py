"""Kernels of convolutions for Armv7E-M and Armv8-M cores with the DSP extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from lilliput.graph import Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common, packed_pair
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels import ConvLike, channels_of, constants, is_s8
from lilliput.ops.conv.kernels_dsp_depthwise import DEPTHWISE_S8 as DEPTHWISE_S8

DSP = frozenset({"dsp"})
WORD = 4
LONG = 16
"""Bytes of a row of a window that are widened where they lie, rather than copied before."""


def _op(site: Site) -> ConvLike:
    return cast(ConvLike, site.op)


def _channels(site: Site) -> Channels:
    return channels_of(site, *constants(site))


def _rows(site: Site) -> Rows:
    return _op(site).rows(site)


def _packable(site: Site, pairs: Callable[[int], Array]) -> bool:
    """int8 without groups, whose channels can be packed in these pairs."""
    if not is_s8(site) or _op(site).groups != 1:
        return False
    channels = _channels(site)
    return packed_pair.provable(channels, pairs(len(channels.bias)))


def _when_conv(site: Site) -> bool:
    """Blocks are of two or three pixels, and of two channels."""
    g = _op(site).geometry(site)
    return g.ow >= 2 and g.oc >= 2 and _packable(site, packed_pair.pairs_of)


def _when_window(site: Site) -> bool:
    """A row of one pixel."""
    return _op(site).geometry(site).ow == 1 and _packable(site, packed_pair.fours_of)


def _when_linear(site: Site) -> bool:
    """Its window is the beginning of a row."""
    g = _op(site).geometry(site)
    return (g.kh, g.dilation) == (1, 1) and _inside(g) and _when_window(site)


def _direct(g: common.Geometry) -> int:
    """The words of a row of a window, where it is widened in its place; else 0."""
    run = g.kw * g.ic
    return run // WORD if run % WORD == 0 and g.dilation == 1 and (g.kh == 1 or run >= LONG) else 0


def _window(site: Site, g: common.Geometry) -> Params:
    dense = g.dilation == 1
    fields = {
        "iw": g.iw,
        "ic": g.ic,
        "stride": g.stride,
        "pad": g.pad,
        "span": g.dilation * (g.kw - 1) + 1,
        "run": g.kw * g.ic,
        "pieces": 1 if dense else g.kw,
        "columns": g.kw if dense else 1,
        "dilation": g.dilation,
        "zeros": int.from_bytes(bytes([site.x.q.z & 0xFF] * WORD), "little", signed=True),
    }
    return {f"window.{name}": value for name, value in fields.items()} | {"kh": g.kh}


def _results(g: common.Geometry, channels: Channels) -> Params:
    return {"units": _units(g), "oc": g.oc, "lo": channels.clamp[0], "hi": channels.clamp[1]}


def _units(g: common.Geometry) -> int:
    return packed_pair.units(g.kh * g.kw * g.ic)


def _conv(site: Site) -> Params:
    g, channels = _op(site).geometry(site), _channels(site)
    return {
        "stream": packed_pair.stream(channels, packed_pair.pairs_of(g.oc)),
        **_window(site, g),
        **_results(g, channels),
        "direct": _direct(g),
        "ow": g.ow,
    }


def _fours(channels: Channels) -> Array:
    return packed_pair.stream(channels, packed_pair.fours_of(len(channels.bias)), together=2)


def _whole_window(site: Site) -> Params:
    g, channels = _op(site).geometry(site), _channels(site)
    return {"stream": _fours(channels), **_window(site, g), **_results(g, channels)}


def _linear(site: Site) -> Params:
    g, channels = _op(site).geometry(site), _channels(site)
    return {"stream": _fours(channels), "taps": g.kw * g.ic, **_results(g, channels)}


def blocks(pixels: int) -> list[int]:
    """The pixels of each block of a row, as conv_s8_dsp takes them: threes, and twos where no three would fit."""
    found = []
    while pixels:
        found.append(2 if pixels in (2, 4) else 3)
        pixels -= found[-1]
    return found


def _inside(g: common.Geometry) -> bool:
    """No window reaches beyond its row."""
    return g.pad == 0 and (g.ow - 1) * g.stride + g.dilation * (g.kw - 1) < g.iw


def _conv_scratch(site: Site) -> int:
    """Windows as halfwords; as bytes, those that are not widened where they lie."""
    g = _op(site).geometry(site)
    window = WORD * _units(g)
    copied = 0 if _direct(g) and _inside(g) else WORD * _direct(g) or window
    return 3 * (2 * window + copied)


def _overlap(site: Site) -> int | None:
    """One long row: a block is read before it is written; what comes behind must lie above its results."""
    g = _op(site).geometry(site)
    if (g.kh, g.kw, g.stride, g.pad) != (1, 1, 1, 0) or _rows(site).out_rows != 1:
        return None
    done, bound = 0, site.x.nbytes
    for size in blocks(g.ow)[:-1]:
        done += size
        bound = min(bound, done * (g.ic - g.oc))
    return bound


CONV_S8_DSP = Kernel(
    common.HERE / "conv_s8_dsp.c",
    _when_conv,
    _conv,
    _rows,
    scratch=_conv_scratch,
    isa=DSP,
    overlap=_overlap,
)
LINEAR_S8_DSP = Kernel(
    common.HERE / "linear_s8_dsp.c",
    _when_linear,
    _linear,
    _rows,
    scratch=lambda site: 2 * WORD * _units(_op(site).geometry(site)),
    isa=DSP,
)
WINDOW_S8_DSP = Kernel(
    common.HERE / "window_s8_dsp.c",
    _when_window,
    _whole_window,
    _rows,
    scratch=lambda site: 3 * WORD * _units(_op(site).geometry(site)),
    isa=DSP,
)
CONV_S8: tuple[Kernel, ...] = (CONV_S8_DSP, LINEAR_S8_DSP, WINDOW_S8_DSP)
