"""Graph -> Graph: simplifications that keep every result, run in order and verified after each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lilliput.graph import Graph, verify
from lilliput.passes.dilate import fold_dilation
from lilliput.passes.fold import fold_affine, fold_constants, fold_padding, fuse_clamp, remove_dead
from lilliput.passes.layout import cancel_transposes
from lilliput.passes.steps import keep_last_step

Pass = Callable[[Graph], Graph]

SIMPLIFY: tuple[Pass, ...] = (
    fold_constants,
    fold_dilation,
    cancel_transposes,
    fold_affine,
    fold_padding,
    fuse_clamp,
    cancel_transposes,
    remove_dead,
    keep_last_step,
)


def simplify(graph: Graph) -> Graph:
    """All passes in order. With LILLIPUT_DUMP=folder set, the graph after each is written there as text."""
    dump(graph, "00-imported")
    for i, step in enumerate(SIMPLIFY, 1):
        graph = verify(step(graph))
        dump(graph, f"{i:02d}-{step.__name__}")
    return graph


def dump(graph: Graph, name: str) -> None:
    """Write a graph's text where LILLIPUT_DUMP asks for it."""
    if folder := os.environ.get("LILLIPUT_DUMP"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.txt").write_text(f"{graph}\n", encoding="utf-8")
