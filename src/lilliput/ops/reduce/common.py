"""What reductions over any axes share: shapes, loops, random cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.links import Links
from lilliput.op import Example, Kernel, Op, Params, Site
from lilliput.ops.reduce.mean import links_of_reduction, loops

HERE = Path(__file__).parent
LOOPS = 4
"""How many separate groups of neighbouring axes the kernels can keep, and how many they can reduce."""
C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class Reduction(Op):
    """Many values along `axes` become one."""

    axes: tuple[int, ...]
    keep_dims: bool = False

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        if self.keep_dims:
            return (tuple(1 if i in self.axes else d for i, d in enumerate(shape)),)
        return (tuple(d for i, d in enumerate(shape) if i not in self.axes),)

    def count(self, shape: Shape) -> int:
        """How many elements become one."""
        return int(np.prod([shape[i] for i in self.axes], dtype=np.int64))

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if not self.axes or len(set(self.axes)) != len(self.axes) or not set(self.axes) <= set(range(rank)):
            return f"axes {self.axes} are not distinct axes of a tensor of {rank} dimensions"
        most = max(len(group) for group in loops(site.x.shape, self.axes))
        if most > LOOPS:
            return f"axes {self.axes} of {site.x.shape} take {most} nested loops, expected at most {LOOPS}"
        return None

    def channel_links(self, site: Site) -> Links | None:
        return links_of_reduction(site, self.axes)

    def batchable(self, site: Site) -> bool:
        return 0 not in self.axes

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):  # infinities and NaN are results, as in the C
            found = self.reduced(xs[0], self.axes, self.keep_dims)
        return (np.asarray(found).astype(site.y.dtype),)

    def reduced(self, x: Array, axes: tuple[int, ...], keep: bool) -> Array:
        """The reference of float32 and of integers that stand for themselves, in numpy."""
        raise NotImplementedError

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        count = int(rng.integers(1, len(shape)))
        axes = sorted(int(a) for a in rng.choice(np.arange(1, len(shape)), count, replace=False))
        return Example(cls(tuple(axes), bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls((1, 2), True), ((1, 7, 5, 9),), why="a plane")
        yield Example(cls((1, 2)), ((1, 1, 1, 3),), why="nothing to reduce")
        yield Example(cls((2,)), ((1, 3, 50),), why="rows")
        yield Example(cls((0, 2, 4, 6)), ((2, 3, 2, 2, 3, 2, 2, 2),), why="four loops around four")
        yield Example(cls((1, 3), True), ((2, 2, 3, 4, 5),), why="five dimensions")


def walk(site: Site) -> Params:
    """The loops as the kernels take them: [4][2] of (count, stride), outermost first."""
    assert isinstance(site.op, Reduction)
    named: dict[str, Any] = {}
    for name, group in zip(("kept", "over"), loops(site.x.shape, site.op.axes), strict=True):
        named[name] = np.array([(1, 0)] * (LOOPS - len(group)) + group, np.int32)
    return named


def of_type(*dtypes: str) -> Callable[[Site], bool]:
    """Input and result have one of these types, and the same quantization or none."""

    def when(site: Site) -> bool:
        x, y = site.x, site.y
        alike = x.quant is y.quant is None or (x.quant is not None and x.quant.same(y.quant))
        return x.dtype == y.dtype and x.dtype in dtypes and alike and not x.constant

    return when


def generic(dtypes: tuple[str, ...], accumulator: str, function: str) -> Kernel:
    """One instance of reduce.c; the types have the same form in C."""
    tokens = {"T": C_TYPES[dtypes[0]], "A": accumulator, "F": function}
    return Kernel(HERE / "reduce.c", of_type(*dtypes), walk, tokens=tokens)
