"""What functions of one real number share: a kernel per function, a table of their rounded values in int8."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.emit.literals import C_TYPES
from lilliput.graph import INT_RANGE, Array, Graph, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site
from lilliput.ops.table import TABLE_S8
from lilliput.ops.unary.common import HERE, Unary, finite, is_f32

INTEGERS = ("int8", "uint8", "int16", "int32", "int64")


def function_tokens(function: str, header: str, source: str, result: str) -> dict[str, str]:
    """The words of a generic kernel: c/HEADER.h defines F, from T to U."""
    return {"F": function, "T": C_TYPES[source], "U": C_TYPES[result], "HEADER": header}


def map_kernel(function: str, header: str, source: str = "float32", result: str | None = None) -> Kernel:
    """y = function(x) for values that are not quantized."""
    result = result or source

    def when(site: Site) -> bool:
        t, y = site.x, site.y
        return (t.dtype, y.dtype) == (source, result) and t.quant is None and not t.constant

    def in_place(site: Site) -> tuple[int, ...]:
        return (0,) if C_TYPES[source] == C_TYPES[result] else ()

    def params(site: Site) -> Params:
        return {"n": site.x.size}

    tokens = function_tokens(function, header, source, result)
    return Kernel(HERE / "map.c", when, params, in_place=in_place, tokens=tokens)


def map_by(function: str, header: str) -> Kernel:
    """y = function(x, k) in float32; k holds the operator's attributes that are real numbers, in order."""

    def params(site: Site) -> Params:
        values = (getattr(site.op, f.name) for f in dataclasses.fields(site.op))
        return {
            "k": np.array([finite(v) for v in values if isinstance(v, float)], np.float32),
            "n": site.x.size,
        }

    return Kernel(
        HERE / "map_by.c",
        is_f32,
        params,
        in_place=lambda site: (0,),
        tokens={"F": function, "HEADER": header},
    )


def rounded(site: Site, real: Array) -> Array:
    """Real numbers (float64) as the integers of the site's result: halves away from zero, saturated; NaN is zero."""
    with np.errstate(over="ignore"):
        scaled = np.nan_to_num(real / float(site.y.q.s), nan=0.0, posinf=1e9, neginf=-1e9)
    # The largest float64 below 0.5 must not round up: adding 0.5 to it gives 1.
    nearest = np.where(np.abs(scaled) < 0.5, 0.0, np.trunc(scaled + np.copysign(0.5, scaled)))
    lo, hi = INT_RANGE[site.y.dtype]
    return np.asarray(np.clip(nearest + site.y.q.z, lo, hi).astype(site.y.dtype))


def real_values(t: Tensor, x: Array) -> Array:
    """What the integers of a tensor stand for, in float64: exact but for the last product."""
    return np.asarray((x.astype(np.float64) - t.q.z) * float(t.q.s))


def kernels_of(function: str, header: str) -> tuple[Kernel, ...]:
    """The table for int8 and the kernel for float32."""
    return TABLE_S8, map_kernel(function, header)


@dataclass(frozen=True)
class Function(Unary):
    """A function of one real number. In int8: the real value in float64, the function in float64, rounded once."""

    span: ClassVar[tuple[float, float] | None] = None
    """Between which values the examples draw, where the function is not defined or steep elsewhere."""

    def integers(self, site: Site, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return rounded(site, self.real(real_values(site.x, x)))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # overflow to infinity and NaN are results, not accidents
            return super().run(site, *xs)

    def torch(self, site: Site, *xs: Any) -> Any:
        """torch calls most of them as we do."""
        return getattr(xs[0], self.name)()

    @classmethod
    def limits(cls) -> dict[int, tuple[float, float]]:
        return {} if cls.span is None else {0: cls.span}

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        """Random graphs feed anything: only functions that are tame everywhere take part."""
        return Example(cls(), (shape,)) if cls.span is None else None

    @classmethod
    def variants(cls) -> Sequence[Op]:
        """Attributes worth an example."""
        return (cls(),)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        for op in cls.variants():
            yield Example(op, ((1, 5, 3, 7),), why="odd plane", limits=cls.limits())
        yield Example(
            cls.variants()[0], ((1, 300),), seed=1, why="more than the table has", limits=cls.limits()
        )
        yield Example(cls.variants()[0], ((1, 1),), seed=2, why="one element", limits=cls.limits())


@dataclass(frozen=True)
class Plain(Op):
    """A function of one element of which nothing is quantized: integers stand for themselves."""

    elementwise: ClassVar[bool] = True
    plain_integers: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ()
    """What it takes."""

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        if site.x.dtype not in self.types:
            return f"{site.x.dtype} is not supported, only {', '.join(self.types)}"
        if site.y.dtype != self.result_dtype(site.ins):
            return f"the result is {site.y.dtype}, expected {self.result_dtype(site.ins)}"
        return None

    def torch(self, site: Site, *xs: Any) -> Any:
        """Without gradients: the reference's numbers."""
        return without_gradient(self, site, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls(), (shape,)) if "float32" in cls.types else None


def without_gradient(op: Op, site: Site, *xs: Any) -> Any:
    """The reference's result as a torch tensor, for functions that have no derivative."""
    import torch

    (result,) = op.run(site, *(x.detach().numpy() for x in xs))
    return torch.from_numpy(np.array(result))
