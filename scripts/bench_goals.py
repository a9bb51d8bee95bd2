"""What the project wants to reach, as data, and whether a run of the benchmark does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench_layers import LayerRow
from bench_models import FILES, VARIANTS, Model, Row
from bench_peer import headline

KB = 1024


@dataclass(frozen=True)
class Goal:
    """Ratios to TFLM + CMSIS-NN -O3 on the same core, at most; None: nothing is asked."""

    model: str
    core: str
    instructions: float | None = None
    flash: float | None = None
    ram: float | None = None


RATIOS = (
    Goal("kws", "cortex-m4", 0.42, 0.40, 0.40),
    Goal("ic", "cortex-m4", 0.42, 0.62, 0.36),
    Goal("vww", "cortex-m4", 0.22, 0.16, 0.32),
    *(Goal(model, "cortex-m4", 0.5, 0.9, 0.5) for model in VARIANTS),
    *(Goal(model, "cortex-m0plus", 0.5) for model in FILES),
    *(Goal(model, "cortex-m55", 0.75) for model in FILES),
)
WEIGHTS_ONLY = ("autoencoder",)
"""Models whose flash is all weights: no engine can do with much less, so none is asked for."""
FED_BY_ROWS = {("vww", "cortex-m4"): 15 * KB}
"""Bytes of RAM with the image fed by rows."""
SAME_COUNTS = {"cortex-m7": "cortex-m4"}
"""Cores that must not take more instructions than another."""
POINTWISE = {"rv32imc": 3.0, "cortex-m3": 2.3, "pxa27x": 2.3}
"""Instructions per multiply-accumulate of pointwise layers: by hand on RV32, portable C on the others."""

FEW = (
    "a result of few products: more than half of its instructions requantize it; tried: clamps inside the rounding, "
    "halves rounded up below a ReLU"
)
WHY: Mapping[tuple[str, str], str] = {
    ("pointwise 24x24 8->16", "instructions per MAC"): FEW,
    ("pointwise 14x14 8->48", "instructions per MAC"): FEW,
    ("pointwise 24x24 16->32", "instructions per MAC"): FEW,
    (
        "pointwise 14x14 48->8",
        "instructions per MAC",
    ): "few channels share what it costs to gather their pixels",
    (
        "kws",
        "instructions / cortex-m4's",
    ): "the same assembly; the C around it is scheduled otherwise for the M7",
    ("pointwise 3x3 256->256", "instructions per MAC"): "nine pixels in blocks of four: twelve are computed",
}
"""(Model or layer, figure) -> why it is missed, and what was tried: shown only where it is."""


@dataclass(frozen=True)
class Check:
    """A goal and what was found; `mode` is the one whose build comes nearest to it."""

    what: str
    core: str
    figure: str
    limit: float
    found: float
    mode: str
    note: str = ""

    @property
    def met(self) -> bool:
        return self.found <= self.limit

    @property
    def verdict(self) -> str:
        if self.met:
            return "met"
        missed = f"**missed by {100 * (self.found / self.limit - 1):.1f} %**"
        why = WHY.get((self.what, self.figure))
        return f"{missed}: {why}" if why else missed


FIGURES = {"instructions": "speed", "flash": "size", "ram": "ram"}
"""What is compared, and the mode that is asked for it."""


def checks(models: Sequence[Model], rows: Sequence[Row], layers: Sequence[LayerRow]) -> Iterator[Check]:
    """Every goal that this run has a figure for."""
    by = {(r.model, r.core, r.mode): r for r in rows}
    known = {model.name: model for model in models}
    for goal in RATIOS:
        if goal.model in known:
            yield from _ratios(goal, known[goal.model], by)
    for (model, core), limit in FED_BY_ROWS.items():
        if row := by.get((model, core, "rows")):
            yield Check(f"{model}, fed by rows", core, "RAM B", limit, row.cost.ram, "rows")
    for core, other in SAME_COUNTS.items():
        for model in FILES:
            ours, theirs = (by.get((model, c, "speed")) for c in (core, other))
            if ours and theirs:
                what = f"instructions / {other}'s"
                yield Check(
                    model, core, what, 1.0, ours.cost.instructions / theirs.cost.instructions, "speed"
                )
    for layer in layers:
        most = POINTWISE.get(layer.core)
        if most and layer.label.startswith("pointwise") and layer.compiler == "zig":
            yield Check(layer.label, layer.core, "instructions per MAC", most, layer.per_unit, "speed")


def _ratios(goal: Goal, model: Model, rows: Mapping[tuple[str, str, str], Row]) -> Iterator[Check]:
    """A line per figure: of the build for speed, or where that misses it of the one asked for this figure."""
    peer = headline(model, goal.core)
    ordinary = rows.get((goal.model, goal.core, "speed"))
    if peer is None or ordinary is None:
        return
    for figure, mode in FIGURES.items():
        limit = getattr(goal, figure)
        if limit is None or (figure == "flash" and goal.model.startswith(WEIGHTS_ONLY)):
            continue
        found = {"speed": ordinary}
        if asked := rows.get((goal.model, goal.core, mode)):
            found[mode] = asked
        ratios = {name: getattr(row.cost, figure) / getattr(peer, figure) for name, row in found.items()}
        best = "speed" if ratios["speed"] <= limit else min(ratios, key=lambda name: ratios[name])
        note = "peer estimated, low" if peer.estimated else ""
        yield Check(goal.model, goal.core, f"{figure}, ratio", limit, ratios[best], best, note)
