"""The verbs that tell: profile, boards, report, ops, targets."""

from __future__ import annotations

import functools
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lilliput.cli.build import Folder, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from lilliput.supported import KernelFile
    from lilliput.target import Target


class Source(StrEnum):
    onnx = "onnx"
    tflite = "tflite"
    torch = "torch"
    keras = "keras"
    sklearn = "sklearn"


def profile(folder: Folder, json: Json = False) -> None:
    """Instructions, memory and cycles, in total and by layer."""
    from lilliput.cli.support import print_json, show
    from lilliput.report.terminal import profile_view

    facts = _profile(folder, quiet=json)
    if json:
        print_json(facts)
    else:
        show(profile_view(facts))


def _profile(folder: Path, quiet: bool) -> Any:
    from lilliput.console import status
    from lilliput.firmware import open_build

    with status("running on the emulated core …", quiet=quiet):
        return open_build(folder).profile()


def boards(
    folder: Folder,
    latency: Annotated[
        str | None, typer.Option(metavar="TIME", help="At most this per inference, such as 20ms.")
    ] = None,
    ram: Annotated[
        str | None, typer.Option(metavar="BYTES", help="At most this much RAM, such as 20k.")
    ] = None,
    flash: Annotated[
        str | None, typer.Option(metavar="BYTES", help="At most this much flash, such as 64k.")
    ] = None,
    energy: Annotated[
        str | None, typer.Option(metavar="ENERGY", help="At most this per inference, such as 1mJ.")
    ] = None,
    json: Json = False,
) -> None:
    """Which real boards the model fits, and the smallest that will do."""
    from lilliput.boards import boards as ranking
    from lilliput.boards import fits_table, ranked, recommend
    from lilliput.cli.support import print_json, show

    choose = functools.partial(ranked, latency=latency, ram=ram, flash=flash, energy=energy)
    choose(_NOTHING)  # a mistyped limit is found before the run
    facts = _profile(folder, quiet=json)
    if json:
        print_json(ranking(facts, latency=latency, ram=ram, flash=flash, energy=energy))
        return
    fits = choose(facts)
    show(fits_table(fits), "", recommend(fits).reason)


_NOTHING: dict[str, object] = {
    "target": "cortex-m4",
    "cycles_estimate": [1, 1],
    "flash": {"total": 0},
    "ram": {"total": 0},
    "layers": [],
}


def report(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: DIR/report.html.")
    ] = None,
    json: Json = False,
) -> None:
    """One HTML page of all that is known; it opens offline."""
    from lilliput.cli.support import check_place, print_json, show
    from lilliput.console import status
    from lilliput.deploy import report_of
    from lilliput.report.html import write_html

    page = output or folder / "report.html"
    check_place(page, "--output")
    with status("collecting …", quiet=json):
        write_html(report_of(folder), page)
    if json:
        print_json({"report": str(page)})
    else:
        show(f"report in {page}")


def ops(
    source: Annotated[
        Source | None, typer.Option("--from", help="What is read of this format, by its own names.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a Markdown table, for documentation.")
    ] = False,
    json: Json = False,
) -> None:
    """The supported operators, with their types and C kernels."""
    from lilliput.cli.support import print_json, show
    from lilliput.supported import accepted, kernel_files, supported, types_text

    if source is not None:
        names = accepted()[source.value]
        print_json(names) if json else show("\n".join(names))
        return
    rows = supported()
    if json:
        print_json(rows)
        return
    lines = [(row, types_text(row["dtypes"]), kernel_files(row["op"])) for row in rows]
    if markdown:
        print("| operator | family | types | kernels |\n|---|---|---|---|")
        for row, types, files in lines:
            print(f"| `{row['op']}` | {row['family']} | {types} | {_kernels(files, '`')} |")
        return
    table = _table("Operator", "Types", "Kernels")
    family = ""
    for row, types, files in lines:
        if row["family"] != family:
            table.add_section()
            family = row["family"]
        table.add_row(row["op"], types, _kernels(files))
    show(table)


def _kernels(files: Sequence[KernelFile], mark: str = "") -> str:
    """The files, the core's features that they need, and how many forms of each there are."""
    told = []
    for f in files:
        forms = f" ×{f.forms}" if f.forms > 1 else ""
        isa = f" ({', '.join(f.isa)})" if f.isa else ""
        told.append(f"{mark}{f.name}{mark}{forms}{isa}")
    return ", ".join(told) or "none needed"


def targets(json: Json = False) -> None:
    """The cores that compile knows."""
    from lilliput.cli.support import print_json, show
    from lilliput.report import units
    from lilliput.target import load_target, target_names

    cores = [load_target(name) for name in target_names()]
    if json:
        print_json([_core(t) for t in cores])
        return
    table = _table("Core", "What it is", "Emulator", ">Flash", ">RAM")
    for t in cores:
        table.add_row(t.name, t.description, t.emulator, units.size(t.flash.size), units.size(t.ram.size))
    show(table)


def _core(t: Target) -> dict[str, Any]:
    facts = {name: getattr(t, name) for name in ("name", "description", "arch", "emulator")}
    return {**facts, "isa": sorted(t.isa), "flash": t.flash.size, "ram": t.ram.size}


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for heading in headings:
        number = heading.startswith(">")
        table.add_column(
            heading.removeprefix(">"), justify="right" if number else "left", overflow="fold", no_wrap=number
        )
    return table
