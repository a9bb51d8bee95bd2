"""Activation functions of later networks: ELU and its kin, GELU, SiLU, Mish, softplus, shrinking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array
from lilliput.op import Op, Site, register
from lilliput.ops.table import TABLE_S8
from lilliput.ops.unary import tflm
from lilliput.ops.unary.elementary import erfc
from lilliput.ops.unary.functions import Function, kernels_of, map_by


def _functional(name: str) -> Any:
    from torch.nn import functional

    return getattr(functional, name)


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e))


@register
@dataclass(frozen=True)
class Softplus(Function):
    """log(1 + e^x)."""

    name: ClassVar[str] = "softplus"
    kernels = kernels_of("softplus_of", "activations_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("softplus")(xs[0])


@register
@dataclass(frozen=True)
class LogSigmoid(Function):
    """log(1 / (1 + e^-x))."""

    name: ClassVar[str] = "log_sigmoid"
    kernels = kernels_of("log_sigmoid_of", "activations_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("logsigmoid")(xs[0])


@register
@dataclass(frozen=True)
class Softsign(Function):
    """x / (1 + |x|)."""

    name: ClassVar[str] = "softsign"
    kernels = kernels_of("softsign_of", "activations_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.abs(x)))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("softsign")(xs[0])


@register
@dataclass(frozen=True)
class Mish(Function):
    """x tanh(log(1 + e^x)); Misra 2019."""

    name: ClassVar[str] = "mish"
    kernels = kernels_of("mish_of", "activations_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("mish")(xs[0])


@register
@dataclass(frozen=True)
class Gelu(Function):
    """x times the share of a normal distribution below x; Hendrycks and Gimpel 2016."""

    name: ClassVar[str] = "gelu"
    kernels = kernels_of("gelu_of", "erf_f32")

    def real(self, x: Array) -> Array:
        return np.asarray(x * erfc(-x / x.dtype.type(math.sqrt(2))) / 2)

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("gelu")(xs[0])


@register
@dataclass(frozen=True)
class GeluTanh(Function):
    """GELU approximated as x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""

    name: ClassVar[str] = "gelu_tanh"
    kernels = kernels_of("gelu_tanh_of", "erf_f32")

    def real(self, x: Array) -> Array:
        twice = x.dtype.type(2 * math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x**3)
        return np.asarray(x * logistic(twice))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("gelu")(xs[0], approximate="tanh")


@dataclass(frozen=True)
class _Finite(Function):
    """Attributes must be finite numbers."""

    def check(self, site: Site) -> str | None:
        wrong = [f"{k}={v}" for k, v in vars(self).items() if isinstance(v, float) and not math.isfinite(v)]
        return f"{', '.join(wrong)}, expected finite numbers" if wrong else super().check(site)


@register
@dataclass(frozen=True)
class Silu(_Finite):
    """x / (1 + e^-kx): SiLU with k = 1, else Swish."""

    k: float = 1.0

    name: ClassVar[str] = "silu"
    kernels = (TABLE_S8, map_by("silu_of", "activations_f32"))

    def real(self, x: Array) -> Array:
        return np.asarray(x * logistic(np.float32(self.k) * x))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0] * (self.k * xs[0]).sigmoid()

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(1.702), cls(-0.5)


@register
@dataclass(frozen=True)
class Elu(_Finite):
    """alpha (e^x - 1) below zero, gamma x above: ELU with gamma = 1 (TFLM's, where alpha is 1 too); SELU."""

    alpha: float = 1.0
    gamma: float = 1.0

    name: ClassVar[str] = "elu"
    kernels = (TABLE_S8, map_by("elu_of", "activations_f32"))

    def real(self, x: Array) -> Array:
        below = np.float32(self.alpha) * np.expm1(np.minimum(x, 0))
        return np.asarray(np.where(x < 0, below, np.float32(self.gamma) * x))

    def integers(self, site: Site, x: Array) -> Array:
        return tflm.elu(site, x) if self.alpha == self.gamma == 1.0 else super().integers(site, x)

    def torch(self, site: Site, *xs: Any) -> Any:
        x = xs[0]
        return self.gamma * x.clamp(min=0) + self.alpha * x.clamp(max=0).expm1()

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(*SELU), cls(-0.3, 2.0)


SELU = (1.0507009873554805 * 1.6732632423543772, 1.0507009873554805)
"""alpha and gamma with which activations keep mean 0 and variance 1; Klambauer et al. 2017."""


@register
@dataclass(frozen=True)
class Celu(_Finite):
    """alpha (e^(x / alpha) - 1) below zero, x above."""

    alpha: float = 1.0

    name: ClassVar[str] = "celu"
    kernels = (TABLE_S8, map_by("celu_of", "activations_f32"))

    def check(self, site: Site) -> str | None:
        return "alpha is 0, expected another number" if self.alpha == 0 else super().check(site)

    def real(self, x: Array) -> Array:
        alpha = np.float32(self.alpha)
        return np.asarray(np.where(x < 0, alpha * np.expm1(np.minimum(x, 0) / alpha), x))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("celu")(xs[0], self.alpha)

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(2.0), cls(0.1)


@register
@dataclass(frozen=True)
class HardSigmoidBy(_Finite):
    """max(0, min(1, alpha x + beta)) with any slope; `hard_sigmoid` is the one of torch."""

    alpha: float = 0.2
    beta: float = 0.5

    name: ClassVar[str] = "hard_sigmoid_by"
    kernels = (TABLE_S8, map_by("hard_sigmoid_by", "activations_f32"))

    def real(self, x: Array) -> Array:
        return np.asarray(np.clip(np.float32(self.alpha) * x + np.float32(self.beta), 0, 1))

    def torch(self, site: Site, *xs: Any) -> Any:
        return (self.alpha * xs[0] + self.beta).clamp(0, 1)

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(0.5, 0.6), cls(-1.5, 0.25)


@register
@dataclass(frozen=True)
class Threshold(_Finite):
    """x above the threshold, `value` elsewhere: thresholded ReLU."""

    threshold: float = 1.0
    value: float = 0.0

    name: ClassVar[str] = "threshold"
    kernels = (TABLE_S8, map_by("threshold_of", "activations_f32"))

    def real(self, x: Array) -> Array:
        return np.asarray(np.where((x > np.float32(self.threshold)) | np.isnan(x), x, np.float32(self.value)))

    def torch(self, site: Site, *xs: Any) -> Any:
        return _functional("threshold")(xs[0], self.threshold, self.value)

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(-0.25, 3.0), cls(0.0, 0.0)


@register
@dataclass(frozen=True)
class Shrink(_Finite):
    """Zero within the threshold, outside it towards zero by the shift: hard (shift 0) and soft shrinking."""

    threshold: float = 0.5
    shift: float = 0.0

    name: ClassVar[str] = "shrink"
    kernels = (TABLE_S8, map_by("shrink_of", "activations_f32"))

    def check(self, site: Site) -> str | None:
        if self.threshold < 0:
            return f"the threshold is {self.threshold}, expected at least 0"
        return super().check(site)

    def real(self, x: Array) -> Array:
        near, shift = np.float32(self.threshold), np.float32(self.shift)
        inside = np.where(np.isnan(x), x, 0)
        return np.asarray(np.where(x < -near, x + shift, np.where(x > near, x - shift, inside)))

    def torch(self, site: Site, *xs: Any) -> Any:
        x = xs[0]
        return (x - x.sign() * self.shift) * (x.abs() > self.threshold)

    @classmethod
    def variants(cls) -> Sequence[Op]:
        return cls(), cls(0.5, 0.5), cls(1.5, 0.5)
