"""What element-by-element operators of two operands share: broadcasting, loops for the kernels, the clamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.errors import UserError
from lilliput.fixed import Clamp
from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval, channels_of
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Op, Params, Site

HERE = Path(__file__).parent
WALK = 4
"""Nested loops of the broadcasting kernels."""


@dataclass(frozen=True)
class Pairwise(Op):
    """y[i] = f(a[i], b[i]) with numpy's broadcasting; either operand may be a constant."""

    operands: ClassVar[int | None] = 2
    row_by_row: ClassVar[bool] = True

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        a, b = (t.shape for t in ins)
        try:
            return (np.broadcast_shapes(a, b),)
        except ValueError as error:
            raise UserError(f"{self.name}: shapes {a} and {b} do not broadcast together") from error

    def check(self, site: Site) -> str | None:
        if len(loops(site)) > WALK:
            a, b = (t.shape for t in site.ins)
            count = len(loops(site))
            return f"broadcasting {a} with {b} takes {count} nested loops, expected at most {WALK}"
        return None

    def channel_links(self, site: Site) -> Links:
        channels = channels_of(site.y.shape)
        alike = (not t.constant and channels_of(t.shape) == channels for t in site.ins)
        return tuple(one_to_one(channels) if same else None for same in alike)

    def batchable(self, site: Site) -> bool:
        """Dimension 0 of each activation must be the result's; a constant must serve every sample."""
        rank = len(site.y.shape)
        return all(len(t.shape) < rank or t.shape[0] == 1 for t in site.ins if t.constant) and all(
            len(t.shape) == rank for t in site.ins if not t.constant
        )


