"""Kernels of convolutions for Arm cores without the DSP extension: Armv7-M (Cortex-M3) and Armv5TE (XScale)."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from lilliput.op import Kernel, Params, Site
from lilliput.ops.conv import blocks, common
from lilliput.ops.conv.channels import Channels
from lilliput.ops.conv.kernels import overlap_of_blocks, right_params


def _when_thumb2(site: Site) -> bool:
    return blocks.blockable(site, 4, 2) and blocks.layer_channels(site).shift_right()


def _thumb2(site: Site) -> Params:
    channels = blocks.layer_channels(site)
    return {
        **asdict(blocks.op_of(site).geometry(site)),
        "in_zp": site.x.q.z,
        **right_params(channels, blocks.in_blocks(len(channels.bias), 4)),
    }


def _shared(channels: Channels) -> Params:
    """What the requantization of all channels shares."""
    lo, hi = channels.clamp
    return {"two_zp_1": 2 * channels.out_zp + 1, "lo": lo, "hi": hi}


def _when_arm32(site: Site) -> bool:
    return blocks.blockable(site, 2, 4) and blocks.layer_channels(site).shift_right()


def _arm32(site: Site) -> Params:
    channels = blocks.layer_channels(site)
    order = blocks.in_blocks(len(channels.bias), 2)
    pairs = order.reshape(-1, 2)
    shifts = (-channels.shift[pairs].astype(np.int64) << [0, 8]).sum(1, keepdims=True)
    q = np.concatenate([channels.folded_bias()[pairs], channels.m[pairs], shifts], axis=1)
    return {
        "w": channels.weights[pairs].transpose(0, 2, 1),
        "q": q.astype(np.int32),
        **blocks.window(site),
        **_shared(channels),
    }


def _when_depthwise(site: Site) -> bool:
    return blocks.by_column(site) and blocks.depthwise_channels(site).shift_right()


def _depthwise(site: Site) -> Params:
    channels = blocks.depthwise_channels(site)
    return {**blocks.column_params(site, channels), **_shared(channels)}


CONV_S8 = (
    Kernel(
        common.HERE / "conv_s8_arm32.c",
        _when_arm32,
        _arm32,
        blocks.rows_of,
        scratch=blocks.words,
        isa=frozenset({"arm32", "dsp5te"}),
        overlap=overlap_of_blocks(4),
    ),
    Kernel(
        common.HERE / "conv_s8_thumb2.c",
        _when_thumb2,
        _thumb2,
        blocks.rows_of,
        scratch=lambda site: 2 * blocks.taps_of(site),
        isa=frozenset({"thumb2"}),
        overlap=overlap_of_blocks(2),
    ),
)
DEPTHWISE_S8 = (
    Kernel(
        common.HERE / "dw_s8_arm32.c",
        _when_depthwise,
        _depthwise,
        blocks.rows_of,
        isa=frozenset({"arm32", "dsp5te"}),
    ),
    Kernel(
        common.HERE / "dw_s8_thumb2.c", _when_depthwise, _depthwise, blocks.rows_of, isa=frozenset({"thumb2"})
    ),
)
