"""One where the greatest value of the last axis is, the first of equals, and zero elsewhere; float32."""

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
    n = site.x.shape[-1]
    return {"rows": site.x.size // n, "n": n}


@register
@dataclass(frozen=True)
class Hardmax(Op):
    name: ClassVar[str] = "hardmax"
    kernels = (Kernel(HERE / "hardmax_f32.c", _is_f32, _params, in_place=lambda _: (0,)),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        return None if site.x.shape else "a scalar has no last axis"

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) > 1

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        known = np.where(np.isnan(x), -np.inf, x)
        best = np.argmax(known, -1)[..., None]
        return ((np.arange(x.shape[-1]) == best).astype(np.float32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        best = torch.argmax(xs[0], -1)
        return torch.nn.functional.one_hot(best, xs[0].shape[-1]).to(xs[0].dtype) + 0 * xs[0]

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return None if len(shape) < 2 else Example(cls(), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(), ((1, 10),), why="ten classes")
        yield Example(cls(), ((2, 1),), why="no choice")
        yield Example(cls(), ((1, 4, 3, 5),), why="a row per pixel")
