"""Gather: y[b, o, j] = x[b, o, indices[b, j]] along one axis; the embedding of tokens is one of a constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.index import common


def _params(site: Site) -> Params:
    op, (x, indices) = site.op, site.ins
    assert isinstance(op, Gather)
    batch = common.volume(indices.shape[: op.batch_dims])
    return {
        "batch": batch,
        "outer": common.volume(x.shape[op.batch_dims : op.axis]),
        "n": x.shape[op.axis],
        "m": indices.size // batch,
        "run": common.volume(x.shape[op.axis + 1 :]) * ITEM_SIZE[site.y.dtype],
    }


def _table(site: Site) -> Params:
    return {"table": common.as_bytes(common.stored(site.x, site.y)), **_params(site)}


def _computed(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return not site.x.constant and site.ins[1].dtype == dtype and common.alike(site, 0)

    return when


def _from_table(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        x, indices = site.ins
        return not indices.constant and indices.dtype == dtype and common.packs(x, site.y)

    return when


@register
@dataclass(frozen=True)
class Gather(Op):
    """Negative indices count from the end; others outside read the nearest element (a model must not rely on it).

    `batch_dims` leading axes belong to both operands; the axes of the indices take the place of `axis`.
    """

    axis: int = 0
    batch_dims: int = 0

    name: ClassVar[str] = "gather"
    operands: ClassVar[int | None] = 2
    plain_integers: ClassVar[bool] = True
    float_constants: ClassVar[tuple[int, ...]] = (0,)
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (
        *(
            Kernel(common.HERE / "gather_table.c", _from_table(t), _table, tokens={"T": c}, reads=(1,))
            for t, c in common.C_INDEX.items()
        ),
        *(
            Kernel(common.HERE / "gather.c", _computed(t), _params, tokens={"T": c}, reads=(0, 1))
            for t, c in common.C_INDEX.items()
        ),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        x, indices = (t.shape for t in ins)
        return ((*x[: self.axis], *indices[self.batch_dims :], *x[self.axis + 1 :]),)

    def check(self, site: Site) -> str | None:
        x, indices = site.ins
        if not 0 <= self.batch_dims <= self.axis < len(x.shape):
            return f"axis {self.axis} and {self.batch_dims} batch axes do not fit {x.shape}"
        if x.shape[: self.batch_dims] != indices.shape[: self.batch_dims]:
            return f"{x.shape} and the indices {indices.shape} differ in the first {self.batch_dims} axes"
        return common.wrong_indices(indices)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, chosen = common.stored(site.x, site.y) if site.x.constant else xs[0], xs[1]
        chosen = common.within(chosen, x.shape[self.axis])
        if not self.batch_dims:
            return (x.take(chosen, self.axis),)
        lead = x.shape[: self.batch_dims]
        flat_x = x.reshape(-1, *x.shape[self.batch_dims :])
        flat_i = chosen.reshape(-1, *chosen.shape[self.batch_dims :])
        parts = [a.take(i, self.axis - self.batch_dims) for a, i in zip(flat_x, flat_i, strict=True)]
        return (np.stack(parts).reshape(*lead, *parts[0].shape),)

    def batchable(self, site: Site) -> bool:
        x, indices = site.ins
        if self.batch_dims:
            return False
        return self.axis == 0 if x.constant else indices.constant and self.axis > 0

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.gather(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        chosen = rng.integers(-shape[axis], shape[axis], int(rng.integers(1, 9)), dtype=np.int32)
        return Example(cls(axis), (shape, chosen))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(7)

        def indices(shape: Shape, dtype: str = "int32") -> Tensor:
            return Tensor("i", shape, dtype)

        table = rng.normal(0, 1, (11, 5)).astype(np.float32)
        yield Example(cls(0), (table, indices((1, 6))), limits={1: (-11, 10)}, why="embedding")
        yield Example(cls(0), (table, indices((1, 4), "int64")), limits={1: (-40, 40)}, why="indices outside")
        yield Example(cls(1), ((1, 5, 3), np.array([4, 0, -1, 2, 2], np.int32)), why="constant indices")
        yield Example(cls(2), ((1, 3, 7), np.array([6, 1], np.int64)), why="last axis: single elements")
        yield Example(cls(1), ((1, 6, 4), indices((2, 3))), limits={1: (-6, 5)}, why="computed, of two axes")
        yield Example(cls(2), ((2, 3, 4, 2), indices((), "int64")), limits={1: (-4, 3)}, why="one index")
        yield Example(cls(2, 1), ((2, 3, 4, 5), indices((2, 6))), limits={1: (-4, 3)}, why="a list per batch")
        yield Example(
            cls(1, 1), ((2, 5), indices((2, 3), "int64")), limits={1: (-9, 9)}, why="batches, outside"
        )
        yield Example(
            cls(0),
            (Tensor("x", (4, 3), "int16"), indices((5,))),
            limits={1: (0, 3)},
            integer=False,
            why="plain integers of 16 bits",
        )
        yield Example(
            cls(0),
            (np.arange(12, dtype=np.int64).reshape(4, 3) << 40, indices((2,))),
            limits={1: (0, 3)},
            integer=False,
            why="a table of 64-bit integers",
        )
