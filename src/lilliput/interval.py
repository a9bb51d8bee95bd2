"""Intervals: between which integers the values of each channel of a tensor lie, whatever the model is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array, Shape, Tensor

INT64 = np.iinfo(np.int64)
LIMITS = {**INT_RANGE, "bool": (0, 1)}


@dataclass(frozen=True, eq=False)
class Interval:
    """The least and the greatest integer of every channel, both possible or beyond what is: int64 [channels].

    Channels are the indices of the last axis. Of float32 tensors nothing is known: all of int64.
    """

    lo: Array
    hi: Array

    @classmethod
    def full(cls, channels: int, limits: tuple[int, int]) -> Interval:
        return cls(*(np.full(channels, limit, np.int64) for limit in limits))

    @classmethod
    def of(cls, t: Tensor) -> Interval:
        """What the type of a tensor holds, or the constant."""
        if t.data is None or t.data.dtype.kind == "f":
            return cls.full(channels_of(t.shape), LIMITS.get(t.dtype, (int(INT64.min), int(INT64.max))))
        rows = t.data.reshape(-1, channels_of(t.shape))
        return cls(rows.min(0).astype(np.int64), rows.max(0).astype(np.int64))

    def __len__(self) -> int:
        return len(self.lo)

    @property
    def constant(self) -> Array:
        """Which channels hold one value for ever."""
        return np.asarray(self.lo == self.hi)

    def within(self, limits: tuple[int, int]) -> bool:
        return bool((self.lo >= limits[0]).all() and (self.hi <= limits[1]).all())

    def plus(self, offset: int) -> Interval:
        return Interval(self.lo + offset, self.hi + offset)

    def times(self, factors: Any) -> Interval:
        """One factor for all channels or one for each."""
        ends = (self.lo * factors, self.hi * factors)
        return Interval(np.minimum(*ends), np.maximum(*ends))

    def clipped(self, limits: tuple[int, int]) -> Interval:
        return Interval(np.clip(self.lo, *limits), np.clip(self.hi, *limits))

    def including(self, least: int, greatest: int) -> Interval:
        return Interval(np.minimum(self.lo, least), np.maximum(self.hi, greatest))

    def take(self, indices: Any) -> Interval:
        return Interval(self.lo[indices], self.hi[indices])

    def spread(self, channels: int) -> Interval:
        """For a result of so many channels: one channel may serve all of them, as in broadcasting."""
        return self if len(self) == channels else self.whole(channels)

    def whole(self, channels: int) -> Interval:
        """Where every channel of the result may hold what any has held."""
        return Interval.full(channels, (int(self.lo.min()), int(self.hi.max())))

    def laid_out(self, channels: int) -> Interval:
        """Behind a view, which keeps the order: channels alike modulo the common divisor change places."""
        common = gcd(len(self), channels)
        folded = Interval(self.lo.reshape(-1, common).min(0), self.hi.reshape(-1, common).max(0))
        return folded.take(np.arange(channels) % common)


def channels_of(shape: Shape) -> int:
    """How long the last axis is; a scalar has one channel."""
    return shape[-1] if shape else 1


def joined(parts: Sequence[Interval]) -> Interval:
    """Channels side by side."""
    return Interval(np.concatenate([p.lo for p in parts]), np.concatenate([p.hi for p in parts]))


def union(parts: Sequence[Interval]) -> Interval:
    """Values of any of them, channel by channel."""
    return Interval(np.min([p.lo for p in parts], axis=0), np.max([p.hi for p in parts], axis=0))


def finished(acc: Interval, m: Any, shift: Any, zero_point: int, limits: tuple[int, int]) -> Interval:
    """What `fixed.finish` makes of accumulators.

    Scaling and clamping are monotone, so both ends tell all, exactly; where a sum may leave 32 bits on the way and
    wrap, only the clamp is known.
    """
    room = np.int64(fixed.INT32.max) >> np.maximum(np.asarray(shift, np.int64), 0)
    inside = (acc.lo >= -room) & (acc.hi <= room)
    ends = [fixed.scale_by(np.where(inside, end, 0), m, shift) + zero_point for end in (acc.lo, acc.hi)]
    return _where_whole(inside, ends[0], ends[1], limits)


def finished_wide(acc: Interval, r: Any, shift: Any, limits: tuple[int, int]) -> Interval:
    """What `fixed.scale_wide` and a clamp make of 64-bit accumulators smaller than `fixed.WIDE_REACH`."""
    r, shift = np.asarray(r, np.int64), np.asarray(shift, np.int64)
    inside = (acc.lo > -fixed.WIDE_REACH) & (acc.hi < fixed.WIDE_REACH)
    half = np.int64(1) << (14 - shift)
    ends = [(np.where(inside, end, 0) * r + half) >> (15 - shift) for end in (acc.lo, acc.hi)]
    return _where_whole(inside, ends[0], ends[1], limits)


def _where_whole(inside: Array, lo: Array, hi: Array, limits: tuple[int, int]) -> Interval:
    """Ends between the limits of a clamp; the limits themselves where something may have wrapped."""
    inside = inside & (lo >= fixed.INT32.min) & (hi <= fixed.INT32.max)
    least, most = min(limits), limits[1]
    return Interval(
        np.where(inside, np.clip(lo, least, most), least), np.where(inside, np.clip(hi, least, most), most)
    )


def mapped(x: Interval, limits: tuple[int, int], function: Callable[[Array], Array]) -> Interval:
    """What a function of one integer between `limits` makes of an interval: tried on every value."""
    table = function(np.arange(limits[0], limits[1] + 1)).astype(np.int64)
    pairs, place = np.unique(np.stack([x.lo, x.hi]), axis=1, return_inverse=True)
    rows = [table[lo - limits[0] : hi - limits[0] + 1] for lo, hi in pairs.T]
    least, most = (np.array([pick(row) for row in rows], np.int64) for pick in (np.min, np.max))
    return Interval(least[place.reshape(-1)], most[place.reshape(-1)])
