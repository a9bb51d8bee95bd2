"""ReverseSequence: the first lengths[b] steps of every sequence turned around, the others as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register
from lilliput.ops.index import common
from lilliput.ops.shape.common import dense_strides, int32_array

HERE = Path(__file__).parent


def _params(site: Site) -> Params:
    op, shape = site.op, site.x.shape
    assert isinstance(op, ReverseSequence)
    item = ITEM_SIZE[site.y.dtype]
    a, b = sorted((op.time, op.batch))
    extents = [common.volume(shape[:a]), shape[a], common.volume(shape[a + 1 : b]), shape[b]]
    return {
        "strides": int32_array(
            [s * item * common.volume(shape[b + 1 :]) for s in dense_strides(tuple(extents))]
        ),
        **dict(zip(("outer", "first", "middle", "second"), extents, strict=True)),
        "run": common.volume(shape[b + 1 :]) * item,
        "time_first": int(op.time < op.batch),
    }


@register
@dataclass(frozen=True)
class ReverseSequence(Op):
    """Axis `batch` counts the sequences, axis `time` their steps; lengths outside 0 .. steps are clamped."""

    time: int = 1
    batch: int = 0

    name: ClassVar[str] = "reverse_sequence"
    operands: ClassVar[int | None] = 2
    plain_integers: ClassVar[bool] = True
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = tuple(
        Kernel(
            HERE / "reverse_sequence.c",
            lambda site, t=t: site.ins[1].dtype == t and common.alike(site, 0),  # type: ignore[misc]
            _params,
            tokens={"T": c},
            reads=(0, 1),
        )
        for t, c in common.C_INDEX.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape,)

    def check(self, site: Site) -> str | None:
        x, lengths = site.ins
        rank = len(x.shape)
        if not (0 <= self.time < rank and 0 <= self.batch < rank) or self.time == self.batch:
            return f"time {self.time} and batch {self.batch} of {x.shape}"
        if lengths.shape != (x.shape[self.batch],):
            return f"lengths {lengths.shape}, expected one per index of axis {self.batch} of {x.shape}"
        return common.wrong_indices(lengths)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, lengths = xs
        return (np.take_along_axis(x, np.broadcast_to(self._sources(site, lengths), x.shape), self.time),)

    def _sources(self, site: Site, lengths: Array) -> Array:
        """The step of every step's origin, broadcastable to x."""
        shape, steps = site.x.shape, site.x.shape[self.time]
        along, across = [1] * len(shape), [1] * len(shape)
        along[self.time], across[self.batch] = steps, shape[self.batch]
        t, n = np.arange(steps).reshape(along), np.clip(lengths.astype(np.int64), 0, steps).reshape(across)
        return np.where(t < n, n - 1 - t, t)

    def batchable(self, site: Site) -> bool:
        return False

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        sources = torch.as_tensor(self._sources(site, xs[1].detach().numpy()))
        return xs[0].gather(self.time, sources.expand(xs[0].shape))

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3:
            return None
        lengths = rng.integers(-1, shape[1] + 2, shape[2], dtype=np.int32)
        return Example(cls(1, 2), (shape, lengths))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(op: ReverseSequence, x: Shape, dtype: str, why: str) -> Example:
            lengths = Tensor("n", (x[op.batch],), dtype)
            return Example(op, (x, lengths), limits={1: (-1.0, x[op.time] + 1.0)}, why=why)

        yield case(cls(1, 0), (3, 5, 2), "int32", "batch first")
        yield case(cls(0, 1), (4, 3), "int64", "time first, single elements")
        yield case(cls(3, 1), (2, 3, 2, 4, 5), "int64", "axes between")
        yield case(cls(1, 2), (1, 6, 4), "int32", "time before batch")
