"""The two C forms of a tree ensemble: if/else code and tables of the smallest types, both made by one template."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.op import Kernel, Params, Site
from lilliput.ops.tree.estimate import Form, estimate
from lilliput.ops.tree.layout import forest

SOURCE = Path(__file__).parent / "tree.c.j2"
DEEPEST = 100
"""Levels of if statements within each other; compilers must accept 127 (C99 5.2.4.1)."""
MOST = 60_000
"""Branches in one file beyond which compilers take minutes."""


def _common(site: Site, form: str) -> dict[str, Any]:
    return {
        "form": form,
        "f": forest(site),
        "x_type": "float" if site.x.dtype == "float32" else f"{site.x.dtype}_t",
        "real": site.x.dtype == "float32",
        "result": site.op.result,  # type: ignore[attr-defined]  # kernels of TreeEnsemble only
        "shift": site.op.shift,  # type: ignore[attr-defined]
    }


def _code(site: Site) -> Params:
    return {**_common(site, "code"), "lines": [tree.lines() for tree in forest(site).trees]}


def _table(site: Site) -> Params:
    f = forest(site)
    weights = np.array([tree.weight for tree in f.trees], np.int32)
    return {**_common(site, "table"), "t": f.table(), "weights": weights}


def _plain(site: Site) -> bool:
    return site.x.quant is None and tuple(t.dtype for t in site.outs) == site.op.result_dtypes(site.ins)


def _when_code(site: Site) -> bool:
    if not _plain(site):
        return False
    f = forest(site)
    return sum(len(tree.nodes) for tree in f.trees) <= MOST and all(
        tree.nesting <= DEEPEST for tree in f.trees
    )


def _flash(form: Form) -> Callable[[Site], int]:
    return lambda site: estimate(site, form).flash


TREE_CODE = Kernel(SOURCE, _when_code, _code, tokens={"FORM": "code"}, flash=_flash("code"))
TREE_TABLE = Kernel(SOURCE, _plain, _table, tokens={"FORM": "table"}, flash=_flash("table"))
