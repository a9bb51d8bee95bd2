"""TFLM + CMSIS-NN and the other engines: what was measured of them, and a low estimate where nothing was.

The figures lie beside a developer's checkout, in ../shared/peers: one inference on Cortex-M cores in QEMU, gcc 12.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

from bench_models import SHARED, Model

from lilliput.graph import Graph
from lilliput.op import Site

HEADLINE = "cmsis-O3"
"""The strongest peer that has right outputs on all models: what ratios compare with."""
CORES = {"m0p": "cortex-m0plus", "m4": "cortex-m4", "m7": "cortex-m7", "m55": "cortex-m55"}
ENGINES = {
    "cmsis-O3": "TFLM + CMSIS-NN -O3",
    "cmsis-off": "TFLM + CMSIS-NN as shipped (-O2)",
    "cmsis-Os": "TFLM + CMSIS-NN -Os",
    "ref-O3": "TFLM reference kernels -O3",
    "tinyengine-Ofast": "TinyEngine -Ofast",
    "o2c-O3": "onnx2c (float) -O3",
    "emx-O3": "emx-onnx-cgen (float) -O3",
}


@dataclass(frozen=True)
class Peer:
    """An engine with a model on a core; `wrong` are outputs that differ from TFLM's; `estimated`: not measured."""

    engine: str
    instructions: int
    flash: int
    ram: int
    wrong: int = 0
    estimated: bool = False


@cache
def _file() -> dict[str, dict[str, Any]]:
    path = SHARED / "peers" / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def measured(model: str, core: str) -> list[Peer]:
    """Every engine that was measured, the headline first."""
    found = []
    for key, figures in _file().get(model, {}).items():
        short, _, engine = key.partition("-")
        if CORES[short] == core:
            wrong = figures.get("outputs_differing_from_tflm", 0)
            sizes = figures["instructions"], figures["flash_bytes"], figures["ram_bytes"]
            found.append(Peer(ENGINES.get(engine, engine), *sizes, wrong))
    return sorted(found, key=lambda peer: peer.engine != ENGINES[HEADLINE])


def headline(model: Model, core: str) -> Peer | None:
    """TFLM + CMSIS-NN at -O3: measured, or for another model on Cortex-M4 a low estimate."""
    for peer in measured(model.name, core):
        if peer.engine == ENGINES[HEADLINE]:
            return peer
    return estimate(model) if core == "cortex-m4" else None


# Single layers of CMSIS-NN on Cortex-M4 were counted: three pointwise convolutions and a matrix product lie within 3 %
# of a line in multiply-accumulates and results; a fully connected one of 64 x 64 took 10,920, and a depthwise one 8.5
# per multiply-accumulate. An addition and the copies to columns take 8 % each of `ic`.
PER_MAC, PER_LINEAR_MAC, PER_DEPTHWISE_MAC = 1.45, 2.0, 8.5
PER_RESULT, PER_SUM, PER_COPY = 40.2, 83.0, 4.9
CODE, TABLES, STACK = 56_296, 5_844, 2_404
"""Bytes of TFLM beside the file in flash; of its structures in the arena; of stack and static data: the least seen."""


def estimate(model: Model) -> Peer:
    """The least that TFLM + CMSIS-NN takes on Cortex-M4, for a model that was not measured on it.

    Flash is the file and the least code that it needed for another model; RAM the tensors alive at once in the busiest
    layer and what it needed besides. Of the three measured models this gives 0.88 to 0.96 of the instructions, all of
    the flash and 0.62 to 1.0 of the RAM, so that a ratio to it is too high, if anything.
    """
    instructions = sum(_instructions(site) for site in model.graph.sites())
    ram = busiest(model.graph) + TABLES + STACK
    return Peer(ENGINES[HEADLINE], round(instructions), model.file_bytes + CODE, ram, estimated=True)


def busiest(graph: Graph) -> int:
    """Bytes of the tensors that are alive at once, at most, where none takes the place of another."""
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    alive = {name for name in graph.inputs if name in last}
    most = 0
    for i, node in enumerate(graph.nodes):
        alive |= set(node.outputs)
        most = max(most, sum(graph.tensors[name].nbytes for name in alive))
        alive = {name for name in alive if last.get(name, i) > i}
    return most


def _instructions(site: Site) -> float:
    macs, results = site.op.macs(site), site.y.size
    if site.op.name == "depthwise_conv2d":
        return PER_DEPTHWISE_MAC * macs
    if site.op.name == "add":
        return PER_SUM * results
    if not site.op.weights:
        return 0.0
    channels, *window = site.ins[1].shape
    if site.op.name == "linear":
        return PER_LINEAR_MAC * macs + PER_RESULT * results
    taps = prod(window) if len(window) > 2 and window[0] * window[1] > 1 else 0
    return PER_MAC * macs + PER_RESULT * results + PER_COPY * taps * results / channels


def all_measured() -> Mapping[tuple[str, str], list[Peer]]:
    """(model, core) -> engines."""
    pairs = [(model, core) for model in _file() for core in CORES.values()]
    return {pair: peers for pair in pairs if (peers := measured(*pair))}
