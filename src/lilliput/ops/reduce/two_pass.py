"""Reductions that need a centre first: the logarithm of a sum of exponentials, variance and standard deviation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np

from lilliput.graph import Array, Shape
from lilliput.op import Example, Kernel, Params, Site, register
from lilliput.ops.reduce.common import HERE, Reduction, of_type, walk
from lilliput.ops.reduce.mean import float_sum


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, Reduction)
    count = op.count(site.x.shape)
    correction, epsilon = (op.correction, op.epsilon) if isinstance(op, Spread) else (0.0, 0.0)
    return {
        **walk(site),
        "count": float(count),
        "divisor": float(count - correction),
        "epsilon": float(epsilon),
    }


def _kernel(function: str) -> Kernel:
    return Kernel(HERE / "two_pass.c", of_type("float32"), _params, tokens={"F": function})


@register
@dataclass(frozen=True)
class ReduceLogSumExp(Reduction):
    """log(sum(e^x)), from the greatest value so that nothing overflows; float32."""

    name: ClassVar[str] = "reduce_log_sum_exp"
    kernels = (_kernel("log_sum_exp"),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        greatest = x.max(axes, keepdims=True)
        centre = np.where(np.isfinite(greatest), greatest, np.float32(0))
        total = np.exp(x - centre).sum(axes, np.float32, keepdims=keep)
        return np.asarray(centre.reshape(total.shape) + np.log(total))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].logsumexp(self.axes, keepdim=self.keep_dims)


@dataclass(frozen=True)
class Spread(Reduction):
    """How far values lie from their mean: squares over (count - correction); float32."""

    correction: float = 0.0
    epsilon: float = 0.0

    def check(self, site: Site) -> str | None:
        if reason := super().check(site):
            return reason
        count = self.count(site.x.shape)
        if count <= self.correction:
            return f"{count} values have no spread with a correction of {self.correction}"
        return None

    def squares(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        """The variance."""
        centred = x - float_sum(x, axes, True) / np.float32(self.count(x.shape))
        total = float_sum(np.square(centred), axes, keep)
        return np.asarray(total / np.float32(self.count(x.shape) - self.correction), np.float32)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        drawn = super().sample(rng, shape)
        return drawn and replace(drawn, op=replace(cast(Spread, drawn.op), epsilon=0.1))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from (case for case in super().examples() if case.why != "nothing to reduce")
        yield Example(cls((1,), True, 1.0, 0.5), ((1, 6, 4),), why="unbiased")


@register
@dataclass(frozen=True)
class Variance(Spread):
    name: ClassVar[str] = "variance"
    kernels = (_kernel("variance"),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return self.squares(x, axes, keep)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].var(self.axes, correction=self.correction, keepdim=self.keep_dims)


@register
@dataclass(frozen=True)
class Deviation(Spread):
    """The standard deviation."""

    name: ClassVar[str] = "deviation"
    kernels = (_kernel("deviation"),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(np.sqrt(self.squares(x, axes, keep)))

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].std(self.axes, correction=self.correction, keepdim=self.keep_dims)


@register
@dataclass(frozen=True)
class InverseDeviation(Spread):
    """1 / sqrt(variance + epsilon), what normalizations multiply with."""

    name: ClassVar[str] = "inverse_deviation"
    kernels = (_kernel("inverse_deviation"),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        return np.asarray(np.float32(1) / np.sqrt(self.squares(x, axes, keep) + np.float32(self.epsilon)))

    def torch(self, site: Site, *xs: Any) -> Any:
        y = xs[0].var(self.axes, correction=self.correction, keepdim=self.keep_dims)
        return (y + self.epsilon).rsqrt()
