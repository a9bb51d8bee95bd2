"""From trees as other libraries keep them (real thresholds and leaf values) to the constants of a `TreeEnsemble`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.ops.tree.ensemble import NOTHING, SHIFTS, Result, TreeEnsemble, float_keys


@dataclass(frozen=True, eq=False)
class Tree:
    """One fitted tree. `left` and `right` are node indices, negative at leaves; node 0 is the root.

    x goes left when x[feature] <= threshold (float64), or < where `strict`. `values` [nodes, W] count at leaves;
    they are added from column `column` on. `nan_left` says where a missing value goes.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    values: Array
    column: int = 0
    strict: bool = False
    nan_left: Array | None = None


class Constants(NamedTuple):
    """A `TreeEnsemble` with its constant operands, int32."""

    op: TreeEnsemble
    nodes: Array
    trees: Array
    values: Array
    base: Array


def assemble(
    trees: Sequence[Tree], base: Array, *, result: Result = "float32", missing: bool = False
) -> Constants:
    """Trees over float32 features, whose values are summed and added to `base` [K].

    The comparisons are exactly the library's for every float32 x. Sums are fixed-point with the largest power of two
    for which they fit in 31 bits: every leaf is off by at most half a unit.
    """
    if not trees:
        raise UserError("the ensemble holds no tree; fit it with at least one")
    base = np.asarray(base, np.float64)
    leaves = [np.where((t.left < 0)[:, None], np.asarray(t.values, np.float64), 0.0) for t in trees]
    largest = [np.abs(values).max() for values in leaves]
    shift = _shift(float(np.sum(largest) + np.abs(base).max()), len(trees) + 1)
    rows: dict[bytes, int] = {}
    nodes: list[Array] = []
    roots = []
    count = 0
    for tree, real in zip(trees, leaves, strict=True):
        integers = np.rint(np.ldexp(real, shift)).astype(np.int32)
        order = _preorder(tree)
        inner = [i for i in order if tree.left[i] >= 0]
        reference = {i: count + n for n, i in enumerate(inner)}
        for i in order:
            if tree.left[i] < 0:
                reference[i] = ~rows.setdefault(integers[i].tobytes(), len(rows))
        if inner:
            at = np.array(inner)
            nan = np.zeros(len(at)) if tree.nan_left is None else tree.nan_left[at]
            children = [[reference[int(c)] for c in side[at]] for side in (tree.left, tree.right)]
            nodes.append(np.stack([tree.feature[at], _keys(tree)[at], *children, nan], 1).astype(np.int32))
        roots.append([reference[0], tree.column])
        count += len(inner)
    table = np.concatenate(nodes) if nodes else np.array([[0, 0, -1, -1, 0]], np.int32)
    values = np.stack([np.frombuffer(row, np.int32) for row in rows])
    fixed = np.rint(np.ldexp(base, shift)).astype(np.int32)
    op = TreeEnsemble(shift, result, missing)
    return Constants(op, table, np.array(roots, np.int32), values, fixed)


def _shift(reach: float, roundings: int) -> int:
    """The largest shift with which sums of size `reach`, and their roundings, stay below 2^31."""
    if not math.isfinite(reach):
        raise UserError("a leaf holds NaN or an infinite value; fit the ensemble again")
    shift = min(SHIFTS[1], 30 - math.frexp(reach)[1] + 1) if reach else 0
    while reach * 2.0**shift + roundings >= 2**31:
        shift -= 1
    if shift < SHIFTS[0]:
        raise UserError(f"leaves add up to {reach:.3g}; at most {2.0 ** (31 + -SHIFTS[0]):.3g} fits")
    return shift


def _preorder(tree: Tree) -> list[int]:
    """The nodes that the root reaches, parents first, left before right."""
    found: list[int] = []
    todo = [0]
    while todo:
        i = todo.pop()
        found.append(i)
        if len(found) > len(tree.left):
            raise UserError("a tree's nodes form a cycle, or two share a child")
        if tree.left[i] >= 0:
            todo += [int(tree.right[i]), int(tree.left[i])]
    return found


def _keys(tree: Tree) -> Array:
    """For each threshold the key of the largest float32 that goes left."""
    threshold = np.asarray(tree.threshold, np.float64)
    if np.isnan(threshold[tree.left >= 0]).any():
        raise UserError("a threshold is NaN; fit the ensemble again")
    with np.errstate(all="ignore"):  # beyond the largest float32, below the smallest
        nearest = threshold.astype(np.float32)
        below = np.nextafter(nearest, np.float32(-np.inf))
    beyond = nearest >= threshold if tree.strict else nearest > threshold
    largest = np.where(beyond, below, nearest)
    keys = float_keys(np.where(largest == 0, np.float32(0), largest))  # -0 and +0 are equal: the key of +0
    return np.where(tree.strict & (threshold == -np.inf), NOTHING, keys)
