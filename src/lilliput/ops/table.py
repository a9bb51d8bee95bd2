"""Any int8 function of one int8 value as a table of 256 entries, made from the operator's own reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lilliput.graph import Tensor
from lilliput.op import Kernel, Params, Site


def _when(site: Site) -> bool:
    return len(site.ins) == 1 and site.x.dtype == site.y.dtype == "int8" and not site.x.constant


def _params(site: Site) -> Params:
    every = np.arange(-128, 128, dtype=np.int8)
    x = Tensor("x", every.shape, "int8", site.x.quant)
    y = Tensor("y", every.shape, "int8", site.y.quant)
    (values,) = site.op.run(Site(site.op, (x,), (y,)), every)
    return {"table": values, "n": site.x.size}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


TABLE_S8 = Kernel(Path(__file__).parent / "table_s8.c", _when, _params, in_place=_in_place)
