"""The report as one HTML page that needs nothing else: no script, no font, no request; it opens offline."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lilliput.files import replacing
from lilliput.report import data, svg, units
from lilliput.report.data import Confusion, LayerJson, ProfileJson, Report, SqnrRow, Training
from lilliput.report.png import data_uri

_HERE = Path(__file__).parent / "templates"
_PAIRS_SHOWN = 8
_LARGEST_MATRIX = 40  # classes; beyond this a table of cells tells nobody anything, the list of pairs does


def render_html(report: Report) -> str:
    """The whole page; the same report gives the same text."""
    page = _environment().get_template("page.html.j2")
    return page.render(
        r=report,
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        training=_training(report.training) if report.training and report.training.epochs else None,
        memory=svg.memory_map(report.memory) if report.memory and report.memory.blocks else None,
        memory_before=svg.memory_map(report.memory.before)
        if report.memory and report.memory.before
        else None,
        busiest=data.busiest_step(report.memory) if report.memory else None,
        kinds=_kinds(report),
        matrix=_matrix(report.confusion) if report.confusion else None,
        pairs=_confused_pairs(report.confusion) if report.confusion else [],
        layers=_layers(report.profile) if report.profile else [],
        facts=data.validation_facts(report.validation) if report.validation else [],
        sqnr=_sqnr(report.quantization or ()),
    )


def write_html(report: Report, path: str | Path) -> None:
    """Write the page beside `path` and rename it, so that a half-written report is never seen."""
    target = Path(path)
    # A lone surrogate in a name cannot be UTF-8: it becomes a character reference instead of an exception.
    page = render_html(report).encode("utf-8", errors="xmlcharrefreplace")
    with replacing(target) as beside:
        beside.write_bytes(page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=_exact(units.count, "{:,}"),
        size=_exact(units.size, "{:,} bytes"),
        percent=_exact(units.percent, "{}"),
        clock=_exact(units.clock, "{:,.0f} Hz"),
        decibel=_exact(units.decibel, "{} dB"),
        count_range=_exact_range(units.count_range, "{:,}", ""),
        duration=_exact_range(units.duration, "{:.6g}", " s"),
        energy=_exact_range(units.energy, "{:.6g}", " J"),
        picture=data_uri,
        breakable=_breakable,
        difference=data.difference_text,
    )
    environment.globals.update(bar=svg.bar)
    return environment


def _breakable(name: str) -> Markup:
    """A layer's name that may be broken after its dots, slashes and underscores, so that it fits a phone."""
    return Markup("").join(Markup("{}<wbr>").format(part) for part in re.split(r"(?<=[./_])", name))


def _exact(show: Callable[[float], str], form: str) -> Callable[[float | None], Markup]:
    """A filter: the number for people, and the exact one for machines (`value`) and on hover (`title`)."""

    def render(value: float | None) -> Markup:
        if value is None:
            return Markup(units.MISSING)
        return Markup('<data value="{}" title="{}">{}</data>').format(value, form.format(value), show(value))

    return render


def _exact_range(
    show: Callable[[Sequence[float]], str], form: str, unit: str
) -> Callable[[Sequence[float] | None], Markup]:
    """The same for a range (least, most)."""

    def render(values: Sequence[float] | None) -> Markup:
        if values is None:
            return Markup(units.MISSING)
        low, high = (form.format(v) for v in values)
        exact = f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
        return Markup('<span title="{}">{}</span>').format(exact, show(values))

    return render


@dataclass(frozen=True)
class _TrainingView:
    loss: Markup
    accuracy: Markup
    best: int  # index of the epoch with the best validation accuracy


@dataclass(frozen=True)
class _Cell:
    count: int
    style: str
    title: str


@dataclass(frozen=True)
class _MatrixRow:
    label: str
    cells: tuple[_Cell, ...]


@dataclass(frozen=True)
class _LayerView:
    """A layer with its shares of the longest bar; None hides the column for the whole table."""

    layer: LayerJson
    per_mac: float | None
    instructions: Markup
    flash: Markup
    flash_total: int | None


