"""The memory plan: a kernel per node, the byte offset of every tensor, and the exact size of the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lilliput.errors import UserError
from lilliput.graph import ITEM_SIZE, Graph
from lilliput.op import Kernel, Pick, Site, fastest, usable

WORD = 4
"""Buffers start on words, and on pairs of them where a tensor holds 64-bit integers."""


@dataclass(frozen=True)
class Buffer:
    """A stretch of the arena and the first and last step that need it. Several tensors may share one in turn."""

    tensors: tuple[str, ...]
    size: int
    first: int
    last: int
    kind: str = "activation"


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: what runs, where its scratch memory is, and the name of the node."""

    site: Site
    kernel: Kernel
    scratch: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What the emitter needs: steps in order, where each tensor lives, how large the arena is."""

    graph: Graph
    steps: tuple[Step, ...]
    offsets: Mapping[str, int]
    arena: int
    buffers: tuple[tuple[Buffer, int], ...]
    lower_bound: int

    @property
    def alignment(self) -> int:
        """What the arena's address is a multiple of, in bytes."""
        return alignment(self.graph)

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
        return "\n".join(lines)


def plan(graph: Graph, features: frozenset[str] = frozenset(), *, pick: Pick = fastest) -> Plan:
    """Choose kernels and place every tensor. UserError names a layer or tensor that cannot be compiled."""
    _refuse_constant_results(graph)
    _refuse_types(graph)
    sites = [site for site in graph.sites() if not site.op.view]
    kernels = [_kernel(site, features, pick) for site in sites]
    buffers, scratch = liveness(graph, sites, kernels)
    offsets = place(buffers)
    where = {name: offset for buffer, offset in zip(buffers, offsets, strict=True) for name in buffer.tensors}
    steps = tuple(
        Step(site, kernel, offsets[scratch[i]] if i in scratch else None)
        for i, (site, kernel) in enumerate(zip(sites, kernels, strict=True))
    )
    arena = max((offset + b.size for b, offset in zip(buffers, offsets, strict=True)), default=0)
    placed = tuple(zip(buffers, offsets, strict=True))
    return Plan(graph, steps, where, arena, placed, largest_live_set(buffers))


def _refuse_constant_results(graph: Graph) -> None:
    """Firmware computes its outputs in the arena; a constant lies in the flash, and so do its views."""
    views: dict[str, tuple[Site, str]] = {}
    for site in graph.sites():
        if site.op.view and (site.x.constant or site.x.name in views):
            views[site.y.name] = (site, views[site.x.name][1] if site.x.name in views else site.x.name)
    for name in graph.outputs:
        if graph.tensors[name].constant or name in views:
            what = (
                "a constant" if graph.tensors[name].constant else f"a view of the constant '{views[name][1]}'"
            )
            raise UserError(
                f"output '{name}' is {what}: there is nothing to run. Take it out of the model's outputs and keep "
                "its value in the application"
            )
    for name, (site, source) in views.items():
        raise UserError(
            f"layer '{site.name}': '{name}' is a view ({site.op.name}) of the constant '{source}'; store the constant "
            f"with the shape {site.y.shape} instead"
        )


ARENA_TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
"""What the inputs, results and outputs of firmware may be."""


def _refuse_types(graph: Graph) -> None:
    """Each input, result and output has a type that the generated C knows."""
    for name, t in graph.tensors.items():
        if not t.constant and t.dtype not in ARENA_TYPES:
            what = (
                "input"
                if name in graph.inputs
                else "output"
                if name in graph.outputs
                else "intermediate result"
            )
            raise UserError(
                f"{what} '{name}' has the type {t.dtype}; firmware computes with {', '.join(ARENA_TYPES)}. "
                "Convert it in the model, for example to float32 or int32"
            )


def _kernel(site: Site, features: frozenset[str], pick: Pick) -> Kernel:
    kernels = usable(site, features)
    if not kernels:
        types = ", ".join(t.dtype for t in site.ins)
        raise UserError(
            f"layer '{site.name}': no kernel computes {site.op.name} from ({types}) to {site.y.dtype}; "
            f"kernels: {', '.join(k.name for k in site.op.kernels) or 'none'}"
        )
    return pick(site, kernels)


def alignment(graph: Graph) -> int:
    """The alignment of every buffer of a graph, in bytes."""
    return max(WORD, *(ITEM_SIZE[t.dtype] for t in graph.tensors.values() if not t.constant))


