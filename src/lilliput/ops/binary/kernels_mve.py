"""Kernels of addition, subtraction and multiplication for cores with MVE (Helium)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from lilliput import fixed
from lilliput.op import Kernel, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.binary.kernels import ADD_S8_FLAT, MUL_S8_FLAT, Sum, add_flat_proven


def _signed(site: Site, params: Params, *shifts: str) -> dict[str, int]:
    """With negative shifts to the right, and the zero point by itself."""
    others = {
        name: -value if name in shifts else value for name, value in params.items() if name != "two_zp_1"
    }
    return {**others, "out_zp": site.y.q.z}


def _add_flat(site: Site) -> Params:
    lo, hi = fixed.clamp_range(cast(Sum, site.op).clamp, site.y.q, "int8")
    return {**_signed(site, ADD_S8_FLAT.params(site), "narrow_shift", "out_shift"), "lo": lo, "hi": hi}


def _mul_flat(site: Site) -> Params:
    return _signed(site, MUL_S8_FLAT.params(site), "shift")


def _kernel(name: str, when: Callable[[Site], bool], params: Callable[[Site], Params]) -> Kernel:
    source, isa = common.HERE / f"{name}.c", frozenset({"mve"})
    return Kernel(source, when, params, in_place=common.in_place, reads=(0, 1), isa=isa)


ADD_S8_FLAT_MVE = _kernel("add_s8_flat_mve", add_flat_proven, _add_flat)
MUL_S8_FLAT_MVE = _kernel("mul_s8_flat_mve", MUL_S8_FLAT.when, _mul_flat)
