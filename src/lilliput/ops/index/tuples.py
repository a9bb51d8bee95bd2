"""GatherND and ScatterND: tuples of indices choose elements, rows or planes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.index import common
from lilliput.ops.index.elements import COMBINED, UFUNCS, Reduction, combine, takes_over
from lilliput.ops.shape.common import dense_strides, int32_array


def _places(sizes: Shape, indices: Array) -> tuple[Array, ...]:
    """One array of coordinates per indexed axis, each [tuples]."""
    flat = indices.reshape(-1, len(sizes))
    return tuple(common.within(flat[:, i], n) for i, n in enumerate(sizes))


def _gather(site: Site) -> Params:
    op, (x, indices) = site.op, site.ins
    assert isinstance(op, GatherND)
    item, lead, k = ITEM_SIZE[site.y.dtype], op.batch_dims, indices.shape[-1]
    batch = common.volume(x.shape[:lead])
    return {
        "sizes": int32_array(x.shape[lead : lead + k]),
        "strides": int32_array([s * item for s in dense_strides(x.shape)[lead : lead + k]]),
        "batch": batch,
        "pitch": x.nbytes // batch,
        "m": indices.size // (batch * k),
        "k": k,
        "run": common.volume(x.shape[lead + k :]) * item,
    }


@register
@dataclass(frozen=True)
class GatherND(Op):
    """y[b, j] = x[b][indices[b, j]]: the last axis of the indices is a tuple; those outside read the nearest place."""

    batch_dims: int = 0

    name: ClassVar[str] = "gather_nd"
    operands: ClassVar[int | None] = 2
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = tuple(
        Kernel(
            common.HERE / "gather_nd.c",
            lambda site, t=t: site.ins[1].dtype == t and common.alike(site, 0),  # type: ignore[misc]
            _gather,
            tokens={"T": c},
            reads=(0, 1),
        )
        for t, c in common.C_INDEX.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        x, indices = (t.shape for t in ins)
        return ((*indices[:-1], *x[self.batch_dims + indices[-1] :]),)

    def check(self, site: Site) -> str | None:
        x, indices = site.ins
        lead = self.batch_dims
        if not 0 <= lead < len(indices.shape) or not 0 < lead + indices.shape[-1] <= len(x.shape):
            return f"tuples {indices.shape} after {lead} batch axes do not fit {x.shape}"
        if x.shape[:lead] != indices.shape[:lead]:
            return f"{x.shape} and the indices {indices.shape} differ in the first {lead} axes"
        return common.wrong_indices(indices)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, indices = xs
        lead, k = self.batch_dims, indices.shape[-1]
        flat_x = x.reshape(-1, *x.shape[lead:])
        flat_i = indices.reshape(len(flat_x), -1, k)
        parts = [a[_places(a.shape[:k], i)] for a, i in zip(flat_x, flat_i, strict=True)]
        return (np.stack(parts).reshape(site.y.shape),)

    def batchable(self, site: Site) -> bool:
        return False

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.gather_nd(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3:
            return None
        k = int(rng.integers(2, len(shape) + 1))
        columns = [rng.integers(-n, n, int(rng.integers(1, 2)) * 5) for n in shape[:k]]
        return Example(cls(), (shape, np.stack(columns, -1).astype(np.int32)[None]))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(lead: int, x: Shape, i: Shape, why: str, limit: int, t: str = "int32") -> Example:
            limits = {1: (-float(limit), limit - 1.0)}
            return Example(cls(lead), (x, Tensor("i", i, t)), limits=limits, why=why)

        yield case(0, (3, 4, 5), (6, 3), "single elements", 3)
        yield case(0, (3, 4, 8), (2, 3, 1), "planes", 3, "int64")
        yield case(1, (2, 3, 4, 2), (2, 5, 2), "a list of tuples per batch", 3)
        yield case(2, (2, 2, 3, 4), (2, 2, 1), "two batch axes", 3, "int64")
        yield case(0, (3, 4), (7, 2), "outside", 90)


def _scatter(site: Site, item: int) -> Params:
    x, indices = site.x, site.ins[1]
    k = indices.shape[-1]
    return {
        "sizes": int32_array(x.shape[:k]),
        "strides": int32_array([s * item for s in dense_strides(x.shape)[:k]]),
        "m": indices.size // k,
        "k": k,
        "run": common.volume(x.shape[k:]) * item,
        "bytes": site.y.nbytes,
    }


def _in_bytes(site: Site) -> Params:
    return _scatter(site, ITEM_SIZE[site.y.dtype])


def _in_elements(site: Site) -> Params:
    return _scatter(site, 1)


def _replaces(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        assert isinstance(site.op, ScatterND)
        return site.op.reduction == "none" and site.ins[1].dtype == dtype and common.alike(site, 0, 2)

    return when


def _combines(reduction: str, dtype: str, value: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        assert isinstance(site.op, ScatterND)
        fits = site.ins[1].dtype == dtype and site.y.dtype == value and site.y.quant is None
        return site.op.reduction == reduction and fits and common.alike(site, 0, 2)

    return when


@register
@dataclass(frozen=True)
class ScatterND(Op):
    """y = x, then y[indices[j]] is replaced by or combined with updates[j], one after the other."""

    reduction: Reduction = "none"

    name: ClassVar[str] = "scatter_nd"
    operands: ClassVar[int | None] = 3
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (
        *(
            Kernel(
                common.HERE / "scatter_nd.c",
                _replaces(t),
                _in_bytes,
                tokens={"T": c},
                reads=(0, 1, 2),
                in_place=takes_over,
            )
            for t, c in common.C_INDEX.items()
        ),
        *(
            Kernel(
                common.HERE / "combine_nd.c",
                _combines(f, t, v),
                _in_elements,
                tokens={"T": c, "V": cv, "F": f"combine_{f}_{cv}"},
                reads=(0, 1, 2),
                in_place=takes_over,
            )
            for t, c in common.C_INDEX.items()
            for v, cv in COMBINED.items()
            for f in UFUNCS
        ),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        x, indices, updates = site.ins
        k = indices.shape[-1] if indices.shape else 0
        if not 0 < k <= len(x.shape):
            return f"tuples {indices.shape} do not fit {x.shape}"
        if updates.shape != (*indices.shape[:-1], *x.shape[k:]):
            return f"updates {updates.shape} do not fit tuples {indices.shape} of {x.shape}"
        return common.wrong_indices(indices)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, indices, updates = xs
        k = indices.shape[-1]
        y = x.copy()
        combine(y, _places(x.shape[:k], indices), updates.reshape(-1, *x.shape[k:]), self.reduction)
        return (y,)

    def batchable(self, site: Site) -> bool:
        return False

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.scatter_nd(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3:
            return None
        chosen = np.stack([np.zeros(shape[1], np.int32), rng.permutation(shape[1]).astype(np.int32)], -1)
        reduction: Reduction = "none" if rng.random() < 0.5 else "min"
        return Example(cls(reduction), (shape, chosen[None], (1, shape[1], *shape[2:])))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(x: Shape, i: Shape, why: str, reduction: Reduction, t: str, v: str = "float32") -> Example:
            u = (*i[:-1], *x[i[-1] :])
            given: tuple[Shape | Tensor, ...] = (x, Tensor("i", i, t), u)
            if v != "float32":
                given = (Tensor("x", x, v), Tensor("i", i, t), Tensor("u", u, v))
            integer = v == "float32" and reduction == "none"
            return Example(cls(reduction), given, limits={1: (-3.0, 2.0)}, why=why, integer=integer)

        yield case((3, 4, 5), (2, 2), "rows replaced", "none", "int32")
        yield case((3, 3), (4, 2), "single elements", "none", "int64")
        yield case((4, 3), (2, 2, 1), "plain bytes", "none", "int32", "int8")
        for reduction in UFUNCS:
            for t in common.INDEX_TYPES:
                for v in COMBINED:
                    yield case((3, 4, 2), (5, 1), "planes met twice", reduction, t, v)  # type: ignore[arg-type]
