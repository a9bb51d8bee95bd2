"""The radial basis function in integers: what docs/quantization.md defines, and the constants of its kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.op import Site

if TYPE_CHECKING:
    from lilliput.ops.kernel_machine.machine import KernelMachine

COARSE = np.round(2**15 * 2.0 ** (-np.arange(64) / 64)).astype(np.uint16)
FINE = np.round(65535 * 2.0 ** (-np.arange(64) / 4096)).astype(np.uint16)
"""2^-u of a u in Q4.12 is COARSE[u >> 6 & 63] FINE[u & 63] 2^-(u >> 12), in Q0.31."""
LAST = (1 << 16) - 1
"""The largest exponent; 2^-16 is half of the last place of Q0.15."""
SQUARES = {"int8": 255**2, "int16": (1 << 32) - 1}


@dataclass(frozen=True, eq=False)
class Constants:
    vectors: Array
    coefficients: Array
    intercepts: Array
    narrow: int
    furthest: int
    exponent: tuple[int, int]
    product_shift: int
    out: tuple[int, int]


def _op(site: Site) -> KernelMachine:
    return cast("KernelMachine", site.op)


def constants(site: Site) -> Constants | None:
    """The integers of a site, or None where the sums might not fit in 32 bits."""
    op, x = _op(site), site.x
    coefficients, intercepts = (cast(Array, t.data).astype(np.float64) for t in site.ins[2:])
    most = x.shape[-1] * SQUARES[x.dtype]
    if x.dtype == "int8" and most >= 2**31:
        return None
    narrow = max(0, most.bit_length() - 31)
    exponent = op.gamma * float(x.q.s) ** 2 * math.log2(math.e) * 2.0 ** (12 + narrow)
    if exponent < 0:
        return None
    m, shift = fixed.multiplier(exponent)
    furthest = min(2**31 - 1, int(LAST / exponent) if exponent * 2**31 > LAST else 2**31 - 1)
    while furthest and int(fixed.scale_by(furthest, m, shift)) > LAST:
        furthest -= 1
    scale = float(np.abs(coefficients).max(initial=0)) / 32767 or 1.0
    c = np.round(coefficients / scale)
    sizes = np.abs(op.dense(c))
    for product_shift in range(15):
        step = scale * 2.0 ** (product_shift - 15)
        b = np.round(intercepts / step)
        terms = np.where(sizes > 0, sizes * 2.0 ** (15 - product_shift) + 1, 0)
        if (terms.sum(0) + np.abs(b)).max() < 2**31:
            return Constants(
                x.q.quantize(site.ins[1].data, x.dtype),  # type: ignore[arg-type]  # checked to be constant
                c.astype(np.int16),
                b.astype(np.int32),
                narrow,
                furthest,
                (m, shift),
                product_shift,
                fixed.multiplier(step / float(site.y.q.s)),
            )
    return None


def fits(site: Site) -> bool:
    """Whether the integer form exists."""
    types = site.x.dtype == site.y.dtype and site.x.dtype in SQUARES
    quantized = site.x.quant is not None and site.y.quant is not None
    return _op(site).function == "rbf" and types and quantized and constants(site) is not None


def run(site: Site, x: Array) -> Array:
    """[N, F] integers -> [N, pairs] integers."""
    op, found = _op(site), constants(site)
    assert found is not None, "Op.check says so"
    v = found.vectors.astype(np.int64)
    far = np.stack([np.square(sample - v).sum(-1) for sample in x.astype(np.int64)]) >> found.narrow
    u = fixed.scale_by(np.minimum(far, found.furthest), *found.exponent)
    product = COARSE[(u >> 6) & 63].astype(np.int64) * FINE[u & 63]
    down = u >> 12
    alike = (product + (np.int64(1) << (15 + down))) >> (16 + down)
    alike = np.where(far > found.furthest, 0, alike)
    half = (1 << found.product_shift) >> 1
    terms = (alike[:, :, None] * found.coefficients + half) >> found.product_shift
    sums = np.tile(found.intercepts.astype(np.int64), (len(x), 1))
    pairs, members = op.pairs(), op.members()
    for own in range(len(op.counts)):
        sums[:, pairs[own]] += terms[:, members == own].sum(1)
    bounds = fixed.clamp_range(None, site.y.q, site.y.dtype)
    return fixed.finish(sums, *found.out, site.y.q.z, bounds, site.y.dtype)
