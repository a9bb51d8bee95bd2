"""A tree ensemble prepared for C: what the leaves mean, branches that decide nothing removed, tables packed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from lilliput.graph import INT_RANGE, Array
from lilliput.op import Site

Mode = Literal["direct", "votes", "scalars", "rows"]
_UNSIGNED = ("uint8", "uint16", "uint32")
_SIGNED = ("int8", "int16", "int32")
INT32_MIN, INT32_MAX = INT_RANGE["int32"]
Node = tuple[int, int, int, int]
"""(slot, threshold, left, right); a negative child is ~outcome."""


class Line(NamedTuple):
    """One line of if/else code: `kind` is "if" (x goes left), "unless" (x goes right), "end" or "leaf"."""

    kind: str
    depth: int
    slot: int = 0
    threshold: int = 0
    outcome: int = 0


@dataclass(frozen=True)
class Branches:
    """One tree: its nodes, parents first, what its leaves add to from `column` on, and the `weight` of its vote."""

    nodes: tuple[Node, ...]
    root: int
    column: int
    weight: int

    @functools.cached_property
    def nesting(self) -> int:
        """How many if statements lie within each other in `lines`."""
        return max((line.depth for line in self.lines()), default=0)

    def lines(self) -> list[Line]:
        """If/else code. A side that is a leaf is tested for, so that the other needs no level of its own."""
        found: list[Line] = []
        todo: list[tuple[int | None, int]] = [(self.root, 0)]
        while todo:
            ref, depth = todo.pop()
            if ref is None:
                found.append(Line("end", depth))
            elif ref < 0:
                found.append(Line("leaf", depth, outcome=~ref))
            else:
                slot, threshold, left, right = self.nodes[ref]
                kind, inner, rest = ("unless", right, left) if right < 0 <= left else ("if", left, right)
                found.append(Line(kind, depth, slot, threshold))
                todo += [(rest, depth), (None, depth), (inner, depth + 1)]
        return found


@dataclass(frozen=True, eq=False)
class Table:
    """Arrays of the table form. A child of `limit` or more is a leaf, whose outcome is child - limit + first[tree]."""

    feature: Array
    threshold: Array
    levels: Array | None
    """The thresholds, where `threshold` is an index into them."""
    child: Array
    start: Array
    first: Array | None
    column: Array | None
    outcomes: Array | None
    labels: Array | None
    limit: int

    @property
    def nbytes(self) -> int:
        arrays = (self.feature, self.threshold, self.levels, self.child, self.start, self.first, self.column)
        return sum(a.nbytes for a in (*arrays, self.outcomes, self.labels) if a is not None)


@dataclass(frozen=True, eq=False)
class Forest:
    """What both forms render.

    The outcome of a tree is, by mode: `direct` (one tree) a row of `outcomes`, the result, or the label itself;
    `votes` the column its weight is added to; `scalars` and `rows` a row of `outcomes` to add.
    """

    mode: Mode
    trees: tuple[Branches, ...]
    outcomes: Array | None
    labels: Array | None
    """The label of each outcome, where one tree gives both."""
    base: Array
    slots: tuple[tuple[int, int], ...]
    """(feature, key of NaN) of the keys computed first; empty where features are compared as they are."""
    x_dtype: str

    @property
    def columns(self) -> int:
        return len(self.base)

    @property
    def counts(self) -> bool:
        """Whether the greatest number of votes is the label: every vote weighs the same."""
        return self.one_weight and self.trees[0].weight > 0 and self.level_base

    @property
    def one_weight(self) -> bool:
        return len({tree.weight for tree in self.trees}) == 1

    @property
    def level_base(self) -> bool:
        return bool((self.base == self.base[0]).all())

    def table(self) -> Table:
        """The smallest."""
        found = [_packed(self, child) for child in ("uint8", "uint16", "uint32")]
        return min((t for t in found if t is not None), key=lambda t: t.nbytes)


@functools.lru_cache(maxsize=64)
def forest(site: Site) -> Forest:
    """The ensemble of a site, by its constants."""
    nodes, trees, values, base = (t.data.astype(np.int64) for t in site.ins[1:] if t.data is not None)
    op = site.op
    result, missing = op.result, op.missing  # type: ignore[attr-defined]  # sites of TreeEnsemble only
    reached = [_reached(nodes, root) for root in trees[:, 0].tolist()]
    rows = [np.array([~c for n in each for c in nodes[n, 2:4].tolist() if c < 0], int) for each in reached]
    rows = [r if root >= 0 else np.array([~root]) for r, root in zip(rows, trees[:, 0].tolist(), strict=True)]
    weights = [_weight(values[r]) if values.shape[1] == len(base) > 1 else 0 for r in rows]
    outcomes: Array | None
    labels: Array | None = None
    if len(trees) == 1:
        mode: Mode = "direct"
        outcomes, labels, of_row = _results(site, values, base, int(trees[0, 1]), result)
    elif all(weights):
        mode, outcomes, of_row = "votes", None, np.abs(values).argmax(axis=1)
    else:
        mode = "scalars" if values.shape[1] == 1 else "rows"
        outcomes, of_row = np.unique(values, axis=0, return_inverse=True)
        of_row = of_row.reshape(-1)
    used: dict[tuple[int, int], int] = {}
    branches = []
    order = np.argsort(trees[:, 1], kind="stable") if mode == "scalars" else np.arange(len(trees))
    for t in order.tolist():
        root, column = trees[t].tolist()
        kept, start = _pruned(nodes, reached[t], root, of_row, site.x.dtype)
        if missing:
            kept = [(used.setdefault((f, nan), len(used)), threshold, *cs) for f, threshold, *cs, nan in kept]
        branches.append(Branches(tuple((n[0], n[1], n[2], n[3]) for n in kept), start, column, weights[t]))
    slots = tuple((f, INT32_MIN if nan else INT32_MAX) for f, nan in used)
    return Forest(mode, tuple(branches), outcomes, labels, base, slots, site.x.dtype)


def _reached(nodes: Array, root: int) -> list[int]:
    """The nodes of one tree in preorder."""
    found, todo = [], [root]
    while todo:
        ref = todo.pop()
        if ref >= 0:
            found.append(ref)
            todo += [int(nodes[ref, 3]), int(nodes[ref, 2])]
    return found


def _weight(rows: Array) -> int:
    """v, when every row is zero but for one element v; else 0."""
    nonzero = rows[rows != 0]
    one_each = ((rows != 0).sum(axis=1) == 1).all()
    return int(nonzero[0]) if one_each and (nonzero == nonzero[0]).all() else 0


def _results(
    site: Site, values: Array, base: Array, column: int, result: str
) -> tuple[Array | None, Array | None, Array]:
    """For one tree: the distinct results, their labels, and which one each row of `values` gives."""
    totals = np.repeat(base[None], len(values), axis=0)
    totals[:, column : column + values.shape[1]] += values
    if result == "label":
        return None, None, totals.argmax(axis=1)
    distinct, of_row = np.unique(totals, axis=0, return_inverse=True)
    labels = _smallest(distinct.argmax(axis=1), _UNSIGNED) if result == "both" else None
    if result != "int32":
        shift = site.op.shift  # type: ignore[attr-defined]
        distinct = np.ldexp(distinct.astype(np.float32), -shift)
    return distinct, labels, of_row.reshape(-1)


def _pruned(
    nodes: Array, reached: Sequence[int], root: int, of_row: Array, dtype: str
) -> tuple[list[tuple[int, ...]], int]:
    """A tree without nodes that decide nothing, renumbered: [(feature, threshold, left, right, NaN left)], root."""
    lo, hi = INT_RANGE.get(dtype, (INT32_MIN - 1, INT32_MAX + 1))
    stands_for: dict[int, int] = {}

    def of(ref: int) -> int:
        return ~int(of_row[~ref]) if ref < 0 else stands_for[ref]

    for i in reversed(reached):  # children first
        _, threshold, left, right, _ = nodes[i].tolist()
        a, b = of(left), of(right)
        always = a if a == b and a < 0 else a if threshold >= hi else b if threshold < lo else None
        stands_for[i] = i if always is None else always
    number: dict[int, int] = {}
    todo, start = [of(root)], of(root)
    while todo:
        ref = todo.pop()
        if ref >= 0:
            number[ref] = len(number)
            todo += [of(int(nodes[ref, 3])), of(int(nodes[ref, 2]))]

    def final(ref: int) -> int:
        return of(ref) if of(ref) < 0 else number[of(ref)]

    kept: list[tuple[int, ...]] = [
        (feature, threshold, final(left), final(right), nan)
        for feature, threshold, left, right, nan in (nodes[i].tolist() for i in number)
    ]
    return kept, number[start] if start >= 0 else start


def _smallest(values: Array, choices: Sequence[str]) -> Array:
    lo, hi = int(values.min(initial=0)), int(values.max(initial=0))
    dtype = next(c for c in choices if np.iinfo(c).min <= lo and hi <= np.iinfo(c).max)
    return values.astype(dtype)


def _packed(f: Forest, child_type: str) -> Table | None:
    """The tables with children of this type, or None where they do not fit."""
    limit = (np.iinfo(child_type).max + 1) // 2
    most = max(~c for tree in f.trees for c in (tree.root, *(c for n in tree.nodes for c in n[2:])) if c < 0)
    outcomes, local = f.outcomes, most >= limit
    if local and outcomes is None:
        return None
    nodes: list[Node] = []
    children: list[int] = []
    start, first = [], []
    picked: list[int] = []
    for tree in f.trees:
        own = tree.nodes or ((0, 0, tree.root, tree.root),)
        leaves = sorted({~c for n in own for c in n[2:] if c < 0})
        number = {outcome: i for i, outcome in enumerate(leaves)} if local else None
        if len(own) > limit or (number is not None and len(number) > limit):
            return None
        start.append(len(nodes))
        first.append(len(picked) if local else 0)
        picked += leaves
        nodes += own
        for n in own:
            children += [c if c >= 0 else limit + (number[~c] if number is not None else ~c) for c in n[2:]]
    labels = f.labels
    if local and outcomes is not None:
        outcomes, labels = outcomes[picked], None if labels is None else labels[picked]
    if outcomes is not None and outcomes.dtype != np.float32:
        outcomes = _smallest(outcomes, _SIGNED)
    columns = np.array([tree.column for tree in f.trees])
    threshold, levels = np.array([n[1] for n in nodes]), None
    kind = "int32" if f.x_dtype == "float32" else f.x_dtype
    distinct, index = np.unique(threshold, return_inverse=True)
    if (
        len(distinct) <= 256
        and len(nodes) + distinct.astype(kind).nbytes < 0.7 * threshold.astype(kind).nbytes
    ):
        threshold, levels = index.reshape(-1).astype(np.uint8), distinct.astype(kind)
    else:
        threshold = threshold.astype(kind)
    return Table(
        _smallest(np.array([n[0] for n in nodes]), _UNSIGNED),
        threshold,
        levels,
        np.array(children).astype(child_type),
        _smallest(np.array(start), _UNSIGNED),
        _smallest(np.array(first), _UNSIGNED) if local else None,
        _smallest(columns, _UNSIGNED) if f.mode == "scalars" and len(set(columns.tolist())) > 1 else None,
        outcomes,
        labels,
        limit,
    )
