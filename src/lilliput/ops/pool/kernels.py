"""The C kernels of pooling: when each may be used and what it is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lilliput.graph import INT_RANGE
from lilliput.op import Kernel, Params, Rows, Site
from lilliput.ops.conv import common

if TYPE_CHECKING:
    from lilliput.ops.pool.pool2d import Pool2d

HERE = Path(__file__).parent
RECIPROCAL_PIXELS = 361
"""128.5 n^2 < 2^24: up to here the 24-bit reciprocal gives the exact quotient (avgpool_s8_mul.c)."""
HALFWORD_PIXELS = 255
"""Up to here the sum of int8 fits 16 bits."""
MVE = frozenset({"mve"})
DSP = frozenset({"dsp"})
LISTED_PIXELS = 25
"""Of the largest window of maxpool_s8_dsp.c."""


def _op(site: Site) -> Pool2d:
    return cast("Pool2d", site.op)


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == site.y.dtype == dtype and not site.x.constant

    return when


def _pixels(most: int) -> Callable[[Site], bool]:
    """int8, and no window covers more pixels."""
    return lambda site: _types("int8")(site) and int(_op(site).counts(site.x.shape).max()) <= most


def _fours(when: Callable[[Site], bool]) -> Callable[[Site], bool]:
    """With a whole block of four channels."""
    return lambda site: when(site) and site.x.shape[3] >= 4


def _listed(site: Site) -> bool:
    return _types("int8")(site) and math.prod(_op(site).window) <= LISTED_PIXELS


def _wide(site: Site) -> bool:
    """Narrow windows are not worth the loop of avgpool_s8_dsp.c over four pixels."""
    return _op(site).window[1] >= 4 and _pixels(HALFWORD_PIXELS)(site)


def _rows(site: Site) -> Rows:
    """Rows outside the input are null: nothing in them counts."""
    return replace(common.row_schedule(site, _op(site), _op(site).window[0], 0), pad_value=None)


def _shape(site: Site) -> Params:
    op = _op(site)
    return {
        "iw": site.x.shape[2],
        "channels": site.x.shape[3],
        "ow": site.y.shape[2],
        "kh": op.window[0],
        "kw": op.window[1],
        "stride": op.stride[1],
        "pad": op.padding[1][0],
    }


def bounds(site: Site) -> tuple[int, int]:
    """Of the results; integers without quantization stand for themselves."""
    if site.y.quant is not None:
        return common.bounds(site, _op(site).clamp)
    lo, hi = _op(site).clamp or (-math.inf, math.inf)
    least, most = INT_RANGE[site.y.dtype]
    return math.ceil(max(lo, least)), math.floor(min(hi, most))


def _integer(site: Site) -> Params:
    lo, hi = bounds(site)
    return {**_shape(site), "lo": lo, "hi": hi}


def _float(site: Site) -> Params:
    return {**_shape(site), **common.clip_f32(_op(site).clamp)}


def _dilated(params: Callable[[Site], Params]) -> Callable[[Site], Params]:
    return lambda site: {**params(site), "dilation": _op(site).dilation[1]}


def _of_type(source: str, dtype: str, params: Callable[[Site], Params]) -> Kernel:
    return Kernel(HERE / source, _types(dtype), params, _rows, tokens={"T": f"{dtype}_t"})


MAX_S8, MAX_S16, MAX_U8 = (_of_type("maxpool.c", t, _dilated(_integer)) for t in ("int8", "int16", "uint8"))
MAX_F32 = Kernel(HERE / "maxpool_f32.c", _types("float32"), _dilated(_float), _rows)
MAX_S8_MVE = Kernel(HERE / "maxpool_s8_mve.c", _types("int8"), _dilated(_integer), _rows, isa=MVE)
AVG_S8_MVE = Kernel(HERE / "avgpool_s8_mve.c", _pixels(HALFWORD_PIXELS), _integer, _rows, isa=MVE)
MAX_S8_DSP = Kernel(HERE / "maxpool_s8_dsp.c", _fours(_listed), _dilated(_integer), _rows, isa=DSP)
AVG_S8_DSP = Kernel(HERE / "avgpool_s8_dsp.c", _fours(_wide), _integer, _rows, isa=DSP)
AVG_S8_MUL = Kernel(HERE / "avgpool_s8_mul.c", _pixels(RECIPROCAL_PIXELS), _integer, _rows)
AVG_S8, AVG_S16 = (_of_type("avgpool.c", t, _integer) for t in ("int8", "int16"))
AVG_F32 = Kernel(HERE / "avgpool_f32.c", _types("float32"), _float, _rows)
