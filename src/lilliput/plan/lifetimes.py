"""Which tensors share storage, from when to when each stretch of the arena is needed, and what may overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lilliput.graph import Graph, Tensor
from lilliput.op import Kernel, Site
from lilliput.plan import stream
from lilliput.plan.stream import Piece
from lilliput.plan.types import Buffer, align, alignment, row_bytes


@dataclass(frozen=True, eq=False)
class Moment:
    """What happens at one time: a step, or the steps of a stream, which run interleaved."""

    first: int
    last: int
    pieces: tuple[Piece, ...] = ()
    order: tuple[int, ...] = ()
    feeds: str | None = None

    @property
    def streams(self) -> bool:
        return bool(self.pieces)


@dataclass(frozen=True, eq=False)
class Layers:
    """The steps of a graph with their kernels, and when each runs."""

    graph: Graph
    sites: Sequence[Site]
    kernels: Sequence[Kernel]
    moments: Sequence[Moment]

    @property
    def times(self) -> list[int]:
        """The moment of each step."""
        return [time for time, m in enumerate(self.moments) for _ in range(m.first, m.last + 1)]

    def call(self, step: int) -> Site:
        """What one call of the step's kernel computes."""
        moment = self.moments[self.times[step]]
        return moment.pieces[step - moment.first].call if moment.streams else self.sites[step]


@dataclass
class Passing:
    """Single rows that the very next call takes: they all pass through the same memory, in front of the scratch.

    A layer takes part in one at most, as the one that writes it or the one that reads it.
    """

    rows: dict[int, Tensor] = field(default_factory=dict)
    """Step -> the row that it reads or writes."""

    def accept(self, moment: Moment, name: str) -> bool:
        """Whether the rows of this tensor are such, and its layers are free."""
        writer = next((i for i, p in enumerate(moment.pieces) if p.site.y.name == name), None)
        readers = [i for i, p in enumerate(moment.pieces) if any(t.name == name for t in p.inputs)]
        steps = [moment.first + i for i in (writer, *readers) if i is not None]
        if writer is None or len(readers) != 1 or any(step in self.rows for step in steps):
            return False
        until = stream.last_reads(moment.pieces, moment.order, frozenset({name}))
        made = enumerate(stream.events(moment.pieces, moment.order))
        if any(i == writer and until.get(row, at) > at + 1 for at, (i, row) in made):
            return False
        self.rows.update(dict.fromkeys(steps, moment.pieces[writer].site.y))
        return True

    def behind(self, step: int, to: int) -> int:
        """Where the scratch memory of a step begins."""
        t = self.rows.get(step)
        return 0 if t is None else align(row_bytes(t.nbytes, t.shape), to)


