"""A builder for files of strangers: what a small file can make us compute or store is bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lilliput.errors import UserError
from lilliput.graph import Array, Tensor
from lilliput.importers.builder import Builder, Value
from lilliput.op import Op, Site

MAX_ELEMENTS = 1 << 24
"""Of a tensor that is computed at run time."""
AFFORDABLE = 1 << 22
"""Elements of constants that need not come from the file; besides, its own may be stored in several forms."""
FORMS = 16
MAX_WORK = 1 << 27
"""Multiplications of one operator whose result is known when a model is imported."""


@dataclass
class BoundedBuilder(Builder):
    affordable: int = AFFORDABLE

    def admit(self, elements: int) -> None:
        """The file's own constants hold so many elements."""
        self.affordable += FORMS * elements

    def constant(self, data: Array, order: tuple[int, ...] | None = None) -> Value:
        self.afford(data.size)
        return super().constant(data, order)

    def afford(self, elements: int) -> None:
        """Refuse constants that grow far beyond what is in the file."""
        self.affordable -= elements
        if self.affordable < 0:
            raise UserError(
                f"layer '{self.where}': a constant of {elements} elements, more than a file of this size may ask for"
            )

    def add_many(
        self, op: Op, ins: Sequence[Value], order: tuple[int, ...] | None = None
    ) -> tuple[Value, ...]:
        sources = tuple(self.tensor(v) for v in ins)
        shapes = op.infer(sources)
        sizes = [math.prod(shape) for shape in shapes]
        if max(sizes, default=0) > MAX_ELEMENTS:
            raise UserError(
                f"layer '{self.where}' ({op.name}): a result of shape {shapes[0]}, expected at most {MAX_ELEMENTS} "
                "elements"
            )
        if sources and all(t.constant for t in sources):
            if sum(sizes) > self.affordable:
                self.afford(sum(sizes))
            if all(d > 0 for shape in shapes for d in shape):
                outs = tuple(Tensor("", s, t) for s, t in zip(shapes, op.result_dtypes(sources), strict=True))
                work = op.macs(Site(op, sources, outs))
                if work > MAX_WORK:
                    raise UserError(
                        f"layer '{self.where}' ({op.name}): {work} multiplications of constants, expected at most "
                        f"{MAX_WORK}"
                    )
        return super().add_many(op, ins, order)