@dataclass(frozen=True)
class Binary(Pairwise):
    """A function of real numbers with a clamp; integers are quantized, or stand for themselves (`plain`)."""

    clamp: Clamp = None

    fuses_clamp: ClassVar[bool] = True
    plain_integers: ClassVar[bool] = True
    quantized: ClassVar[tuple[str, ...]] = ("int8", "int16")
    """The types it is defined for when all tensors are quantized."""
    plain: ClassVar[tuple[str, ...]] = ()
    """The types of integers that stand for themselves that it takes."""

    def check(self, site: Site) -> str | None:
        types = {t.dtype for t in (*site.ins, site.y)}
        known = ("float32", *self.plain) if is_plain(site) else self.quantized
        if len(types) > 1 or not types <= set(known):
            found = ", ".join(t.dtype for t in site.ins)
            return f"operands of {found} give {site.y.dtype}; all must be of one type of {', '.join(known)}"
        if is_plain(site) and site.integer and self.clamp is not None:
            return f"a clamp {self.clamp} of real numbers on {site.y.dtype} that stands for itself"
        return super().check(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if site.integer and is_plain(site):
            with np.errstate(over="ignore"):  # wrapping is what is defined
                return (self.whole(*xs),)
        if site.integer:
            lo_hi = fixed.clamp_range(self.clamp, site.y.q, site.y.dtype)
            total = fixed.wrap32(self.integers(site, *xs) + site.y.q.z)
            return (np.clip(total, *lo_hi).astype(site.y.dtype),)
        lo, hi = fixed.float_range(self.clamp)
        return (np.clip(self.real(*xs), np.float32(lo), np.float32(hi)),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        if not site.integer or is_plain(site):
            return super().bounds(site, ins)
        limits = fixed.clamp_range(self.clamp, site.y.q, site.y.dtype)
        a, b = (x.spread(channels_of(site.y.shape)) for x in ins)
        return (self.quantized_bounds(site, a, b, limits),)

    def quantized_bounds(self, site: Site, a: Interval, b: Interval, limits: tuple[int, int]) -> Interval:
        """`bounds` of the quantized form, from those of operands with the result's channels."""
        return Interval.full(len(a), limits)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        """The other operand: as large, one number, one per channel, with axes of one, larger."""
        other: list[Shape] = [shape, shape, (), shape[-1:], (*(1 for _ in shape[1:]), shape[-1])]
        other.append(tuple(1 if rng.random() < 0.5 else d for d in shape))
        other.append(tuple(int(rng.integers(1, 6)) if d == 1 and i else d for i, d in enumerate(shape)))
        chosen = other[int(rng.integers(len(other)))]
        constant = not chosen or chosen[0] != 1 or rng.random() < 0.3
        second = rng.normal(0, 1, chosen).astype(np.float32) if constant else chosen
        clamps: tuple[Clamp, ...] = (None, None, (0.0, float("inf")), (0.0, 6.0))
        return Example(cls(clamps[int(rng.integers(len(clamps)))]), (shape, second))

    def integers(self, site: Site, a: Array, b: Array) -> Array:
        """The scaled result before zero point and clamp, exactly."""
        raise NotImplementedError

    def real(self, a: Array, b: Array) -> Array:
        """The float32 result before the clamp; on torch tensors too."""
        raise NotImplementedError

    def whole(self, a: Array, b: Array) -> Array:
        """The result of integers that stand for themselves; it wraps."""
        return self.real(a, b)

    def torch(self, site: Site, *xs: Any) -> Any:
        y: Any = self.real(*xs)
        return y.clamp(*self.clamp) if self.clamp else y

    def channel_constant(self, site: Site) -> tuple[int, Array] | None:
        """(index of the activation, the other operand along the last axis) where that is a float constant."""
        for i, (x, c) in enumerate(((site.ins[0], site.ins[1]), (site.ins[1], site.ins[0]))):
            if c.data is None or x.constant or c.dtype != "float32" or self.clamp is not None:
                continue
            if x.shape == site.y.shape and x.shape and all(d == 1 for d in c.shape[:-1]):
                return i, np.broadcast_to(c.data.reshape(-1), x.shape[-1:]).copy()
        return None


def is_plain(site: Site) -> bool:
    """Whether no tensor is quantized; 32 and 64-bit integers never are here, whatever a file says of them."""
    return all(t.quant is None or t.dtype in ("int32", "int64") for t in (*site.ins, site.y))


def loops(site: Site) -> list[tuple[int, int, int]]:
    """(extent, step of a, step of b) in elements, outermost first; axes that can be walked as one are one."""
    shape = site.y.shape
    steps = [steps_along(t.shape, shape) for t in site.ins]
    found: list[tuple[int, int, int]] = []
    for extent, a, b in zip(shape, *steps, strict=True):
        if extent == 1:
            continue
        if found and found[-1][1:] == (a * extent, b * extent):
            found[-1] = (found[-1][0] * extent, a, b)
        else:
            found.append((extent, a, b))
    return found or [(1, 1, 1)]


def steps_along(shape: Shape, result: Shape) -> list[int]:
    """How far apart neighbours along each axis of the result lie in an operand; 0 where it is repeated."""
    padded = (1,) * (len(result) - len(shape)) + shape
    steps, step = [], 1
    for extent in reversed(padded):
        steps.append(0 if extent == 1 else step)
        step *= extent
    return steps[::-1]


def walk(site: Site) -> Array:
    """`loops` as the kernels take it: four extents, four steps of a, four steps of b."""
    found = loops(site)
    padded = [(1, 0, 0)] * (WALK - len(found)) + found
    return np.array(padded, np.int32).T.copy()


def same_size(site: Site) -> bool:
    """Nothing is repeated: all three arrays run side by side."""
    return site.ins[0].size == site.ins[1].size == site.y.size


def in_place(site: Site) -> tuple[int, ...]:
    """Every operand of the result's size: its element is read before that place is written."""
    return tuple(i for i, t in enumerate(site.ins) if t.size == site.y.size)


def bounds(site: Site, clamp: Clamp) -> Params:
    lo, hi = fixed.clamp_range(clamp, site.y.q, site.y.dtype)
    return {"out_zp": site.y.q.z, "lo": lo, "hi": hi}
