"""Collects the operators of a fitted estimator; values are tensor names, activations are [1, features]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Graph, Node, Shape, Tensor, verify
from lilliput.importers.alternatives import alternatives
from lilliput.importers.sklearn.registry import converters
from lilliput.op import Op
from lilliput.ops.reduce import ArgMax


class SklearnBuilder:
    """What converters write into. `probabilities` False asks classifiers for the label alone; with `missing`
    trees send NaN where the model does."""

    def __init__(self, n_features: int, *, probabilities: bool = True, missing: bool = False) -> None:
        self.x = "x"
        self.tensors: dict[str, Tensor] = {"x": Tensor("x", (1, n_features))}
        self.nodes: list[Node] = []
        self.probabilities = probabilities
        self.missing = missing
        self.labels: list[str] | None = None
        self.layer = ""
        self.transforming = False
        """Whether what is asked of an estimator is its `transform`: it is followed by others in a pipeline."""

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def features(self, name: str) -> int:
        """How many numbers a value [1, K] holds."""
        return self.tensors[name].shape[-1]

    def constant(self, data: Array, dtype: str = "float32") -> str:
        """A constant, rounded to `dtype`; the same name for each call is never given twice."""
        values = np.ascontiguousarray(data, dtype)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(
                f"layer '{self.layer}': a parameter is NaN, infinite or beyond float32; fit it again"
            )
        name = f"c{len(self.tensors)}"
        self.tensors[name] = Tensor(name, values.shape, dtype, data=values)
        return name

    def add(self, op: Op, *names: str, layer: str = "") -> str:
        """Apply an operator of one result; its name."""
        (name,) = self.add_many(op, *names, layer=layer)
        return name

    def add_many(self, op: Op, *names: str, layer: str = "") -> tuple[str, ...]:
        """Apply an operator; the names of its results."""
        ins = [self.tensors[name] for name in names]
        shapes = op.infer(ins)
        outs = tuple(f"t{len(self.tensors) + i}" for i in range(len(shapes)))
        for name, shape, dtype in zip(outs, shapes, op.result_dtypes(ins), strict=True):
            self.tensors[name] = Tensor(name, shape, dtype)
        self.nodes.append(Node(op, names, outs, layer or self.layer or op.name))
        return outs

    def convert(self, estimator: Any, x: str) -> Sequence[str]:
        """The results of a fitted estimator applied to `x`: for pipelines and other estimators of estimators."""
        name = type(estimator).__name__
        table = converters()
        if name not in table:
            raise UserError(
                f"estimator {name}{f' (in {self.layer})' if self.layer else ''} is not supported. "
                f"{alternatives(name, table, 'sklearn')}"
            )
        outer, self.layer = self.layer, f"{self.layer}.{name}".strip(".")
        try:
            return table[name](self, estimator, x)
        finally:
            self.layer = outer

    def classify(self, scores: str, labels: Sequence[Any], probabilities: str | None = None) -> Sequence[str]:
        """(index of the greatest score, probabilities or else scores); the label alone where that is asked for."""
        return self.labelled(self.add(ArgMax(1), scores), labels, probabilities or scores)

    def labelled(self, label: str, labels: Sequence[Any], *scores: str) -> Sequence[str]:
        """(index of the label, scores); the label alone where that is asked for."""
        self.labels = [plain(given) for given in labels]
        return (label, *scores) if self.probabilities else (label,)

    def graph(self, results: Sequence[str]) -> Graph:
        meta = {} if self.labels is None else {"labels": self.labels}
        return verify(Graph((self.x,), tuple(results), (), self.tensors, meta).with_nodes(self.nodes))


def plain(label: Any) -> str:
    """A label as text, which is what firmware and files hold."""
    return str(label.item() if isinstance(label, np.generic) else label)
