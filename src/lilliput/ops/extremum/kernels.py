"""The C kernels of maximum and minimum: which operands each takes, and its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from lilliput import fixed
from lilliput.op import Kernel, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.binary.kernels import TABLE as TABLE

if TYPE_CHECKING:
    from lilliput.ops.extremum.extremum import Extremum

HERE = Path(__file__).parent


def _op(site: Site) -> Extremum:
    return cast("Extremum", site.op)


def _all(site: Site, dtype: str) -> bool:
    """Every tensor has this type, and there is something to compute."""
    return {t.dtype for t in (*site.ins, site.y)} == {dtype} and not all(t.constant for t in site.ins)


def _is_s8(site: Site) -> bool:
    return _all(site, "int8") and not common.is_plain(site)


def _is_s16(site: Site) -> bool:
    return _all(site, "int16") and not common.is_plain(site)


def _is_f32(site: Site) -> bool:
    return _all(site, "float32")


def _s8(site: Site) -> Params:
    lo, hi = fixed.clamp_range(_op(site).clamp, site.y.q, site.y.dtype)
    return {"walk": common.walk(site), "sign": _op(site).sign, "lo": lo, "hi": hi}


def _f32(site: Site) -> Params:
    lo, hi = fixed.float_range(_op(site).clamp)
    return {"walk": common.walk(site), "sign": float(_op(site).sign), "lo": lo, "hi": hi}


BOTH = (0, 1)
"""Both operands are passed as pointers, constants too."""

EXTREMUM_S8 = Kernel(HERE / "extremum_s8.c", _is_s8, _s8, in_place=common.in_place, reads=BOTH)
EXTREMUM_S16 = Kernel(HERE / "extremum_s16.c", _is_s16, _s8, in_place=common.in_place, reads=BOTH)
EXTREMUM_F32 = Kernel(HERE / "extremum_f32.c", _is_f32, _f32, in_place=common.in_place, reads=BOTH)
EXTREMUM = (EXTREMUM_S8, EXTREMUM_S16, EXTREMUM_F32)
