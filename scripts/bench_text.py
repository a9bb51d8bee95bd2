"""docs/bench.md: the tables of a run of the benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench_goals import Check
from bench_layers import COMPILERS, LayerRow
from bench_models import Model, Row
from bench_peer import all_measured, headline

HEAD = """# Benchmarks

Written by `make bench` in one run; do not edit. Instructions of one inference are exact, read from the
shipped ELF on the emulated core. Flash is what the model adds to an empty firmware, RAM is arena and
stack bound. Ratios compare with TFLM + CMSIS-NN at -O3 on the same core; below 1 is better than the peer. A ratio
with ≤ is to a low estimate of the peer, for a model that it was not measured with. MACs are those of the model as it
was given, also where layers were made smaller. Cycles are an [estimate](cycles.md), never a measurement.
Trees and other classical models are compared with emlearn and m2cgen in
[results.md](results.md#classical-models-against-emlearn-and-m2cgen).

Modes: *speed* (the default), *size* and *ram* are `--optimize`; *rows* is *ram* with the input fed by rows;
*speed, gcc* is *speed* with the other compiler.
"""


def table(heads: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns whose head begins with `>` are numbers."""
    names = [name.strip() for name in heads.split("|")]
    rule = "".join("--:|" if name.startswith(">") else "---|" for name in names)
    head = "| " + " | ".join(name.removeprefix(">") for name in names) + " |"
    return [head, "|" + rule, *("| " + " | ".join(row) + " |" for row in rows), ""]


def model_table(models: Sequence[Model], rows: Sequence[Row]) -> list[str]:
    known = {model.name: model for model in models}
    lines = []
    for row in rows:
        peer, cost = headline(known[row.model], row.core), row.cost
        cells = [
            row.model,
            row.core,
            row.mode,
            f"{cost.instructions:,}",
            f"{cost.instructions / row.macs:.2f}",
        ]
        for i, figure in enumerate(("instructions", "flash", "ram")):
            ours = getattr(cost, figure)
            sign = "≤ " if peer and peer.estimated else ""
            cells += [f"{ours:,}"] if i else []
            cells.append(f"{sign}{ours / getattr(peer, figure):.2f}" if peer else "–")
        cells.append(f"{cost.cycles[0] / 1e6:.2f}–{cost.cycles[1] / 1e6:.2f} M")
        lines.append(cells)
    heads = "model|core|mode|>instructions|>per MAC|>ratio|>flash B|>ratio|>RAM B|>ratio|>cycles (estimate)"
    return table(heads, lines)


def goal_table(found: Sequence[Check]) -> list[str]:
    lines = []
    for c in found:
        wanted, got = (f"{v:,.2f}" if c.limit < 100 else f"{v:,.0f}" for v in (c.limit, c.found))
        verdict = f"{c.verdict} ({c.note})" if c.note else c.verdict
        lines.append([c.what, c.core, c.figure, wanted, got, c.mode, verdict])
    met = sum(c.met for c in found)
    return [
        GOALS.format(met=met, all=len(found)),
        "",
        *table("what|core|figure|>at most|>found|mode|", lines),
    ]


def peer_table(rows: Sequence[Row]) -> list[str]:
    """Every engine that was measured; what is in brackets is ours for speed over theirs."""
    ours = {(row.model, row.core): row.cost for row in rows if row.mode == "speed"}
    lines = []
    for (model, core), peers in all_measured().items():
        for peer in peers if (model, core) in ours else ():
            cells = [model, core, peer.engine]
            for figure in ("instructions", "flash", "ram"):
                theirs = getattr(peer, figure)
                cells.append(f"{theirs:,} ({getattr(ours[model, core], figure) / theirs:.2f})")
            lines.append([*cells, str(peer.wrong)])
    return table("model|core|engine|>instructions|>flash B|>RAM B|>outputs that differ from TFLM's", lines)


def layer_table(rows: Sequence[LayerRow], cores: Sequence[str]) -> list[str]:
    by = {(r.label, r.core, r.compiler): r for r in rows}
    lines = []
    for label in dict.fromkeys(r.label for r in rows):
        cells = []
        for core in cores:
            made = [by.get((label, core, compiler)) for compiler in COMPILERS]
            cells.append(" / ".join(f"{r.per_unit:.2f}" if r else "–" for r in made))
        kernels = dict.fromkeys(r.kernel for r in rows if r.label == label and r.compiler == "zig")
        lines.append([label, ", ".join(kernels), *cells])
    return table("layer|kernels|" + "|".join(f">{core}" for core in cores), lines)


def compiler_table(rows: Sequence[LayerRow], models: Sequence[Row], cores: Sequence[str]) -> list[str]:
    """For each core how much gcc takes of what zig takes: means of the ratios, of layers and of whole models."""
    layers = {(r.core, r.compiler, r.label): r.cost for r in rows}
    built = {(r.core, r.mode, r.model): r.cost for r in models}
    lines = []
    for core in cores:
        cells = [core]
        means = []
        for known, pair in ((layers, ("zig", "gcc")), (built, ("speed", "speed, gcc"))):
            for figure in ("instructions", "flash"):
                ratios = [
                    getattr(cost, figure) / getattr(known[core, pair[0], what], figure)
                    for (c, form, what), cost in known.items()
                    if c == core and form == pair[1] and (core, pair[0], what) in known
                ]
                means.append(math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None)
        cells += [f"{mean:.2f}" if mean else "–" for mean in means]
        decisive = means[2] or means[0]
        winner = (
            "–" if decisive is None else "gcc" if decisive < 0.995 else "zig" if decisive > 1.005 else "equal"
        )
        lines.append([*cells, winner])
    heads = ">layers: instructions|>flash|>models: instructions|>flash|fewer instructions in models"
    return table("core|" + heads, lines)


def tool_text(training: Mapping[str, float], tool: Mapping[str, Any]) -> list[str]:
    lines = []
    if training:
        lines.append(
            f"- training loop over a bare torch loop, median of {training['pairs']:.0f} interleaved pairs: "
            f"{training['median_ratio']:.3f} ({training['min']:.3f} to {training['max']:.3f})"
        )
    stages = [
        [r["model"], f"{r['quantize']:.2f}", f"{r['compile']:.2f}", f"{r['total']:.2f}"]
        for r in tool["stages"]
    ]
    growth = [[f"{r['nodes']:,}", *(f"{r[k]:.2f}" for k in GROWTH)] for r in tool["growth"]]
    speed = [[r["core"], r["emulator"], f"{r['per_second'] / 1e6:.0f} M"] for r in tool["emulation"]]
    return [
        *lines,
        "- seconds below are of a shared machine with two cores, the compiler's cache empty of the model\n",
        *table(
            "model, for Cortex-M4|>import and quantize, s|>plan, compile, link, check, s|>together, s", stages
        ),
        *table("nodes|>" + ", s|>".join(GROWTH) + ", s", growth),
        *table("core|emulator|>emulated instructions per second", speed),
    ]


GROWTH = ("passes", "quantize", "plan", "emit", "compile")
"""Stages of `bench_tool.growth`; the last one is all of `compile`, plan and text again among it."""


def markdown(
    models: Sequence[Model],
    rows: Sequence[Row],
    layers: Sequence[LayerRow],
    goals: Sequence[Check],
    types: Mapping[str, Sequence[str]],
    tool: Mapping[str, Any] | None,
    training: Mapping[str, float] | None,
) -> str:
    """The page. A part that was not measured has no table."""
    cores = list(dict.fromkeys([*(r.core for r in rows), *(r.core for r in layers)]))
    lines = [HEAD]
    if rows:
        lines += [*model_table(models, rows), "## Goals", "", *goal_table(goals)]
        lines += ["## Other engines", "", OTHERS, "", *peer_table(rows)]
    if layers:
        lines += ["## Single layers", "", LAYERS, "", *layer_table(layers, cores)]
        lines += ["## Compilers", "", COMPARED, "", *compiler_table(layers, rows, cores)]
    for heading, made in types.items():
        lines += [f"## {heading}", "", *made, ""]
    if tool or training:
        lines += ["## The tool itself", "", *tool_text(training or {}, tool or {})]
    return "\n".join(lines)


OTHERS = "In brackets: ours, in the mode *speed*, divided by the engine's."
LAYERS = (
    "Instructions per multiply-accumulate of an int8 layer alone, or per element of the result where it has none:\n"
    "zig / gcc. – is a compiler that was not installed, or a build that failed."
)
COMPARED = (
    "What gcc takes, divided by what zig takes, for the same C: geometric means over layers and over models."
)
GOALS = (
    "{met} of {all} are met. Ratios are to TFLM + CMSIS-NN -O3 on the same core. A goal is judged by the build for\n"
    "speed and, where that misses it, by the build that was asked for this figure: the column says which."
)
