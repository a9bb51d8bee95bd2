"""Index of the greatest or least value along one axis; of equals the first wins, or the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int32": "int32_t",
    "int64": "int64_t",
}
"""What can be compared, with its name in C."""


def _op(site: Site) -> ArgExtreme:
    assert isinstance(site.op, ArgExtreme)
    return site.op


def _greatest(dtype: str) -> Callable[[Site], bool]:
    """For kernels of the first greatest value alone."""

    def when(site: Site) -> bool:
        plain = not _op(site).least and not _op(site).select_last
        return plain and (site.x.dtype, site.y.dtype) == (dtype, "int32") and not site.x.constant

    return when


def _types(x: str, y: str) -> Callable[[Site], bool]:
    return lambda site: (site.x.dtype, site.y.dtype) == (x, y) and not site.x.constant


def _axes(site: Site) -> Params:
    shape, axis = site.x.shape, _op(site).axis
    return {
        "outer": int(np.prod(shape[:axis], dtype=np.int64)),
        "n": shape[axis],
        "inner": int(np.prod(shape[axis + 1 :], dtype=np.int64)),
    }


def _params(site: Site) -> Params:
    op = _op(site)
    return {**_axes(site), "least": int(op.least), "last": int(op.select_last)}


GENERIC = tuple(
    Kernel(HERE / "argmax.c", _types(x, y), _params, tokens={"T": TYPES[x], "I": f"{y}_t"})
    for x in TYPES
    for y in ("int32", "int64")
)


@dataclass(frozen=True)
class ArgExtreme(Op):
    """`dtype` is the type of the indices. NaN loses against any number, as in the C."""

    axis: int
    keep_dims: bool = False
    select_last: bool = False
    dtype: str = "int32"

    least: ClassVar[bool]
    plain_integers: ClassVar[bool] = True

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        middle = (1,) if self.keep_dims else ()
        return ((*shape[: self.axis], *middle, *shape[self.axis + 1 :]),)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return self.dtype

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if self.dtype not in ("int32", "int64"):
            return f"indices of type {self.dtype}, expected int32 or int64"
        return None if 0 <= self.axis < rank else f"axis {self.axis} is not one of {rank} dimensions"

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if x.dtype.kind == "f":
            x = np.where(np.isnan(x), np.inf if self.least else -np.inf, x)
        find = np.argmin if self.least else np.argmax
        if self.select_last:
            found = (
                x.shape[self.axis] - 1 - find(np.flip(x, self.axis), axis=self.axis, keepdims=self.keep_dims)
            )
        else:
            found = find(x, axis=self.axis, keepdims=self.keep_dims)
        return (np.asarray(found, self.dtype),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x = xs[0].flip(self.axis) if self.select_last else xs[0]
        found = (torch.argmin if self.least else torch.argmax)(x, self.axis, keepdim=self.keep_dims)
        found = x.shape[self.axis] - 1 - found if self.select_last else found
        return found.to(getattr(torch, self.dtype))

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis, flags = int(rng.integers(1, len(shape))), rng.integers(2, size=2)
        return Example(cls(axis, bool(flags[0]), bool(flags[1])), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(1), ((1, 10),), why="ten classes")
        yield Example(cls(1), ((1, 300),), why="more values than int8 has: equals are certain")
        yield Example(cls(1, select_last=True), ((1, 300),), why="equals are certain, the last counts")
        yield Example(cls(1), ((1, 1),), why="no choice")
        yield Example(cls(3, True, dtype="int64"), ((1, 4, 3, 5),), why="a class per pixel, dimension kept")
        yield Example(cls(1), ((1, 7, 3, 2),), why="an axis in the middle")
        yield Example(cls(0), ((6, 2),), why="the first axis")
        for i, dtype in enumerate(("int8", "uint8", "int32", "int64")):
            for index in ("int32", "int64"):
                op = cls(1, select_last=i % 2 == 0, dtype=index)
                few = {0: (0, 3)} if index == "int64" else {}
                why = f"{dtype} to {index}"
                yield Example(op, (Tensor("x", (2, 9, 3), dtype),), why=why, integer=False, limits=few)


@register
@dataclass(frozen=True)
class ArgMax(ArgExtreme):
    name: ClassVar[str] = "argmax"
    least: ClassVar[bool] = False
    kernels = (
        Kernel(HERE / "argmax_s8.c", _greatest("int8"), _axes),
        Kernel(HERE / "argmax_f32.c", _greatest("float32"), _axes),
        *GENERIC,
    )


@register
@dataclass(frozen=True)
class ArgMin(ArgExtreme):
    name: ClassVar[str] = "argmin"
    least: ClassVar[bool] = True
    kernels = GENERIC
