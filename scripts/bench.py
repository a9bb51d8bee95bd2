"""`make bench`: every performance claim of the project in one run: build/bench.json, docs/bench.md, docs/results.md.

Instructions are exact counts of the shipped ELF on the emulated core; times are ratios or medians: machines are noisy.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_classical import classical_rows
from bench_classical_models import model_rows
from bench_layers import STEPS, by_shape, by_step, by_type
from bench_peers import HEAD
from bench_peers import Row as Peers

from lilliput import zoo
from lilliput.firmware import compile
from lilliput.graph import Graph
from lilliput.importers.tflite import load_tflite
from lilliput.importers.torch import load_torch
from lilliput.passes import simplify
from lilliput.quantize import quantize
from lilliput.target import load_target, target_names

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
REFERENCE = {"kws": "kws_ref_model", "ic": "pretrainedResnet_quant", "vww": "vww_96_int8"}
# TFLM + CMSIS-NN, kernels at -O3, gcc 12.2, measured by the developers in the same way (QEMU, executed instructions).
PEERS = {"cortex-m4": "m4-cmsis-O3", "cortex-m7": "m7-cmsis-O3", "cortex-m0plus": "m0p-cmsis-O3"}


@dataclass(frozen=True)
class Row:
    """A model on a core."""

    model: str
    target: str
    macs: int
    instructions: int
    flash: int
    ram: int
    peer: dict[str, int] | None

    def cells(self) -> list[str]:
        def ratio(ours: int, key: str) -> str:
            return f"{ours / self.peer[key]:.2f}" if self.peer else "–"

        return [
            self.model,
            self.target,
            f"{self.instructions:,}",
            f"{self.instructions / self.macs:.2f}",
            ratio(self.instructions, "instructions"),
            f"{self.flash:,}",
            ratio(self.flash, "flash_bytes"),
            f"{self.ram:,}",
            ratio(self.ram, "ram_bytes"),
        ]


def models() -> Iterator[tuple[str, Graph]]:
    """The MLPerf Tiny references where they are, and an untrained network of the demo's kind."""
    for name, file in REFERENCE.items():
        path = SHARED / "models" / f"{file}.tflite"
        if path.exists():
            yield name, simplify(load_tflite(path.read_bytes()))
    torch.manual_seed(0)
    module = zoo.build("mobilenet_v2", input_shape=(28, 28, 1), classes=10)
    graph = simplify(load_torch(module, torch.zeros(1, 1, 28, 28)))
    samples = np.random.default_rng(0).random((16, 28, 28, 1), np.float32)
    yield "mobilenet_v2 28x28", quantize(graph, samples)


def bench_models(targets: list[str]) -> list[Row]:
    peers = SHARED / "peers" / "results.json"
    known: dict[str, Any] = json.loads(peers.read_text()) if peers.exists() else {}
    rows = []
    for name, graph in models():
        for target in targets:
            with tempfile.TemporaryDirectory() as folder:
                p = compile(graph, target, name="model", out=folder).profile()
            peer = known.get(name, {}).get(PEERS.get(target, ""))
            rows.append(
                Row(name, target, p["macs"], p["instructions"], p["flash"]["total"], p["ram"]["total"], peer)
            )
    return rows


