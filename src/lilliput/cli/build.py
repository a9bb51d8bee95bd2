"""The verbs that make and run firmware: compile, run, validate."""

from __future__ import annotations

import re
import tempfile
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
    ram = "ram"


class Method(StrEnum):
    minmax = "minmax"
    percentile = "percentile"
    mse = "mse"


class Io(StrEnum):
    int8 = "int8"
    float32 = "float32"


class Activations(StrEnum):
    int8 = "int8"
    int16 = "int16"


class Weights(StrEnum):
    int8 = "int8"
    int4 = "int4"


class Place(StrEnum):
    host = "host"
    emulator = "emulator"
    qemu = "qemu"


ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A .lil, .tflite, .onnx, .keras or .skops file.")
]
CalibrationFile = Annotated[
    Path | None, typer.Option("--calibration", metavar="X.npz", help="Samples x (N first): quantizes floats.")
]
CalibrationMethod = Annotated[
    Method | None, typer.Option(help="How the samples give ranges; default: minmax.", show_default=False)
]
IoType = Annotated[
    Io | None,
    typer.Option(help="Inputs and outputs of what is quantized; default: int8.", show_default=False),
]
ActivationType = Annotated[
    Activations | None, typer.Option(help="Type between the layers; default: int8.", show_default=False)
]
WeightType = Annotated[
    Weights | None, typer.Option(help="Type of the weights; default: int8.", show_default=False)
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape", metavar="INPUT=1,3,32,32", help="Shape of an input that an ONNX or Keras file leaves open."
    ),
]
ExternalData = Annotated[
    bool, typer.Option("--external-data", help="Admit weights in other files of an ONNX model's folder.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder that compile wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def compile(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the C, its graph and its ELF.")
    ],
    target: Annotated[
        str, typer.Option(metavar="CORE", help="The core; lilliput targets lists them.")
    ] = "cortex-m4",
    calibration: CalibrationFile = None,
    calibration_method: CalibrationMethod = None,
    io: IoType = None,
    activations: ActivationType = None,
    weights: WeightType = None,
    stateful: Annotated[
        bool, typer.Option("--stateful", help="Keep what GRU, LSTM and RNN layers know from run to run.")
    ] = False,
    shape: Shapes = None,
    external_data: ExternalData = False,
    name: Annotated[str | None, typer.Option(help="Prefix of all C names; default: MODEL's.")] = None,
    compiler: Annotated[Compiler, typer.Option(help="C compiler.")] = Compiler.zig,
    optimize: Annotated[
        Optimize, typer.Option(help="What kernels, memory plan and C compiler aim at.")
    ] = Optimize.speed,
    ram: Annotated[
        str | None,
        typer.Option(
            metavar="BYTES", help="A budget, 20480 or 20k: the fastest plan within it, and its price."
        ),
    ] = None,
    feed_rows: Annotated[
        bool, typer.Option("--feed-rows", help="The input comes row by row, as from a camera.")
    ] = False,
    json: Json = False,
) -> None:
    """Turn a model into C99 and firmware for a core."""
    from lilliput.cli.support import print_json, show
    from lilliput.console import status
    from lilliput.deploy import identifier_of
    from lilliput.firmware import compile as compile_graph
    from lilliput.passes.states import stateful as keeping_states

    graph = read_model(model, shape, external_data)
    graph = calibrated(graph, calibration, calibration_method, io, activations, weights)
    if stateful:
        graph = keeping_states(graph)
    with status(f"compiling for {target} …", quiet=json):
        firmware = compile_graph(
            graph,
            target,
            name=name or identifier_of(model.stem),
            out=output,
            compiler=compiler.value,
            optimize=optimize.value,
            ram=None if ram is None else byte_count(ram),
            feed_rows=feed_rows,
        )
        facts = facts_of(firmware) | ({} if ram is None else {"trade": trade(firmware)})
    if json:
        print_json(facts)
        return
    show(_compiled_view(firmware, facts))


def byte_count(text: str) -> int:
    """20480, 20k or 1M as bytes."""
    from lilliput.errors import UserError

    found = re.fullmatch(r"(\d{1,9})([kKM]?)", text.strip())
    if found is None:
        raise UserError(f"--ram {text}: expected a number of bytes such as 20480, 20k or 1M")
    return int(found[1]) * {"": 1, "k": 1024, "K": 1024, "M": 1024**2}[found[2]]


def trade(firmware: Firmware) -> dict[str, int]:
    """What a RAM budget costs: RAM and instructions of this firmware and of the one without a budget."""
    from lilliput.firmware import compile as compile_graph

    with tempfile.TemporaryDirectory() as folder:
        free = compile_graph(
            firmware.graph,
            firmware.target,
            name=firmware.name,
            out=folder,
            compiler=firmware.compiler,
            optimize=firmware.optimize,
            feed_rows=firmware.plan.fed is not None,
        )
        before, after = (f.profile() for f in (free, firmware))
    return {
        "ram": after["ram"]["total"],
        "instructions": after["instructions"],
        "ram_without": before["ram"]["total"],
        "instructions_without": before["instructions"],
    }


def read_model(model: Path, shape: list[str] | None, external_data: bool) -> Graph:
    """The graph of a file, as the options that all verbs share want it."""
    from lilliput.errors import UserError
    from lilliput.loading import load

    shapes = _shapes(shape or [])
    graph = load(model, shapes=shapes, external_data=external_data)
    for name, dims in shapes.items():
        if name not in graph.inputs:
            raise UserError(f"--shape {name}: '{model}' has no such input; it has {', '.join(graph.inputs)}")
        found = graph.tensors[name].shape  # in any order: planes are stored channels-last
        if sorted(found) != sorted(dims):
            raise UserError(f"--shape {name}: '{model}' fixes it as {'x'.join(map(str, found))}")
    return graph


