"""Softmax over the last axis, e^(beta x) over its sum; in int8 and int16 TFLM's, from tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.softmax import int16
from lilliput.ops.softmax.exponential import exp_negative, reciprocal_one_plus

HERE = Path(__file__).parent
INTEGER_BITS = 5
"""Exponents are Q5.26: below -31 an exponential counts as nothing."""
SUM_BITS = 12
"""The sum is Q12.19, so at most 2^13 - 1 terms fit in 32 bits."""
MAX_CLASSES = (1 << (SUM_BITS + 1)) - 1
OUTPUT = Quant.per_tensor(1 / 256, -128)
FORMS = {"int8": (OUTPUT, MAX_CLASSES), "int16": (int16.OUTPUT, int16.MAX_CLASSES)}
"""What the result's quantization must be, and how many classes there may be."""


def in_words(output: Quant) -> str:
    """A fixed quantization, for messages."""
    return f"scale 1/{round(1 / float(output.s))} and zero point {output.z}"


def exponentials(x: Quant, beta: float) -> Array:
    """e^(-beta scale d) in Q0.31 for the differences d = 0, 1, … that count at all (at most 256)."""
    real = min(float(np.float32(beta)) * float(x.s) * (1 << (31 - INTEGER_BITS)), 2.0**31 - 1)
    m, left = fixed.multiplier(real)
    if real >= 2.0**30 - 0.25:  # one step is e^-16: nothing but the maximum itself
        return np.array([fixed.INT32.max], np.int32)
    furthest = int(31 * 2.0 ** (31 - INTEGER_BITS - left))
    differences = -np.arange(min(furthest, 255) + 1, dtype=np.int64)
    return exp_negative(fixed.scale_by(differences, m, left), INTEGER_BITS).astype(np.int32)


def _op(site: Site) -> Softmax:
    assert isinstance(site.op, Softmax)
    return site.op


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == site.y.dtype == dtype and not site.x.constant

    return when


def _shape(site: Site) -> Params:
    n = site.x.shape[-1]
    return {"rows": site.x.size // n, "n": n}


def _params_s8(site: Site) -> Params:
    table = exponentials(site.x.q, _op(site).beta)
    if len(table) < 256:
        table = np.append(table, np.int32(0))  # where every greater difference ends
    return {"exp": table, "last": len(table) - 1, **_shape(site)}


def _params_s16(site: Site) -> Params:
    m, shift = int16.multiplier(site.x.q, _op(site).beta)
    tables = {"exp": int16.EXPONENTIAL, "reciprocal": int16.RECIPROCAL}
    return {**tables, "mult": m, "shift": shift, **_shape(site)}


def _params_f32(site: Site) -> Params:
    return {**_shape(site), "beta": float(_op(site).beta)}


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


@register
@dataclass(frozen=True)
class Softmax(Op):
    beta: float = 1.0

    name: ClassVar[str] = "softmax"
    out_quant: ClassVar[Quant | QuantRule] = OUTPUT
    kernels = (
        Kernel(HERE / "softmax_s8.c", _types("int8"), _params_s8, in_place=_in_place),
        Kernel(HERE / "softmax_s16.c", _types("int16"), _params_s16, in_place=_in_place),
        Kernel(HERE / "softmax_f32.c", _types("float32"), _params_f32, in_place=_in_place),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if not site.x.shape:
            return "a scalar has no last axis"
        if not (np.isfinite(self.beta) and self.beta >= 0):
            return f"beta is {self.beta}; it must be finite and not negative"
        if not site.integer:
            return None
        if site.x.dtype != site.y.dtype or site.x.dtype not in FORMS:
            return f"{site.x.dtype} to {site.y.dtype} is not supported, only {' and '.join(FORMS)}"
        output, most = FORMS[site.y.dtype]
        if not output.same(site.y.quant):
            return f"the result's quantization is {site.y.quant}, expected {in_words(output)}"
        if site.x.shape[-1] > most:
            return f"{site.x.shape[-1]} classes; the {site.y.dtype} form sums at most {most}"
        if site.x.dtype == "int16" and int16.multiplier(site.x.q, self.beta)[1] > int16.MAX_SHIFT:
            return f"scale {float(site.x.q.s):g} times beta {self.beta:g} is too large for int16"
        return None

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) > 1

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if not site.integer:
            powers = np.exp((x - x.max(-1, keepdims=True)) * np.float32(self.beta))
            return (np.asarray(powers / powers.sum(-1, keepdims=True), np.float32),)
        if x.dtype == np.int16:
            return (int16.softmax(x, *int16.multiplier(site.x.q, self.beta)),)
        table = np.zeros(256, np.int64)
        known = exponentials(site.x.q, self.beta)
        table[: len(known)] = known
        powers = table[x.max(-1, keepdims=True).astype(np.int64) - x]  # Q0.31
        total = fixed.rounding_shift(powers, SUM_BITS).sum(-1, keepdims=True)
        bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # 2^(bits - 1) <= total < 2^bits
        # inverse = 2^31 2^(bits - 1) / total: a share in 1/256 is its product with the power / 2^(bits + 3).
        inverse = reciprocal_one_plus((total << (32 - bits)) - (1 << 31))
        shares = fixed.rounding_shift(fixed.doubling_high_mul(inverse, powers), bits + 3)
        return (np.clip(shares - 128, -128, 127).astype(np.int8),)

    def reach(self) -> float | None:
        """Where a share is e^-12 of the greatest at most: a few hundred of them are less than a step of 1/256."""
        return 12 / self.beta if self.beta > 0 else None

    def torch(self, site: Site, *xs: Any) -> Any:
        return (xs[0] * self.beta).softmax(-1)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2 or shape[-1] > MAX_CLASSES:
            return None
        return Example(cls(float(rng.choice([1.0, 1.0, 0.25, 3.0]))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for n in (1, 2, 12, 257):
            yield Example(cls(), ((1, n),), why=f"{n} classes")
        yield Example(cls(), ((1, 4, 3, 5),), why="a row per pixel")
        yield Example(cls(7.5), ((2, 9),), why="sharp")
        yield Example(cls(0.01), ((1, 9),), why="nearly flat")
        yield Example(cls(0.0), ((1, 3),), why="flat")
        yield Example(cls(0.001), ((1, 700),), why="so many equals that each rounds to nothing")
        yield Example(cls(1000.0), ((1, 20),), why="nothing but the maximum")
