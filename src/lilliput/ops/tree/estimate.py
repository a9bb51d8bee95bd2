"""What each C form of a tree ensemble will cost, before anything is compiled: for the choice between code and tables.

Measured on forests of 350 to 1,400 nodes, zig at -Os for bytes and -O3 for instructions; Cortex-M0+ and M4 differ by
less than the spread between models. Code is 3 to 5 times as fast, tables are about half as large.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from lilliput.op import Site
from lilliput.ops.tree.layout import Branches, forest

CODE_BYTES = {"float32": 14.0, "int16": 10.4, "int8": 10.2}
"""Per node: load, compare, branch, and its share of the leaves; a float32 threshold is a literal of 4 bytes."""
CODE_LEVEL = {"float32": 4.5, "int16": 4.5, "int8": 4.5}
TABLE_LEVEL = {"float32": 18.0, "int16": 15.0, "int8": 13.0}
"""Instructions to get one level deeper."""
LITERAL_LEAF = 4.0
"""Bytes per node where each leaf returns a number of its own."""
TREE_BYTES, TREE_STEPS = 10.0, 8.0
"""Bytes and instructions per tree."""
CODE_FIXED, TABLE_FIXED = 210.0, 265.0
"""Bytes of what surrounds the trees; with it the smaller form of single trees of 2 to 40 leaves is known too."""


Form = Literal["code", "table"]


class Estimate(NamedTuple):
    """Bytes of flash and executed instructions for one run."""

    flash: int
    instructions: int


def estimate(site: Site, form: Form) -> Estimate:
    """For one of the two forms; right to about a third."""
    f, dtype = forest(site), site.x.dtype
    nodes = sum(len(tree.nodes) for tree in f.trees)
    levels = sum(_mean_depth(tree) for tree in f.trees)
    per_tree, key = TREE_STEPS * len(f.trees), 8.0 * len(f.slots)
    if form == "table":
        return Estimate(
            round(f.table().nbytes + TABLE_FIXED), round(levels * TABLE_LEVEL[dtype] + 2 * per_tree + key)
        )
    literals = LITERAL_LEAF if f.outcomes is not None and f.outcomes.shape[1] == 1 else 0.0
    rows = f.outcomes.nbytes / 2 if f.outcomes is not None and f.outcomes.shape[1] > 1 else 0.0
    flash = nodes * (CODE_BYTES[dtype] + literals) + TREE_BYTES * len(f.trees) + rows + CODE_FIXED
    return Estimate(round(flash), round(levels * CODE_LEVEL[dtype] + per_tree + key))


def _mean_depth(tree: Branches) -> float:
    """Branches to a leaf, each side of a branch being as likely as the other."""
    depth = np.zeros(len(tree.nodes))
    weight = np.zeros(len(tree.nodes))
    mean = 0.0
    if tree.root >= 0:
        weight[tree.root] = 1.0
    for i, node in enumerate(tree.nodes):  # parents come first
        for child in node[2:]:
            if child >= 0:
                depth[child], weight[child] = depth[i] + 1, weight[i] / 2
            else:
                mean += weight[i] / 2 * (depth[i] + 1)
    return mean
