"""The tree ensemble: every tree leads x to a leaf, whose fixed-point values are added up; exact in any order.

A node is a row (feature, threshold, left, right, NaN goes left): x goes left when x[feature] <= threshold. A child, and
a root, is the index of a node, or ~row for a leaf, a row of `values`. For float32 x the thresholds are `float_keys`,
integers in the order of the floats, so that all comparisons are of integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Nan, Op, Site, register
from lilliput.ops.tree import kernels

Result = Literal["float32", "int32", "label", "both"]
RESULTS = get_args(Result)
SHIFTS = (-60, 90)
"""What `shift` may be, so that every result is a normal float32 or zero."""

INFINITY = 0x7F800000
"""The key of infinity; that of its negative is ~INFINITY."""
NOTHING = ~INFINITY - 1
"""A threshold that no number goes left of."""


def float_keys(x: Array) -> Array:
    """float32 -> int64 in the order of the numbers (IEEE 754 totalOrder): -0 is -1, NaN lies beyond infinity."""
    bits = np.asarray(x, np.float32, order="C").view(np.int32).astype(np.int64)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@register
@dataclass(frozen=True)
class TreeEnsemble(Op):
    """x [1, F] (float32, int16 or int8) -> base + the leaves' rows, each added at its tree's first column.

    Operands: x, nodes int32 [N, 5], trees int32 [T, 2] (root, first column), values int32 [L, W], base int32 [K]. The
    sum is the result as int32 [1, K], as float32 [1, K] times 2^-shift, as the label, which is the index of its
    greatest element, int32 [1] (the first of equals wins), or as both: the label and the float32. With `missing` a NaN
    goes where its node says; without, it lies beyond the infinity of its sign.
    """

    shift: int = 0
    result: Result = "float32"
    missing: bool = False

    name: ClassVar[str] = "tree_ensemble"
    operands: ClassVar[int | None] = 5
    plain_integers: ClassVar[bool] = True
    kernels = (kernels.TREE_CODE, kernels.TREE_TABLE)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        sums = (1, ins[4].shape[0])
        return {"label": ((1,),), "both": ((1,), sums)}.get(self.result, (sums,))

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return {"float32": ("float32",), "both": ("int32", "float32")}.get(self.result, ("int32",))

    def check(self, site: Site) -> str | None:
        x, *constants = site.ins
        if x.dtype not in ("float32", "int16", "int8") or len(x.shape) != 2 or x.shape[0] != 1:
            return f"x is {x.dtype}{list(x.shape)}, expected float32, int16 or int8 of [1, features]"
        if x.quant is not None:
            return "x is quantized as a whole; trees take plain integers, with a scale per feature: quantize_trees"
        if (found := tuple(t.dtype for t in site.outs)) != self.result_dtypes(site.ins):
            return f"the results are {found}, expected {self.result_dtypes(site.ins)}"
        if self.result not in RESULTS or not SHIFTS[0] <= self.shift <= SHIFTS[1]:
            return f"result={self.result} shift={self.shift}, expected {', '.join(RESULTS)} and {SHIFTS}"
        if self.missing and x.dtype != "float32":
            return f"{x.dtype} features have no NaN that could be missing"
        for t, what, shape in zip(
            constants, ("nodes", "trees", "values", "base"), ((-1, 5), (-1, 2), (-1, -1), (-1,)), strict=True
        ):
            fits = len(t.shape) == len(shape) and all(
                e in (-1, d) for d, e in zip(t.shape, shape, strict=True)
            )
            if t.data is None or t.dtype != "int32" or not fits:
                return f"{what} are {t.dtype}{list(t.shape)}, expected constant int32 of rank {len(shape)}"
        nodes, *others = (t.data.astype(np.int64) for t in constants if t.data is not None)
        if x.dtype == "float32" and (np.clip(nodes[:, 1], NOTHING, INFINITY) != nodes[:, 1]).any():
            return "a threshold is not the key of a float32 number"
        return _flaw(x.shape[1], nodes, *others)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, nodes, trees, values, base = xs
        total = self._sums(x, nodes, trees, values, base)
        if self.result == "int32":
            return (total.astype(np.int32),)
        label = np.argmax(total, axis=1).astype(np.int32)
        real = np.ldexp(total.astype(np.float32), -self.shift)
        return {"label": (label,), "float32": (real,), "both": (label, real)}[self.result]

    def _sums(self, x: Array, nodes: Array, trees: Array, values: Array, base: Array) -> Array:
        keys = float_keys(x) if x.dtype == np.float32 else x.astype(np.int64)
        nan = np.isnan(x) if self.missing else np.zeros(x.shape, bool)
        samples = np.arange(len(x))[:, None]
        at = np.broadcast_to(trees[:, 0], (len(x), len(trees)))  # [samples, trees]
        while (at >= 0).any():
            feature, threshold, left, right, nan_left = np.moveaxis(nodes[np.maximum(at, 0)], -1, 0)
            goes = np.where(nan[samples, feature], nan_left != 0, keys[samples, feature] <= threshold)
            at = np.where(at < 0, at, np.where(goes, left, right))
        total = np.repeat(base[None].astype(np.int64), len(x), axis=0)
        for t, column in enumerate(trees[:, 1]):
            total[:, column : column + values.shape[1]] += values[~at[:, t]]
        return total

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        found = [torch.from_numpy(y) for y in self.run(site, *(v.detach().cpu().numpy() for v in xs))]
        return found[0] if len(found) == 1 else tuple(found)  # a step function: it has no gradient

    def nan(self) -> Nan:
        return "understood" if self.missing else "refused"

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2 or shape[0] != 1:
            return None
        kind = ("votes", "scalars", "rows")[int(rng.integers(3))]
        return _example(int(rng.integers(1 << 30)), kind, trees=int(rng.integers(1, 5)), features=shape[1])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for i, kind in enumerate(("votes", "weighted", "scalars", "rows")):
            for j, dtype in enumerate(("float32", "int16", "int8")):
                result = RESULTS[(i + j) % 4]
                yield _example(3 * i + j, kind, dtype=dtype, result=result, why=f"{kind} of {dtype}")
        for result in RESULTS:
            yield _example(20, "votes", trees=1, result=result, why="one tree: its leaves are the results")
            yield _example(21, "scalars", trees=1, columns=1, result=result, why="one tree of single numbers")
        yield _example(22, "rows", missing=True, why="NaN has a direction, both for one feature")
        yield _example(
            23, "scalars", depth=9, leaf_chance=0.0, trees=2, why="more nodes and leaves than a byte counts"
        )
        yield _example(
            24, "votes", features=300, columns=300, why="more features and classes than a byte counts"
        )
        yield _example(25, "scalars", depth=0, why="trees that are leaves")
        yield _example(26, "votes", columns=2, trees=7, result="label", why="two classes")
        yield _example(27, "votes", depth=230, leaf_chance=0.0, chain=True, why="deeper than if may nest")
        yield _example(
            28, "votes", dtype="int16", trees=300, depth=1, result="label", why="300 votes for a class"
        )


def _flaw(features: int, nodes: Array, trees: Array, values: Array, base: Array) -> str | None:
    """What is wrong with the numbers: they may come from a file. Each node has one parent, before it."""
    n, rows, width, columns = len(nodes), *values.shape, len(base)
    feature, children = nodes[:, 0], nodes[:, 2:4]
    if (feature < 0).any() or (feature >= features).any():
        return f"a node asks for a feature outside 0..{features - 1}"
    if ((nodes[:, 4] != 0) & (nodes[:, 4] != 1)).any():
        return "a node's direction of NaN is neither 0 nor 1"
    for what, refs in (("child", children), ("root", trees[:, 0])):
        if (refs >= n).any() or (~refs >= rows).any():
            return f"a {what} is neither one of {n} nodes nor one of {rows} leaves"
    inner = children >= 0
    if (children <= np.arange(n)[:, None])[inner].any():
        return "a child does not come after its parent"
    referred = np.concatenate([children[inner], trees[:, 0][trees[:, 0] >= 0]])
    if len(referred) != len(np.unique(referred)):
        return "a node has two parents"
    if (trees[:, 1] < 0).any() or (trees[:, 1] + width > columns).any():
        return f"a tree writes outside the {columns} results"
    reach = int(np.abs(base).max()) + len(trees) * int(np.abs(values).max())
    if reach >= 2**31 and _reach(nodes, trees, values, base) >= 2**31:
        return "the sum of the leaves may overflow int32; give them a coarser scale"
    return None


def _reach(nodes: Array, trees: Array, values: Array, base: Array) -> int:
    """A bound of every partial sum's size: the largest leaf of each tree."""
    owner = np.full(len(nodes), -1)
    largest = np.zeros(len(trees), np.int64)
    sizes = np.abs(values).max(axis=1)
    for t, root in enumerate(trees[:, 0]):
        if root >= 0:
            owner[root] = t
        else:
            largest[t] = sizes[~root]
    for i, (left, right) in enumerate(nodes[:, 2:4]):
        for child in (left, right):
            if owner[i] < 0:
                continue
            if child >= 0:
                owner[child] = owner[i]
            else:
                largest[owner[i]] = max(largest[owner[i]], sizes[~child])
    return int(np.abs(base).max()) + int(largest.sum())


