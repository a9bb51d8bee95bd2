"""The memory plan: a kernel per node, the byte offset of every tensor, and the exact size of the arena."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.op import Kernel, Pick, Site, fastest, usable
from lilliput.plan.lifetimes import Layer, Layers, Lifetimes, Moment, lifetimes
from lilliput.plan.place import largest_live_set, loads, place
from lilliput.plan.stream import Piece, Schedule, order_of, piece, streamable
from lilliput.plan.types import Plan, Step, Stream

Ranges = Sequence[tuple[int, int]]
"""First and last step of each stream, in order."""


def plan(
    graph: Graph,
    features: frozenset[str] = frozenset(),
    *,
    pick: Pick = fastest,
    streams: Ranges = (),
    feed: bool = False,
    share: bool = True,
) -> Plan:
    """Choose kernels and place every tensor. UserError names a layer or tensor that cannot be compiled.

    The steps of each range in `streams` run row by row; with `feed` the first of them takes the model's input by rows.
    Without `share` no result takes the place of what it is computed from: what the other plans are compared with.
    """
    refuse(graph)
    found = layer_kernels(graph, features, pick)
    _refuse_ranges(streams, len(found))
    inside = [i for first, last in streams for i in range(first, last + 1)]
    made = arrange(graph, found, layer_pieces(found, inside, features, pick), streams, feed, share=share)
    assert made is not None
    return made


def refuse(graph: Graph) -> None:
    """UserError for a graph that no memory can be planned for."""
    _refuse_constant_results(graph)
    _refuse_types(graph)


MOST_ROWS = 32_000
"""Rows of all layers of a stream, and of their inputs: cursors are 16-bit integers."""
LONGEST_STREAM = 250
"""Layers of a stream at most: its order is a table of bytes."""


def _refuse_ranges(streams: Ranges, steps: int) -> None:
    """Ranges lie in the graph, in order and apart."""
    behind = 0
    for first, last in streams:
        if not behind <= first <= last < steps or last - first >= LONGEST_STREAM:
            raise UserError(
                f"layers {first} to {last} cannot be a stream: expected at most {LONGEST_STREAM} of {steps} layers, "
                "in order and apart from other streams"
            )
        behind = last + 1


def layer_kernels(graph: Graph, features: frozenset[str], pick: Pick) -> list[Layer]:
    """The layers that compute something, with their kernels."""
    sites = (site for site in graph.sites() if not site.op.view)
    return [Layer(site, _kernel(site, features, pick), site) for site in sites]


def layer_pieces(
    found: Sequence[Layer], steps: Iterable[int], features: frozenset[str], pick: Pick
) -> dict[int, Piece | None]:
    """Some layers as ones that compute a row at a time, where they can."""
    return {i: piece(found[i].site, found[i].kernel, features, pick) for i in steps}


def arrange(
    graph: Graph,
    found: Sequence[Layer],
    pieces: Mapping[int, Piece | None],
    streams: Ranges = (),
    feed: bool = False,
    below: int | None = None,
    share: bool = True,
) -> Plan | None:
    """The plan for layers whose kernels are chosen; None where the arena cannot be smaller than `below`."""
    layers = _layers(graph, found, pieces, streams, feed)
    times = lifetimes(layers, share=share)
    bound = largest_live_set(times.buffers, times.overlaps)
    if below is not None and bound >= below:
        return None
    offsets = place(times.buffers, times.overlaps)
    placed = tuple(zip(times.buffers, offsets, strict=True))
    where = {name: offset for buffer, offset in placed for name in buffer.tensors}
    backwards = _backwards(layers, times, where)
    steps = tuple(
        Step(
            layer.site,
            layer.kernel,
            _scratch(times, offsets, i),
            p.call if (p := _piece_of(layers, i)) else None,
            p.rows if p else None,
            i in backwards,
        )
        for i, layer in enumerate(layers.layers)
    )
    made = tuple(
        Stream(
            moment.first,
            moment.last,
            moment.schedule.order,
            {t: times.rings[t] for t in moment.schedule.writers if t in times.rings},
            offsets[times.cursors[time]],
        )
        for time, moment in enumerate(layers.moments)
        if moment.schedule is not None
    )
    arena = max((offset + b.size for b, offset in placed), default=0)
    return Plan(graph, steps, where, arena, placed, bound, times.overlaps, made)


def _scratch(times: Lifetimes, offsets: Sequence[int], step: int) -> int | None:
    if step not in times.scratch:
        return None
    buffer, behind = times.scratch[step]
    return offsets[buffer] + behind


def _backwards(layers: Layers, times: Lifetimes, where: Mapping[str, int]) -> set[int]:
    """The steps whose result lies above the beginning of an input that it shares memory with."""
    buffer = {name: i for i, b in enumerate(times.buffers) for name in b.tensors}
    found = set()
    for i, layer in enumerate(layers.layers):
        site = layer.site
        pair = buffer.get(site.x.name, -1), buffer.get(site.y.name, -1)
        if layer.kernel.rows is not None and pair in times.overlaps:
            distance = where[site.y.name] - where[site.x.name]
            if times.overlaps[pair][0] < distance < times.buffers[pair[0]].size:
                found.add(i)
    return found


def _piece_of(layers: Layers, step: int) -> Piece | None:
    moment = layers.moments[layers.times[step]]
    return None if moment.schedule is None else moment.schedule.pieces[step - moment.first]


def _layers(
    graph: Graph,
    found: Sequence[Layer],
    pieces: Mapping[int, Piece | None],
    streams: Ranges,
    feed: bool,
) -> Layers:
    """The moments: streams, and the steps between them."""
    made, moments = list(found), list[Moment]()
    at = 0
    for first, last in streams:
        moments += [Moment(i, i) for i in range(at, first)]
        if not streamable(graph, pieces, first, last):
            refused = (found[i].site for i in range(first, last + 1) if pieces[i] is None)
            names = ", ".join(site.name or site.op.name for site in refused)
            raise UserError(f"layers {first} to {last} cannot run row by row{': ' if names else ''}{names}")
        chosen = tuple(p for i in range(first, last + 1) if (p := pieces[i]))
        feeds = _fed_input(graph, chosen) if feed and not moments else None
        if (rows := sum(p.rows.out_rows + p.rows.in_rows for p in chosen)) > MOST_ROWS:
            raise UserError(f"layers {first} to {last} have {rows} rows, a stream has at most {MOST_ROWS}")
        moments.append(Moment(first, last, Schedule(chosen, order_of(chosen, feeds), feeds)))
        made[first : last + 1] = [Layer(p.site, p.kernel, p.call) for p in chosen]
        at = last + 1
    if feed and not any(m.schedule and m.schedule.feeds for m in moments):
        raise UserError("the input can be fed by rows only where the first layers run row by row")
    moments += [Moment(i, i) for i in range(at, len(found))]
    return Layers(graph, made, moments)


def _fed_input(graph: Graph, pieces: Sequence[Piece]) -> str:
    """The model's only input, which only the first stream may read."""
    if len(graph.inputs) != 1 or graph.states:
        raise UserError(f"a model with {len(graph.inputs)} inputs or with states cannot be fed by rows")
    (name,) = graph.inputs
    inside = sum(t.name == name for p in pieces for t in p.inputs)
    readers = sum(t.name == name for site in graph.sites() for t in site.ins)
    if inside != readers or not inside or name in graph.outputs:
        raise UserError(
            f"input '{name}' is read by layers that do not run row by row: it cannot be fed by rows"
        )
    return name


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


def peak_layer(plan: Plan) -> str:
    """The name of the layer at which the most memory is alive; of a stream, its first layer."""
    moments = plan.moments()
    step = plan.steps[moments[busiest_moment(plan)][0]] if moments else None
    return step.site.name or step.site.op.name if step else "the input"


def busiest_moment(plan: Plan) -> int:
    """When the most memory is needed."""
    found = loads([buffer for buffer, _ in plan.buffers], plan.overlaps)
    times = [max(time, 0) for time in sorted(found, key=lambda t: -found[t]) if time < len(plan.moments())]
    return times[0] if times else 0
