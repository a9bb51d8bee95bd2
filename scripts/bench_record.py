"""docs/bench.json: instructions, flash and RAM of every model and layer, as they were when `make bench` last ran."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench_layers import LayerRow
from bench_models import ROOT, Cost, Row

RECORD = ROOT / "docs" / "bench.json"
ALLOWED = 1.01
"""A figure may grow by this factor before it counts as worse."""
FIGURES = ("instructions", "flash", "ram")

Key = tuple[str, str, str, str]
"""("models", model, core, mode) or ("layers", layer, core, compiler)."""


@dataclass(frozen=True)
class Record:
    """The three figures of every build."""

    costs: Mapping[Key, tuple[int, ...]]

    def beside(self, older: Record, cores: Collection[str]) -> Record:
        """With what an older one says of cores that this one has not: their emulator was not installed."""
        kept = {key: costs for key, costs in older.costs.items() if key[2] not in cores}
        return Record({**self.costs, **kept})

    def text(self) -> str:
        """JSON with a line per model or layer and core."""
        tree: dict[str, dict[str, dict[str, dict[str, list[int]]]]] = {"models": {}, "layers": {}}
        for (kind, name, core, form), costs in self.costs.items():
            tree[kind].setdefault(name, {}).setdefault(core, {})[form] = list(costs)
        kinds = []
        for kind, names in tree.items():
            lines = [
                f"  {json.dumps(name)}: {{\n"
                + ",\n".join(f"   {json.dumps(core)}: {json.dumps(forms)}" for core, forms in cores.items())
                + "\n  }"
                for name, cores in names.items()
            ]
            kinds.append(f' "{kind}": {{\n' + ",\n".join(lines) + "\n }")
        return "{\n" + ",\n".join(kinds) + "\n}\n"


def read() -> Record:
    """What is recorded; nothing where there is no record yet."""
    tree = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return Record(
        {
            (kind, name, core, form): tuple(costs)
            for kind, names in tree.items()
            for name, cores in names.items()
            for core, forms in cores.items()
            for form, costs in forms.items()
        }
    )


def figures(cost: Cost) -> tuple[int, ...]:
    return tuple(getattr(cost, figure) for figure in FIGURES)


def as_record(rows: Sequence[Row], layers: Sequence[LayerRow]) -> Record:
    costs: dict[Key, tuple[int, ...]] = {("models", r.model, r.core, r.mode): figures(r.cost) for r in rows}
    costs |= {("layers", r.label, r.core, r.compiler): figures(r.cost) for r in layers}
    return Record(costs)


def worse(now: Record, recorded: Record) -> Iterator[tuple[str, str, str]]:
    """What grew by more than is allowed: the figure's name, what is recorded, what it is now."""
    for key, found in now.costs.items():
        for figure, old, new in zip(FIGURES, recorded.costs.get(key, found), found, strict=True):
            if new > old * ALLOWED:
                yield f"{', '.join(key[1:])}: {figure}", f"{old:,}", f"{new:,}"
