"""Which tensors share storage, from when to when each stretch of the arena is needed, and what may overlap."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lilliput.graph import Graph, Tensor
from lilliput.op import Kernel, Site
from lilliput.plan.stream import Schedule, distance
from lilliput.plan.types import FEED, Buffer, align, alignment, row_bytes


@dataclass(frozen=True, eq=False)
class Layer:
    """A node with its kernel, and what one call of that computes: the node itself, or in a stream perhaps one row."""

    site: Site
    kernel: Kernel
    call: Site

    @functools.cached_property
    def scratch(self) -> int:
        return self.kernel.scratch(self.call)

    @functools.cached_property
    def in_place(self) -> tuple[int, ...]:
        return self.kernel.in_place(self.call)

    @functools.cached_property
    def data(self) -> tuple[Tensor, ...]:
        """The inputs that are no constants."""
        return tuple(t for t in self.site.ins if not t.constant)

    @functools.cached_property
    def overlap(self) -> tuple[int, int] | None:
        """How the result may lie to the only input when both share memory: see types.Overlaps."""
        site, kernel = self.site, self.kernel
        if self.data != (site.x,) or len(site.outs) != 1:
            return None
        if kernel.overlap is not None and (room := kernel.overlap(site)) is not None:
            return room, site.x.nbytes
        if kernel.rows is None or (r := kernel.rows(site)).batches != 1:
            return None
        windows = [(y, y * r.stride - r.pad) for y in range(r.out_rows)]
        firsts = ((y, max(at, 0)) for y, at in windows)
        lasts = ((y, min(at + (r.taps - 1) * r.dilation, r.in_rows - 1)) for y, at in windows)
        below = (at * r.in_pitch - (y + 1) * r.out_pitch for y, at in firsts if at < r.in_rows)
        above = ((at + 1) * r.in_pitch - y * r.out_pitch for y, at in lasts if at >= 0)
        return min(below, default=0), max(above, default=0)


@dataclass(frozen=True, eq=False)
class Moment:
    """What happens at one time: a step, or the steps of a stream, which run interleaved."""

    first: int
    last: int
    schedule: Schedule | None = None


@dataclass(frozen=True, eq=False)
class Layers:
    """The steps of a graph with their kernels, and when each runs."""

    graph: Graph
    layers: Sequence[Layer]
    moments: Sequence[Moment]

    @functools.cached_property
    def times(self) -> list[int]:
        """The moment of each step."""
        return [time for time, m in enumerate(self.moments) for _ in range(m.first, m.last + 1)]


@dataclass
class Passing:
    """Single rows that the very next call takes: they all pass through the same memory, in front of the scratch.

    A layer takes part in one at most, as the one that writes it or the one that reads it.
    """

    rows: dict[int, Tensor] = field(default_factory=dict)
    """Step -> the row that it reads or writes."""

    def accept(self, moment: Moment, name: str) -> bool:
        """Whether the rows of this tensor are such, and its layers are free."""
        schedule = moment.schedule
        if schedule is None or schedule.writers.get(name, FEED) == FEED or len(schedule.readers[name]) != 1:
            return False
        writer, (reader,) = schedule.writers[name], schedule.readers[name]
        steps = moment.first + writer, moment.first + reader
        if any(step in self.rows for step in steps) or not schedule.passes(name):
            return False
        self.rows.update(dict.fromkeys(steps, schedule.pieces[writer].site.y))
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
    readers = Counter(t.name for node in graph.nodes for t in map(graph.tensors.__getitem__, node.inputs))
    for i, layer in enumerate(layers.layers) if share else ():
        site, streams = layer.site, layers.moments[times[i]].schedule is not None
        for index in layer.in_place:
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


def last_use(layers: Layers, owner: Mapping[str, str]) -> dict[str, int]:
    """Storage -> the last moment that needs it."""
    last = {owner[name]: -1 for name in layers.graph.given}
    for time, layer in zip(layers.times, layers.layers, strict=True):
        last.update({owner[t.name]: time for t in (*layer.data, *layer.site.outs)})
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
    for time, layer in zip(layers.times, layers.layers, strict=True):
        birth.update({t.name: time for t in layer.site.outs})
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
    schedule = layers.moments[last].schedule if max(first, 0) == last < len(layers.moments) else None
    if schedule is None or (first < 0 and schedule.feeds not in names):
        return None
    return schedule.ring_rows(names) if names <= set(schedule.writers) else None  # a view is not among them


CURSOR = 8
"""Bytes of row_cursor_t in c/rows.h."""


def _add_scratch(layers: Layers, found: Lifetimes, to: int) -> None:
    """Scratch memory of the steps; layers of a stream share it, as they take turns. And the stream's cursors."""
    for time, moment in enumerate(layers.moments):
        steps = range(moment.first, moment.last + 1)
        sizes = {i: layers.layers[i].scratch for i in steps}
        ends = {i: found.passing.behind(i, to) + align(size, to) for i, size in sizes.items()}
        if any(ends.values()):
            behind = {i: (len(found.buffers), found.passing.behind(i, to)) for i in steps if sizes[i]}
            found.scratch.update(behind)
            rows = tuple(dict.fromkeys(found.passing.rows[i].name for i in steps if i in found.passing.rows))
            name = layers.layers[max(ends, key=lambda i: ends[i])].site.name or str(moment.first)
            names = (*rows, f"scratch of {name}") if behind else rows
            found.buffers.append(Buffer(names, max(ends.values()), time, time, "scratch"))
        if moment.schedule is not None:
            found.cursors[time] = len(found.buffers)
            size = align(CURSOR * (len(moment.schedule.pieces) + 1), to)
            begin = -1 if moment.schedule.feeds else time  # set before the first row comes
            found.buffers.append(Buffer((f"cursors of layer {moment.first}",), size, begin, time, "scratch"))


Overlap = tuple[tuple[str, str], tuple[int, int]]
"""(storage read, storage written) and how the second may lie to the first: see types.Overlaps."""


def _overlaps(layers: Layers, owner: Mapping[str, str], rings: Mapping[str, int]) -> Iterator[Overlap]:
    """The inputs and results of all moments that may share memory."""
    groups: dict[str, set[str]] = {}
    for name, root in owner.items():
        groups.setdefault(root, set()).add(name)
    for moment in layers.moments:
        schedule, layer = moment.schedule, layers.layers[moment.first]
        if schedule is None:
            if layer.overlap is not None and owner[layer.site.x.name] != owner[layer.site.y.name]:
                yield (owner[layer.site.x.name], owner[layer.site.y.name]), layer.overlap
            continue
        read = {t.name: t for p in schedule.pieces for t in p.inputs if t.name not in schedule.writers}
        written = {owner[name] for name in schedule.writers if name not in rings}
        for t in read.values():
            for root in written if owner[t.name] not in written else ():
                yield (owner[t.name], root), (distance(schedule, t, groups[root]), t.nbytes)
