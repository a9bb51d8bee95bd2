"""TopK: the k largest or smallest values along one axis, sorted, and where they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register

HERE = Path(__file__).parent
VALUES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
}
INDICES = {"int32": "int32_t", "int64": "int64_t"}


def _params(site: Site) -> Params:
    op, shape = site.op, site.x.shape
    assert isinstance(op, TopK)
    return {
        "outer": int(np.prod(shape[: op.axis], dtype=np.int64)),
        "n": shape[op.axis],
        "inner": int(np.prod(shape[op.axis + 1 :], dtype=np.int64)),
        "k": op.k,
        "flip": 0 if op.largest else -1,
    }


def _types(value: str, index: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        found = (site.x.dtype, site.outs[0].dtype, site.outs[1].dtype)
        return not site.x.constant and found == (value, value, index)

    return when


def keys(x: Array, largest: bool) -> Array:
    """Integers in the order of the numbers, NaN below everything; `key_*` of order.h."""
    flip = np.int64(0 if largest else -1)
    if x.dtype.kind != "f":
        return x.astype(np.int64) ^ flip
    bits = (x + np.float32(0)).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits) ^ flip
    return np.where(np.isnan(x), np.iinfo(np.int64).min, ordered)


@register
@dataclass(frozen=True)
class TopK(Op):
    """Of equals the first comes first; a NaN is chosen last."""

    axis: int
    k: int
    largest: bool = True
    indices: Literal["int32", "int64"] = "int32"

    name: ClassVar[str] = "topk"
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = tuple(
        Kernel(HERE / "topk.c", _types(v, i), _params, tokens={"T": cv, "I": ci, "key_T": f"key_{cv}"})
        for v, cv in VALUES.items()
        for i, ci in INDICES.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        kept = (*shape[: self.axis], self.k, *shape[self.axis + 1 :])
        return (kept, kept)

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return (ins[0].dtype, self.indices)

    def check(self, site: Site) -> str | None:
        shape = site.x.shape
        if not 0 <= self.axis < len(shape) or not 0 < self.k <= shape[self.axis]:
            return f"{self.k} of axis {self.axis} of {shape}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        order = np.argsort(~keys(x, self.largest), axis=self.axis, kind="stable")
        chosen = order.take(np.arange(self.k), self.axis)
        return (np.take_along_axis(x, chosen, self.axis), chosen.astype(self.indices))

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        order = torch.sort(xs[0], dim=self.axis, descending=self.largest, stable=True).indices
        chosen = order.narrow(self.axis, 0, self.k)
        return xs[0].gather(self.axis, chosen), chosen

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        return Example(cls(axis, int(rng.integers(1, shape[axis] + 1)), bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(1, 3), ((1, 300),), why="more values than int8 has: equals are certain")
        yield Example(
            cls(1, 5, False), ((1, 5, 3),), why="all of them, smallest first, an axis in the middle"
        )
        yield Example(cls(3, 2, True, "int64"), ((1, 3, 4, 5),), why="last axis, 64-bit indices")
        yield Example(cls(0, 1), ((4, 2),), why="the first axis, one value")
        for dtype in VALUES:
            for index in INDICES:
                for largest in (True, False):
                    x = Tensor("x", (2, 9), dtype)
                    yield Example(
                        cls(1, 4, largest, index),  # type: ignore[arg-type]
                        (x,),
                        limits={0: (0.0, 5.0)} if dtype != "float32" else {},
                        integer=False,
                        why=f"{dtype}, few different values",
                    )
