"""The class that wins most of the decisions between two classes each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Example, Op, Site, register
from lilliput.ops.kernel_machine import kernels


@register
@dataclass(frozen=True)
class PairwiseVote(Op):
    """Decisions [1, pairs] -> index [1] int32 of the class with most votes, the first of equals; libsvm's rule.

    Pair (i, j) is a vote for i where its decision is positive, else for j. With two classes there is one decision,
    and it has scikit-learn's sign: positive is the second class.
    """

    classes: int

    name: ClassVar[str] = "pairwise_vote"
    kernels = kernels.VOTES

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (ins[0].shape[:-1],)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "int32"

    def check(self, site: Site) -> str | None:
        pairs = self.classes * (self.classes - 1) // 2
        if self.classes < 2 or site.x.shape != (1, pairs):
            return f"the input has shape {site.x.shape}, expected (1, {pairs}) for {self.classes} classes"
        if site.x.dtype not in kernels.C_TYPES:
            return f"decisions are {site.x.dtype}, expected {' or '.join(kernels.C_TYPES)}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x = xs[0] > (site.x.q.z if xs[0].dtype.kind == "i" else 0)
        if self.classes == 2:
            return (x[:, 0].astype(np.int32),)
        votes = np.zeros((len(x), self.classes), np.int32)
        for pair, (i, j) in enumerate(zip(*np.triu_indices(self.classes, 1), strict=True)):
            votes[:, i] += x[:, pair]
            votes[:, j] += ~x[:, pair]
        return (votes.argmax(1).astype(np.int32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x = xs[0] > 0
        if self.classes == 2:
            return x[:, 0].to(torch.int32)
        first, second = (torch.as_tensor(v) for v in np.triu_indices(self.classes, 1))
        votes = torch.zeros(len(x), self.classes, dtype=torch.int32)
        votes = votes.index_add(1, first, x.to(torch.int32)).index_add(1, second, (~x).to(torch.int32))
        return votes.argmax(1).to(torch.int32)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2 or shape[0] != 1:
            return None
        classes = round((1 + (1 + 8 * shape[1]) ** 0.5) / 2)
        return Example(cls(classes), (shape,)) if classes * (classes - 1) // 2 == shape[1] else None

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        for classes in (
            2,
            3,
            4,
            10,
        ):  # with limits, for few shapes of random graphs hold as many numbers as pairs
            shape = (1, classes * (classes - 1) // 2)
            yield Example(cls(classes), (shape,), why=f"{classes} classes", limits={0: (-3.0, 3.0)})
        x = Tensor("x", (1, 6), "int16", Quant.per_tensor(0.01, 0))
        y = Tensor("y", (1,), "int32")
        yield Graph(("x",), ("y",), (Node(cls(4), ("x",), ("y",), "vote"),), {"x": x, "y": y})
