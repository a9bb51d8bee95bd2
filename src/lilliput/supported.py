"""The operators that are supported, read from the registries: nothing here is written down twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.examples import cases, ranges_of
from lilliput.graph import Graph
from lilliput.op import REGISTRY, Op
from lilliput.quantize import quantize

TYPES = ("float32", "int4", "int8", "int16", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class KernelFile:
    """A file of C that an operator uses: its name, the core's features it needs, and in how many forms."""

    name: str
    isa: tuple[str, ...]
    forms: int


def supported() -> list[dict[str, Any]]:
    """One row per operator, by family: the types its examples compute with, its kernels and what they ask for."""
    dtypes: dict[str, set[str]] = {name: set() for name in REGISTRY}
    for graph in _graphs():
        for site in graph.sites():
            dtypes[site.op.name] |= {t.dtype for t in site.ins if not t.constant or t.dtype == "int4"}
    return [
        {
            "op": name,
            "family": family_of(cls),
            "dtypes": sorted(dtypes[name], key=TYPES.index),
            "kernels": [{"name": kernel.name, "isa": sorted(kernel.isa)} for kernel in cls.kernels],
        }
        for name, cls in sorted(REGISTRY.items(), key=lambda item: (family_of(item[1]), item[0]))
    ]


def family_of(owner: type[Op] | Any) -> str:
    """The folder of `ops/` that an operator or the converter of a foreign one belongs to."""
    return str(owner.__module__).split(".")[2]


def kernel_files(op: str) -> list[KernelFile]:
    """The kernels of an operator by file, from the fastest to the simplest."""
    forms: dict[tuple[str, tuple[str, ...]], int] = {}
    for kernel in REGISTRY[op].kernels:
        key = kernel.source.name.split(".")[0], tuple(sorted(kernel.isa))
        forms[key] = forms.get(key, 0) + 1
    return [KernelFile(*key, count) for key, count in forms.items()]


def types_text(dtypes: Sequence[str]) -> str:
    """Types for a table: float32, int8/16/32. int4 is a type of weights only."""
    sizes = [d.removeprefix("int") for d in dtypes if d.startswith("int") and d != "int4"]
    integers = [f"int{'/'.join(sizes)}"] if sizes else []
    others = [d for d in dtypes if not d.startswith("int")]
    weights = ["int4 weights"] if "int4" in dtypes else []
    return ", ".join(
        [*(d for d in others if d == "float32"), *integers, *(d for d in others if d != "float32"), *weights]
    )


def accepted() -> dict[str, list[str]]:
    """What is read of each format, by its own names."""
    from lilliput.importers.keras.registry import keras_converters
    from lilliput.importers.registry import onnx_converters, tflite_converters, torch_converters
    from lilliput.importers.sklearn.registry import converters

    tables: dict[str, Iterable[str]] = {
        "onnx": onnx_converters(),
        "tflite": tflite_converters(),
        "torch": torch_converters(),
        "keras": keras_converters(),
        "sklearn": converters(),
    }
    return {source: sorted(table) for source, table in tables.items()}


def _graphs() -> Iterator[Graph]:
    """Every example, and one with float inputs and outputs around int8."""
    with_ends = False
    for _, graph in cases():
        yield graph
        if not with_ends and all(t.dtype == "float32" for t in graph.tensors.values()):
            yield quantize(graph, ranges=ranges_of(graph, 0), io="float32")
            with_ends = True
