"""Vectors divided by their length; in int8 along the last axis TFLM's L2_NORMALIZATION."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register

HERE = Path(__file__).parent
OUTPUT = Quant.per_tensor(1 / 128, 0)
MAX_COUNT = (2**31 - 1) // 255**2
"""So many squares of int8 differences stay in int32."""


def _op(site: Site) -> LpNorm:
    assert isinstance(site.op, LpNorm)
    return site.op


def _is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


def _is_s8(site: Site) -> bool:
    op, shape = _op(site), site.x.shape
    rows = op.p == 2 and op.axis % len(shape) == len(shape) - 1 and shape[-1] <= MAX_COUNT
    fixed_result = OUTPUT.same(site.y.quant) and site.x.quant is not None
    return rows and fixed_result and site.x.dtype == site.y.dtype == "int8" and not site.x.constant


def _params_f32(site: Site) -> Params:
    shape, axis = site.x.shape, _op(site).axis % len(site.x.shape)
    return {
        "outer": int(np.prod(shape[:axis], dtype=np.int64)),
        "n": shape[axis],
        "inner": int(np.prod(shape[axis + 1 :], dtype=np.int64)),
        "p": _op(site).p,
        "epsilon": float(_op(site).epsilon),
    }


def _params_s8(site: Site) -> Params:
    n = site.x.shape[-1]
    return {"rows": site.x.size // n, "n": n, "in_zp": site.x.q.z}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


def inverse_root(total: int) -> tuple[int, int]:
    """(m, right shift) of 1 / sqrt(total), exactly TFLM's: five Newton steps in Q3.28 from 1."""
    if total <= 1:
        return int(fixed.INT32.max), 0
    shift = 11
    while total >= 1 << 29:
        total, shift = total // 4, shift + 1
    while total < 1 << 27:
        total, shift = total * 4, shift - 1
    half = fixed.rounding_shift(total >> 1, 1)
    x = np.asarray(1 << 28)
    for _ in range(5):
        cube = fixed.doubling_high_mul(fixed.doubling_high_mul(x, x), x) * 64
        x = (fixed.doubling_high_mul(3 << 27, x) - fixed.doubling_high_mul(half, cube)) * 8
    m = int(fixed.doubling_high_mul(x, 1518500250))
    return (m << -shift, 0) if shift < 0 else (m, shift)


@register
@dataclass(frozen=True)
class LpNorm(Op):
    """x / max(|x|_p, epsilon) along an axis, p 1 or 2."""

    p: int = 2
    axis: int = -1
    epsilon: float = 1e-6

    name: ClassVar[str] = "lp_norm"
    out_quant: ClassVar[Quant | QuantRule] = OUTPUT
    kernels = (
        Kernel(HERE / "l2_norm_s8.c", _is_s8, _params_s8, in_place=_in_place),
        Kernel(HERE / "lp_norm_f32.c", _is_f32, _params_f32, in_place=_in_place),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if not -rank <= self.axis < rank:
            return f"axis {self.axis} is not one of {rank} dimensions"
        if self.p not in (1, 2):
            return f"a norm of order {self.p}, expected 1 or 2"
        return None if self.epsilon > 0 else f"epsilon is {self.epsilon}; it must be positive"

    def batchable(self, site: Site) -> bool:
        return self.axis % len(site.x.shape) != 0

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if not site.integer:
            if self.p == 1:
                norm = np.abs(x).sum(self.axis, np.float32, keepdims=True)
            else:
                norm = np.sqrt(np.square(x).sum(self.axis, np.float32, keepdims=True))
            return (np.asarray(x / np.maximum(norm, np.float32(self.epsilon)), np.float32),)
        d = x.astype(np.int64) - site.x.q.z
        pairs = [inverse_root(int(total)) for total in np.square(d).sum(-1).reshape(-1)]
        m, shift = (np.array(v).reshape(*x.shape[:-1], 1) for v in zip(*pairs, strict=True))
        return (np.clip(fixed.scale_by(d, m, 7 - shift), -128, 127).astype(np.int8),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        return torch.nn.functional.normalize(xs[0], float(self.p), self.axis, self.epsilon)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = -1 if rng.random() < 0.5 else int(rng.integers(1, len(shape)))
        return Example(cls(int(rng.integers(1, 3)), axis, 0.1), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(), ((1, 16),), why="one vector")
        yield Example(cls(), ((1, 5, 3, 4),), why="a vector per pixel")
        yield Example(cls(), ((3, 1),), why="signs only")
        yield Example(cls(), ((1, 2000),), why="a long vector")
        yield Example(cls(1, 1), ((2, 6, 3),), why="the sum of magnitudes of an axis in the middle")
        yield Example(cls(2, 0), ((6, 5),), why="the first axis")
