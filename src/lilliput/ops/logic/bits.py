"""And, or, exclusive or of truth values and of the bits of integers; shifts of unsigned integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Tensor
from lilliput.op import Example, Site, register
from lilliput.ops.binary.common import Pairwise, is_plain
from lilliput.ops.binary.zip import INTEGERS, typed_examples, zip_integers, zip_kernel
from lilliput.ops.unary.functions import without_gradient


@dataclass(frozen=True)
class Bits(Pairwise):
    """A function of bits: truth values, or integers that stand for themselves."""

    plain_integers: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("bool", *INTEGERS)

    def check(self, site: Site) -> str | None:
        found = [t.dtype for t in (*site.ins, site.y)]
        if len(set(found)) > 1 or found[0] not in self.types or not is_plain(site):
            return f"operands and result are {', '.join(found)}; all must be of one type of {', '.join(self.types)}"
        return super().check(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return (self.bits(*xs),)

    def bits(self, a: Array, b: Array) -> Array:
        raise NotImplementedError

    def torch(self, site: Site, *xs: Any) -> Any:
        return without_gradient(self, site, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield from typed_examples(cls(), cls.types)
        dtype = cls.types[0]
        for a, b in (((1, 1), (1, 1)), ((3, 4, 1, 6), (1, 5, 1)), ((2, 1, 3, 1), (1, 4, 1, 5))):
            yield Example(cls(), (Tensor("a", a, dtype), Tensor("b", b, dtype)), integer=False)


@register
@dataclass(frozen=True)
class And(Bits):
    """Bits that both operands have."""

    name: ClassVar[str] = "bitwise_and"
    kernels = (zip_kernel("and_integers", "integers", "bool"), *zip_integers("and_integers"))

    def bits(self, a: Array, b: Array) -> Array:
        return np.asarray(a & b)


@register
@dataclass(frozen=True)
class Or(Bits):
    """Bits that either operand has."""

    name: ClassVar[str] = "bitwise_or"
    kernels = (zip_kernel("or_integers", "integers", "bool"), *zip_integers("or_integers"))

    def bits(self, a: Array, b: Array) -> Array:
        return np.asarray(a | b)


@register
@dataclass(frozen=True)
class Xor(Bits):
    """Bits that one operand has and the other has not."""

    name: ClassVar[str] = "bitwise_xor"
    kernels = (zip_kernel("xor_integers", "integers", "bool"), *zip_integers("xor_integers"))

    def bits(self, a: Array, b: Array) -> Array:
        return np.asarray(a ^ b)


@register
@dataclass(frozen=True)
class ShiftLeft(Bits):
    """a 2^b; bits that leave the type are lost."""

    name: ClassVar[str] = "shift_left"
    types: ClassVar[tuple[str, ...]] = ("uint8",)
    kernels = (zip_kernel("shift_left", "integers", "uint8"),)

    def bits(self, a: Array, b: Array) -> Array:
        wide = a.astype(np.int64) << np.minimum(b, 32)
        return np.asarray(np.where(b < 32, wide, 0).astype(np.uint8))


@register
@dataclass(frozen=True)
class ShiftRight(Bits):
    """a / 2^b, rounded down."""

    name: ClassVar[str] = "shift_right"
    types: ClassVar[tuple[str, ...]] = ("uint8",)
    kernels = (zip_kernel("shift_right", "integers", "uint8"),)

    def bits(self, a: Array, b: Array) -> Array:
        return np.asarray((a.astype(np.int64) >> np.minimum(b, 32)).astype(np.uint8))