def _example(
    seed: int,
    kind: str,
    *,
    dtype: str = "float32",
    result: Result = "float32",
    trees: int = 5,
    depth: int = 4,
    features: int = 6,
    columns: int = 3,
    leaf_chance: float = 0.2,
    missing: bool = False,
    chain: bool = False,
    why: str = "",
) -> Example:
    """A random ensemble: `votes` of equal or different weight, `scalars` for one column per tree, or `rows`."""
    rng = np.random.default_rng(seed)
    nodes: list[list[int]] = []
    values: list[Array] = []
    width = 1 if kind == "scalars" else columns

    def leaf(tree: int) -> int:
        if kind in ("votes", "weighted"):
            row = np.eye(columns, dtype=np.int64)[rng.integers(columns)] * (
                1000 if kind == "votes" else 7 + tree
            )
        else:
            row = rng.integers(-(2**20), 2**20, width)
        values.append(row)
        return ~(len(values) - 1)

    def grow(tree: int, left: int) -> int:
        if left == 0 or (left < depth and rng.random() < leaf_chance):
            return leaf(tree)
        me = len(nodes)
        span = {"int16": 2**15, "int8": 2**7}.get(dtype, 0)
        threshold = int(rng.integers(-span, span)) if span else int(float_keys(np.asarray(rng.normal())))
        nodes.append([int(rng.integers(features)), threshold, 0, 0, int(rng.integers(2)) if missing else 0])
        nodes[me][2] = leaf(tree) if chain and rng.random() < 0.5 else grow(tree, left - 1)
        nodes[me][3] = grow(tree, left - 1) if nodes[me][2] < 0 or not chain else leaf(tree)
        return me

    roots = [[grow(t, depth), t % columns if width == 1 else 0] for t in range(trees)]
    x = Tensor("x", (1, features), dtype)
    constants = (nodes or [[0, 0, -1, -1, 0]], roots, values, rng.integers(-5, 5, columns))
    op = TreeEnsemble(int(rng.integers(-3, 25)), result, missing)
    return Example(op, (x, *(np.asarray(c, np.int32) for c in constants)), why=why, integer=False)
