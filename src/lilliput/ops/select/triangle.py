"""Triangle: the part of matrices above or below a diagonal; zero elsewhere. ONNX calls it Trilu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register

HERE = Path(__file__).parent


def _zero(site: Site) -> int:
    return 0 if site.y.quant is None else site.y.quant.z


def _params(site: Site) -> Params:
    op, (rows, columns) = site.op, site.x.shape[-2:]
    assert isinstance(op, Triangle)
    return {
        "outer": site.x.size // (rows * columns),
        "rows": rows,
        "columns": columns,
        "k": op.k,
        "upper": int(op.upper),
        "item": ITEM_SIZE[site.y.dtype],
        "fill": _zero(site) & 0xFF,
    }


def _when(site: Site) -> bool:
    """Zero must be one byte, repeated."""
    same = site.x.dtype == site.y.dtype
    return same and not site.x.constant and (ITEM_SIZE[site.y.dtype] == 1 or _zero(site) == 0)


def _in_place(site: Site) -> tuple[int, ...]:
    return (0,)


@register
@dataclass(frozen=True)
class Triangle(Op):
    """Elements [i, j] of the last two axes with j - i >= k (upper) or j - i <= k; real zero elsewhere."""

    upper: bool = True
    k: int = 0

    name: ClassVar[str] = "triangle"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (Kernel(HERE / "triangle.c", _when, _params, in_place=_in_place),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) < 2 or abs(self.k) >= 2**30:
            return f"diagonal {self.k} of {site.x.shape}, expected matrices"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        kept = self._kept(site)
        return (np.where(kept, xs[0], np.asarray(_zero(site), xs[0].dtype)),)

    def _kept(self, site: Site) -> Array:
        rows, columns = site.x.shape[-2:]
        ahead = np.arange(columns) - np.arange(rows)[:, None]
        return ahead >= self.k if self.upper else ahead <= self.k

    def batchable(self, site: Site) -> bool:
        return len(site.x.shape) > 2

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        return torch.triu(xs[0], self.k) if self.upper else torch.tril(xs[0], self.k)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3:
            return None
        return Example(cls(bool(rng.integers(2)), int(rng.integers(-3, 4))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(True, 0), ((1, 4, 5),), why="above the diagonal")
        yield Example(cls(False, 1), ((2, 5, 3),), why="below, with one more")
        yield Example(cls(True, -7), ((1, 3, 4),), why="nothing falls away")
        yield Example(cls(False, -9), ((1, 2, 3, 4),), why="nothing is left")
        yield Example(cls(True, 2), (Tensor("x", (3, 3), "int64"),), integer=False, why="64-bit integers")
