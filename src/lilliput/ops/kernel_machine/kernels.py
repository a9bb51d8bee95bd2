"""The C kernels of support vector machines and of the vote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from lilliput import fixed
from lilliput.op import Kernel, Params, Site
from lilliput.ops.kernel_machine import integers

if TYPE_CHECKING:
    from lilliput.ops.kernel_machine.machine import KernelMachine
    from lilliput.ops.kernel_machine.vote import PairwiseVote

HERE = Path(__file__).parent


def _op(site: Site) -> KernelMachine:
    return cast("KernelMachine", site.op)


def _shape(site: Site) -> Params:
    op = _op(site)
    counts = (*op.counts, 0)[: op.classes]
    return {
        "counts": np.array(counts, np.int32),
        "features": site.x.shape[-1],
        "classes": op.classes,
        "pairs": site.y.shape[-1],
    }


def _float(function: str) -> Kernel:
    def when(site: Site) -> bool:
        types = {t.dtype for t in (site.x, site.y)}
        return _op(site).function == function and types == {"float32"} and not site.x.constant

    def params(site: Site) -> Params:
        op = _op(site)
        plain = function == "linear"
        return {
            **_shape(site),
            "vectors": np.asarray(site.ins[1].data),
            "coefficients": np.asarray(site.ins[2].data),
            "intercepts": np.asarray(site.ins[3].data),
            "gamma": 1.0 if plain else op.gamma,
            "coef0": 0.0 if plain else op.coef0,
            "degree": op.degree,
        }

    name = "affine_product" if function == "linear" else f"{function}_of"
    return Kernel(HERE / "kernel_machine_f32.c", when, params, tokens={"F": name})


def _rbf(dtype: str, sum_type: str) -> Kernel:
    def when(site: Site) -> bool:
        return site.x.dtype == dtype and not site.x.constant and integers.fits(site)

    def params(site: Site) -> Params:
        found = integers.constants(site)
        assert found is not None, "`when` says so"
        lo, hi = fixed.clamp_range(None, site.y.q, site.y.dtype)
        return {
            **_shape(site),
            "vectors": found.vectors,
            "coefficients": found.coefficients,
            "intercepts": found.intercepts,
            "coarse": integers.COARSE,
            "fine": integers.FINE,
            "narrow": found.narrow,
            "furthest": found.furthest,
            "mult": found.exponent[0],
            "shift": found.exponent[1],
            "product_shift": found.product_shift,
            "out_mult": found.out[0],
            "out_shift": found.out[1],
            "out_zp": site.y.q.z,
            "lo": lo,
            "hi": hi,
        }

    def scratch(site: Site) -> int:
        return 4 * site.y.size

    tokens = {"T": f"{dtype}_t", "S": sum_type}
    return Kernel(HERE / "kernel_machine_rbf.c", when, params, scratch=scratch, tokens=tokens)


MACHINES = (
    _rbf("int8", "uint32_t"),
    _rbf("int16", "uint64_t"),
    *(_float(function) for function in ("linear", "poly", "rbf", "sigmoid")),
)


def _vote_when(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == dtype and not site.x.constant

    return when


def _vote_params(site: Site) -> Params:
    op = cast("PairwiseVote", site.op)
    zero = site.x.q.z if site.x.dtype != "float32" else 0.0
    return {"classes": op.classes, "zero": zero}


C_TYPES = {"int8": "int8_t", "int16": "int16_t", "float32": "float"}
VOTES = tuple(
    Kernel(HERE / "pairwise_vote.c", _vote_when(dtype), _vote_params, tokens={"T": c})
    for dtype, c in C_TYPES.items()
)
