"""Local response normalization across neighbouring channels, float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent


def _is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, LocalResponseNorm)
    n = site.x.shape[-1]
    window = {"before": min(op.before, n), "after": min(op.after, n)}
    factors = {"base": float(op.base), "alpha": float(op.alpha), "beta": float(op.beta)}
    return {"rows": site.x.size // n, "n": n, **window, **factors}


@register
@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """x / (base + alpha * sum)^beta, the sum over the squares of `before` channels, its own and `after` more."""

    before: int
    after: int
    base: float = 1.0
    alpha: float = 1.0
    beta: float = 0.5

    name: ClassVar[str] = "local_response_norm"
    kernels = (Kernel(HERE / "lrn_f32.c", _is_f32, _params),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if not site.x.shape:
            return "a scalar has no channels"
        if self.before < 0 or self.after < 0:
            return f"a window of {self.before} channels before and {self.after} after"
        if not (self.base > 0 and self.alpha >= 0 and np.isfinite([self.base, self.alpha, self.beta]).all()):
            return f"base {self.base}, alpha {self.alpha}, beta {self.beta}; expected a positive divisor"
        return None

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) > 1

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        squares = np.square(x)
        total = np.zeros_like(x)
        n = x.shape[-1]
        for i in range(n):
            total[..., i] = squares[..., max(i - self.before, 0) : i + self.after + 1].sum(-1)
        divisor = (np.float32(self.base) + np.float32(self.alpha) * total) ** np.float32(self.beta)
        return (np.asarray(x / divisor, np.float32),)

    def macs(self, site: Site) -> int:
        return site.x.size * min(self.before + 1 + self.after, site.x.shape[-1])

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        padded = torch.nn.functional.pad(xs[0].square(), (self.before, self.after))
        total = padded.unfold(-1, self.before + 1 + self.after, 1).sum(-1)
        return xs[0] / (self.base + self.alpha * total) ** self.beta

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        before, after = (int(v) for v in rng.integers(0, 4, 2))
        return Example(cls(before, after, 1.5, 0.3, float(rng.choice([0.5, 0.75]))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(2, 2, 2.0, 1e-4, 0.75), ((1, 5, 4, 7),), why="AlexNet's")
        yield Example(cls(1, 2, 1.0, 0.5, 0.5), ((1, 3, 5),), why="one more after than before")
        yield Example(cls(9, 9, 1.0, 1.0, 1.0), ((1, 2, 3),), why="a window larger than the channels")
        yield Example(cls(0, 0, 0.1, 2.0, 2.0), ((1, 1),), why="alone")
