"""What a memory plan consists of: buffers, steps, streams of rows, and the plan itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lilliput.graph import ITEM_SIZE, Graph
from lilliput.op import Kernel, Rows, Site

WORD = 4
"""Buffers start on words, and on pairs of them where a tensor holds 64-bit integers."""


@dataclass(frozen=True)
class Buffer:
    """A stretch of the arena and the first and last moment that needs it. Several tensors may share one in turn.

    A moment is a step, or all steps of a stream.
    """

    tensors: tuple[str, ...]
    size: int
    first: int
    last: int
    kind: str = "activation"


Overlaps = Mapping[tuple[int, int], tuple[int, int]]
"""(buffer read, buffer written) -> (below, above): both are needed at one moment, and yet may share memory, because
what is written lies where everything has been read. The second begins at most `below` bytes after the first and its
rows are computed in their order, or at least `above` bytes after it, with the last row first."""


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: what runs, where its scratch memory is, and the name of the node.

    In a stream `piece` is what one call of the kernel computes: the layer itself where its kernel works by rows, or
    one row of it; `rows` tells how that walks.
    """

    site: Site
    kernel: Kernel
    scratch: int | None = None
    piece: Site | None = None
    rows: Rows | None = None
    backwards: bool = False
    """Whether the last row is computed first."""


FEED = -1
"""In the order of a stream: here the next row of the model's input is needed."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Layers `first` to `last` that run row by row, interleaved.

    `order` lists which of them, counted from `first`, computes its next row. `rings` has the tensors of which only the
    last few rows exist: row r of a tensor lies in place r modulo that number. `cursors` is the offset of what the
    layers remember from row to row.
    """

    first: int
    last: int
    order: tuple[int, ...]
    rings: Mapping[str, int]
    cursors: int = 0

    @property
    def fed(self) -> bool:
        """Whether the input comes row by row."""
        return FEED in self.order


@dataclass(frozen=True, eq=False)
class Plan:
    """What the emitter needs: steps in order, where each tensor lives, how large the arena is."""

    graph: Graph
    steps: tuple[Step, ...]
    offsets: Mapping[str, int]
    arena: int
    buffers: tuple[tuple[Buffer, int], ...]
    lower_bound: int
    overlaps: Overlaps = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()

    @property
    def alignment(self) -> int:
        """What the arena's address is a multiple of, in bytes."""
        return alignment(self.graph)

    @property
    def fed(self) -> Stream | None:
        """The stream that takes the model's input row by row."""
        return next((s for s in self.streams if s.fed), None)

    def stream_of(self, step: int) -> Stream | None:
        """The stream that a step is part of."""
        return next((s for s in self.streams if s.first <= step <= s.last), None)

    def moments(self) -> tuple[tuple[int, int], ...]:
        """The first and last step of what happens at each time that buffers tell: a layer, or a stream."""
        found: list[tuple[int, int]] = []
        for i in range(len(self.steps)):
            stream = self.stream_of(i)
            if stream is None or stream.first == i:
                found.append((i, stream.last if stream else i))
        return tuple(found)

    def ring(self, name: str) -> int | None:
        """How many rows of a tensor exist at a time; None: the whole tensor."""
        return next((s.rings[name] for s in self.streams if name in s.rings), None)

    def row(self, name: str, index: int) -> tuple[int, int]:
        """Where row `index` of a streamed tensor lies in the arena: its offset, and its size in bytes."""
        t = self.graph.tensors[name]
        pitch = row_bytes(t.nbytes, t.shape)
        return self.offsets[name] + (index % (self.ring(name) or t.shape[1])) * pitch, pitch

    @property
    def state(self) -> Mapping[str, int]:
        """Tensor that a run starts from -> its byte offset in the struct of the states, largest elements first."""
        tensors = sorted(
            (self.graph.tensors[b] for b, _ in self.graph.states), key=lambda t: -ITEM_SIZE[t.dtype]
        )
        offsets, end = {}, 0
        for t in tensors:
            offsets[t.name], end = end, end + t.nbytes
        return offsets

    @property
    def state_size(self) -> int:
        """Bytes that stay from run to run, in the caller's struct."""
        tensors = [self.graph.tensors[name] for name in self.state]
        return align(sum(t.nbytes for t in tensors), max((ITEM_SIZE[t.dtype] for t in tensors), default=1))

    def __str__(self) -> str:
        lines = [f"arena {self.arena} bytes (largest live set {self.lower_bound})"]
        for buffer, offset in self.buffers:
            names = " → ".join(buffer.tensors)
            lines.append(
                f"  [{offset:6d}, {offset + buffer.size:6d}) steps {buffer.first}-{buffer.last}  {names}"
            )
        for stream in self.streams:
            rings = ", ".join(f"{name} {rows}" for name, rows in stream.rings.items())
            lines.append(f"  layers {stream.first}-{stream.last} by rows; rows kept: {rings}")
        return "\n".join(lines)


def row_bytes(nbytes: int, shape: tuple[int, ...]) -> int:
    """The bytes of one row of a [1, rows, width, channels] tensor."""
    return nbytes // shape[1]


def alignment(graph: Graph) -> int:
    """The alignment of every buffer of a graph, in bytes."""
    return max(WORD, *(ITEM_SIZE[t.dtype] for t in graph.tensors.values() if not t.constant))


def align(size: int, to: int = WORD) -> int:
    """`size` rounded up to a multiple of `to`."""
    return -(-size // to) * to
