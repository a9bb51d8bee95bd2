"""Any int8 function of one int8 value as a table of 256 entries, made from the operator's own reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lilliput.graph import INT_RANGE, Array, Tensor
from lilliput.interval import Interval, mapped
from lilliput.op import Kernel, Params, Site


def _when(site: Site) -> bool:
    return len(site.ins) == 1 and site.x.dtype == site.y.dtype == "int8" and not site.x.constant


TRIED = ("int8", "uint8", "int16")
"""Types of so few values that a function may be tried on all of them."""


def values_of(site: Site, integers: Array) -> Array:
    """What the function makes of each of these."""
    x = Tensor("x", integers.shape, site.x.dtype, site.x.quant)
    y = Tensor("y", integers.shape, site.y.dtype, site.y.quant)
    (values,) = site.op.run(Site(site.op, (x,), (y,)), integers)
    return values


def bounds(site: Site, x: Interval) -> Interval:
    """Of the result of such a function, from the values of one of the types TRIED."""
    return mapped(x, INT_RANGE[site.x.dtype], lambda every: values_of(site, every.astype(site.x.dtype)))


def _params(site: Site) -> Params:
    return {"table": values_of(site, np.arange(-128, 128, dtype=np.int8)), "n": site.x.size}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


TABLE_S8 = Kernel(Path(__file__).parent / "table_s8.c", _when, _params, in_place=_in_place)
