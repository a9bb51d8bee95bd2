"""Addition and subtraction of int8 as a plane that is cut into steps, and the portable kernel that computes it so.

TFLM scales both operands, adds, scales again, and rounds three times: in all a function of two int8 numbers. A plane
a_mult a + b_mult b + offset, shifted right, gives the same results if each step begins where it should: among those
nearby one is searched for, and proved by all 65,536 pairs. Halves round away from zero where the plane is a little
steeper than the scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from lilliput.graph import Array, Quant, Tensor
from lilliput.op import Kernel, Op, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.binary.kernels import Sum, is_s8

NEARBY = (0, *(sign << i for i in range(3) for sign in (1, -1)))
"""What multipliers may differ by from the nearest ones, in units of the sum."""
EVERY = np.arange(-128, 128, dtype=np.int64)
Quants = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Plane:
    """saturate(((a_mult a >> low) + (b_mult b >> low) + offset) >> shift)."""

    a_mult: int
    b_mult: int
    offset: int
    shift: int
    low: int = 0

    def sums(self) -> Array:
        """What is shifted, of all pairs [a, b]."""
        a, b = (EVERY * m >> self.low for m in (self.a_mult, self.b_mult))
        return np.asarray(a[:, None] + b + self.offset)


def plane_of(site: Site, shifts: Sequence[int], low: int = 0) -> Plane | None:
    """A plane with the results of the operator whose sums fit in 32 bits, the first of these shifts that has one."""
    if not is_s8(site) or not common.same_size(site):
        return None
    quants = tuple((float(t.q.s), t.q.z) for t in (*site.ins, site.y))
    found = (_plane(site.op, quants, shift, low) for shift in shifts)
    return next((plane for plane in found if plane is not None), None)


@lru_cache(maxsize=256)
def _results(op: Op, quants: Quants) -> Array:
    """Of all pairs [a, b]."""
    shapes = ((256, 1), (1, 256), (256, 256))
    a, b, y = (Tensor("", s, "int8", Quant.per_tensor(*q)) for s, q in zip(shapes, quants, strict=True))
    every = EVERY.astype(np.int8)
    (results,) = op.run(Site(op, (a, b), (y,)), every.reshape(-1, 1), every.reshape(1, -1))
    return results.astype(np.int64)


@lru_cache(maxsize=4096)
def _plane(op: Op, quants: Quants, shift: int, low: int) -> Plane | None:
    """Tried on the pairs near steps, where planes differ; then proved on all."""
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = quants
    slopes = np.array([a_scale / y_scale, cast(Sum, op).sign * b_scale / y_scale])
    height = y_zero + 0.5 - slopes[0] * a_zero - slopes[1] * b_zero
    ideal = slopes * 2.0 ** (shift + low)
    if np.abs(ideal).max() >= 2**31 - 2**12 or abs(height) * 2.0**shift >= 2**31:
        return None
    results = _results(op, quants)
    real = slopes[0] * EVERY[:, None] + slopes[1] * EVERY + height
    doubtful = np.abs(real - np.round(real)) < 2.0 ** (12 - shift)
    i, j = np.nonzero(doubtful & (np.abs(real) < 129))
    nearby = np.array(sorted({d << i for d in NEARBY for i in range(low + 1)}))
    a_mults, b_mults = np.round(ideal).astype(np.int64)[:, None] + nearby
    a_mults, b_mults = (v.reshape(-1, 1) for v in np.meshgrid(a_mults, b_mults))
    steps = (results[i, j] << shift) - (a_mults * EVERY[i] >> low) - (b_mults * EVERY[j] >> low)
    wanted, one = round(height * 2.0**shift), 1 << shift
    least = np.where(results[i, j] > -128, steps, wanted - one).max(1, initial=wanted - one)
    most = np.where(results[i, j] < 127, steps + one - 1, wanted + one).min(1, initial=wanted + one)
    for k in np.argsort(least - most)[:4]:
        offset = min(max(wanted, int(least[k])), int(most[k]))
        plane = Plane(int(a_mults[k, 0]), int(b_mults[k, 0]), offset, shift, low)
        if least[k] <= most[k] and _gives(plane, results):
            return plane
    return None


def _gives(plane: Plane, results: Array) -> bool:
    """Nothing may overflow, neither with the offset nor without it."""
    sums = plane.sums()
    ends = np.array([sums.min(), sums.max()])
    fits = np.abs([ends, ends - plane.offset]).max() < 2**31
    return bool(fits and np.array_equal(np.clip(sums >> plane.shift, -128, 127), results))


SHIFTS = (23, 22, 21)


def _when(site: Site) -> bool:
    return plane_of(site, SHIFTS) is not None


def _params(site: Site) -> Params:
    plane = plane_of(site, SHIFTS)
    assert plane is not None
    multipliers = {"a_mult": plane.a_mult, "b_mult": plane.b_mult}
    return {"n": site.y.size, **multipliers, "offset": plane.offset, "shift": plane.shift}


ADD_S8_PLANE = Kernel(common.HERE / "add_s8_plane.c", _when, _params, in_place=common.in_place, reads=(0, 1))
