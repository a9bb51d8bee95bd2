"""Support vector machines: decisions from similarities to support vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Example, Op, Site, register
from lilliput.ops.kernel_machine import integers, kernels

Function = Literal["linear", "poly", "rbf", "sigmoid"]
FUNCTIONS: tuple[Function, ...] = get_args(Function)


@register
@dataclass(frozen=True)
class KernelMachine(Op):
    """decision[pair] = intercept[pair] + sum over support vectors v of coefficient[v, pair] K(x, v).

    Inputs: x [1, F]; vectors [n, F], ordered by class; coefficients [n, max(k, 2) - 1], a row holding one for every
    class other than the vector's own; intercepts [pairs]. Pairs are (0, 1), (0, 2), … (1, 2), … as in libsvm.
    `counts` are the support vectors of each class; one entry is a machine of one value (regression, outliers).
    """

    function: Function
    counts: tuple[int, ...]
    gamma: float = 1.0
    coef0: float = 0.0
    degree: int = 3

    name: ClassVar[str] = "kernel_machine"
    operands: ClassVar[int | None] = 4
    float_constants: ClassVar[tuple[int, ...]] = (1, 2, 3)
    kernels = kernels.MACHINES

    @property
    def classes(self) -> int:
        """How many classes the pairs are made of: a single value counts as the decision between two."""
        return max(len(self.counts), 2)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return ((*ins[0].shape[:-1], self.classes * (self.classes - 1) // 2),)

    def check(self, site: Site) -> str | None:
        x, vectors, coefficients, intercepts = site.ins
        n, k = sum(self.counts), self.classes
        if self.function not in FUNCTIONS:
            return f"the kernel function is '{self.function}', expected one of {', '.join(FUNCTIONS)}"
        if not self.counts or any(c < 0 for c in self.counts) or self.degree < 0:
            return f"counts {self.counts} and degree {self.degree} must not be negative, nor the counts empty"
        if len(x.shape) != 2 or x.shape[0] != 1:
            return f"the input has shape {x.shape}, expected (1, features)"
        wanted = ((n, x.shape[1]), (n, k - 1), (k * (k - 1) // 2,))
        found = (vectors.shape, coefficients.shape, intercepts.shape)
        if found != wanted:
            return f"vectors, coefficients and intercepts have shapes {found}, expected {wanted}"
        if not all(t.constant and t.dtype == "float32" for t in site.ins[1:]):
            return "vectors, coefficients and intercepts must be float32 constants"
        if site.integer and not integers.fits(site):
            return f"the integer form of function '{self.function}' with these constants does not exist"
        return None

    def pairs(self) -> Array:
        """[classes, classes - 1]: the pair that each class makes with each other one."""
        k = self.classes
        index = np.zeros((k, k), np.int64)
        index[np.triu_indices(k, 1)] = np.arange(k * (k - 1) // 2)
        index += index.T
        return np.stack([np.delete(index[own], own) for own in range(k)])

    def members(self) -> Array:
        """The class of each support vector."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def similarity(self, x: Array, v: Array) -> Array:
        """K(x, v) [N, n]; the definitions are libsvm's."""
        if self.function == "rbf":
            far = np.stack([np.square(sample - v).sum(-1) for sample in x])
            return np.asarray(np.exp(-np.float32(self.gamma) * far))
        product = x @ v.T
        if self.function == "linear":
            return np.asarray(product)
        t = np.float32(self.gamma) * product + np.float32(self.coef0)
        return np.asarray(np.tanh(t) if self.function == "sigmoid" else t**self.degree)

    def dense(self, coefficients: Array) -> Array:
        """[n, pairs]: zero where a vector has no part in a pair."""
        found = np.zeros((len(coefficients), self.classes * (self.classes - 1) // 2), coefficients.dtype)
        np.put_along_axis(found, self.pairs()[self.members()], coefficients, axis=1)
        return found

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, vectors, coefficients, intercepts = xs
        if site.integer:
            return (integers.run(site, x),)
        alike = self.similarity(x, vectors)
        return (np.asarray(alike @ self.dense(coefficients) + intercepts, np.float32),)

    def macs(self, site: Site) -> int:
        n, k = sum(self.counts), self.classes
        return n * (site.x.shape[-1] + k - 1)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, vectors, coefficients, intercepts = xs
        if self.function == "rbf":
            alike = torch.exp(-self.gamma * (x[:, None] - vectors).square().sum(-1))
        else:
            product = x @ vectors.T
            t = product if self.function == "linear" else self.gamma * product + self.coef0
            alike = {"linear": t, "sigmoid": torch.tanh(t), "poly": t**self.degree}[self.function]
        columns = torch.as_tensor(self.pairs()[self.members()])
        pairs = self.classes * (self.classes - 1) // 2
        dense = coefficients.new_zeros(len(columns), pairs).scatter(1, columns, coefficients)
        return alike @ dense + intercepts

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2 or shape[0] != 1:
            return None
        function = FUNCTIONS[int(rng.integers(len(FUNCTIONS)))]
        counts = tuple(int(c) for c in rng.integers(1, 4, int(rng.integers(1, 5))))
        return _case(rng, function, counts, shape[1], "drawn")

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(3)
        yield _case(rng, "rbf", (3, 2), 5, "two classes")
        yield _case(rng, "rbf", (4,), 1, "one value of one feature")
        yield _case(rng, "rbf", (2, 3, 1, 2), 7, "four classes")
        yield _case(rng, "rbf", (2, 0, 3), 3, "a class without support vectors")
        yield _case(rng, "rbf", (5, 5), 4, "so wide that all vectors count alike", gamma=1e-6)
        yield _case(rng, "rbf", (5, 5), 4, "so narrow that only intercepts are left", gamma=300.0)
        yield _case(rng, "linear", (2, 2, 2), 9, "linear")
        yield _case(rng, "poly", (3, 3), 6, "cubic")
        yield _case(rng, "poly", (3, 2), 6, "constant", degree=0)
        yield _case(rng, "poly", (2, 2, 2), 4, "fifth power", degree=5, gamma=0.05)
        yield _case(rng, "sigmoid", (3, 3, 3, 3, 3), 8, "sigmoid, five classes")
        for why, scale, gamma in (("16 bits", 2.0**-12, 0.3), ("16 bits, far apart", 0.01, 0.0003)):
            yield _int16(_case(rng, "rbf", (3, 2, 4), 33, why, gamma=gamma), scale)


def _case(
    rng: np.random.Generator,
    function: Function,
    counts: tuple[int, ...],
    features: int,
    why: str,
    **given: Any,
) -> Example:
    k = max(len(counts), 2)
    n = sum(counts)
    constants = (
        rng.normal(0, 1, (n, features)),
        rng.normal(0, 1, (n, k - 1)),
        rng.normal(0, 1, k * (k - 1) // 2),
    )
    attributes = {"gamma": 1 / features, "coef0": 0.25, **given}
    x, *others = (1, features), *(np.asarray(c, np.float32) for c in constants)
    return Example(
        KernelMachine(function, counts, **attributes), (x, *others), why=why, integer=function == "rbf"
    )


def _int16(example: Example, scale: float) -> Graph:
    """The example on int16 tensors; quantization of the result is about that of its range."""
    tensors = {"x": Tensor("x", tuple(example.ins[0]), "int16", Quant.per_tensor(scale, 0))}  # type: ignore[arg-type]
    for i, c in enumerate(example.ins[1:]):
        assert isinstance(c, np.ndarray)
        tensors[f"c{i}"] = Tensor(f"c{i}", c.shape, "float32", data=c)
    names = tuple(tensors)
    (shape,) = example.op.infer([tensors[n] for n in names])
    tensors["y"] = Tensor("y", shape, "int16", Quant.per_tensor(1e-4, 0))
    return Graph(("x",), ("y",), (Node(example.op, names, ("y",), example.op.name),), tensors)