def bench_training(pairs: int = 7) -> dict[str, float]:
    """Time of our loop over a bare one with the same model and batches: the median ratio of interleaved pairs."""
    from lilliput.train.overhead import measure

    ratios = measure(pairs)
    return {"pairs": pairs, "median_ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def bench_tool() -> dict[str, Any]:
    """Seconds from a graph in memory to a linked, profiled firmware, and emulated instructions per second."""
    name, graph = next(models())
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        firmware = compile(graph, "cortex-m4", name="model", out=folder)
        compiled = time.perf_counter() - start
        golden = {k: v.tobytes() for k, v in firmware.golden.items()}
        arena = firmware.image.arena
        firmware.machine.call("model_run", arena.origin, arena.size)
        start = time.perf_counter()
        total = 0
        for _ in range(10):
            for key, content in golden.items():
                firmware.machine.write(arena.origin + firmware.plan.offsets[key], content)
            total += firmware.machine.call("model_run", arena.origin, arena.size).instructions
        speed = total / (time.perf_counter() - start)
    return {
        "model": name,
        "compile_seconds": round(compiled, 2),
        "emulated_instructions_per_second": round(speed),
    }


def bench_peers(keep: str) -> list[Peers]:
    """Classical models against emlearn and m2cgen."""
    return [*classical_rows(keep=keep), *model_rows(keep=keep)]


def markdown(rows: list[Row], tables: dict[str, list[str]], training: dict[str, float], tool: Any) -> str:
    head = "| model | core | instructions | per MAC | ratio | flash B | ratio | RAM B | ratio |"
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` in one run; do not edit. Instructions of one inference are exact, read from the",
        "shipped ELF on the emulated core. Flash is what the model adds to an empty firmware, RAM is arena and",
        "stack bound. Kernels are portable C; the ratios",
        "compare with TFLM + CMSIS-NN at -O3 on the same core; below 1 is better than the peer.",
        "Trees and other classical models are compared with emlearn and m2cgen in",
        "[results.md](results.md#classical-models-against-emlearn-and-m2cgen).",
        "",
        head,
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
        "",
    ]
    for heading, table in tables.items():
        lines += [f"## {heading}", "", *table, ""]
    lines += [
        "## The tool itself",
        "",
        f"- training loop over a bare torch loop, median of {training['pairs']} interleaved pairs: "
        f"{training['median_ratio']:.3f} ({training['min']:.3f} to {training['max']:.3f})",
        f"- compile and link `{tool['model']}` for Cortex-M4: {tool['compile_seconds']} s",
        f"- emulated instructions per second: {tool['emulated_instructions_per_second'] / 1e6:.0f} M",
        "",
    ]
    return "\n".join(lines)


def peers_text(rows: list[Peers]) -> str:
    """The table for docs/results.md, and how often we lose."""
    lost = {mode: [r for r in rows if r.mode == mode and what in r.worse] for mode, what in ASKED.items()}
    each = len(rows) // 2
    verdict = (
        f"Asked for speed, {each - len(lost['speed'])} of {each} take no more instructions than the peer's fastest "
        f"build; asked for size, {each - len(lost['size'])} of {each} take no more flash than its smallest."
    )
    names = ", ".join(f"{r.data} {r.model} against {r.peer} ({r.mode})" for rs in lost.values() for r in rs)
    verdict += f" Lost: {names}." if names else ""
    return "\n".join([verdict, "", HEAD, *(row.markdown() for row in rows), ""])


ASKED = {"speed": "instructions", "size": "flash"}


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of `name`."""
    before, rest = path.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")
    _, after = rest.split(f"<!-- /{name} -->")
    path.write_text(f"{before}<!-- {name} -->\n{text}<!-- /{name} -->{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--targets", nargs="*", default=[t for t in target_names() if load_target(t).emulator == "unicorn"]
    )
    parser.add_argument("--no-training", action="store_true", help="leave out the training loop")
    parser.add_argument("--peers", default="", help="REGEX of data and name of classical models")
    parser.add_argument("--print", action="store_true", help="write nothing, print it")
    options = parser.parse_args()
    rows = bench_models(options.targets)
    tables = {
        "Instructions per MAC by layer shape": by_shape(options.targets),
        "Types of numbers": by_type(),
        f"Recurrent layers, sequences of {STEPS} steps": by_step(),
    }
    training = (
        {"pairs": 0, "median_ratio": 0.0, "min": 0.0, "max": 0.0} if options.no_training else bench_training()
    )
    tool = bench_tool()
    peers = bench_peers(options.peers)
    text, compared = markdown(rows, tables, training, tool), peers_text(peers)
    print(text, compared, sep="\n")
    if options.print:
        return
    (ROOT / "build").mkdir(exist_ok=True)
    facts = {
        "models": [dataclasses.asdict(row) for row in rows],
        "tables": tables,
        "training": training,
        "tool": tool,
        "peers": [dataclasses.asdict(row) for row in peers],
    }
    (ROOT / "build" / "bench.json").write_text(json.dumps(facts, indent=1))
    (ROOT / "docs" / "bench.md").write_text(text)
    put(ROOT / "docs" / "results.md", "classical", compared)


if __name__ == "__main__":
    main()
