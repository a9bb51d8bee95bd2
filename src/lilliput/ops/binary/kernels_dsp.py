"""Kernels of addition, subtraction and multiplication for cores with the DSP extension."""

from __future__ import annotations

from lilliput.op import Kernel, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.binary.kernels import mul_flat, mul_flat_proven
from lilliput.ops.binary.plane import plane_of

SHIFT, LOW = 21, 8
"""Of add_s8_dsp.c."""


def _when_add(site: Site) -> bool:
    return plane_of(site, (SHIFT,), LOW) is not None


def _add(site: Site) -> Params:
    plane = plane_of(site, (SHIFT,), LOW)
    assert plane is not None
    return {"n": site.y.size, "a_mult": plane.a_mult, "b_mult": plane.b_mult, "offset": plane.offset}


def _when_mul(site: Site) -> bool:
    if not mul_flat_proven(site):
        return False
    params = mul_flat(site)
    return (params["lo"], params["hi"]) == (-128, 127)


def _mul(site: Site) -> Params:
    params = mul_flat(site)
    less = {f"{name}_less": (-params[f"{name}_zp"] & 0xFFFF) * 0x10001 for name in "ab"}
    return {
        "n": params["n"],
        **{name: pair - (1 << 32 if pair >> 31 else 0) for name, pair in less.items()},
        "mult": params["mult"],
        "rounding": params["two_zp_1"] << (params["shift"] - 1),
        "shift": params["shift"],
    }


ADD_S8_DSP = Kernel(
    common.HERE / "add_s8_dsp.c",
    _when_add,
    _add,
    in_place=common.in_place,
    reads=(0, 1),
    isa=frozenset({"dsp"}),
)
MUL_S8_DSP = Kernel(
    common.HERE / "mul_s8_dsp.c",
    _when_mul,
    _mul,
    in_place=common.in_place,
    reads=(0, 1),
    isa=frozenset({"dsp"}),
)
