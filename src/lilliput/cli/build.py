"""The verbs that make and run firmware: compile, run, validate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lilliput.firmware import Firmware
    from lilliput.graph import Graph


class Compiler(StrEnum):
    zig = "zig"
    gcc = "gcc"


class Optimize(StrEnum):
    speed = "speed"
    size = "size"


class Method(StrEnum):
    minmax = "minmax"
    percentile = "percentile"
    mse = "mse"


class Io(StrEnum):
    int8 = "int8"
    float32 = "float32"


class Place(StrEnum):
    host = "host"
    emulator = "emulator"
    qemu = "qemu"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that compile wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def compile(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .lil or .tflite file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the C, its graph and its ELF.")
    ],
    target: Annotated[
        str, typer.Option(metavar="CORE", help="The core; lilliput targets lists them.")
    ] = "cortex-m4",
    calibration: Annotated[
        Path | None, typer.Option(metavar="X.npz", help="Samples x (N first): makes a float model int8.")
    ] = None,
    calibration_method: Annotated[Method, typer.Option(help="How the samples give ranges.")] = Method.minmax,
    io: Annotated[Io, typer.Option(help="Type of inputs and outputs of a model made int8.")] = Io.int8,
    name: Annotated[str | None, typer.Option(help="Prefix of all C names; default: MODEL's.")] = None,
    compiler: Annotated[Compiler, typer.Option(help="C compiler.")] = Compiler.zig,
    optimize: Annotated[Optimize, typer.Option(help="What the C compiler aims at.")] = Optimize.speed,
    json: Json = False,
) -> None:
    """Turn a model into C99 and firmware for a core."""
    from lilliput.cli.support import print_json, show
    from lilliput.console import status
    from lilliput.deploy import identifier_of
    from lilliput.firmware import compile as compile_graph
    from lilliput.loading import load

    graph = load(model)
    if calibration is not None:
        graph = _calibrated(graph, calibration, calibration_method.value, io.value)
    with status(f"compiling for {target} …", quiet=json):
        firmware = compile_graph(
            graph,
            target,
            name=name or identifier_of(model.stem),
            out=output,
            compiler=compiler.value,
            optimize=optimize.value,
        )
    facts = facts_of(firmware)
    if json:
        print_json(facts)
        return
    show(_compiled_view(firmware, facts))


def _calibrated(graph: Graph, calibration: Path, method: Any, io: Any) -> Graph:
    from lilliput.deploy import recorded_input_quant
    from lilliput.npz import read_samples
    from lilliput.quantize import quantize

    samples = read_samples(calibration, graph)
    return quantize(graph, samples, method=method, io=io, input_quant=recorded_input_quant(graph))


def facts_of(firmware: Firmware) -> dict[str, Any]:
    """What compile knows without running anything."""
    image, graph = firmware.image, firmware.graph
    static = image.ram_static
    return {
        "name": firmware.name,
        "target": firmware.target.name,
        "folder": str(firmware.folder),
        "layers": len(firmware.plan.steps),
        "macs": graph.macs(),
        "flash": {"code": image.flash.code, "constants": image.flash.constants, "total": image.flash.total},
        "ram": {
            "arena": image.arena.size,
            "stack": firmware.stack,
            "static": static,
            "total": image.arena.size + firmware.stack + static,
        },
        "inputs": [_tensor(graph, name) for name in graph.inputs],
        "outputs": [_tensor(graph, name) for name in graph.outputs],
    }


def _tensor(graph: Graph, name: str) -> dict[str, Any]:
    t = graph.tensors[name]
    return {"name": name, "shape": list(t.shape), "dtype": t.dtype}


def _compiled_view(firmware: Firmware, facts: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from lilliput.report import units

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_column(style="dim", overflow="fold")
    flash, ram = facts["flash"], facts["ram"]
    about = f"{facts['layers']} layers, {units.count(facts['macs'])} MACs for {firmware.target.name}"
    grid.add_row("Model", firmware.name, about)
    for side in ("inputs", "outputs"):
        for t in facts[side]:
            grid.add_row(side.removesuffix("s").capitalize(), t["dtype"], "×".join(map(str, t["shape"])))
    parts = f"code {units.size(flash['code'])} + constants {units.size(flash['constants'])}"
    grid.add_row("Flash", units.size(flash["total"]), parts)
    parts = f"arena {units.size(ram['arena'])} + stack {units.size(ram['stack'])}"
    grid.add_row("RAM", units.size(ram["total"]), parts)
    return Group(grid, Text(f"Written: {firmware.folder / firmware.name}.c, .h, .lil and .elf"))


def run(
    folder: Folder,
    input: Annotated[
        Path, typer.Option(metavar="X.npz", help="Samples x, N first: int8 as they are, or float.")
    ],
    output: Annotated[Path, typer.Option(metavar="Y.npz", help="Gets the results y, N first.")],
    on: Annotated[Place, typer.Option(help="Where the firmware runs.")] = Place.emulator,
    json: Json = False,
) -> None:
    """Run the firmware on samples."""
    from lilliput.cli.support import check_place, print_json, show
    from lilliput.console import progress
    from lilliput.firmware import open_build
    from lilliput.npz import read_samples, write_npz

    check_place(output, "--output")
    firmware = open_build(folder)
    x = read_samples(input, firmware.graph)
    with progress(f"{firmware.name} on {on.value}", len(x), quiet=json) as done:
        y = firmware.run(x, on.value, done)
    write_npz(output, y=y)
    facts = {
        "samples": len(x),
        "on": on.value,
        "output": str(output),
        "shape": list(y.shape),
        "dtype": str(y.dtype),
    }
    if json:
        print_json(facts)
    else:
        shape = "×".join(map(str, y.shape))
        where = "this machine" if on is Place.host else f"{firmware.target.name} ({on.value})"
        show(f"{len(x):,} samples on {where}: y {y.dtype} {shape} in {output}")


def validate(
    folder: Folder,
    data: Annotated[Path, typer.Option(metavar="X.npz", help="Samples x, N first.")],
    json: Json = False,
) -> None:
    """Prove it: reference, host C and emulated core agree bit for bit."""
    from lilliput.cli.support import print_json, show
    from lilliput.console import progress
    from lilliput.firmware import open_build
    from lilliput.npz import read_samples
    from lilliput.report.terminal import validation_view
    from lilliput.validate import validate as prove

    firmware = open_build(folder)
    x = read_samples(data, firmware.graph)
    with progress(f"{firmware.name} on {firmware.target.name}", len(x), quiet=json) as done:
        result: Any = prove(firmware, x, progress=done)
    if json:
        print_json(result)
    else:
        show(validation_view(result))
    if not result["bit_exact"]:
        raise typer.Exit(1)
