"""What was removed of each layer's channels, what stayed and why: plain data that travels in `Graph.meta`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lilliput.graph import Array, Graph
from lilliput.interval import Interval
from lilliput.op import Site
from lilliput.passes.liveness import Liveness

Change = tuple[int, int]
"""Before and after."""


@dataclass(frozen=True)
class LayerReport:
    """One layer with weights. `stayed` counts constant channels that could not go, by the reason."""

    name: str
    channels: Change
    constant: int
    equal: int
    dead: int
    macs: Change
    weight_bytes: Change
    stayed: Mapping[str, int]

    @property
    def changed(self) -> bool:
        return any(a != b for a, b in (self.channels, self.macs, self.weight_bytes)) or bool(self.stayed)


@dataclass(frozen=True)
class ChannelReport:
    """All of a model. `layers` are those that changed, or hold constant channels that had to stay."""

    channels: Change
    constant: int
    macs: Change
    weight_bytes: Change
    idle_clamps: int
    layers: tuple[LayerReport, ...]

    @property
    def changed(self) -> bool:
        pairs = (self.channels, self.macs, self.weight_bytes)
        return any(before != after for before, after in pairs) or self.idle_clamps > 0

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return made

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> ChannelReport:
        """What `to_json` wrote; ValueError where something else stands."""
        try:
            layers = tuple(LayerReport(**_changes(layer)) for layer in made["layers"])
            return cls(**{**_changes(made), "layers": layers})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no record of removed channels: {error}") from error


def _changes(made: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists for the pairs."""
    pairs = ("channels", "macs", "weight_bytes")
    return {key: tuple(int(n) for n in value) if key in pairs else value for key, value in made.items()}


@dataclass(frozen=True, eq=False)
class Found:
    """One round: what was known of the graph as it was then, and which of its channels are left.

    `left` is bool per channel of that graph.
    """

    known: Mapping[str, Interval]
    twins: Mapping[str, Array]
    left: Mapping[str, Array]
    live: Liveness

    def removed(self, name: str) -> Counter[str]:
        """How many channels of a tensor went in this round, by what they were."""
        gone, constant = ~self.left[name], self.known[name].constant
        twin = self.twins[name] != np.arange(len(gone))
        kinds = {"constant": constant, "equal": ~constant & twin, "dead": ~constant & ~twin}
        return Counter({kind: int((gone & of_kind).sum()) for kind, of_kind in kinds.items()})

    def stayed(self, name: str) -> dict[str, int]:
        """Why constant channels of a tensor are left."""
        constant = self.known[name].constant & self.left[name]
        reasons = np.array(self.live.reasons(name), object)[constant]
        return dict(Counter(map(str, reasons)))


def described(before: Graph, after: Graph, rounds: Sequence[Found]) -> ChannelReport:
    """The record of a graph that became another in some rounds."""
    pairs = list(zip(before.sites(), after.sites(), strict=True))
    layers = [_layer(a, b, rounds) for a, b in pairs if a.op.weights]
    clamps = sum(_clamped(a) and not _clamped(b) for a, b in pairs)
    return ChannelReport(
        (sum(layer.channels[0] for layer in layers), sum(layer.channels[1] for layer in layers)),
        sum(layer.constant + sum(layer.stayed.values()) for layer in layers),
        (before.macs(), after.macs()),
        (before.weight_bytes(), after.weight_bytes()),
        clamps,
        tuple(layer for layer in layers if layer.changed),
    )


def _clamped(site: Site) -> bool:
    return getattr(site.op, "clamp", None) is not None


def _layer(before: Site, after: Site, rounds: Sequence[Found]) -> LayerReport:
    name = before.y.name
    removed: Counter[str] = sum((found.removed(name) for found in rounds), Counter())
    return LayerReport(
        before.name,
        (before.y.shape[-1], after.y.shape[-1]),
        removed["constant"],
        removed["equal"],
        removed["dead"],
        (before.op.macs(before), after.op.macs(after)),
        (_weight_bytes(before), _weight_bytes(after)),
        rounds[-1].stayed(name),
    )


def _weight_bytes(site: Site) -> int:
    return sum(t.nbytes for t in site.ins if t.constant)
