"""WriteSlice: a block written into a copy of x, from an index that is data: the cache of an attention layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.index import common
from lilliput.ops.index.elements import takes_over


def _params(site: Site) -> Params:
    op, (x, updates, _) = site.op, site.ins
    assert isinstance(op, WriteSlice)
    return {
        "batch": x.shape[0],
        "outer": common.volume(x.shape[1 : op.axis]),
        "n": x.shape[op.axis],
        "m": updates.shape[op.axis],
        "run": common.volume(x.shape[op.axis + 1 :]) * ITEM_SIZE[site.y.dtype],
        "circular": int(op.circular),
    }


@register
@dataclass(frozen=True)
class WriteSlice(Op):
    """y = x, but y[b, ..., start_b + j, ...] = updates[b, ..., j, ...]; one start per index of the first axis.

    A start that leaves no room is moved until there is; circular ones count modulo the axis.
    """

    axis: int = 1
    circular: bool = False

    name: ClassVar[str] = "write_slice"
    operands: ClassVar[int | None] = 3
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = tuple(
        Kernel(
            common.HERE / "write_slice.c",
            lambda site, t=t: site.ins[2].dtype == t and common.alike(site, 0, 1),  # type: ignore[misc]
            _params,
            tokens={"T": c},
            reads=(0, 1, 2),
            in_place=takes_over,
        )
        for t, c in common.C_INDEX.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        x, updates, starts = site.ins
        axis = self.axis
        if not 0 < axis < len(x.shape):
            return f"axis {axis} of {x.shape}, expected one behind the first"
        if (*updates.shape[:axis], x.shape[axis], *updates.shape[axis + 1 :]) != x.shape:
            return f"updates {updates.shape} do not fit {x.shape} along axis {axis}"
        if updates.shape[axis] > x.shape[axis] or starts.shape != x.shape[:1]:
            return f"{updates.shape[axis]} places from starts {starts.shape} do not fit {x.shape}"
        return common.wrong_indices(starts)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, updates, starts = xs
        y, n, m = x.copy(), x.shape[self.axis], updates.shape[self.axis]
        for b, start in enumerate(starts.tolist()):
            first = start % n if self.circular else min(max(start, 0), n - m)
            chosen = (first + np.arange(m)) % n
            y[b][(*(slice(None),) * (self.axis - 1), chosen)] = updates[b]
        return (y,)

    def batchable(self, site: Site) -> bool:
        return not any(t.constant for t in site.ins)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.write_slice(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        part = (*shape[:axis], int(rng.integers(1, shape[axis] + 1)), *shape[axis + 1 :])
        starts = rng.integers(-3, shape[axis] + 3, shape[0], dtype=np.int32)
        return Example(cls(axis, bool(rng.integers(2))), (shape, part, starts))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(op: WriteSlice, x: Shape, u: Shape, why: str, dtype: str, given: str = "float32") -> Example:
            wide = given == "float32"
            pair = (x, u) if wide else (Tensor("x", x, given), Tensor("u", u, given))
            starts = Tensor("s", x[:1], dtype)
            return Example(op, (*pair, starts), limits={2: (-9.0, 20.0)}, why=why, integer=wide)

        yield case(cls(1), (1, 8, 3), (1, 2, 3), "rows", "int32")
        yield case(cls(2), (2, 3, 6, 2), (2, 3, 4, 2), "a start per batch", "int64")
        yield case(cls(2, True), (2, 3, 6, 2), (2, 3, 4, 2), "over the end", "int32")
        yield case(cls(1, True), (1, 5), (1, 5), "all of it, turned", "int64")
        yield case(cls(1), (1, 5), (1, 1), "plain bytes", "int32", "int8")
