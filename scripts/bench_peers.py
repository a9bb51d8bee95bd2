"""Our C and a peer's for the same fitted model: flash, RAM and instructions in the same application on one core.

Everybody's C goes through the same compiler and flags into the same application, which holds the features and the
result in one arena and calls the predictor. A figure belongs to one build. Ours is what `compile --optimize` makes for
speed and for size; the peer's is, of its forms and of -O3 and -Os, the build with the fewest instructions, and the one
with the least flash.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput import emit
from lilliput.build import Optimize, build_firmware
from lilliput.emulate import open_machine
from lilliput.emulate.stack import stack_bound
from lilliput.firmware import PICKS
from lilliput.graph import Array, Graph
from lilliput.plan import plan
from lilliput.target import Region, Target

HUGE = 16 * 2**20
"""Bytes of flash and RAM: peers' forests take hundreds of KB of stack."""


@dataclass(frozen=True)
class Cost:
    """What the application needs and does for one prediction: bytes, bytes, mean instructions."""

    flash: int
    ram: int
    instructions: float


MODES: Mapping[Optimize, Callable[[Cost], tuple[float, ...]]] = {
    "speed": lambda c: (c.instructions, c.flash),
    "size": lambda c: (c.flash, c.instructions),
}
"""What the tool is asked for, and which of a peer's builds answers to it."""


@dataclass(frozen=True)
class Application:
    """C with a function `int app_run(void *arena, size_t size)`, its arena, and the samples' bytes.

    The result is `count` values of type `dtype` at byte `result` of the arena.
    """

    code: str
    arena: int
    samples: tuple[bytes, ...]
    result: int
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class Row:
    """A model against a peer, both asked for speed or for size; on how many samples they disagree."""

    data: str
    model: str
    peer: str
    mode: Optimize
    ours: Cost
    theirs: Cost
    differences: int

    @property
    def worse(self) -> list[str]:
        """The figures in which we lose."""
        return [
            what
            for what in ("flash", "ram", "instructions")
            if round(getattr(self.ours, what)) > round(getattr(self.theirs, what))
        ]

    def markdown(self) -> str:
        """Ours / theirs; what is worse than the peer's is bold and named."""
        cells = [self.data, self.model, self.peer, self.mode]
        for what in ("flash", "ram", "instructions"):
            a, b = (round(getattr(cost, what)) for cost in (self.ours, self.theirs))
            cells.append(f"**{a:,}** / {b:,}" if what in self.worse else f"{a:,} / {b:,}")
        verdict = f"**worse**: {', '.join(self.worse)}" if self.worse else ""
        return "| " + " | ".join([*cells, str(self.differences), verdict]) + " |"


HEAD = (
    "| data | model | peer | for | flash B | RAM B | instructions | differences | |\n"
    "|---|---|---|---|--:|--:|--:|--:|---|"
)

HEADER = """
#include <stddef.h>
#define APP_ARENA_SIZE {arena}u
#define APP_ARENA_ALIGN 8u
#define APP_STATE_SIZE 0u
int app_run(void *arena, size_t size);
int app_selftest(void *arena, size_t size);
"""
SELFTEST = "int app_selftest(void *arena, size_t size) { (void)arena; (void)size; return 0; }\n"


def measure(app: Application, target: Target, optimize: Optimize) -> tuple[Cost, Array]:
    """One build: what it costs, and the results for the samples."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "app.c"
        (Path(folder) / "app.h").write_text(HEADER.format(arena=app.arena))
        source.write_text('#include "app.h"\n' + app.code + SELFTEST)
        image = build_firmware(
            [source],
            Path(folder) / "app.elf",
            target,
            prefix="app",
            optimize=optimize,
            flash=Region(target.flash.origin, HUGE),
            ram=Region(target.ram.origin, HUGE),
            extra=("-w",),
        )
        machine = open_machine(image)
        counts, found = [], []
        for sample in app.samples:
            machine.write(image.arena.origin, sample)
            counts.append(machine.call("app_run", image.arena.origin, app.arena).instructions)
            content = machine.read(image.arena.origin + app.result, app.count * app.dtype.itemsize)
            found.append(np.frombuffer(content, app.dtype).astype(np.float64))
        machine.close()
        cost = Cost(image.flash.total, app.arena + stack_bound(image, "app_run"), float(np.mean(counts)))
    return cost, np.array(found)


def ours(graph: Graph, x: Array, optimize: Optimize) -> Application:
    """Lilliput's C as a part of the application, with the kernels that `compile` picks."""
    planned = plan(graph, pick=PICKS[optimize])
    emitted = emit.emit(planned, "model")
    code = emitted.header + emitted.source.replace('#include "model.h"', "")
    code += "int app_run(void *arena, size_t size) { return model_run(arena, size); }\n"
    offset = planned.offsets[graph.inputs[0]]
    samples = tuple(b"\0" * offset + np.ascontiguousarray(row).tobytes() for row in x)
    result = graph.tensors[graph.outputs[-1]]
    at = planned.offsets[result.name]
    return Application(code, planned.arena, samples, at, np.dtype(result.dtype), result.size)


def compare(
    names: tuple[str, str, str],
    graph: Graph,
    x: Array,
    peers: Sequence[Application],
    target: Target,
    differ: Callable[[Array, Array], int],
    truth: Array | None = None,
) -> list[Row]:
    """A row per mode; `names` are those of data, model and peer, `differ` counts the samples of unequal results.

    `truth` are the results of the library that fitted the model, which ours must be: differences are the peer's then.
    """
    wanted = [(app, optimize) for app in peers for optimize in MODES]
    wanted += [(ours(graph, x, mode), mode) for mode in MODES]
    with ThreadPoolExecutor(2) as pool:  # compilers are processes, and emulation lets other threads run
        made = list(pool.map(lambda pair: measure(pair[0], target, pair[1]), wanted))
    builds, own = made[: -len(MODES)], made[-len(MODES) :]
    rows = []
    for (mode, first), (cost, found) in zip(MODES.items(), own, strict=True):
        if truth is not None and differ(found, truth):
            raise AssertionError(f"{names}: {differ(found, truth)} results of ours are not the library's")
        best, expected = min(builds, key=lambda build: first(build[0]))
        rows.append(Row(*names, mode, cost, best, differ(found, expected)))
    return rows
