"""The generic kernel of two operands: a function of c/ on values that are not quantized."""

from __future__ import annotations

from collections.abc import Iterator

from lilliput.emit.literals import C_TYPES
from lilliput.graph import Tensor
from lilliput.op import Example, Kernel, Op, Params, Site
from lilliput.ops.binary import common

INTEGERS = ("int8", "uint8", "int16", "int32", "int64")


def zip_kernel(function: str, header: str, source: str, result: str | None = None) -> Kernel:
    """y = function(a, b) for a and b of type `source`."""
    result = result or source

    def when(site: Site) -> bool:
        types = [t.dtype for t in (*site.ins, site.y)]
        computed = not all(t.constant for t in site.ins)
        return types == [source, source, result] and common.is_plain(site) and computed

    def in_place(site: Site) -> tuple[int, ...]:
        return common.in_place(site) if C_TYPES[source] == C_TYPES[result] else ()

    def params(site: Site) -> Params:
        return {"walk": common.walk(site)}

    tokens = {"F": function, "T": C_TYPES[source], "U": C_TYPES[result], "HEADER": header}
    return Kernel(common.HERE / "zip.c", when, params, in_place=in_place, reads=(0, 1), tokens=tokens)


def zip_integers(function: str) -> tuple[Kernel, ...]:
    """The function of c/integers.h for every type of integers that stand for themselves."""
    return tuple(zip_kernel(function, "integers", t) for t in INTEGERS)


def typed_examples(op: Op, types: tuple[str, ...] = INTEGERS) -> Iterator[Example]:
    """Two operands of each type, one of them repeated."""
    for dtype in types:
        ins = (Tensor("a", (2, 3, 11), dtype), Tensor("b", (3, 1), dtype))
        yield Example(op, ins, why=f"plain {dtype}", integer=False)


def zip_integers_to(function: str, result: str, types: tuple[str, ...]) -> tuple[Kernel, ...]:
    """`zip_integers` with a result of another type."""
    return tuple(zip_kernel(function, "integers", t, result) for t in types)
