"""The C kernels of addition, subtraction and multiplication, and the proofs of the faster ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

import numpy as np

from lilliput import fixed
from lilliput.fixed import Clamp
from lilliput.graph import Tensor
from lilliput.op import Kernel, Op, Params, Site
from lilliput.ops.binary import common
from lilliput.ops.table import TABLE_S8

Multiplier = tuple[int, int]


class Sum(Protocol):
    """What addition and subtraction offer to their kernels."""

    clamp: Clamp
    sign: int

    def multipliers(self, site: Site) -> tuple[Multiplier, Multiplier, Multiplier]: ...


class Product(Protocol):
    """What multiplication offers to its kernels."""

    clamp: Clamp

    def multiplier(self, site: Site) -> Multiplier: ...


def _sum(site: Site) -> Sum:
    return cast(Sum, site.op)


def _product(site: Site) -> Product:
    return cast(Product, site.op)


def _computed(site: Site) -> bool:
    return not all(t.constant for t in site.ins)


def _all(dtype: str) -> Callable[[Site], bool]:
    """All tensors are of this quantized type."""
    return lambda site: (
        _computed(site) and {t.dtype for t in (*site.ins, site.y)} == {dtype} and not common.is_plain(site)
    )


is_s8 = _all("int8")


def _is_f32(site: Site) -> bool:
    return _computed(site) and {t.dtype for t in (*site.ins, site.y)} == {"float32"}


def _flat_s8(site: Site) -> bool:
    return is_s8(site) and common.same_size(site)


# A constant of one number makes the operator a function of one int8 value: a table.


def _variable(site: Site) -> int:
    """Index of the operand that is not the constant number."""
    return 1 if site.ins[0].constant else 0


def _one_number(site: Site) -> bool:
    number = any(t.constant and t.size == 1 for t in site.ins)
    return is_s8(site) and number and site.ins[_variable(site)].size == site.y.size


def _table_params(site: Site) -> Params:
    every = np.arange(-128, 128, dtype=np.int8)
    i = _variable(site)
    ins, xs = list(site.ins), [np.asarray(t.data).reshape(-1) for t in site.ins]
    ins[i], xs[i] = Tensor("x", every.shape, "int8", site.ins[i].quant), every
    y = Tensor("y", every.shape, "int8", site.y.quant)
    op: Op = site.op
    (values,) = op.run(Site(op, tuple(ins), (y,)), *xs)
    return {"table": values, "n": site.y.size}


def _table_in_place(site: Site) -> tuple[int, ...]:
    return (_variable(site),)


# Addition: y = round(M (round(M_a (a - z_a) 2^20) +- round(M_b (b - z_b) 2^20))), TFLM's ADD.


def _add(site: Site) -> Params:
    op = _sum(site)
    (ma, sa), (mb, sb), (m, s) = op.multipliers(site)
    return {
        "walk": common.walk(site),
        "a_zp": site.ins[0].q.z,
        "b_zp": site.ins[1].q.z,
        "a_mult": ma,
        "a_shift": sa,
        "b_mult": mb,
        "b_shift": sb,
        "sign": op.sign,
        "mult": m,
        "shift": s,
        **common.bounds(site, op.clamp),
    }


def _proven(m: int, shift: int, reach: int, zero_point: int) -> bool:
    """What `scale_right` of requantize.h needs, for values up to `reach` in size."""
    n = -shift
    fits = reach + abs(2 * zero_point + 1) * 2 ** max(n - 1, 0) < 2**31 - 1
    return 1 <= n <= 31 and m >= 2**30 and reach < 2**30 and fits


def _narrow(site: Site) -> tuple[int, int, int, int]:
    """(index, up, m, shift) of the operand with the smaller scale; the other's factor is 1/2 exactly.

    With equal scales the factor is 1/2 as well: one more doubling lets it shift right by one.
    """
    pairs = _sum(site).multipliers(site)
    i = 1 if pairs[1] != (1 << 30, 0) else 0
    m, shift = pairs[i]
    return (i, 1 << 21, m, -1) if shift == 0 else (i, 1 << 20, m, shift)


def add_flat_proven(site: Site) -> bool:
    """Of one size, and `scale_right` computes both scalings."""
    if not _flat_s8(site):
        return False
    op = _sum(site)
    i, up, m, shift = _narrow(site)
    added = i == 0 or op.sign > 0  # the rounding of the narrow operand is not symmetric
    _, _, (out_m, out_shift) = op.multipliers(site)
    narrow_fits = _proven(m, shift, 255 * up, 0)
    return added and narrow_fits and _proven(out_m, out_shift, 2 * 255 << 19, site.y.q.z)


def _when_add_flat(site: Site) -> bool:
    return add_flat_proven(site) and fixed.clamp_range(_sum(site).clamp, site.y.q, "int8") == (-128, 127)


def _add_flat(site: Site) -> Params:
    op = _sum(site)
    i, up, m, shift = _narrow(site)
    wide_up = (op.sign if i == 0 else 1) << 19
    _, _, (out_m, out_shift) = op.multipliers(site)
    return {
        "n": site.y.size,
        "swapped": int(i == 0),
        "wide_up": wide_up,
        "wide_from": -wide_up * site.ins[1 - i].q.z,
        "narrow_up": up,
        "narrow_from": -up * site.ins[i].q.z,
        "narrow_mult": m,
        "narrow_shift": -shift,
        "out_mult": out_m,
        "out_shift": -out_shift,
        "two_zp_1": 2 * site.y.q.z + 1,
    }


def _add_f32(site: Site) -> Params:
    op = _sum(site)
    lo, hi = fixed.float_range(op.clamp)
    return {"walk": common.walk(site), "sign": float(op.sign), "lo": lo, "hi": hi}


# Multiplication: y = round(M (a - z_a) (b - z_b)), TFLM's MUL.


def _mul(site: Site) -> Params:
    op = _product(site)
    m, s = op.multiplier(site)
    return {
        "walk": common.walk(site),
        "a_zp": site.ins[0].q.z,
        "b_zp": site.ins[1].q.z,
        "mult": m,
        "shift": s,
        **common.bounds(site, op.clamp),
    }


def mul_flat_proven(site: Site) -> bool:
    return _flat_s8(site) and _proven(*_product(site).multiplier(site), 255 * 255, site.y.q.z)


def mul_flat(site: Site) -> Params:
    op = _product(site)
    m, shift = op.multiplier(site)
    lo, hi = fixed.clamp_range(op.clamp, site.y.q, "int8")
    a_zp, b_zp, y_zp = (t.q.z for t in (*site.ins, site.y))
    numbers = {"n": site.y.size, "a_zp": a_zp, "b_zp": b_zp, "mult": m, "shift": -shift}
    return {**numbers, "two_zp_1": 2 * y_zp + 1, "lo": lo, "hi": hi}


def _mul_f32(site: Site) -> Params:
    lo, hi = fixed.float_range(_product(site).clamp)
    return {"walk": common.walk(site), "lo": lo, "hi": hi}


def _kernel(name: str, when: Callable[[Site], bool], params: Callable[[Site], Params]) -> Kernel:
    """Both operands are passed as pointers, constants too."""
    return Kernel(common.HERE / f"{name}.c", when, params, in_place=common.in_place, reads=(0, 1))


def _of_types(name: str, params: Callable[[Site], Params]) -> tuple[Kernel, Kernel]:
    """The kernel for int8 and for int16."""
    one, two = (replace(_kernel(name, _all(t), params), tokens={"T": f"{t}_t"}) for t in ("int8", "int16"))
    return one, two


TABLE = Kernel(TABLE_S8.source, _one_number, _table_params, in_place=_table_in_place)
ADD_S8, ADD_S16 = _of_types("add", _add)
ADD_S8_FLAT = _kernel("add_s8_flat", _when_add_flat, _add_flat)
ADD_F32 = _kernel("add_f32", _is_f32, _add_f32)
MUL_S8, MUL_S16 = _of_types("mul", _mul)
MUL_S8_FLAT = _kernel("mul_s8_flat", mul_flat_proven, mul_flat)
MUL_F32 = _kernel("mul_f32", _is_f32, _mul_f32)
