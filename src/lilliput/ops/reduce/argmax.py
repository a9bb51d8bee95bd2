"""Index of the greatest value along one axis, int32; the first of equals wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return (site.x.dtype, site.y.dtype) == (dtype, "int32") and not site.x.constant

    return when


def _params(site: Site) -> Params:
    assert isinstance(site.op, ArgMax)
    shape, axis = site.x.shape, site.op.axis
    return {
        "outer": int(np.prod(shape[:axis], dtype=np.int64)),
        "n": shape[axis],
        "inner": int(np.prod(shape[axis + 1 :], dtype=np.int64)),
    }


@register
@dataclass(frozen=True)
class ArgMax(Op):
    axis: int
    keep_dims: bool = False

    name: ClassVar[str] = "argmax"
    kernels = (
        Kernel(HERE / "argmax_s8.c", _types("int8"), _params),
        Kernel(HERE / "argmax_f32.c", _types("float32"), _params),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        middle = (1,) if self.keep_dims else ()
        return ((*shape[: self.axis], *middle, *shape[self.axis + 1 :]),)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "int32"

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        return None if 0 <= self.axis < rank else f"axis {self.axis} is not one of {rank} dimensions"

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if x.dtype.kind == "f":
            x = np.where(np.isnan(x), -np.inf, x)  # NaN loses against any number, as in the C
        found = np.argmax(x, axis=self.axis, keepdims=self.keep_dims)
        return (np.asarray(found, np.int32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        return torch.argmax(xs[0], self.axis, keepdim=self.keep_dims).to(torch.int32)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        return Example(cls(int(rng.integers(1, len(shape))), bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(1), ((1, 10),), why="ten classes")
        yield Example(cls(1), ((1, 300),), why="more values than int8 has: equals are certain")
        yield Example(cls(1), ((1, 1),), why="no choice")
        yield Example(cls(3, True), ((1, 4, 3, 5),), why="a class per pixel, dimension kept")
        yield Example(cls(1), ((1, 7, 3, 2),), why="an axis in the middle")
        yield Example(cls(0), ((6, 2),), why="the first axis")