def _shapes(given: list[str]) -> dict[str, tuple[int, ...]]:
    """--shape x=1,3,32,32 as a mapping."""
    from lilliput.errors import UserError

    shapes = {}
    for text in given:
        name, _, dims = text.rpartition("=")
        if not name or not all(d.strip().isdecimal() for d in dims.split(",")):
            raise UserError(f"--shape {text}: expected INPUT=1,3,32,32, a name and positive whole numbers")
        shapes[name] = tuple(int(d) for d in dims.split(","))
    return shapes


def calibrated(
    graph: Graph,
    calibration: Path | None,
    method: Method | None,
    io: Io | None,
    activations: Activations | None,
    weights: Weights | None,
) -> Graph:
    """The integer form of a float graph, calibrated on the samples of a file; the graph itself without a file."""
    from lilliput.deploy import recorded_input_quant
    from lilliput.errors import UserError
    from lilliput.npz import read_samples
    from lilliput.quantize import quantize

    asked = {"calibration-method": method, "io": io, "activations": activations, "weights": weights}
    given = {name: choice.value for name, choice in asked.items() if choice is not None}
    if calibration is None:
        if given:
            name, value = next(iter(given.items()))
            raise UserError(
                f"--{name} {value} says how a float model is quantized, which takes typical samples: add "
                "--calibration X.npz"
            )
        return graph
    options: dict[str, Any] = {name.removeprefix("calibration-"): value for name, value in given.items()}
    samples = read_samples(calibration, graph)
    done = quantize(graph, samples, input_quant=recorded_input_quant(graph), **options)
    if weights is Weights.int4 and all(t.dtype != "int4" for t in done.tensors.values()):
        raise UserError(
            "--weights int4: no layer of this model has such a form; convolutions and linear layers between int8 "
            "activations have"
        )
    return done


def facts_of(firmware: Firmware) -> dict[str, Any]:
    """What compile knows without running anything."""
    from lilliput.profile import removed_channels

    image, graph = firmware.image, firmware.graph
    static = image.ram_static
    return {
        "name": firmware.name,
        "target": firmware.target.name,
        "folder": str(firmware.folder),
        "layers": len(firmware.plan.steps),
        "macs": graph.macs(),
        "removed": removed_channels(graph),
        "flash": {"code": image.flash.code, "constants": image.flash.constants, "total": image.flash.total},
        "ram": {
            "arena": image.arena.size,
            "stack": firmware.stack,
            "static": static,
            "total": image.arena.size + firmware.stack + static,
        },
        "streams": [[s.first, s.last] for s in firmware.plan.streams],
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
    if facts["removed"] and len(set(facts["removed"]["channels"])) == 2:
        before, after = facts["removed"]["channels"]
        macs = " → ".join(units.count(n) for n in facts["removed"]["macs"])
        what = f"of {before:,} channels hold one value for any input, or feed only such: {macs} MACs"
        grid.add_row("Left out", f"{before - after:,}", what)
    for first, last in facts["streams"]:
        grid.add_row(
            "By rows",
            f"layers {first + 1} to {last + 1}",
            "only a few rows of the tensors between them exist",
        )
    paid = facts.get("trade")
    if paid and paid["ram"] < paid["ram_without"]:
        more = paid["instructions"] / paid["instructions_without"] - 1
        saved = units.size(paid["ram_without"] - paid["ram"])
        grid.add_row(
            "Budget", f"{100 * more:+.1f} % instructions", f"for {saved} of RAM less than without a budget"
        )
    return Group(grid, Text(f"Written: {firmware.folder / firmware.name}.c, .h, .lil and .elf"))


def run(
    folder: Folder,
    input: Annotated[
        Path, typer.Option(metavar="X.npz", help="Samples x, N first: int8 as they are, or float.")
    ],
    output: Annotated[
        Path,
        typer.Option(metavar="Y.npz", help="Gets the results y, N first; several outputs by name as well."),
    ],
    on: Annotated[Place, typer.Option(help="Where the firmware runs.")] = Place.emulator,
    json: Json = False,
) -> None:
    """Run the firmware on samples."""
    from lilliput.cli.support import check_place, print_json, show
    from lilliput.console import progress
    from lilliput.evaluate import sample_count
    from lilliput.firmware import open_build
    from lilliput.npz import read_samples, write_npz

    check_place(output, "--output")
    firmware = open_build(folder)
    x = read_samples(input, firmware.graph)
    count = sample_count(x)
    with progress(f"{firmware.name} on {on.value}", count, quiet=json) as done:
        found = firmware.outputs(x, on.value, done)
    y = found[firmware.graph.outputs[0]]
    write_npz(output, **({"y": y} | (found if len(found) > 1 else {})))
    facts = {
        "samples": count,
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
        show(f"{count:,} samples on {where}: y {y.dtype} {shape} in {output}")


def validate(
    folder: Folder,
    data: Annotated[Path, typer.Option(metavar="X.npz", help="Samples x, N first.")],
    json: Json = False,
) -> None:
    """Prove it: reference, host C and emulated core agree bit for bit."""
    from lilliput.cli.support import print_json, show
    from lilliput.console import progress
    from lilliput.evaluate import sample_count
    from lilliput.firmware import open_build
    from lilliput.npz import read_samples
    from lilliput.report.terminal import validation_view
    from lilliput.validate import validate as prove

    firmware = open_build(folder)
    x = read_samples(data, firmware.graph)
    with progress(f"{firmware.name} on {firmware.target.name}", sample_count(x), quiet=json) as done:
        result: Any = prove(firmware, x, progress=done)
    if json:
        print_json(result)
    else:
        show(validation_view(result))
    if not result["bit_exact"]:
        raise typer.Exit(1)