def align(size: int, to: int = WORD) -> int:
    return -(-size // to) * to


def _storage(graph: Graph, sites: Sequence[Site], kernels: Sequence[Kernel]) -> dict[str, str]:
    """Tensor -> the tensor whose storage it uses: views, and results written over an input that dies there."""
    owner = {name: name for name, t in graph.tensors.items() if not t.constant}
    for site in graph.sites():
        if site.op.view:
            owner[site.y.name] = owner[site.x.name]
    last = _last_use(graph, sites, owner)
    for i, (site, kernel) in enumerate(zip(sites, kernels, strict=True)):
        for index in kernel.in_place(site):
            source = site.ins[index]
            root = owner.get(source.name)
            free = root is not None and last[root] == i and align(source.nbytes) >= align(site.y.nbytes)
            others = [owner.get(t.name) for j, t in enumerate(site.ins) if j != index]
            if free and root not in others:
                assert root is not None
                gone = site.y.name
                owner.update({name: root for name, o in owner.items() if o == gone})
                last[root] = last.pop(gone)
                break
    return owner


def _last_use(graph: Graph, sites: Sequence[Site], owner: Mapping[str, str]) -> dict[str, int]:
    last = {owner[name]: -1 for name in graph.given}
    for i, site in enumerate(sites):
        last.update({owner[t.name]: i for t in (*site.ins, *site.outs) if not t.constant})
    end = len(sites)
    last.update({owner[name]: end for name in graph.kept if name in owner})
    return last


def liveness(
    graph: Graph, sites: Sequence[Site], kernels: Sequence[Kernel]
) -> tuple[list[Buffer], dict[int, int]]:
    """The buffers with their lifetimes, and for each step with scratch memory the index of its buffer."""
    owner, to = _storage(graph, sites, kernels), alignment(graph)
    groups: dict[str, list[str]] = {}
    for name, root in owner.items():
        groups.setdefault(root, []).append(name)
    birth = dict.fromkeys(graph.given, -1)
    for i, site in enumerate(sites):
        birth.update({t.name: i for t in site.outs})
    last = _last_use(graph, sites, owner)
    buffers = []
    for root, names in groups.items():
        first = min(birth[name] for name in names if name in birth)
        size = max(align(graph.tensors[name].nbytes, to) for name in names)
        kind = (
            "input" if root in graph.inputs else "output" if set(names) & set(graph.outputs) else "activation"
        )
        buffers.append(Buffer(tuple(names), size, first, last[root], kind))
    scratch = {}
    for i, (site, kernel) in enumerate(zip(sites, kernels, strict=True)):
        if size := kernel.scratch(site):
            scratch[i] = len(buffers)
            buffers.append(Buffer((f"scratch of {site.name or i}",), align(size, to), i, i, "scratch"))
    return buffers, scratch


def overlaps(a: Buffer, b: Buffer) -> bool:
    """Whether two buffers are needed at the same step."""
    return a.first <= b.last and b.first <= a.last


def largest_live_set(buffers: Sequence[Buffer]) -> int:
    """Bytes alive at the busiest step: no plan can be smaller."""
    steps = {b.first for b in buffers}
    return max((sum(b.size for b in buffers if b.first <= s <= b.last) for s in steps), default=0)


def place(buffers: Sequence[Buffer]) -> list[int]:
    """Offsets such that buffers alive together never overlap; stops as soon as the lower bound is reached.

    Greedy best fit in several orders (size, lifetime, area), then a bounded exact search: on near-chains greedy is
    already optimal, and small branched graphs are searched completely.
    """
    bound = largest_live_set(buffers)
    indices = range(len(buffers))
    orders = (
        sorted(indices, key=lambda i: (-buffers[i].size, buffers[i].first)),
        sorted(indices, key=lambda i: (buffers[i].first - buffers[i].last, -buffers[i].size)),
        sorted(indices, key=lambda i: (-buffers[i].size * (1 + buffers[i].last - buffers[i].first), i)),
        sorted(indices, key=lambda i: (buffers[i].first, -buffers[i].size)),
    )
    neighbours = [[j for j in indices if j != i and overlaps(buffers[i], buffers[j])] for i in indices]
    best: list[int] = []
    height = -1
    for order in orders:
        offsets = _greedy(buffers, neighbours, order)
        total = max((o + b.size for o, b in zip(offsets, buffers, strict=True)), default=0)
        if height < 0 or total < height:
            best, height = offsets, total
        if height == bound:
            return best
    return _search(buffers, neighbours, best, height, bound)


def _lowest(taken: Sequence[tuple[int, int]], size: int) -> int:
    at = 0
    for start, end in sorted(taken):
        if start - at >= size:
            break
        at = max(at, end)
    return at


def _greedy(
    buffers: Sequence[Buffer], neighbours: Sequence[Sequence[int]], order: Sequence[int]
) -> list[int]:
    offsets = [-1] * len(buffers)
    for i in order:
        taken = [(offsets[j], offsets[j] + buffers[j].size) for j in neighbours[i] if offsets[j] >= 0]
        offsets[i] = _lowest(taken, buffers[i].size)
    return offsets


SEARCH_NODES = 20_000


def _search(
    buffers: Sequence[Buffer], neighbours: Sequence[Sequence[int]], best: list[int], height: int, bound: int
) -> list[int]:
    """Depth-first over placement orders with pruning; every optimal packing is the lowest fit of some order."""
    offsets = [-1] * len(buffers)
    budget = SEARCH_NODES

    def descend(left: frozenset[int]) -> None:
        nonlocal best, height, budget
        if not left:
            height = max(o + b.size for o, b in zip(offsets, buffers, strict=True))
            best = offsets.copy()
            return
        for i in sorted(left, key=lambda i: -buffers[i].size):
            budget -= 1
            if budget <= 0 or height == bound:
                return
            taken = [(offsets[j], offsets[j] + buffers[j].size) for j in neighbours[i] if offsets[j] >= 0]
            at = _lowest(taken, buffers[i].size)
            if at + buffers[i].size < height:
                offsets[i] = at
                descend(left - {i})
                offsets[i] = -1

    if len(buffers) <= 64:
        descend(frozenset(range(len(buffers))))
    return best


def peak_layer(plan: Plan) -> str:
    """The name of the layer at which the most memory is alive."""
    alive = [sum(b.size for b, _ in plan.buffers if b.first <= i <= b.last) for i in range(len(plan.steps))]
    step = plan.steps[alive.index(max(alive))] if alive else None
    return step.site.name or step.site.op.name if step else "the input"
