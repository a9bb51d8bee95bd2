"""The C kernels between quantizations; the integer one also serves operators that only scale and clamp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, ITEM_SIZE
from lilliput.op import Kernel, Params, Site

HERE = Path(__file__).parent
REAL = ("int8", "uint8", "int16")
"""What becomes float32, and (without uint8) what float32 becomes: TFLM's types."""
PAIRS = (
    ("int8", "int8"),
    ("int8", "uint8"),
    ("int8", "int16"),
    ("int8", "int32"),
    ("uint8", "int8"),
    ("int16", "int8"),
    ("int16", "int16"),
    ("int16", "int32"),
    ("int32", "int8"),
    ("int32", "int16"),
)
"""The integers that TFLM requantizes, from and to."""


def types(x: str, y: str) -> Callable[[Site], bool]:
    """Whether a site computes y from x."""

    def when(site: Site) -> bool:
        return (site.x.dtype, site.y.dtype) == (x, y) and not site.x.constant

    return when


def _quantize_params(site: Site) -> Params:
    lo, hi = INT_RANGE[site.y.dtype]
    return {"n": site.x.size, "scale": float(site.y.q.s), "zero_point": site.y.q.z, "lo": lo, "hi": hi}


def _dequantize_params(site: Site) -> Params:
    return {"n": site.x.size, "scale": float(site.x.q.s), "zero_point": site.x.q.z}


def multiplier(site: Site) -> tuple[int, int]:
    """(m, shift) of input scale / output scale, in double; TFLM's QUANTIZE."""
    return fixed.multiplier(float(site.x.q.s) / float(site.y.q.s))


def _params(site: Site) -> Params:
    m, shift = multiplier(site)
    lo, hi = INT_RANGE[site.y.dtype]
    return {
        "n": site.x.size,
        "from": int(fixed.wrap32(np.array(-site.x.q.z))),
        "mult": m,
        "shift": shift,
        "out_zp": site.y.q.z,
        "lo": lo,
        "hi": hi,
    }


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,) if ITEM_SIZE[site.x.dtype] == ITEM_SIZE[site.y.dtype] else ()


def requantize(x: str, y: str, params: Callable[[Site], Params] = _params) -> Kernel:
    """The kernel for integers of type x that become integers of type y; `params` may bound them further."""
    tokens = {"X": f"{x}_t", "Y": f"{y}_t"}
    return Kernel(HERE / "requantize.c", types(x, y), params, in_place=_in_place, tokens=tokens)


def _rounding(y: str, even: bool) -> Callable[[Site], bool]:
    """Whether a site computes y from real values and rounds halves to even, or away from zero."""
    return lambda site: types("float32", y)(site) and (getattr(site.op, "rounding", "away") == "even") is even


QUANTIZE = tuple(
    Kernel(HERE / f"{source}.c", _rounding(y, even), _quantize_params, tokens={"Y": f"{y}_t"})
    for source, even in (("quantize_f32", False), ("quantize_even", True))
    for y in ("int8", "int16")
)
DEQUANTIZE = tuple(
    Kernel(HERE / "dequantize_f32.c", types(x, "float32"), _dequantize_params, tokens={"X": f"{x}_t"})
    for x in REAL
)
REQUANTIZE = tuple(requantize(x, y) for x, y in PAIRS)
