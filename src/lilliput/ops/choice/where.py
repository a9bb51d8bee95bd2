"""Where: a where a condition holds, b elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.emit.literals import C_TYPES
from lilliput.errors import UserError
from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Nan, Op, Params, Site, register
from lilliput.ops.binary.common import steps_along

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
LOOPS = 5
"""Nested loops of the kernel."""


def _kernel(dtype: str) -> Kernel:
    def when(site: Site) -> bool:
        return site.y.dtype == dtype and not all(t.constant for t in site.ins)

    def params(site: Site) -> Params:
        found = loops(site)
        padded = [(1, 0, 0, 0)] * (LOOPS - len(found)) + found
        return {"walk": np.array(padded, np.int32).T.copy()}

    def in_place(site: Site) -> tuple[int, ...]:
        return tuple(i for i in (1, 2) if site.ins[i].size == site.y.size)

    source = Path(__file__).parent / "select.c"
    return Kernel(source, when, params, in_place=in_place, reads=(0, 1, 2), tokens={"T": C_TYPES[dtype]})


def loops(site: Site) -> list[tuple[int, ...]]:
    """(extent, steps of the three operands) in elements, outermost first; axes that can be walked as one are one."""
    steps = [steps_along(t.shape, site.y.shape) for t in site.ins]
    found: list[tuple[int, ...]] = []
    for extent, *along in zip(site.y.shape, *steps, strict=True):
        if extent == 1:
            continue
        if found and found[-1][1:] == tuple(s * extent for s in along):
            found[-1] = (found[-1][0] * extent, *along)
        else:
            found.append((extent, *along))
    return found or [(1, 0, 0, 0)]


@register
@dataclass(frozen=True)
class Where(Op):
    """condition ? a : b with numpy's broadcasting; TFLM's SELECT_V2. a, b and the result share one quantization."""

    name: ClassVar[str] = "where"
    operands: ClassVar[int | None] = 3
    plain_integers: ClassVar[bool] = True
    same_quant_inputs: ClassVar[bool] = True
    kernels = tuple(_kernel(dtype) for dtype in TYPES)

    def nan(self) -> Nan:
        """The condition decides who sees it."""
        return "understood"

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shapes = tuple(t.shape for t in ins)
        try:
            return (np.broadcast_shapes(*shapes),)
        except ValueError as error:
            raise UserError(f"{self.name}: shapes {shapes} do not broadcast together") from error

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return ins[1].dtype

    def check(self, site: Site) -> str | None:
        condition, a, b = site.ins
        if condition.dtype != "bool":
            return f"the condition is {condition.dtype}, expected bool"
        if not a.dtype == b.dtype == site.y.dtype or a.dtype not in TYPES:
            return f"{a.dtype} or {b.dtype} gives {site.y.dtype}; expected one type of {', '.join(TYPES)}"
        for t in (a, b):
            same = t.quant is None if site.y.quant is None else site.y.quant.same(t.quant)
            if not same:
                return (
                    f"'{t.name}' is quantized as {t.quant}, the result as {site.y.quant}: they must be equal"
                )
        if len(loops(site)) > LOOPS:
            return f"broadcasting takes {len(loops(site))} nested loops, expected at most {LOOPS}"
        return None

    def batchable(self, site: Site) -> bool:
        rank = len(site.y.shape)
        return all(
            len(t.shape) < rank or t.shape[0] == 1 if t.constant else len(t.shape) == rank for t in site.ins
        )

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (np.where(*xs),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        return torch.where(xs[0].bool(), xs[1], xs[2])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def condition(*shape: int) -> Tensor:
            return Tensor("c", shape, "bool")

        yield Example(cls(), (condition(1, 5, 3, 7), (1, 5, 3, 7), (1, 5, 3, 7)), why="same shape")
        yield Example(
            cls(),
            (condition(1, 1, 4, 1), (1, 3, 1, 5), np.array(-1.5, np.float32)),
            why="all repeated",
        )
        yield Example(cls(), (condition(2, 1, 3), (1, 4, 1), (1, 1, 3)), why="three loops")
        yield Example(cls(), (condition(1, 1), (1, 1), (1, 1)), why="one element")
        for dtype in TYPES[1:]:
            ins = (condition(1, 4, 6), Tensor("a", (1, 4, 6), dtype), Tensor("b", (1, 1, 6), dtype))
            yield Example(cls(), ins, why=f"plain {dtype}", integer=False)
