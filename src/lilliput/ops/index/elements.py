"""GatherElements and ScatterElements: one index per element, for its place along one axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.index import common
from lilliput.ops.shape.common import MAX_RANK, dense_strides, int32_array

Reduction = Literal["none", "add", "mul", "max", "min"]
UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
COMBINED = {"float32": "float", "int32": "int32_t", "int64": "int64_t"}
"""Types whose elements can be combined, with their C."""


def _walk(site: Site) -> Params:
    """The walk over the indices, in elements of the operand that is indexed."""
    assert isinstance(site.op, GatherElements | ScatterElements)
    x, indices, axis = site.x, site.ins[1], site.op.axis
    dense = dense_strides(x.shape)
    strides = [0 if i == axis else s for i, s in enumerate(dense)]
    return {
        "dims": int32_array(indices.shape[:-1]),
        "strides": int32_array(strides[:-1]),
        "axes": len(strides) - 1,
        "start": 0,
        "n": indices.shape[-1],
        "stride": strides[-1],
        "size": x.shape[axis],
        "along": dense[axis],
        "item": ITEM_SIZE[site.y.dtype],
    }


def _wrong(axis: int, x: Tensor, indices: Tensor) -> str | None:
    rank = len(x.shape)
    if not 0 <= axis < rank or len(indices.shape) != rank:
        return f"axis {axis} and indices {indices.shape} do not fit {x.shape}"
    if any(m > n for i, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != axis):
        return f"the indices {indices.shape} reach beyond {x.shape}"
    if rank > MAX_RANK + 1:
        return f"{rank} axes, at most {MAX_RANK + 1} are supported"
    return common.wrong_indices(indices)


def _places(axis: int, size: int, indices: Array) -> tuple[Array, ...]:
    """The coordinates in x of every index."""
    places: list[Array] = list(np.indices(indices.shape))
    places[axis] = common.within(indices, size)
    return tuple(places)


@register
@dataclass(frozen=True)
class GatherElements(Op):
    """y[i, j, k] = x[i, indices[i, j, k], k] for axis 1; indices outside read the nearest element."""

    axis: int = 0

    name: ClassVar[str] = "gather_elements"
    operands: ClassVar[int | None] = 2
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = tuple(
        Kernel(
            common.HERE / "gather_elements.c",
            lambda site, t=t: site.ins[1].dtype == t and common.alike(site, 0),  # type: ignore[misc]
            _walk,
            tokens={"T": c},
            reads=(0, 1),
        )
        for t, c in common.C_INDEX.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[1].shape,)

    def check(self, site: Site) -> str | None:
        return _wrong(self.axis, *site.ins)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (xs[0][_places(self.axis, xs[0].shape[self.axis], xs[1])],)

    def batchable(self, site: Site) -> bool:
        return self.axis != 0 and not any(t.constant for t in site.ins)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.gather_elements(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        size = (*shape[:axis], int(rng.integers(1, shape[axis] + 2)), *shape[axis + 1 :])
        return Example(cls(axis), (shape, rng.integers(-shape[axis], shape[axis], size, dtype=np.int32)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(
            axis: int, x: Shape, i: Shape, why: str, limit: int, t: str = "int32", x_type: str = "float32"
        ) -> Example:
            given = Tensor("x", x, x_type) if x_type != "float32" else x
            limits = {1: (float(-limit), float(limit - 1))}
            return Example(cls(axis), (given, Tensor("i", i, t)), limits=limits, why=why, integer=given is x)

        yield case(1, (1, 5, 4), (1, 3, 4), "rows", 5)
        yield case(0, (3, 3), (2, 3), "the first axis", 3, "int64")
        yield case(2, (2, 3, 4), (2, 2, 7), "fewer rows, more columns", 4)
        yield case(1, (1, 6), (1, 9), "indices outside", 50, "int64")
        yield case(3, (2, 1, 2, 3, 2, 2), (2, 1, 2, 2, 2, 2), "six axes", 3)
        yield case(0, (4,), (6,), "64-bit integers", 4, "int32", "int64")


def _scatter(site: Site) -> Params:
    return {**_walk(site), "bytes": site.y.nbytes}


def _replaces(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        assert isinstance(site.op, ScatterElements)
        return site.op.reduction == "none" and site.ins[1].dtype == dtype and common.alike(site, 0, 2)

    return when


def _combines(reduction: str, dtype: str, value: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        assert isinstance(site.op, ScatterElements)
        fits = site.ins[1].dtype == dtype and site.y.dtype == value and site.y.quant is None
        return site.op.reduction == reduction and fits and common.alike(site, 0, 2)

    return when


def takes_over(site: Site) -> tuple[int, ...]:
    """The copy of x is x itself where nobody needs it any more."""
    return () if site.x.constant else (0,)


@register
@dataclass(frozen=True)
class ScatterElements(Op):
    """y = x, then y[i, indices[i, j, k], k] is replaced by or combined with updates[i, j, k], in order, for axis 1."""

    axis: int = 0
    reduction: Reduction = "none"

    name: ClassVar[str] = "scatter_elements"
    operands: ClassVar[int | None] = 3
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (
        *(
            Kernel(
                common.HERE / "scatter_elements.c",
                _replaces(t),
                _scatter,
                tokens={"T": c},
                reads=(0, 1, 2),
                in_place=takes_over,
            )
            for t, c in common.C_INDEX.items()
        ),
        *(
            Kernel(
                common.HERE / "combine_elements.c",
                _combines(f, t, v),
                _scatter,
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
        if updates.shape != indices.shape:
            return f"updates {updates.shape} and indices {indices.shape} differ"
        if indices.shape[self.axis] == 0:
            return "no index"
        return _wrong(self.axis, x, indices)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, indices, updates = xs
        y = x.copy()
        places = _places(self.axis, x.shape[self.axis], indices)
        combine(y, places, updates, self.reduction)
        return (y,)

    def batchable(self, site: Site) -> bool:
        return self.axis != 0 and not any(t.constant for t in site.ins)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.index import learn

        return learn.scatter_elements(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        chosen = rng.integers(-shape[axis], shape[axis], shape, dtype=np.int32)
        reduction: Reduction = "none" if rng.random() < 0.5 else "max"
        return Example(cls(axis, reduction), (shape, chosen, shape))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(
            axis: int, x: Shape, i: Shape, why: str, reduction: Reduction, t: str, v: str = "float32"
        ) -> Example:
            given: tuple[Shape | Tensor, ...] = (x, Tensor("i", i, t), i)
            if v != "float32":
                given = (Tensor("x", x, v), Tensor("i", i, t), Tensor("u", i, v))
            limits = {1: (-float(x[axis]), x[axis] - 1.0)}
            integer = v == "float32" and reduction == "none"
            return Example(cls(axis, reduction), given, limits=limits, why=why, integer=integer)

        yield case(1, (1, 5, 4), (1, 3, 4), "rows replaced", "none", "int32")
        yield case(0, (3, 3), (2, 2), "fewer columns, the first axis", "none", "int64")
        yield case(0, (4,), (6,), "plain bytes, one place twice", "none", "int32", "int8")
        for reduction in UFUNCS:
            for t in common.INDEX_TYPES:
                for v in COMBINED:
                    yield case(1, (2, 3, 4), (2, 5, 3), "places met twice", reduction, t, v)  # type: ignore[arg-type]


def combine(y: Array, places: tuple[Array, ...], updates: Array, reduction: Reduction) -> None:
    """y[places] becomes or is combined with updates, one after the other: later ones win."""
    if reduction == "none":
        y[places] = updates
        return
    with np.errstate(over="ignore"):
        UFUNCS[reduction].at(y, places, updates)