def _training(training: Training) -> _TrainingView:
    epochs = training.epochs
    marker = (training.pruned_after, "pruned") if training.pruned_after is not None else None
    hover = [
        f"epoch {i}: training loss {e.train_loss:.4f}, validation loss {e.val_loss:.4f}, "
        f"validation accuracy {units.percent(e.val_accuracy)}, learning rate {e.lr:.3g}"
        for i, e in enumerate(epochs, 1)
    ]
    losses = [
        svg.Series("training", [e.train_loss for e in epochs], "quiet", hover),
        svg.Series("validation", [e.val_loss for e in epochs], "main", hover),
    ]
    accuracy = [svg.Series("validation", [e.val_accuracy for e in epochs], "main", hover)]
    best = max(range(len(epochs)), key=lambda i: epochs[i].val_accuracy)
    return _TrainingView(
        loss=svg.line_chart(
            f"Training and validation loss over {len(epochs)} epochs", losses, lambda v: f"{v:.3g}", marker
        ),
        accuracy=svg.line_chart(
            f"Validation accuracy over {len(epochs)} epochs, best {units.percent(epochs[best].val_accuracy)}",
            accuracy,
            lambda v: f"{100 * v:.4g} %",
            marker,
            top=1.0,
            note=(best, f"best {units.percent(epochs[best].val_accuracy)}"),
        ),
        best=best,
    )


def _kinds(report: Report) -> list[str]:
    """The kinds of tensors on the map, in the order of the legend."""
    maps = (report.memory, report.memory and report.memory.before)
    present = {block.kind for found in maps if found for block in found.blocks}
    return [kind for kind in ("input", "activation", "scratch", "output") if kind in present]


def _matrix(confusion: Confusion) -> list[_MatrixRow]:
    """Cells shaded by their share of the row: the diagonal plain, errors warm by its root, to be seen."""
    if len(confusion.labels) > _LARGEST_MATRIX:
        return []
    rows = []
    for i, (true, counts) in enumerate(zip(confusion.labels, confusion.counts, strict=True)):
        total = sum(counts) or 1
        cells = []
        for j, (read, n) in enumerate(zip(confusion.labels, counts, strict=True)):
            strength = 0.42 * n / total if i == j else min(0.75, 2.4 * (n / total) ** 0.5)
            colour = "main" if i == j else "warm"
            shade = f"background: rgb(var(--{colour}-rgb) / {strength:.3f})" if n else ""
            cells.append(_Cell(n, shade, f"{true} read as {read}: {n:,} of {total:,}"))
        rows.append(_MatrixRow(true, tuple(cells)))
    return rows


def _confused_pairs(confusion: Confusion) -> list[tuple[str, str, int]]:
    """(true, read as, how often), most frequent first; ties in the order of the labels."""
    labels = confusion.labels
    wrong = [
        (labels[i], labels[j], n)
        for i, row in enumerate(confusion.counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    return sorted(wrong, key=lambda pair: -pair[2])[:_PAIRS_SHOWN]


def _layers(profile: ProfileJson) -> list[_LayerView]:
    layers = profile["layers"]
    most = max((layer["instructions"] or 0 for layer in layers), default=0) or 1
    largest = max((sum(_flash_parts(layer)) for layer in layers), default=0) or 1
    views = []
    for layer in layers:
        code, constants = _flash_parts(layer)
        known = layer.get("code") is not None or layer.get("constants") is not None
        views.append(
            _LayerView(
                layer=layer,
                per_mac=data.instructions_per_mac(layer),
                instructions=svg.bar(((layer["instructions"] or 0) / most, "main")),
                flash=svg.bar((constants / largest, "main"), (code / largest, "second")),
                flash_total=code + constants if known else None,
            )
        )
    return views


def _flash_parts(layer: LayerJson) -> tuple[int, int]:
    return layer.get("code") or 0, layer.get("constants") or 0


def _sqnr(rows: Sequence[SqnrRow]) -> list[tuple[SqnrRow, Markup]]:
    """Rows in the order of the network with their bars; the worst one is warm."""
    finite = [row.sqnr_db for row in rows if math.isfinite(row.sqnr_db)]
    best, worst = max(finite, default=1.0), min(finite, default=0.0)
    return [
        (
            row,
            svg.bar((min(row.sqnr_db, best) / max(best, 1e-9), "warm" if row.sqnr_db == worst else "main")),
        )
        for row in rows
    ]