@dataclass
class Lifetimes:
    """The buffers; which of them hold scratch memory and cursors; rows of rings; what may overlap."""

    buffers: list[Buffer]
    scratch: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Step -> its buffer, and where in it its scratch memory begins."""
    cursors: dict[int, int] = field(default_factory=dict)
    """Moment -> its buffer."""
    rings: dict[str, int] = field(default_factory=dict)
    overlaps: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    passing: Passing = field(default_factory=lambda: Passing())


def _storage(layers: Layers, share: bool) -> dict[str, str]:
    """Tensor -> the tensor whose storage it uses: views, and results written over an input that dies there."""
    graph, times = layers.graph, layers.times
    owner = {name: name for name, t in graph.tensors.items() if not t.constant}
    for site in graph.sites():
        if site.op.view:
            owner[site.y.name] = owner[site.x.name]
    last = last_use(layers, owner)
    readers = Counter(t.name for site in graph.sites() for t in _data(site))
    for i, (site, kernel) in enumerate(zip(layers.sites, layers.kernels, strict=True)):
        streams = layers.moments[times[i]].streams
        for index in kernel.in_place(layers.call(i)) if share else ():
            source = site.ins[index]
            root = owner.get(source.name)
            free = (
                root is not None and last[root] == times[i] and align(source.nbytes) >= align(site.y.nbytes)
            )
            others = [owner.get(t.name) for j, t in enumerate(site.ins) if j != index]
            alone = readers[source.name] == 1 or not streams  # other layers of a stream still read it
            if free and alone and root not in others:
                assert root is not None
                gone = site.y.name
                owner.update({name: root for name, o in owner.items() if o == gone})
                last[root] = last.pop(gone)
                break
    return owner


def _data(site: Site) -> Iterator[Tensor]:
    return (t for t in site.ins if not t.constant)


def last_use(layers: Layers, owner: Mapping[str, str]) -> dict[str, int]:
    """Storage -> the last moment that needs it."""
    last = {owner[name]: -1 for name in layers.graph.given}
    for time, site in zip(layers.times, layers.sites, strict=True):
        last.update({owner[t.name]: time for t in (*site.ins, *site.outs) if not t.constant})
    end = len(layers.moments)
    last.update({owner[name]: end for name in layers.graph.kept if name in owner})
    return last


def lifetimes(layers: Layers, *, share: bool = True) -> Lifetimes:
    """The buffers that a plan has to place; without `share` no result takes the place of what it is computed from."""
    graph, owner, to = layers.graph, _storage(layers, share), alignment(layers.graph)
    groups: dict[str, list[str]] = {}
    for name, root in owner.items():
        groups.setdefault(root, []).append(name)
    birth = dict.fromkeys(graph.given, -1)
    for time, site in zip(layers.times, layers.sites, strict=True):
        birth.update({t.name: time for t in site.outs})
    last = last_use(layers, owner)
    found = Lifetimes([])
    of_group: dict[str, int] = {}
    for root, names in groups.items():
        first = min(birth[name] for name in names if name in birth)
        rows = _ring(layers, frozenset(names), first, last[root])
        if rows == 1 and len(names) == 1 and found.passing.accept(layers.moments[last[root]], root):
            found.rings[root] = 1
            continue
        sizes = (graph.tensors[name] for name in names)
        if rows is None:
            size = max(align(t.nbytes, to) for t in sizes)
        else:
            found.rings.update(dict.fromkeys(names, rows))
            size = align(rows * max(row_bytes(t.nbytes, t.shape) for t in sizes), to)
        kind = (
            "input" if root in graph.inputs else "output" if set(names) & set(graph.outputs) else "activation"
        )
        of_group[root] = len(found.buffers)
        found.buffers.append(Buffer(tuple(names), size, max(first, 0) if rows else first, last[root], kind))
    _add_scratch(layers, found, to)
    for (read, written), (below, above) in _overlaps(layers, owner, found.rings) if share else ():
        pair = of_group[read], of_group[written]
        x, y = (found.buffers[i] for i in pair)
        if x.last == y.first:
            found.overlaps[pair] = max(below, -y.size) // to * to, align(min(above, x.size), to)
    return found


def _ring(layers: Layers, names: frozenset[str], first: int, last: int) -> int | None:
    """The rows of a ring that is enough for tensors that share storage; None: they are needed as a whole."""
    moment = layers.moments[last] if max(first, 0) == last < len(layers.moments) else None
    if moment is None or not moment.streams or (first < 0 and moment.feeds not in names):
        return None
    made = {p.site.y.name for p in moment.pieces} | {moment.feeds}
    if not names <= made:  # a view of it
        return None
    return stream.ring_rows(moment.pieces, moment.order, names, moment.feeds)


CURSOR = 8
"""Bytes of row_cursor_t in c/rows.h."""


def _add_scratch(layers: Layers, found: Lifetimes, to: int) -> None:
    """Scratch memory of the steps; layers of a stream share it, as they take turns. And the stream's cursors."""
    for time, moment in enumerate(layers.moments):
        steps = range(moment.first, moment.last + 1)
        sizes = {i: layers.kernels[i].scratch(layers.call(i)) for i in steps}
        ends = {i: found.passing.behind(i, to) + align(size, to) for i, size in sizes.items()}
        if any(ends.values()):
            behind = {i: (len(found.buffers), found.passing.behind(i, to)) for i in steps if sizes[i]}
            found.scratch.update(behind)
            rows = tuple(dict.fromkeys(found.passing.rows[i].name for i in steps if i in found.passing.rows))
            name = layers.sites[max(ends, key=lambda i: ends[i])].name or str(moment.first)
            names = (*rows, f"scratch of {name}") if behind else rows
            found.buffers.append(Buffer(names, max(ends.values()), time, time, "scratch"))
        if moment.streams:
            found.cursors[time] = len(found.buffers)
            size = align(CURSOR * (len(moment.pieces) + 1), to)
            begin = -1 if moment.feeds else time  # set before the first row comes
            found.buffers.append(Buffer((f"cursors of layer {moment.first}",), size, begin, time, "scratch"))


Overlap = tuple[tuple[str, str], tuple[int, int]]
"""(storage read, storage written) and how the second may lie to the first: see types.Overlaps."""


def _overlaps(layers: Layers, owner: Mapping[str, str], rings: Mapping[str, int]) -> Iterator[Overlap]:
    """The inputs and results of all moments that may share memory."""
    groups: dict[str, set[str]] = {}
    for name, root in owner.items():
        groups.setdefault(root, set()).add(name)
    for moment in layers.moments:
        if not moment.streams:
            site, kernel = layers.sites[moment.first], layers.kernels[moment.first]
            yield from _of_step(site, kernel, owner)
            continue
        made = {p.site.y.name: p for p in moment.pieces}
        read = {t.name: t for p in moment.pieces for t in p.inputs if t.name not in made}
        written = {owner[name] for name in made if name not in rings}
        for t in read.values():
            if t.name in rings or owner[t.name] in written:
                continue
            for root in written:
                names = frozenset(groups[root])
                below = stream.distance(moment.pieces, moment.order, t, names)
                yield (owner[t.name], root), (below, t.nbytes)


def _of_step(site: Site, kernel: Kernel, owner: Mapping[str, str]) -> Iterator[Overlap]:
    data = list(_data(site))
    if len(data) != 1 or len(site.outs) != 1 or owner[site.x.name] == owner[site.y.name]:
        return
    pair = owner[site.x.name], owner[site.y.name]
    if kernel.overlap is not None and (below := kernel.overlap(site)) is not None:
        yield pair, (below, site.x.nbytes)
    elif kernel.rows is not None and (r := kernel.rows(site)).batches == 1:
        windows = [(y, y * r.stride - r.pad) for y in range(r.out_rows)]
        firsts = ((y, max(at, 0)) for y, at in windows)
        lasts = ((y, min(at + (r.taps - 1) * r.dilation, r.in_rows - 1)) for y, at in windows)
        below = min(
            (at * r.in_pitch - (y + 1) * r.out_pitch for y, at in firsts if at < r.in_rows), default=0
        )
        above = max(((at + 1) * r.in_pitch - y * r.out_pitch for y, at in lasts if at >= 0), default=0)
        yield pair, (below, above)
