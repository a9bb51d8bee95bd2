"""Concat: tensors, constants among them, joined along one axis; all operands share one quantization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.interval import Interval, joined, union
from lilliput.links import Link, Links, one_to_one
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.shape import common


def _params(site: Site) -> Params:
    """Per operand: bytes per outer index, and its pointer (>= 0) or place in the constants (-1 - offset)."""
    assert isinstance(site.op, Concat)
    axis, item = site.op.axis, ITEM_SIZE[site.y.dtype]
    runs, sources, constants, pointers = [], [], b"", 0
    for t in site.ins:
        runs.append(int(np.prod(t.shape[axis:])) * item)
        if t.data is None:
            sources.append(pointers)
            pointers += 1
        else:
            sources.append(-1 - len(constants))
            constants += np.ascontiguousarray(t.data).tobytes()
    return {
        "runs": common.int32_array(runs),
        "sources": common.int32_array(sources),
        "constants": np.frombuffer(constants or b"\0", np.uint8),
        "parts": len(site.ins),
        "outer": int(np.prod(site.y.shape[:axis])),
    }


@register
@dataclass(frozen=True)
class Concat(Op):
    axis: int = 1

    name: ClassVar[str] = "concat"
    plain_integers: ClassVar[bool] = True
    operands: ClassVar[int | None] = None
    same_quant_inputs: ClassVar[bool] = True
    kernels = (Kernel(common.HERE / "concat_bytes.c", common.moves, _params, variadic=True),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = list(ins[0].shape)
        shape[self.axis] = sum(t.shape[self.axis] for t in ins)
        return (tuple(shape),)

    def check(self, site: Site) -> str | None:
        for t in site.ins:
            same = [d for i, d in enumerate(t.shape) if i != self.axis]
            if same != [d for i, d in enumerate(site.y.shape) if i != self.axis]:
                return (
                    f"'{t.name}' has shape {t.shape}, which cannot join {site.y.shape} along axis {self.axis}"
                )
            quant = t.quant
            if quant is not site.y.quant and (quant is None or not quant.same(site.y.quant)):
                return f"'{t.name}' is quantized as {quant}, the result as {site.y.quant}: they must be equal"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        batch = max(len(x) for x in xs)
        return (np.concatenate([_repeated(x, batch, self.axis) for x in xs], self.axis),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return ((joined if self._of_channels(site) else union)(ins),)

    def channel_links(self, site: Site) -> Links | None:
        if not self._of_channels(site):
            return tuple(None if t.constant else one_to_one(t.shape[-1]) for t in site.ins)
        if any(t.constant for t in site.ins):
            return None
        ends = np.cumsum([t.shape[-1] for t in site.ins])
        return tuple(
            Link(np.arange(n), np.arange(end - n, end))
            for t, end in zip(site.ins, ends, strict=True)
            for n in t.shape[-1:]
        )

    def _of_channels(self, site: Site) -> bool:
        return self.axis == len(site.y.shape) - 1

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.shape import learn

        return learn.concat(self, *xs)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        axis = int(rng.integers(1, len(shape)))
        others: list[Shape | Array] = []
        for _ in range(int(rng.integers(1, 3))):
            size = shape[axis] if rng.random() < 0.4 else int(rng.integers(1, 5))
            other = (*shape[:axis], size, *shape[axis + 1 :])
            others.append(rng.normal(0, 1, other).astype(np.float32) if rng.random() < 0.2 else other)
        return Example(cls(axis), (shape, *others))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(3)

        def constant(*shape: int) -> Array:
            return rng.normal(0, 1, shape).astype(np.float32)

        yield Example(cls(3), ((1, 3, 4, 2), (1, 3, 4, 5), (1, 3, 4, 1)), why="three of different channels")
        yield Example(cls(2), ((1, 3, 4, 2), (1, 3, 1, 2), (1, 3, 2, 2)), why="three of different width")
        yield Example(cls(1), ((1, 3, 4, 2), (1, 1, 4, 2), (1, 5, 4, 2)), why="three of different height")
        yield Example(cls(0), ((1, 3, 2), (2, 3, 2), (4, 3, 2)), why="along the first axis")
        yield Example(cls(1), ((1, 3), (1, 17)), why="vectors")
        yield Example(cls(1), ((1, 1), (1, 1)), why="single elements")
        yield Example(
            cls(2), ((1, 3, 2), constant(1, 3, 3), (1, 3, 1), constant(1, 3, 2)), why="constants too"
        )
        yield Example(cls(1), (constant(1, 2), (1, 5)), why="a constant first")
        yield Example(cls(4), ((1, 2, 2, 3, 1), (1, 2, 2, 3, 3)), why="five axes")
        yield Example(cls(1), ((1, 2, 3),), why="only one")


def _repeated(x: Array, batch: int, axis: int) -> Array:
    """A constant operand for every sample of a batch."""
    return np.repeat(x, batch, 0) if axis and len(x) == 1 != batch else x
