"""Streams: layers that run row by row, interleaved, so that of the tensors between them only a few rows exist.

The order of the rows is found by asking for the last layers' rows one after the other; each asks for the rows that it
needs, and none is computed twice. The rings are as small as that order allows.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lilliput.graph import Graph, Tensor
from lilliput.op import Kernel, Pick, Rows, Site, usable
from lilliput.plan.types import FEED, row_bytes


@dataclass(frozen=True, eq=False)
class Piece:
    """How a layer computes one row: the kernel, what it is called with, and how that walks over the input."""

    site: Site
    kernel: Kernel
    call: Site
    rows: Rows

    @functools.cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors whose rows it reads; only the first has a window."""
        return tuple(t for t in self.site.ins if not t.constant)

    def needs(self, row: int) -> tuple[int, int]:
        """The first and the last input row of a result's row; the last is smaller where all lie outside."""
        r = self.rows
        first = row * r.stride - r.pad
        return max(first, 0), min(first + (r.taps - 1) * r.dilation, r.in_rows - 1)


def _image(t: Tensor) -> bool:
    return len(t.shape) == 4 and t.shape[0] == 1 and t.shape[1] > 1


def _one_row(t: Tensor) -> Tensor:
    """The first row of an image; constants stay."""
    if t.constant:
        return t
    return replace(t, shape=(1, 1, *t.shape[2:]))


def piece(site: Site, kernel: Kernel, features: frozenset[str], pick: Pick) -> Piece | None:
    """The layer as one that computes a row at a time, or None when it cannot."""
    data = [t for t in site.ins if not t.constant]
    if len(site.outs) != 1 or not data or not all(map(_image, (*data, site.y))) or kernel.rendered:
        return None
    if kernel.rows is not None:
        rows = kernel.rows(site)
        if len(data) == 1 and rows.out_rows == site.y.shape[1] and rows.in_rows == site.x.shape[1]:
            return Piece(site, kernel, site, rows)
        if len(data) > 1 or rows.in_rows != 1 or rows.out_rows != 1 or rows.taps != 1:
            return None
    elif not _row_by_row(site, kernel):
        return None
    call = Site(site.op, tuple(map(_one_row, site.ins)), (_one_row(site.y),), site.name)
    kernels = usable(call, features)
    chosen = pick(call, kernels) if kernels else None
    if chosen is None or chosen.rendered or chosen.variadic or (chosen.rows is None) != (kernel.rows is None):
        return None
    height = site.y.shape[1]
    pitches = (row_bytes(t.nbytes, t.shape) for t in (data[0], site.y))
    return Piece(site, chosen, call, Rows(height, next(pitches), height, next(pitches)))


def _row_by_row(site: Site, kernel: Kernel) -> bool:
    """Whether each row of the result is computed from the same row of at most two operands, and from constants."""
    data = [t for t in site.ins if not t.constant]
    same = all(t.shape == site.y.shape for t in data) and site.x in data
    constants = (t for t in site.ins if t.constant)
    alike = all(t.size == 1 or all(d == 1 for d in t.shape[:-1]) for t in constants)
    local = site.op.elementwise or site.op.row_by_row
    return local and not kernel.variadic and same and len(data) <= 2 and alike


