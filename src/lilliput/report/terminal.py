"""What the verbs print for people: rich tables that read well in 80 columns; names are text, never markup."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lilliput.report import units
from lilliput.report.data import (
    AccuracyRow,
    Classification,
    ClassRow,
    ProfileJson,
    Pruning,
    SqnrRow,
    ValidationJson,
    difference_text,
    instructions_per_mac,
    validation_facts,
)

_WORST_SHOWN = 3  # layers marked in the quantization table


@dataclass(frozen=True)
class _Name:
    """A name that is broken after dots, slashes and underscores where its column is narrow."""

    text: str
    style: str = ""

    def _pieces(self) -> list[str]:
        return [piece for piece in re.split(r"(?<=[./_])", self.text) if piece]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widths = [cell_len(piece) for piece in self._pieces()]
        return Measurement(max(widths, default=0), sum(widths)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for piece in self._pieces():
            if lines[-1] and cell_len(lines[-1] + piece) > options.max_width:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(lines), style=self.style, overflow="fold")


def profile_view(profile: ProfileJson) -> RenderableType:
    """The headline figures, then one line per layer."""
    rows = _table("Layer", "Operator", "Kernel", ">MACs", ">Instr.", ">/MAC")
    for layer in profile["layers"]:
        rate = instructions_per_mac(layer)
        rows.add_row(
            _Name(layer["name"]),
            _Name(layer["op"]),
            _Name(layer["kernel"], style="dim"),
            units.count(layer["macs"]),
            units.count(layer["instructions"]),
            units.MISSING if rate is None else f"{rate:.2f}",
        )
    return Group(profile_headline(profile), "", rows)


def profile_headline(profile: ProfileJson) -> RenderableType:
    """Instructions, cycles (an estimate, and called so), flash and RAM with their parts."""
    flash, ram, lowest = profile["flash"], profile["ram"], profile["instructions_range"]
    each = f"{profile['instructions']:,}" if profile["instructions"] is not None else "not measured"
    notes = [f"{units.count(profile['macs'])} MACs"]
    if profile["instructions"] is not None and profile["macs"]:
        notes.append(f"{profile['instructions'] / profile['macs']:.2f} per MAC")
    if lowest is not None:
        same = lowest[0] == lowest[1]
        notes.append("same for every input" if same else f"{units.count_range(lowest)} over inputs")
    grid = _facts()
    grid.add_row("Target", Text(profile["target"]), "")
    grid.add_row("Instructions", each, ", ".join(notes))
    if profile["cycles_estimate"] is not None:
        grid.add_row("Cycles", units.count_range(profile["cycles_estimate"]), "estimate, not a measurement")
    split = f"code {units.size(flash['code'])} + constants {units.size(flash['constants'])}"
    grid.add_row("Flash", units.size(flash["total"]), split)
    parts = " + ".join(
        f"{part} {units.size(n)}" for part, n in ram.items() if isinstance(n, int) and part != "total"
    )
    grid.add_row("RAM", units.size(ram["total"]), parts)
    return grid


def validation_view(result: ValidationJson) -> RenderableType:
    """The verdict in one line, then whatever else was counted."""
    samples = f"{result['samples']:,} samples"
    if result["bit_exact"]:
        verdict = Text(
            f"✓ Bit for bit: reference, host C and emulated core agree on {samples}", style="bold green"
        )
    else:
        verdict = Text(f"✗ Not exact over {samples}", style="bold red")
        verdict.append(
            f"\n  first difference: {difference_text(result['first_difference'])}", style="not bold"
        )
    facts = _facts()
    for name, text in validation_facts(result):
        facts.add_row(name.capitalize(), Text(text), "")
    return Group(verdict, facts) if facts.row_count else verdict


def accuracy_view(rows: Sequence[AccuracyRow]) -> RenderableType:
    """Accuracy of each form of the model, and how many samples that is."""
    table = _table("Model", ">Accuracy", ">Wrong", ">Samples")
    for row in rows:
        wrong = units.MISSING if row.samples is None else f"{round((1 - row.value) * row.samples):,}"
        total = units.MISSING if row.samples is None else f"{row.samples:,}"
        table.add_row(Text(row.name), units.percent(row.value), wrong, total)
    return table


def classification_view(report: Classification) -> RenderableType:
    """Precision, recall and F1 by class, then the averages."""
    table = _table("Class", ">Precision", ">Recall", ">F1", ">Samples")
    for row in report.rows:
        _class_row(table, row)
    if report.averages:
        table.add_section()
    for row in report.averages:
        _class_row(table, row)
    return table


def quantization_view(rows: Sequence[SqnrRow]) -> RenderableType:
    """Signal to quantization noise of each layer in the order of the network; the worst few are marked."""
    lossy = [i for i, row in enumerate(rows) if math.isfinite(row.sqnr_db)]
    worst = sorted(lossy, key=lambda i: rows[i].sqnr_db)[:_WORST_SHOWN]
    table = _table("Layer", "Operator", ">SQNR", "")
    for i, row in enumerate(rows):
        marked = i in worst
        note = f"worst {worst.index(i) + 1}" if marked else ""
        style = "yellow" if marked else ""
        table.add_row(_Name(row.name), _Name(row.op), units.decibel(row.sqnr_db), note, style=style)
    return table


def pruning_view(pruning: Pruning) -> RenderableType:
    """Parameters, MACs and accuracy before and after; flash, RAM and instructions where they are known."""
    before, after = pruning.before, pruning.after
    table = _table("", ">Before", ">After", ">Change")
    for name, old, new in (
        ("Parameters", before.params, after.params),
        ("MACs", before.macs, after.macs),
        ("Flash, bytes", before.flash, after.flash),
        ("RAM, bytes", before.ram, after.ram),
        ("Instructions", before.instructions, after.instructions),
    ):
        if old is None or new is None:
            continue
        change = f"{100 * (new - old) / old:+.1f} %" if old else units.MISSING
        table.add_row(name, f"{old:,}", f"{new:,}", change)
    points = f"{100 * (after.accuracy - before.accuracy):+.2f} points"
    table.add_row("Accuracy", units.percent(before.accuracy), units.percent(after.accuracy), points)
    return table


def _class_row(table: Table, row: ClassRow) -> None:
    figures = (units.percent(v) for v in (row.precision, row.recall, row.f1))
    table.add_row(Text(row.label), *figures, f"{row.support:,}")


def _table(*headings: str) -> Table:
    """Headings with '>' are numbers: right-aligned, never broken. Text folds, so that nothing is cut off."""
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for heading in headings:
        number = heading.startswith(">")
        side: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading.removeprefix(">"), justify=side, no_wrap=number, overflow="fold")
    return table


def _facts() -> Table:
    """Name, figure, remark."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(justify="left", overflow="fold")
    grid.add_column(style="dim", overflow="fold")
    return grid
