"""The models of the benchmark, what they are built for, and what one build costs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from lilliput import zoo
from lilliput.emulate.cycles import cycles_estimate
from lilliput.errors import UserError
from lilliput.exporters.tflite import export_tflite
from lilliput.firmware import compile, inference, reset_state
from lilliput.graph import Graph
from lilliput.importers.tflite import load_tflite
from lilliput.importers.torch import load_torch
from lilliput.passes import simplify
from lilliput.quantize import quantize
from lilliput.target import Target, load_target, target_names
from lilliput.toolchain import find_compiler

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
FILES = {"kws": "kws_ref_model", "ic": "pretrainedResnet_quant", "vww": "vww_96_int8"}
"""The networks of MLPerf Tiny that lie beside a developer's checkout."""

MODES: Mapping[str, Mapping[str, Any]] = {
    "speed": {},
    "size": {"optimize": "size"},
    "ram": {"optimize": "ram"},
    "rows": {"optimize": "ram", "feed_rows": True},
    "speed, gcc": {"compiler": "gcc"},
}
"""What `compile` is asked for. A further mode is a further entry."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network in integers; `macs` are those it was made with, whatever passes remove later."""

    name: str
    graph: Graph
    macs: int
    file_bytes: int
    """The size of its .tflite file, which is what an interpreter has in flash."""


@dataclass(frozen=True)
class Cost:
    """One build: instructions of the golden input's run, bytes, and the estimate of cycles."""

    instructions: int
    flash: int
    ram: int
    cycles: tuple[int, int]
    kernels: tuple[str, ...] = ()
    """Of the layers, in their order."""


@dataclass(frozen=True)
class Row:
    """A model on a core in a mode."""

    model: str
    core: str
    mode: str
    macs: int
    cost: Cost


def cost(graph: Graph, core: str, **options: Any) -> Cost:
    """Build and run it once on the emulated core."""
    with tempfile.TemporaryDirectory() as folder:
        firmware = compile(graph, core, name="model", out=folder, **options)
        machine, image = firmware.machine, firmware.image
        try:
            reset_state(firmware, machine)
            call = inference(firmware, machine, firmware.golden)
        finally:
            machine.close()
        least, most = cycles_estimate(call.counts, firmware.target)
    return Cost(
        call.instructions,
        image.flash.total,
        image.arena.size + firmware.stack + image.ram_static,
        (least, most),
        tuple(step.kernel.name for step in firmware.plan.steps),
    )


def loaded(path: Path) -> Graph:
    """A .tflite file as `lilliput compile` takes it."""
    return simplify(load_tflite(path.read_bytes()))


def references() -> Iterator[Model]:
    """The MLPerf Tiny networks that are there."""
    for name, file in FILES.items():
        path = SHARED / "models" / f"{file}.tflite"
        if path.exists():
            yield Model(name, loaded(path), load_tflite(path.read_bytes()).macs(), path.stat().st_size)


@dataclass(frozen=True)
class Variant:
    """An untrained network of the zoo."""

    family: str
    shape: tuple[int, int, int]
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def integer(self) -> Graph:
        """In int8; the same in every run."""
        torch.manual_seed(0)
        height, width, channels = self.shape
        module = zoo.build(self.family, input_shape=self.shape, classes=self.classes, **self.options)
        graph = load_torch(module.eval(), torch.zeros(1, channels, height, width))
        samples = np.random.default_rng(0).random((16, *self.shape), np.float32)
        return quantize(simplify(graph), samples)


# MobileNetV1 at a quarter of its width, all thirteen blocks.
QUARTER = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
VARIANTS = {
    "autoencoder 320-96-12": Variant("autoencoder", (1, 1, 320), 320, {"hidden": (96, 96, 96), "code": 12}),
    "ds_cnn 48 49x10": Variant("ds_cnn", (49, 10, 1), 10, {"channels": 48}),
    "resnet8 24x24 20-40-80": Variant("resnet8", (24, 24, 3), 20, {"width": 1.25}),
    "mobilenet_v1 0.25 64x64": Variant("mobilenet_v1", (64, 64, 3), 2, {"blocks": QUARTER}),
    "mobilenet_v2 28x28": Variant("mobilenet_v2", (28, 28, 1), 10),
}
"""Networks of the references' kinds that are not the references, so that nothing is made for these alone."""


def variants() -> Iterator[Model]:
    for name, v in VARIANTS.items():
        graph = v.integer()
        yield Model(name, graph, graph.macs(), len(export_tflite(graph)))


def models() -> list[Model]:
    return [*references(), *variants()]


def available(compiler: str, prefix: str) -> bool:
    """Whether a compiler is installed."""
    try:
        find_compiler(compiler, prefix)
    except UserError:
        return False
    return True


Case = TypeVar("Case")
Made = TypeVar("Made")


def installed() -> list[str]:
    """The cores whose emulator is there."""
    cores = map(load_target, target_names())
    return [core.name for core in cores if core.emulator == "unicorn" or _has_qemu(core)]


def _has_qemu(core: Target) -> bool:
    return core.qemu is not None and shutil.which(f"qemu-system-{core.qemu.system}") is not None


def gathered(cases: Sequence[Case], make: Callable[[Case], Made]) -> list[Made]:
    """What `make` gives for each case, without those that cannot be built, which are told."""

    def one(case: Case) -> Made | None:
        try:
            return make(case)
        except UserError as error:
            print(f"{case}: {str(error).splitlines()[0]}", file=sys.stderr)
            return None

    with ThreadPoolExecutor(2) as pool:  # compilers are processes, and emulation lets other threads run
        return [made for made in pool.map(one, cases) if made is not None]


def bench_models(cores: Sequence[str], modes: Sequence[str], found: Sequence[Model]) -> list[Row]:
    """A row per model, core and mode."""
    known = {model.name: model for model in found}

    def row(case: tuple[str, str, str]) -> Row:
        model = known[case[0]]
        return Row(*case, model.macs, cost(model.graph, case[1], **MODES[case[2]]))

    cases = [(name, core, mode) for name in known for core in cores for mode in modes]
    return gathered([case for case in cases if _possible(*case[1:])], row)


def _possible(core: str, mode: str) -> bool:
    """Whether the compiler that a mode asks for is installed."""
    return available(MODES[mode].get("compiler", "zig"), load_target(core).gcc_prefix)