def order_of(pieces: Sequence[Piece], feeds: str | None = None) -> tuple[int, ...]:
    """Which layer computes its next row, from the first row to the last; `feeds`: the input that comes by rows."""
    maker = {p.site.y.name: i for i, p in enumerate(pieces)}
    if feeds is not None:
        maker[feeds] = FEED
    made: dict[int, int] = defaultdict(int)
    order: list[int] = []

    def ask(i: int, row: int) -> None:
        """Compute rows of layer i up to `row`."""
        while made[i] <= row:
            if i != FEED:
                last = pieces[i].needs(made[i])[1]
                for t in pieces[i].inputs:
                    if t.name in maker:
                        ask(maker[t.name], last)
            order.append(i)
            made[i] += 1

    read = {t.name for p in pieces for t in p.inputs}
    ends = [i for i, p in enumerate(pieces) if p.site.y.name not in read]
    heights = [pieces[i].rows.out_rows for i in ends]
    for step in range(max(heights)):  # results of different heights advance alike
        for i, height in zip(ends, heights, strict=True):
            ask(i, (step + 1) * height // max(heights) - 1)
    for i, p in enumerate(
        pieces
    ):  # rows that nobody reads are computed all the same: others may see the tensor
        ask(i, p.rows.out_rows - 1)
    if feeds is not None:
        height = next(t.shape[1] for p in pieces for t in p.inputs if t.name == feeds)
        ask(FEED, height - 1)
    return tuple(order)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The layers of a stream and the order of their rows: when each row is computed, and when it is read last."""

    pieces: tuple[Piece, ...]
    order: tuple[int, ...]
    feeds: str | None = None

    @functools.cached_property
    def times(self) -> dict[int, list[int]]:
        """Layer (or FEED) -> for each of its rows the place in the order."""
        found: dict[int, list[int]] = defaultdict(list)
        for at, i in enumerate(self.order):
            found[i].append(at)
        return found

    @functools.cached_property
    def writers(self) -> dict[str, int]:
        """Tensor -> the layer that computes it, or FEED."""
        fed = {} if self.feeds is None else {self.feeds: FEED}
        return fed | {p.site.y.name: i for i, p in enumerate(self.pieces)}

    @functools.cached_property
    def readers(self) -> dict[str, list[int]]:
        """Tensor -> the layers that read it."""
        found: dict[str, list[int]] = defaultdict(list)
        for i, p in enumerate(self.pieces):
            for t in p.inputs:
                found[t.name].append(i)
        return found

    def until(self, names: Iterable[str], rows: int) -> list[int]:
        """For each row of tensors that share their storage the last time that it is read; -1: never."""
        found = [-1] * rows
        for name in names:
            for i in self.readers[name]:
                for row, at in enumerate(self.times[i]):
                    first, last = self.pieces[i].needs(row)
                    for r in range(first, last + 1):
                        found[r] = max(found[r], at)
        return found

    def ring_rows(self, names: Collection[str]) -> int:
        """How many rows of tensors, written one over the other, are alive at a time."""
        writes = [self.times[self.writers[name]] for name in names]
        made = [min(times) for times in zip(*writes, strict=True)]
        until = self.until(names, len(made))
        most, oldest = 1, 0
        for row, at in enumerate(made):
            while oldest < row and until[oldest] < at:
                oldest += 1
            most = max(most, row - oldest + 1)
        return most

    def passes(self, name: str) -> bool:
        """Whether each row is read by the very next call, if at all, and by no later one."""
        made = self.times[self.writers[name]]
        return all(last <= at + 1 for at, last in zip(made, self.until((name,), len(made)), strict=True))


def distance(schedule: Schedule, read: Tensor, written: Iterable[str]) -> int:
    """How many bytes behind the beginning of `read` the storage of the whole tensors `written` may begin.

    A row is written when rows of the input are still to be read, in this call or later; it has to end before the first
    of these.
    """
    pitch, pieces = row_bytes(read.nbytes, read.shape), schedule.pieces
    needs = sorted(
        (at, first)
        for i in schedule.readers[read.name]
        for row, at in enumerate(schedule.times[i])
        for first, last in [pieces[i].needs(row)]
        if first <= last
    )
    best = read.nbytes
    for name in set(written) & set(schedule.writers):
        i = schedule.writers[name]
        y, lowest, left = pieces[i].site.y, read.shape[1], len(needs)
        for row, at in reversed(list(enumerate(schedule.times[i]))):
            while left and needs[left - 1][0] >= at:
                left -= 1
                lowest = min(lowest, needs[left][1])
            if lowest < read.shape[1]:
                best = min(best, lowest * pitch - (row + 1) * row_bytes(y.nbytes, y.shape))
    return best


def streamable(graph: Graph, pieces: Mapping[int, Piece | None], first: int, last: int) -> bool:
    """Whether steps first to last can run row by row: all can, and none reads another's result through a view."""
    if any(pieces[i] is None for i in range(first, last + 1)):
        return False
    made = {p.site.y.name for i in range(first, last + 1) if (p := pieces[i])}
    seen = set(made)
    for site in graph.sites():
        if site.op.view and site.x.name in seen:
            seen.add(site.y.name)
    return not any(
        t.name in seen - made for i in range(first, last + 1) if (p := pieces[i]) for t in p.inputs
    )
