"""Where buffers go: offsets such that what is needed at one moment never clashes, and the arena is small."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from lilliput.plan.types import Buffer, Overlaps

NO_OVERLAPS: Overlaps = {}


def overlaps(a: Buffer, b: Buffer) -> bool:
    """Whether two buffers are needed at the same moment."""
    return a.first <= b.last and b.first <= a.last


def forbidden(i: int, j: int, sizes: Sequence[int], at: int, shared: Overlaps) -> tuple[int, int]:
    """Buffer j lies at `at`: buffer i must not begin strictly between these two."""
    low, high = at - sizes[i], at + sizes[j]
    if (j, i) in shared:  # i is written where j has been read
        below, above = shared[j, i]
        return max(low, at + below), min(high, at + above)
    if (i, j) in shared:
        below, above = shared[i, j]
        return max(low, at - above), min(high, at - below)
    return low, high


def largest_live_set(buffers: Sequence[Buffer], shared: Overlaps = NO_OVERLAPS) -> int:
    """Bytes that the busiest moment needs, of which an input and a result may share some: no plan can be smaller."""
    return max(loads(buffers, shared).values(), default=0)


def loads(buffers: Sequence[Buffer], shared: Overlaps = NO_OVERLAPS) -> dict[int, int]:
    """Moment at which a buffer is first needed -> bytes that are needed then."""
    moments = sorted({b.first for b in buffers})
    total = [0] * len(moments)
    for b in buffers:
        for i in range(bisect_right(moments, b.first - 1), bisect_right(moments, b.last)):
            total[i] += b.size
    found = dict(zip(moments, total, strict=True))
    for (x, y), distances in shared.items():
        sizes = buffers[x].size, buffers[y].size
        found[buffers[y].first] -= sum(sizes) - extent(*sizes, *distances)
    return found


def extent(read: int, written: int, below: int, above: int) -> int:
    """The bytes of an input and a result that lie as close together as an overlap lets them."""
    first = max(written, read - min(below, 0))
    last = max(read, written + max(above, 0))
    return min(read + written, first, last)


def place(buffers: Sequence[Buffer], shared: Overlaps = NO_OVERLAPS) -> list[int]:
    """Offsets such that buffers alive together never clash; stops as soon as the lower bound is reached.

    Greedy best fit in several orders (size, lifetime, area), then a bounded exact search: on near-chains greedy is
    already optimal, and small branched graphs are searched completely.
    """
    bound = largest_live_set(buffers, shared)
    indices = range(len(buffers))
    orders = (
        sorted(indices, key=lambda i: (-buffers[i].size, buffers[i].first)),
        sorted(indices, key=lambda i: (buffers[i].first - buffers[i].last, -buffers[i].size)),
        sorted(indices, key=lambda i: (-buffers[i].size * (1 + buffers[i].last - buffers[i].first), i)),
        sorted(indices, key=lambda i: (buffers[i].first, -buffers[i].size)),
        sorted(indices, key=lambda i: (-buffers[i].first, -buffers[i].size)),
    )
    room = _Room(buffers, shared)
    best: list[int] = []
    height = -1
    for order in orders:
        offsets = room.greedy(order)
        total = room.height(offsets)
        if height < 0 or total < height:
            best, height = offsets, total
        if height == bound:
            return best
    best, height = room.shuffle(min(orders, key=lambda o: room.height(room.greedy(o))), best, height, bound)
    return best if height == bound else room.search(best, height, bound)


SEARCH_NODES = 20_000
SEARCHED = 64
"""Sets of at most so many buffers are searched."""
SHUFFLES = 400
SHUFFLED = 150
"""Sets of at most so many buffers are tried in other orders."""


class _Room:
    """The buffers with their neighbours in time, and the offsets that are left for each."""

    def __init__(self, buffers: Sequence[Buffer], shared: Overlaps) -> None:
        self.buffers, self.shared = buffers, shared
        self.sizes = [b.size for b in buffers]
        self.neighbours = _neighbours(buffers)

    def lowest(self, i: int, offsets: Mapping[int, int] | Sequence[int]) -> int:
        """The lowest offset for buffer i beside those that are placed (at 0 or above)."""
        taken = sorted(
            forbidden(i, j, self.sizes, offsets[j], self.shared)
            for j in self.neighbours[i]
            if offsets[j] >= 0
        )
        at = 0
        for low, high in taken:
            if low >= at:
                break
            at = max(at, high)
        return at

    def greedy(self, order: Sequence[int]) -> list[int]:
        offsets = [-1] * len(self.buffers)
        for i in order:
            offsets[i] = self.lowest(i, offsets)
        return offsets

    def height(self, offsets: Sequence[int]) -> int:
        return max((o + size for o, size in zip(offsets, self.sizes, strict=True)), default=0)

    def shuffle(
        self, order: Sequence[int], best: list[int], height: int, bound: int
    ) -> tuple[list[int], int]:
        """Move one buffer after the other to another turn, always the same ones, and keep what is not worse."""
        if len(order) > SHUFFLED:
            return best, height
        rng, turns = random.Random(len(order)), list(order)
        lowest = self.height(self.greedy(turns))
        for _ in range(SHUFFLES):
            if height == bound:
                break
            changed = turns.copy()
            changed.insert(rng.randrange(len(turns)), changed.pop(rng.randrange(len(turns))))
            offsets = self.greedy(changed)
            if (total := self.height(offsets)) <= lowest:
                turns, lowest = changed, total
            if total < height:
                best, height = offsets, total
        return best, height

    def search(self, best: list[int], height: int, bound: int) -> list[int]:
        """Depth-first over placement orders with pruning; without overlaps every optimal packing is the lowest fit of
        some order."""
        offsets = [-1] * len(self.buffers)
        budget = SEARCH_NODES

        def descend(left: frozenset[int]) -> None:
            nonlocal best, height, budget
            if not left:
                height = self.height(offsets)
                best = offsets.copy()
                return
            for i in sorted(left, key=lambda i: -self.sizes[i]):
                budget -= 1
                if budget <= 0 or height == bound:
                    return
                at = self.lowest(i, offsets)
                if at + self.sizes[i] < height:
                    offsets[i] = at
                    descend(left - {i})
                    offsets[i] = -1

        if len(self.buffers) <= SEARCHED:
            descend(frozenset(range(len(self.buffers))))
        return best


def _neighbours(buffers: Sequence[Buffer]) -> list[list[int]]:
    """For each buffer those that are needed at one of its moments: a sweep over time."""
    found: list[list[int]] = [[] for _ in buffers]
    alive: list[int] = []
    for i in sorted(range(len(buffers)), key=lambda i: buffers[i].first):
        alive = [j for j in alive if buffers[j].last >= buffers[i].first]
        for j in alive:
            found[i].append(j)
            found[j].append(i)
        alive.append(i)
    return found
