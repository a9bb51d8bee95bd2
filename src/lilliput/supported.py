"""The operators that are supported, read from the registry: nothing here is written down twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.examples import cases, ranges_of
from lilliput.graph import Graph
from lilliput.op import REGISTRY
from lilliput.quantize import quantize


def supported() -> list[dict[str, Any]]:
    """One row per operator: the types of its examples, its kernels and the features they ask for."""
    dtypes: dict[str, set[str]] = {name: set() for name in REGISTRY}
    for graph in _graphs():
        for site in graph.sites():
            dtypes[site.op.name].add(site.x.dtype)
    return [
        {
            "op": name,
            "dtypes": sorted(dtypes[name]),
            "kernels": [{"name": kernel.name, "isa": sorted(kernel.isa)} for kernel in cls.kernels],
        }
        for name, cls in sorted(REGISTRY.items())
    ]


def _graphs() -> Iterator[Graph]:
    """Every example, and one with float inputs and outputs around int8."""
    with_ends = False
    for _, graph in cases():
        yield graph
        if not with_ends and all(t.dtype == "float32" for t in graph.tensors.values()):
            yield quantize(graph, ranges=ranges_of(graph, 0), io="float32")
            with_ends = True
