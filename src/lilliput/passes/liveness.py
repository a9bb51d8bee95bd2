"""Which channels of a graph have to exist: what its results depend on, followed backwards through every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Graph, Node
from lilliput.interval import Interval, channels_of
from lilliput.links import Mixing
from lilliput.op import Site

OUTSIDE = "the model's own input, output or state"
LAST = "a tensor keeps one channel"
REFUSED = "constant, but at the border or by its size it does not fit the bias of"


@dataclass(frozen=True, eq=False)
class Absorbed:
    """A layer that sums over its input's channels, and what it can do without them."""

    node: Node
    mixing: Mixing
    constant: Array
    """bool [in]: these hold one value, whose share of every sum can be part of the bias."""
    offsets: Array
    """int64 [in]: that value less the zero point, 0 elsewhere."""
    refused: Array
    """bool [in]: constant, but not absorbed: padding takes its place at the border, or the bias may overflow."""
    steady: Array
    """bool [out]: these results are constant themselves, whatever they weigh."""

    def needs(self, rows: Array) -> Array:
        """Which input channels have to exist when these results do."""
        weighs = self.mixing.weighs[rows & ~self.steady].any(0)
        return np.asarray(weighs & ~self.constant)


def absorbed(node: Node, site: Site, mixing: Mixing, known: Mapping[str, Interval]) -> Absorbed:
    x, steady = known[site.x.name], known[site.y.name].constant
    constant = x.constant
    offsets = np.where(constant, x.lo - site.x.q.z, 0)
    bordered = mixing.bordered[~steady].any(0) & (offsets != 0)
    taken = np.where(bordered, 0, offsets)
    bias = site.ins[site.op.bias or 0]
    room = fixed.INT32.max if bias.dtype == "int32" else fixed.WIDE_REACH
    sums = np.abs(mixing.sums[~steady]) @ np.abs(taken) + np.abs(np.asarray(bias.data, np.int64)[~steady])
    if (sums > room).any():
        taken = np.zeros_like(taken)
    fits = constant & (taken == offsets)
    return Absorbed(node, mixing, fits, np.where(fits, offsets, 0), constant & ~fits, steady)


class Liveness:
    """Channels as numbered cells, in groups that exist together or not at all; which groups have to, and why.

    Results need what they depend on, and a needed group needs its other members: the least set that is closed.
    """

    def __init__(self, graph: Graph, known: Mapping[str, Interval]) -> None:
        self._start: dict[str, int] = {}
        self._cells = 0
        for name, t in graph.tensors.items():
            if not t.constant:
                self._start[name] = self._cells
                self._cells += channels_of(t.shape)
        self._length = {name: channels_of(graph.tensors[name].shape) for name in self._start}
        self._reasons: list[str] = [""]
        self.mixers: dict[str, Absorbed] = {}
        fixed_names, first, second = self._relations(graph, known)
        self._group = _components(self._cells, first, second)
        self._why = np.zeros(self._cells, np.int64)  # of each group: the place of its reason, 0 without one
        for name, reason in fixed_names.items():
            self._need(name, np.ones(self._length[name], bool), reason)
        self._close()
        while sum(self._keep_one(name, known[name].constant) for name in self._start):
            self._close()

    def kept(self, name: str) -> Array:
        """bool per channel of a tensor."""
        return np.asarray(self._why[self._groups(name)] > 0)

    def reasons(self, name: str) -> list[str]:
        """Per channel of a tensor why it has to exist; empty where it has not."""
        return [self._reasons[i] for i in self._why[self._groups(name)]]

    def _groups(self, name: str) -> Array:
        start = self._start[name]
        return self._group[start : start + self._length[name]]

    def _relations(self, graph: Graph, known: Mapping[str, Interval]) -> tuple[dict[str, str], Array, Array]:
        """Tensors all of whose channels stay, with the reason; and the pairs of cells that belong together."""
        stay = {name: OUTSIDE for name in (*graph.given, *graph.kept) if name in self._start}
        pairs: list[tuple[Array, Array]] = []
        for node in graph.nodes:
            site = graph.site(node)
            names = [t.name for t in site.ins if not t.constant]
            mixing = site.op.mixing(site)
            links = site.op.channel_links(site) if len(site.outs) == 1 else None
            if mixing is not None:
                self.mixers[node.outputs[0]] = absorbed(node, site, mixing, known)
                continue
            if links is None or not any(links):
                names += node.outputs
                links = (None,) * len(site.ins)
            for t, link in zip(site.ins, links, strict=True):
                if link is not None and not t.constant:
                    names.remove(t.name)
                    ends = (self._start[t.name] + link.operand, self._start[site.y.name] + link.result)
                    pairs.append(ends)
            stay.update(
                (name, f"layer '{node.name}' ({site.op.name}) takes all")
                for name in names
                if name not in stay
            )
        if not pairs:
            return stay, np.zeros(0, np.int64), np.zeros(0, np.int64)
        first, second = zip(*pairs, strict=True)
        return stay, np.concatenate(first), np.concatenate(second)

    def _need(self, name: str, channels: Array, reason: str) -> bool:
        """Mark these channels; whether any of them is new."""
        groups = self._groups(name)[channels]
        groups = groups[self._why[groups] == 0]
        if len(groups):
            self._reasons.append(reason)
            self._why[groups] = len(self._reasons) - 1
        return len(groups) > 0

    def _close(self) -> None:
        """Needed results need channels of their layer's input, until nothing is new."""
        changed = True
        while changed:
            changed = False
            for y, mixer in reversed(self.mixers.items()):
                x, needs = mixer.node.inputs[0], mixer.needs(self.kept(y))
                name = mixer.node.name
                refused = self._need(x, needs & mixer.refused, f"{REFUSED} layer '{name}'")
                changed |= self._need(x, needs, f"layer '{name}' weighs it") or refused

    def _keep_one(self, name: str, constant: Array) -> bool:
        """At least one channel of every tensor: a constant one where there is any, which costs no inputs."""
        chosen = np.arange(len(constant)) == np.argmax(constant)
        return not self.kept(name).any() and self._need(name, chosen, LAST)


def _components(count: int, first: Array, second: Array) -> Array:
    """The least cell of the group that each cell is in; pairs of cells are in one group."""
    label = np.arange(count)
    while (label[first] != label[second]).any():
        least = np.minimum(label[first], label[second])
        np.minimum.at(label, label[first], least)
        np.minimum.at(label, label[second], least)
        while (label[label] != label).any():
            label = label[label]
    return label
