"""Functions made of straight pieces and parabolas: leaky ReLU, hard swish, hard sigmoid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array, Quant, Shape
from lilliput.op import Example, QuantRule, Site, register
from lilliput.ops.table import TABLE_S8
from lilliput.ops.unary import int16
from lilliput.ops.unary.common import Unary, float_kernel, refuse_output

SIXTH = np.float32(1 / 6)


@register
@dataclass(frozen=True)
class LeakyRelu(Unary):
    """x where it is positive, alpha * x elsewhere; TFLM's LEAKY_RELU. alpha may have any sign and size."""

    alpha: float = 0.01

    name: ClassVar[str] = "leaky_relu"
    integer_types: ClassVar[tuple[str, ...]] = ("int8", "int16")
    kernels = (TABLE_S8, int16.LEAKY_RELU_S16, float_kernel("leaky_relu_f32"))

    def check(self, site: Site) -> str | None:
        if not np.isfinite(self.alpha):
            return f"alpha is {self.alpha}, expected a finite number"
        return super().check(site)

    def integers(self, site: Site, x: Array) -> Array:
        positive, negative = int16.factors(site, self.alpha)
        v = x.astype(np.int64) - site.x.q.z
        y = np.where(v >= 0, fixed.scale_by(v, *positive), fixed.scale_by(v, *negative))
        total = fixed.wrap32(y + site.y.q.z)
        return np.clip(total, *INT_RANGE[site.y.dtype]).astype(site.y.dtype)

    def real(self, x: Array) -> Array:
        return np.where(x < 0, np.multiply(x, np.float32(self.alpha)), x)

    def torch(self, site: Site, *xs: Any) -> Any:
        from torch.nn.functional import leaky_relu

        return leaky_relu(xs[0], self.alpha)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls(float(rng.choice([0.01, 0.1, 0.3, -0.5, rng.normal()]))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for i, alpha in enumerate((0.01, 0.3, -0.7, 5.0, 0.0, 1e-9, 1.0)):
            yield Example(cls(alpha), ((1, 5, 2 * i + 1),), seed=i, why=f"slope {alpha}")


@register
@dataclass(frozen=True)
class HardSwish(Unary):
    """x * min(max(x + 3, 0), 6) / 6; TFLM's HARD_SWISH in 16-bit fixed point.

    TFLM refuses input scales of more than 128 times the output's; there the last shift goes left, saturating.
    """

    name: ClassVar[str] = "hard_swish"
    kernels = (TABLE_S8, float_kernel("hard_swish_f32"))

    def integers(self, site: Site, x: Array) -> Array:
        x_q, y_q = site.x.q, site.y.q
        high_scale = float(x_q.s) / 128
        m, shift = fixed.multiplier(high_scale / float(y_q.s))
        m_relu, shift_relu = fixed.multiplier(high_scale / (3.0 / 32768))
        v = _wrap16((x.astype(np.int64) - x_q.z) * 128)
        scaled = _mul16(v, _upper16(m))
        # Hard sigmoid in Q0.15: 3 is 32768, shifted up all but one bit so that saturation stays exact.
        r = v if shift_relu <= 0 else _saturate16(v << (shift_relu - 1))
        r = _mul16(r, _upper16(m_relu))
        if shift_relu > 0:
            r = _saturate16(r << 1)
        if shift_relu < 0:
            r = _rounding_shift16(r, -shift_relu)
        product = scaled * ((r + 32768) >> 1)
        h = np.sign(product) * (np.abs(product) >> 15)  # division by 2^15 that truncates
        y = _rounding_shift16(h, -shift) if shift <= 0 else h << min(shift, 32)
        return np.asarray(np.clip(y + y_q.z, -128, 127), np.int8)

    def real(self, x: Array) -> Array:
        return np.asarray(x * np.clip(x + np.float32(3), np.float32(0), np.float32(6)) * SIXTH)

    def torch(self, site: Site, *xs: Any) -> Any:
        from torch.nn.functional import hardswish

        return hardswish(xs[0])


@register
@dataclass(frozen=True)
class HardSigmoid(Unary):
    """min(max(x + 3, 0), 6) / 6. TFLM has none: our int8 form is the exact value in 256ths, halves up."""

    name: ClassVar[str] = "hard_sigmoid"
    out_quant: ClassVar[Quant | QuantRule] = Quant.per_tensor(1 / 256, -128)
    kernels = (TABLE_S8, float_kernel("hard_sigmoid_f32"))

    def check(self, site: Site) -> str | None:
        return super().check(site) or refuse_output(site, 1 / 256, -128)

    def integers(self, site: Site, x: Array) -> Array:
        scale = Fraction(float(site.x.q.s))  # a float32 is an exact fraction
        steps = np.arange(-128, 128) - site.x.q.z
        every = [_hard_sigmoid_256ths(scale * int(step)) for step in steps]
        return np.array(every, np.int8)[x.astype(np.int64) + 128]

    def real(self, x: Array) -> Array:
        return np.clip(x + np.float32(3), np.float32(0), np.float32(6)) * SIXTH

    def torch(self, site: Site, *xs: Any) -> Any:
        from torch.nn.functional import hardsigmoid

        return hardsigmoid(xs[0])


def _hard_sigmoid_256ths(real: Fraction) -> int:
    """round(256 * min(max(real + 3, 0), 6) / 6) - 128, halves up, saturated: exact rational arithmetic."""
    share = min(max(real + 3, Fraction(0)), Fraction(6)) / 6
    return min((512 * share + 1) // 2 - 128, 127)


def _upper16(m: int) -> int:
    """The upper 16 bits of an int32 multiplier, rounded, saturated."""
    return 32767 if m >= 2**31 - 1 - 2**15 else (m + 2**15) >> 16


def _wrap16(x: Array) -> Array:
    return ((x + 32768) & 0xFFFF) - 32768


def _saturate16(x: Array) -> Array:
    return np.clip(x, -32768, 32767)


def _mul16(a: Array, b: int) -> Array:
    """Rounding doubling high multiply of int16, halves up; b is never -32768."""
    return (a * b + (1 << 14)) >> 15


def _rounding_shift16(x: Array, n: int) -> Array:
    """TFLM's rounding shift on int16, whose mask is all ones from 16 bits on: there only the sign is left."""
    return fixed.rounding_shift(x, n) if n < 16 else np.where(x >= 0, 1, -1)
