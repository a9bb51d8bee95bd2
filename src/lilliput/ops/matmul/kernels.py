"""The C kernels of the matrix product: when each may be used and what it is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import Shape
from lilliput.op import Kernel, Params, Site

if TYPE_CHECKING:
    from lilliput.ops.matmul.matmul import MatMul

HERE = Path(__file__).parent
WALK = 4
"""Nested loops over a batch of matrices."""


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return all(t.dtype == dtype for t in (*site.ins, site.y))

    return when


def _steps(shape: Shape, batch: Shape) -> list[int]:
    """How far apart an operand's matrices lie along each axis of the batch, in elements; 0 where one is repeated."""
    own = (1,) * (len(batch) - len(shape) + 2) + shape[:-2]
    steps, step = [], math.prod(shape[-2:])
    for extent in reversed(own):
        steps.append(0 if extent == 1 else step)
        step *= extent
    return steps[::-1]


def loops(site: Site) -> list[tuple[int, int, int]]:
    """(extent, step of a, step of b) of the batch, outermost first; axes that can be walked as one are one."""
    batch = site.y.shape[:-2]
    found: list[tuple[int, int, int]] = []
    for extent, a, b in zip(batch, *(_steps(t.shape, batch) for t in site.ins), strict=True):
        if extent == 1:
            continue
        if found and found[-1][1:] == (a * extent, b * extent):
            found[-1] = (found[-1][0] * extent, a, b)
        else:
            found.append((extent, a, b))
    return found


def _shape(site: Site) -> Params:
    op = cast("MatMul", site.op)
    a, b = (t.shape[-1] for t in site.ins)
    found = loops(site)
    return {
        "walk": np.array([(1, 0, 0)] * (WALK - len(found)) + found, np.int32).T.copy(),
        "rows": site.y.shape[-2],
        "columns": site.y.shape[-1],
        "depth": op.depth(site.ins),
        "a_row": 1 if op.adj_a else a,
        "a_step": a if op.adj_a else 1,
        "b_column": b if op.adj_b else 1,
        "b_step": 1 if op.adj_b else b,
    }


def multiplier(site: Site) -> tuple[int, int]:
    """Of the scales' product, which TFLM's BATCH_MATMUL takes in float32, over the result's."""
    product = np.float32(site.ins[0].q.s * site.ins[1].q.s)
    return fixed.multiplier(float(np.float64(product) / np.float64(site.y.q.s)))


def _s8(site: Site) -> Params:
    m, shift = multiplier(site)
    return {
        **_shape(site),
        "a_zp": site.ins[0].q.z,
        "b_zp": site.ins[1].q.z,
        "out_zp": site.y.q.z,
        "mult": m,
        "shift": shift,
    }


BOTH = (0, 1)
MATMUL_S8 = Kernel(HERE / "matmul_s8.c", _types("int8"), _s8, reads=BOTH)
MATMUL_F32 = Kernel(HERE / "matmul_f32.c", _types("float32"), _shape, reads=BOTH)
MATMUL_I32 = Kernel(HERE / "matmul_i32.c", _types("int32"), _shape, reads=BOTH)
