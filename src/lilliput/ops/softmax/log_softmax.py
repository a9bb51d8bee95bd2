"""The logarithm of softmax over the last axis; in int8 TFLM's LOG_SOFTMAX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.fixed import doubling_high_mul as mul
from lilliput.graph import Array, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.softmax.exponential import reciprocal_one_plus
from lilliput.ops.softmax.softmax import INTEGER_BITS, SUM_BITS, exponentials

HERE = Path(__file__).parent
OUTPUT = Quant.per_tensor(16 / 256, 127)
MAX_CLASSES = (1 << SUM_BITS) - 1
"""So many exponentials in Q12.19 stay in int32."""
ROOT_HALF, FOURTH_ROOT_HALF, LOG_2 = 1518500250, 1805811301, 1488522236
"""Q0.31"""
ALPHA_N, ALPHA_D, ALPHA_I, ALPHA_F = 117049297, 127690142, 1057819769, 638450708
"""Coefficients of the quotient of polynomials that is log(r) near r = 2^(-1/4), Q0.31; TensorFlow Lite's."""


def _leading_zeros(x: Array) -> Array:
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def log_at_least_one(x: Array) -> Array:
    """log(x) in Q5.26 of x in Q12.19, x >= 1 in real terms; as TensorFlow Lite computes it."""
    x = x.astype(np.int64)
    a = _leading_zeros(x)
    ra = np.minimum(2 * mul(x << (a - 1), ROOT_HALF), fixed.INT32.max)
    b = _leading_zeros(mul(x, ROOT_HALF)) - 1
    rb = np.minimum(x << b, fixed.INT32.max)
    r = np.minimum(ra, rb)
    e = np.maximum((12 - a) * (1 << 25) + (1 << 23), (12 - b) * (1 << 25) - (1 << 23))  # Q6.25
    p = (r + FOURTH_ROOT_HALF + 1) >> 1
    q = 2 * (r - FOURTH_ROOT_HALF)
    q2 = mul(q, q)
    above = mul(q, r) + mul(mul(q, q2), ALPHA_N)
    below = mul(p, ALPHA_I + q + mul(ALPHA_D, q2)) + mul(ALPHA_F, q)
    quotient = mul(fixed.rounding_shift(above, 6), reciprocal_one_plus(below))
    return 2 * (mul(e, LOG_2) + quotient)


@dataclass(frozen=True, eq=False)
class Constants:
    """What the integers are computed with: e^-d in Q12.19 for each distance d, multipliers to Q5.26 and back."""

    exp: Array
    forward: tuple[int, int]
    back: tuple[int, int]
    furthest: int


def constants(x: Quant) -> Constants:
    real = min(float(x.s) * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)
    m, left = fixed.multiplier(real)
    table = fixed.rounding_shift(exponentials(x, 1.0), SUM_BITS).astype(np.int32)
    return Constants(
        table,
        (m, left),
        fixed.multiplier((1 << (31 - left)) / m),
        int(31 * 2.0 ** (31 - INTEGER_BITS - left)),
    )


def _types(dtype: str) -> Any:
    return lambda site: site.x.dtype == site.y.dtype == dtype and not site.x.constant


def _is_s8(site: Site) -> bool:
    quantized = site.x.quant is not None and OUTPUT.same(site.y.quant)
    return quantized and bool(_types("int8")(site)) and site.x.shape[-1] <= MAX_CLASSES


def _shape(site: Site) -> Params:
    n = site.x.shape[-1]
    return {"rows": site.x.size // n, "n": n}


def _params_s8(site: Site) -> Params:
    known = constants(site.x.q)
    table = known.exp if len(known.exp) == 256 else np.append(known.exp, np.int32(0))
    scaling = {"mult": known.forward[0], "shift": known.forward[1]}
    back = {"back": known.back[0], "back_shift": known.back[1]}
    furthest = min(known.furthest, 255)
    return {"exp": table, "last": len(table) - 1, **_shape(site), **scaling, **back, "furthest": furthest}


@register
@dataclass(frozen=True)
class LogSoftmax(Op):
    name: ClassVar[str] = "log_softmax"
    out_quant: ClassVar[Quant | QuantRule] = OUTPUT
    kernels = (
        Kernel(HERE / "log_softmax_s8.c", _is_s8, _params_s8, in_place=lambda _: (0,)),
        Kernel(HERE / "log_softmax_f32.c", _types("float32"), _shape, in_place=lambda _: (0,)),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        return None if site.x.shape else "a scalar has no last axis"

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) > 1

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if not site.integer:
            shifted = x - x.max(-1, keepdims=True)
            return (np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), np.float32),)
        known = constants(site.x.q)
        table = np.zeros(256, np.int64)
        table[: len(known.exp)] = known.exp
        d = x.astype(np.int64) - x.max(-1, keepdims=True)
        log_sum = log_at_least_one(table[-d].sum(-1, keepdims=True))
        reach = fixed.scale_by(log_sum + int(fixed.INT32.min), *known.back)
        counts = d > np.maximum(-min(known.furthest, 255) - 1, reach)
        y = fixed.rounding_shift(fixed.scale_by(d, *known.forward) - log_sum, 22) + 127
        return (np.clip(np.where(counts, y, -128), -128, 127).astype(np.int8),)

    def reach(self) -> float | None:
        """Where the result is less than the least of its int8 form."""
        return 16.0

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].log_softmax(-1)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return None if len(shape) < 2 else Example(cls(), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for n in (1, 2, 12, 257, 3000):
            yield Example(cls(), ((1, n),), why=f"{n} classes")
        yield Example(cls(), ((1, 4, 3, 5),), why="a row per pixel")
