"""`make bench`: every performance claim of the project in one run, to build/bench.json and docs/bench.md.

Instructions are exact counts of the shipped ELF on the emulated core; times are ratios or medians: machines are noisy.
"""

from __future__ import annotations

import argparse
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

from lilliput import zoo
from lilliput.examples import float_graph, ranges_of
from lilliput.firmware import compile
from lilliput.graph import Graph
from lilliput.importers.tflite import load_tflite
from lilliput.importers.torch import load_torch
from lilliput.op import Example
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
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


def layers() -> Iterator[tuple[str, Example]]:
    """The shape classes that networks for microcontrollers are made of."""
    rng = np.random.default_rng(0)

    def w(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    for pixels, ic, oc in ((12, 64, 64), (24, 16, 32), (24, 8, 16), (14, 48, 8), (14, 8, 48)):
        yield (
            f"pointwise {pixels}x{pixels} {ic}->{oc}",
            Example(Conv2d(), ((1, pixels, pixels, ic), w(oc, 1, 1, ic), np.zeros(oc, np.float32))),
        )
    same = ((1, 1), (1, 1))
    for size, ic, oc, stride in ((8, 16, 16, 1), (32, 3, 16, 1), (28, 1, 16, 2)):
        yield (
            f"conv 3x3 {size}x{size} {ic}->{oc} /{stride}",
            Example(
                Conv2d(stride=(stride, stride), padding=same),
                ((1, size, size, ic), w(oc, 3, 3, ic), np.zeros(oc, np.float32)),
            ),
        )
    for size, c, stride in ((12, 64, 1), (48, 8, 1), (14, 48, 2)):
        yield (
            f"depthwise 3x3 {size}x{size} {c} /{stride}",
            Example(
                DepthwiseConv2d(stride=(stride, stride), padding=same),
                ((1, size, size, c), w(1, 3, 3, c), np.zeros(c, np.float32)),
            ),
        )
    yield "linear 64->64", Example(Linear(), ((1, 64), w(64, 64), np.zeros(64, np.float32)))


def bench_layers(targets: list[str]) -> list[dict[str, Any]]:
    rows = []
    for label, example in layers():
        graph = float_graph(example)
        integer = quantize(graph, ranges=ranges_of(graph, 1))
        counts, kernels = {}, {}
        for target in targets:
            with tempfile.TemporaryDirectory() as folder:
                profile = compile(integer, target, name="layer", out=folder).profile()
            counts[target] = profile["instructions"] / profile["macs"]
            kernels[profile["layers"][0]["kernel"]] = None
        rows.append({"layer": label, "kernel": ", ".join(kernels), "instructions_per_mac": counts})
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


def markdown(
    rows: list[Row], per_layer: list[dict[str, Any]], training: dict[str, float], tool: dict[str, Any]
) -> str:
    head = "| model | core | instructions | per MAC | ratio | flash B | ratio | RAM B | ratio |"
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` in one run; do not edit. Instructions of one inference are exact, read from the",
        "shipped ELF on the emulated core. Flash is what the model adds to an empty firmware, RAM is arena and",
        "stack bound. Kernels are portable C; the ratios",
        "compare with TFLM + CMSIS-NN at -O3 on the same core; below 1 is better than the peer.",
        "",
        head,
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
        "",
        "## Instructions per MAC by layer shape",
        "",
    ]
    targets = list(per_layer[0]["instructions_per_mac"])
    lines += ["| layer | kernel | " + " | ".join(targets) + " |", "|---|---|" + "--:|" * len(targets)]
    for row in per_layer:
        counts = " | ".join(f"{row['instructions_per_mac'][t]:.2f}" for t in targets)
        lines.append(f"| {row['layer']} | {row['kernel']} | {counts} |")
    lines += [
        "",
        "## The tool itself",
        "",
        f"- training loop over a bare torch loop, median of {training['pairs']} interleaved pairs: "
        f"{training['median_ratio']:.3f} ({training['min']:.3f} to {training['max']:.3f})",
        f"- compile and link `{tool['model']}` for Cortex-M4: {tool['compile_seconds']} s",
        f"- emulated instructions per second: {tool['emulated_instructions_per_second'] / 1e6:.0f} M",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--targets", nargs="*", default=[t for t in target_names() if load_target(t).emulator == "unicorn"]
    )
    parser.add_argument("--no-training", action="store_true", help="leave out the training loop")
    options = parser.parse_args()
    rows = bench_models(options.targets)
    per_layer = bench_layers(options.targets)
    training = (
        {"pairs": 0, "median_ratio": 0.0, "min": 0.0, "max": 0.0} if options.no_training else bench_training()
    )
    tool = bench_tool()
    text = markdown(rows, per_layer, training, tool)
    (ROOT / "build").mkdir(exist_ok=True)
    facts = {
        "models": [row.__dict__ for row in rows],
        "layers": per_layer,
        "training": training,
        "tool": tool,
    }
    (ROOT / "build" / "bench.json").write_text(json.dumps(facts, indent=1))
    (ROOT / "docs" / "bench.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
