"""The C kernels of the matrix product: when each may be used and what it is told."""

from __future__ import annotations

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
"""Nested loops outside those over rows and columns."""


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return all(t.dtype == dtype for t in (*site.ins, site.y))

    return when


def _steps(shape: Shape, order: tuple[int, ...], rank: int) -> list[int]:
    """How many elements neighbours along each of `rank` dimensions lie apart in an operand; 0 where it is repeated."""
    steps, step = [0] * rank, 1
    for extent, dim in zip(reversed(shape), reversed(order), strict=True):
        steps[dim + rank - len(shape)] = 0 if extent == 1 else step
        step *= extent
    return steps


def _operand_steps(site: Site) -> tuple[list[int], list[int]]:
    """Steps of a and b along batch, row and column of each."""
    op = cast("MatMul", site.op)
    rank = len(site.y.shape)
    found = []
    for t, order, adj in zip(site.ins, (op.order_a, op.order_b), (op.adj_a, op.adj_b), strict=True):
        steps = _steps(t.shape, order or tuple(range(len(t.shape))), rank)
        found.append([*steps[:-2], steps[-1], steps[-2]] if adj else steps)
    return found[0], found[1]


def loops(site: Site) -> list[tuple[int, int, int]]:
    """(extent, step of a, step of b) of the result as it is stored, outermost first; at least two.

    Axes that can be walked as one are one.
    """
    op = cast("MatMul", site.op)
    rank = len(site.y.shape)
    a, b = _operand_steps(site)
    a, b = [*a[:-1], 0], [*b[:-2], 0, b[-1]]  # columns of a and rows of b are what is summed
    found: list[tuple[int, int, int]] = []
    for extent, dim in zip(site.y.shape, op.order or tuple(range(rank)), strict=True):
        if extent == 1:
            continue
        if found and found[-1][1:] == (a[dim] * extent, b[dim] * extent):
            found[-1] = (found[-1][0] * extent, a[dim], b[dim])
        else:
            found.append((extent, a[dim], b[dim]))
    return [(1, 0, 0)] * (2 - len(found)) + found


def _shape(site: Site) -> Params:
    op = cast("MatMul", site.op)
    a, b = _operand_steps(site)
    *outer, rows, columns = loops(site)
    return {
        "walk": np.array([(1, 0, 0)] * (WALK - len(outer)) + outer, np.int32).T.copy(),
        "rows": rows[0],
        "columns": columns[0],
        "depth": op.depth(site.ins),
        "a_row": rows[1],
        "a_column": columns[1],
        "a_step": a[-1],
        "b_row": rows[2],
        "b_column": columns[2],
        "b_step": b[-2],
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


def _one(site: Site) -> tuple[int, str, str]:
    """The factor that stays the same along a row of results as they are stored, and the letters of it and the other."""
    return (1, "b", "a") if _shape(site)["a_column"] else (0, "a", "b")


def _when_1x4(site: Site) -> bool:
    """Rows of at least four results, from one row of a factor and neighbours of the other; and what scale_right needs.

    Neither sum of products, of x above its zero point with w or with w's zero point, is larger than `reach`.
    """
    if not _types("int8")(site):
        return False
    shape, (which, one, other) = _shape(site), _one(site)
    if shape["columns"] < 4 or shape[f"{one}_column"] != 0 or 1 not in (shape[f"{other}_{s}"] for s in STEPS):
        return False
    (m, shift), zeros = multiplier(site), [t.q.z for t in site.ins]
    n = -shift
    if not 1 <= n <= 30 or m < 2**30:
        return False
    widest = [max(127 - z, z + 128) for z in zeros]
    reach = shape["depth"] * widest[which] * max(128, widest[1 - which])
    return bool(reach < 2**29 and 2 * reach + (abs(2 * site.y.q.z + 1) << (n - 1)) + 1 < 2**31)


def _s8_1x4(site: Site) -> Params:
    shape, (which, one, other) = _shape(site), _one(site)
    m, shift = multiplier(site)
    return {
        **{name: shape[name] for name in ("walk", "rows", "columns", "depth")},
        "x_row": shape[f"{one}_row"],
        "x_step": shape[f"{one}_step"],
        "w_row": shape[f"{other}_row"],
        "w_column": shape[f"{other}_column"],
        "w_step": shape[f"{other}_step"],
        "swapped": which,
        "x_zp": site.ins[which].q.z,
        "w_zp": site.ins[1 - which].q.z,
        "mult": m,
        "shift": -shift,
        "two_zp_1": 2 * site.y.q.z + 1,
    }


BOTH = (0, 1)
STEPS = ("column", "step")
MATMUL_S8_1X4 = Kernel(HERE / "matmul_s8_1x4.c", _when_1x4, _s8_1x4, reads=BOTH)
MATMUL_S8 = Kernel(HERE / "matmul_s8.c", _types("int8"), _s8, reads=BOTH)
MATMUL_F32 = Kernel(HERE / "matmul_f32.c", _types("float32"), _shape, reads=BOTH)
MATMUL_I32 = Kernel(HERE / "matmul_i32.c", _types("int32"), _shape, reads=BOTH)
