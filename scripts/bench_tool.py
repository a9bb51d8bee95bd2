"""The tool's own speed: seconds from a file to linked firmware, by the number of nodes, and emulated instructions.

python scripts/bench_tool.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from bench_models import FILES, SHARED, VARIANTS, installed, loaded

from lilliput import emit
from lilliput.firmware import PICKS, Firmware, compile, inference
from lilliput.graph import Graph, Node, Tensor, verify
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d
from lilliput.passes import simplify
from lilliput.plan import plan
from lilliput.quantize import quantize
from lilliput.target import load_target

LENGTHS = (10, 100, 1000)
"""Nodes of the graphs whose compile times are compared."""
RUNS = 6
EMULATED = "resnet8 24x24 20-40-80"
"""The model whose run is timed."""


class Watch:
    """Seconds by the name of what was done."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[what] = round(time.perf_counter() - start, 3)


def chain(nodes: int) -> Graph:
    """Residual blocks of a pointwise convolution, a second one and an addition, each with its own weights."""
    rng = np.random.default_rng(0)
    tensors = {"x0": Tensor("x0", (1, 4, 4, 8))}
    made: list[Node] = []
    for i in range(nodes):
        ins: tuple[str, ...] = (f"x{i}",)
        op: Conv2d | Add = Conv2d(clamp=(0.0, 6.0))
        if i % 3 == 2:
            op, ins = Add(), (f"x{i}", f"x{i - 2}")
        else:
            w = rng.normal(0, 0.3, (8, 1, 1, 8)).astype(np.float32)
            for name, data in ((f"w{i}", w), (f"b{i}", np.zeros(8, np.float32))):
                tensors[name] = Tensor(name, data.shape, data=data)
            ins = (*ins, f"w{i}", f"b{i}")
        tensors[f"x{i + 1}"] = Tensor(f"x{i + 1}", (1, 4, 4, 8))
        made.append(Node(op, ins, (f"x{i + 1}",), f"node{i}"))
    return verify(Graph(("x0",), (f"x{nodes}",), tuple(made), tensors))


def growth() -> list[dict[str, Any]]:
    """Seconds of every stage for graphs of 10 to 1,000 nodes."""
    rows = []
    samples = np.random.default_rng(1).random((4, 4, 4, 8), np.float32)
    core = load_target("cortex-m4")
    for nodes in LENGTHS:
        watch = Watch()
        graph = chain(nodes)
        with watch("passes"):
            graph = simplify(graph)
        with watch("quantize"):
            graph = quantize(graph, samples)
        with watch("plan"):
            planned = plan(graph, core.isa, pick=PICKS["speed"])
        with watch("emit"):
            emit.emit(planned, "model")
        _compile(graph, watch)
        rows.append({"nodes": nodes, **watch.seconds})
    return rows


def stages() -> list[dict[str, Any]]:
    """Seconds from a file, or a float network and samples, to linked and checked firmware, for each model."""
    _warm()
    rows = []
    for name, file in FILES.items():
        path = SHARED / "models" / f"{file}.tflite"
        if path.exists():
            rows.append(_staged(name, partial(loaded, path)))
    return [*rows, *(_staged(name, v.integer) for name, v in VARIANTS.items())]


def _warm() -> None:
    """The compiler's own libraries are built once per core, and are not of the model."""
    samples = np.zeros((1, 4, 4, 8), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        compile(quantize(simplify(chain(3)), samples), "cortex-m4", out=folder)


def _staged(name: str, make: Callable[[], Graph]) -> dict[str, Any]:
    watch = Watch()
    with watch("quantize"):
        graph = make()
    _compile(graph, watch)
    return {"model": name, **watch.seconds, "total": round(sum(watch.seconds.values()), 3)}


def _compile(graph: Graph, watch: Watch) -> None:
    """With a golden vector that no other run has, so that what the compiler made is not in the cache."""
    golden = {n: np.zeros((1, *graph.tensors[n].shape[1:]), graph.tensors[n].dtype) for n in graph.inputs}
    golden[graph.inputs[0]].flat[:8] = np.frombuffer(time.time_ns().to_bytes(8, "little"), np.int8)
    with watch("compile"), tempfile.TemporaryDirectory() as folder:
        compile(graph, "cortex-m4", out=folder, golden=golden)


def emulation(graph: Graph) -> list[dict[str, Any]]:
    """Emulated instructions per second on each core, the best of a few runs: others share this machine."""
    rows = []
    for core in map(load_target, installed()):
        with tempfile.TemporaryDirectory() as folder:
            firmware = compile(graph, core, out=folder)
            try:
                rates = [_rate(firmware) for _ in range(RUNS)]  # the first one translates the code
            finally:
                firmware.machine.close()
        rows.append({"core": core.name, "emulator": core.emulator, "per_second": round(max(rates))})
    return rows


def _rate(firmware: Firmware) -> float:
    start = time.perf_counter()
    call = inference(firmware, firmware.machine, firmware.golden)
    return call.instructions / (time.perf_counter() - start)


def bench_tool() -> dict[str, Any]:
    return {"stages": stages(), "growth": growth(), "emulation": emulation(VARIANTS[EMULATED].integer())}


if __name__ == "__main__":
    for what, rows in bench_tool().items():
        print(what, *rows, sep="\n  ")
