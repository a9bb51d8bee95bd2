"""Kernels of convolutions for RV32IM cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lilliput.graph import INT_RANGE, Array
from lilliput.op import Kernel, Params, Site
from lilliput.ops.conv import blocks, common, kernels
from lilliput.ops.conv.channels import Channels

ISA = frozenset({"rv32m"})


def requantizable(channels: Channels) -> bool:
    """The proof that rv32_requantize.h needs: 4 x fits a word, and so does what is added to its scaled value.

    With n = -shift, |x| is below 2^29, mulh(4 x, m) below 2 |x|, and 2^n |2 (lo - z) + 1| is added.
    """
    if not channels.shift_right():
        return False
    reach = np.maximum(*(np.abs(side) for side in channels.reach)).astype(np.int64)
    n = -channels.shift.astype(np.int64)
    offset = abs(2 * (channels.clamp[0] - channels.out_zp) + 1)
    return bool((reach < 2**29).all() and (2 * reach + (offset << n) + 3 < 2**31).all())


def even(weights: Array) -> Array:
    """[channel, taps], the taps filled up to an even number with zeros."""
    return np.pad(weights, ((0, 0), (0, weights.shape[1] % 2)))


def halves_fit(weights: Array) -> bool:
    """The sums of two products, int8 inputs with taps 2 i and 2 i + 1, are int16, whatever their signs."""
    sizes = np.abs(even(weights).astype(np.int64))
    return bool(((sizes[:, ::2] + sizes[:, 1::2]) * -INT_RANGE["int8"][0] < 2**15).all())


def _shared(channels: Channels) -> Params:
    """What the requantization of all channels shares."""
    lo, hi = channels.clamp
    return {"two_lo_z_1": 2 * (lo - channels.out_zp) + 1, "lo_hi": lo - hi, "hi": hi}


def _halves(site: Site) -> str:
    """How results may be rounded: up where those below the zero point are cut off, else away from zero."""
    return "halves_up" if blocks.least(site) >= site.y.q.z else "halves_away"


def _when(halves: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        if not blocks.blockable(site, 4, 4) or _halves(site) != halves:
            return False
        channels = blocks.layer_channels(site)
        return requantizable(channels) and halves_fit(channels.weights)

    return when


def _params(site: Site) -> Params:
    channels = blocks.layer_channels(site)
    order = blocks.in_blocks(len(channels.bias), 4)
    packed = kernels.right_params(replace(channels, weights=even(channels.weights)), order)
    return {"w": packed["w"], "q": packed["q"], **blocks.window(site), **_shared(channels)}


def _scratch(site: Site) -> int:
    """An odd number of taps is filled up: what the words of that one hold does not matter, its weights are zero."""
    return max(blocks.words(site), 8 * (blocks.taps_of(site) + blocks.taps_of(site) % 2))


def _when_depthwise(halves: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        fits = blocks.by_column(site) and _halves(site) == halves
        return fits and requantizable(blocks.depthwise_channels(site))

    return when


def _depthwise_params(site: Site) -> Params:
    channels = blocks.depthwise_channels(site)
    return {**blocks.column_params(site, channels), **_shared(channels)}


HALVES = ("halves_up", "halves_away")
CONV_S8 = tuple(
    Kernel(
        common.HERE / "conv_s8_rv32.c",
        _when(halves),
        _params,
        blocks.rows_of,
        scratch=_scratch,
        isa=ISA,
        tokens={"HALVES": halves},
        overlap=kernels.overlap_of_blocks(4),
    )
    for halves in HALVES
)
DEPTHWISE_S8 = tuple(
    Kernel(
        common.HERE / "dw_s8_rv32.c",
        _when_depthwise(halves),
        _depthwise_params,
        blocks.rows_of,
        isa=ISA,
        tokens={"HALVES": halves},
    )
    for halves in HALVES
)
