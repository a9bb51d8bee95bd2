"""Which layers run row by row: the search for the plan that fits, and what it costs.

The first layers of a network have the largest tensors, so that streams are looked for around the busiest moment, as
long as that makes the arena smaller.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.op import Pick, fastest
from lilliput.plan.lifetimes import Layer
from lilliput.plan.planner import (
    MOST_ROWS,
    Ranges,
    arrange,
    busiest_moment,
    layer_kernels,
    layer_pieces,
    refuse,
)
from lilliput.plan.stream import Piece, streamable
from lilliput.plan.types import Plan

LONGEST = 40
"""Layers of a stream at most, and how far around the busiest moment one is looked for."""
WIDE = 8
"""Pixels of a row from which on calling a kernel row by row costs next to nothing."""
FEW = 64
"""Layers of a graph up to which every range is tried."""
ROUNDS = 8
"""Streams at most."""


@dataclass(frozen=True, eq=False)
class Search:
    """A graph whose kernels are chosen, and the layers that could run by rows."""

    graph: Graph
    found: Sequence[Layer]
    pieces: Mapping[int, Piece | None]
    feed: bool

    def plan(self, streams: Ranges, below: int | None = None) -> Plan | None:
        """None where the arena is not smaller than `below`."""
        made = arrange(self.graph, self.found, self.pieces, sorted(streams), self.feed, below)
        return None if made is None or (below is not None and made.arena >= below) else made

    def cheap(self, step: int) -> bool:
        """Whether rows of the layer are long enough for its kernel."""
        site = self.found[step].site
        return min(site.x.shape[2], site.y.shape[2]) >= WIDE


def choose(
    graph: Graph,
    features: frozenset[str] = frozenset(),
    *,
    pick: Pick = fastest,
    limit: int | None = None,
    thorough: bool = False,
    feed: bool = False,
) -> Plan:
    """The plan with streams where they make the arena smaller.

    Streams of long rows cost next to nothing and are always taken. Others only when the arena is above `limit` bytes
    otherwise, and then no more than it takes; or with `thorough`, for the smallest arena. With `feed` the input comes
    by rows.
    """
    refuse(graph)
    found = layer_kernels(graph, features, pick)
    pieces = layer_pieces(found, range(len(found)), features, pick)
    search = Search(graph, found, pieces, feed)
    best = _descend(search, cheap=not thorough)
    if limit is not None and best.arena > limit:
        return _within(search, best, limit) or _descend(search, cheap=False)
    return best


def _within(search: Search, best: Plan, limit: int) -> Plan | None:
    """A plan of at most `limit` bytes with one stream more, in which the fewest layers run by short rows."""
    streams = [(s.first, s.last) for s in best.streams if not search.feed or s.fed]
    widest = _widest(search, _busiest(search.plan(streams) or best), streams, cheap=False)
    if widest is None:
        return None
    first, peak, last = widest
    pairs = ((i, j) for i in range(first, peak + 1) for j in range(max(peak, i + 1), last + 1))

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        steps = range(pair[0], pair[1] + 1)
        return sum(not search.cheap(i) for i in steps), len(steps)

    for pair in sorted(pairs, key=cost):
        if _possible(search, *pair) and (made := search.plan([*streams, pair], limit + 1)):
            return made
    return None


def _descend(search: Search, cheap: bool) -> Plan:
    """From no stream, or one that the input is fed to, to the set of streams that no further one improves."""
    if search.feed:
        best = _better(search, None, (), _widest(search, 0, (), cheap=False), begins_too=False)
    else:
        best = search.plan(())
    if best is None:
        raise UserError("the first layers cannot run row by row: the input cannot be fed by rows")
    for _ in range(ROUNDS):
        streams = [(s.first, s.last) for s in best.streams]
        better = _better(search, best, streams, _widest(search, _busiest(best), streams, cheap))
        if better is None:
            break
        best = better
    return best


def _better(
    search: Search,
    best: Plan | None,
    streams: Ranges,
    widest: tuple[int, int, int] | None,
    *,
    begins_too: bool = True,
) -> Plan | None:
    """The smallest plan with one stream more, if any. In long graphs its end is looked for, then its beginning."""
    if widest is None:
        return None
    first, peak, last = widest
    found: Plan | None = None
    chosen = (first, last)
    ends = range(max(peak, first + 1), last + 1)
    begins = range(first, peak + 1) if begins_too else range(first, first + 1)
    every = sorted(
        itertools.product(begins, ends), key=lambda r: r[1] - r[0]
    )  # of equal arenas the shortest stream
    in_turn = itertools.chain(((first, end) for end in ends), ((begin, chosen[1]) for begin in begins))
    for begin, end in every if len(search.found) <= FEW else in_turn:
        if begin < end and _possible(search, begin, end):
            below = found.arena if found else best.arena if best else None
            if made := search.plan([*streams, (begin, end)], below):
                found, chosen = made, (begin, end)
    return found


def _busiest(plan: Plan) -> int:
    """The step at which the most memory is alive."""
    moments = plan.moments()
    return moments[busiest_moment(plan)][0] if moments else 0


def _widest(search: Search, peak: int, taken: Ranges, cheap: bool) -> tuple[int, int, int] | None:
    """How far layers that can run by rows reach around the busiest one, apart from streams that are there."""

    def free(step: int) -> bool:
        possible = search.pieces.get(step) is not None and (not cheap or search.cheap(step))
        return possible and not any(first <= step <= last for first, last in taken)

    if not free(peak):
        return None
    first = last = peak
    while free(first - 1) and peak - first < LONGEST:
        first -= 1
    while free(last + 1) and last - peak < LONGEST:
        last += 1
    return first, peak, last


def _possible(search: Search, first: int, last: int) -> bool:
    sites = [search.found[i].site for i in range(first, last + 1)]
    rows = sum(site.y.shape[1] + site.x.shape[1] for site in sites)
    return rows <= MOST_ROWS and streamable(search.graph, search.pieces, first, last)
