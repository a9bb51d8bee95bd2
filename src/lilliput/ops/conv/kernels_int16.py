"""int16 activations with int8 weights: the result of a layer, what is provable of its sums, the C kernels.

TFLM knows two forms, told apart by the bias. With an int64 bias the sums have 64 bits and are scaled once, by 15
bits of the multiplier; with an int32 bias they wrap at 32 bits and are scaled as those of int8 are. Depthwise
convolutions have the first form only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common
from lilliput.ops.conv.common import Pair

LARGEST = 32768
"""The size of an int16."""


def wide(site: Site) -> bool:
    """The form with 64-bit sums."""
    return site.ins[2].dtype == "int64"


def _scaling(site: Site) -> tuple[Array, Array]:
    """What the sums of each channel are multiplied by: 15 or 31 bits, and the shift."""
    m, shift = common.requantization(site.ins[2].size, common.effective_scale(site))
    return (fixed.reduced(m), shift) if wide(site) else (m, shift)


def finish(site: Site, acc: Array, bias: Array, bounds: Pair) -> Array:
    """int16 results of sums of products, output channel last."""
    m, shift = _scaling(site)
    total = acc.astype(np.int64) + bias
    scaled = (
        fixed.scale_wide(total, m, shift) if wide(site) else fixed.scale_by(fixed.wrap32(total), m, shift)
    )
    return np.asarray(np.clip(scaled, *bounds).astype(np.int16))


def _channel_axis(site: Site) -> int:
    (axis,) = site.op.weights.values()
    return axis


def reach(site: Site) -> int:
    """No sum of a layer, nor any part of one, is larger in size, whatever the input is."""
    weights, bias = site.ins[1].data, site.ins[2].data
    if weights is None or bias is None:
        return fixed.WIDE_REACH
    others = tuple(i for i in range(weights.ndim) if i != _channel_axis(site))
    sums = np.abs(weights.astype(np.int64)).sum(others) * LARGEST
    return max(int(s) + abs(int(b)) for s, b in zip(sums, bias, strict=True))


def refusal(site: Site, biases: tuple[str, ...]) -> str | None:
    """Why a layer with int16 results cannot be computed, or None."""
    found = (site.x.dtype, site.ins[1].dtype, site.ins[2].dtype)
    if found[:2] != ("int16", "int8") or found[2] not in biases:
        kinds = " or ".join(biases)
        return f"{', '.join(found)} give int16; expected int16, int8 weights and a bias of {kinds}"
    if site.x.q.z or site.y.q.z:
        return f"int16 with zero points {site.x.q.z} and {site.y.q.z}, expected 0"
    if reach(site) >= fixed.WIDE_REACH:
        return f"sums of up to {reach(site):.3g} may overflow; at most 2^47 are possible"
    if wide(site) and int(_scaling(site)[1].max()) > fixed.WIDE_SHIFT:
        return f"the result's scale {float(site.y.q.s):.3g} is too small for its inputs by far"
    return None


def _op(site: Site) -> Any:
    """An operator of this family: a clamp, a geometry, rows, and groups unless it is depthwise."""
    return site.op


def _is_s16(site: Site) -> bool:
    constant = all(t.constant for t in site.ins[1:])
    return constant and site.x.dtype == site.y.dtype == "int16" and site.ins[1].dtype == "int8"


def _narrow(site: Site) -> bool:
    """No sum leaves 32 bits."""
    return _is_s16(site) and reach(site) < 2**31


def _bounds(site: Site) -> Params:
    lo, hi = common.bounds(site, _op(site).clamp)
    return {"lo": lo, "hi": hi}


def _geometry(site: Site) -> Params:
    return asdict(_op(site).geometry(site))


def _rows(site: Site) -> Rows:
    rows: Rows = _op(site).rows(site)
    return rows


def _constants(site: Site, dtype: str) -> Params:
    m, shift = _scaling(site)
    bias = np.asarray(site.ins[2].data).astype(dtype)
    return {"w": site.ins[1].data, "bias": bias, "mult": m, "shift": shift.astype(np.int8)}


def _conv(site: Site) -> Params:
    groups = _op(site).groups
    return {**_constants(site, "int64"), **_geometry(site), "groups": groups, **_bounds(site)}


def _conv_4x1(site: Site) -> Params:
    weights, bias = np.asarray(site.ins[1].data), np.asarray(site.ins[2].data)
    columns = np.stack([bias.astype(np.int32), *_scaling(site)], axis=1).astype(np.int32)
    whole = len(bias) // 4 * 4
    blocks = columns[:whole].reshape(-1, 4, 3).transpose(0, 2, 1)
    q = np.concatenate([blocks.reshape(-1), columns[whole:].reshape(-1)])
    packed = common.pack_4(weights.reshape(len(weights), -1))
    return {"w": packed, "q": q, **_geometry(site), **_bounds(site)}


def _form(is_wide: bool, when: Callable[[Site], bool]) -> Callable[[Site], bool]:
    return lambda site: when(site) and wide(site) == is_wide


def _narrow_4x1(site: Site) -> bool:
    return _narrow(site) and _op(site).groups == 1


def _wide_4x1(site: Site) -> bool:
    """The biases fit 32 bits, the sums do not."""
    return (
        _is_s16(site) and _op(site).groups == 1 and bool(np.abs(np.asarray(site.ins[2].data)).max() < 2**31)
    )


def _kernels() -> tuple[Kernel, ...]:
    fast, plain = common.HERE / "conv_s16_4x1.c", common.HERE / "conv_s16.c"
    fours = (
        (True, "int32_t", "scale_wide", _narrow_4x1),
        (False, "int32_t", "scale_by", _narrow_4x1),
        (True, "int64_t", "scale_wide", _wide_4x1),
    )
    found = [
        Kernel(fast, _form(is_wide, when), _conv_4x1, _rows, tokens={"A": a, "SCALE": scale})
        for is_wide, a, scale, when in fours
    ]
    found += [
        Kernel(plain, _form(is_wide, _is_s16), _conv, _rows, tokens={"SCALE": scale})
        for is_wide, scale in ((True, "scale_wide"), (False, "scale_low"))
    ]
    return tuple(found)


CONV_S16 = _kernels()
"""From the fastest to the simplest."""


def _depthwise(dtype: str) -> Callable[[Site], Params]:
    def params(site: Site) -> Params:
        per_input = site.y.shape[3] // site.x.shape[3]
        return {**_constants(site, dtype), **_geometry(site), "per_input": per_input, **_bounds(site)}

    return params


DW_S16 = tuple(
    Kernel(common.HERE / "dw_s16.c", when, _depthwise(a), _rows, tokens={"A": f"{a}_t"})
    for a, when in (("int32", _narrow), ("int64", _is_s16))
)
