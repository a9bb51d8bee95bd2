"""From a trained float graph to proven firmware: quantize, compile, run on the core, report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lilliput.boards import boards as ranking
from lilliput.data.preprocess import Preprocess
from lilliput.emit.literals import refusal
from lilliput.emulate import open_machine
from lilliput.errors import UserError
from lilliput.evaluate import Samples, feeds, joined, outputs, run
from lilliput.firmware import Firmware, Progress, on_machine, open_build
from lilliput.graph import Array, Graph, Quant
from lilliput.quantize import calibrate, quantize
from lilliput.quantize.calibrate import METHODS, Method
from lilliput.quantize.ptq import IO
from lilliput.report.data import Report
from lilliput.report.store import parse_report
from lilliput.validate import LAYER_SAMPLES, agree, behind_floats, validate
from lilliput.version import __version__

Score = Callable[[Array], float]
"""Of the real outputs for the validation samples; higher is better."""


def recorded_input_quant(graph: Graph) -> Quant | None:
    """The input quantization that makes the integers pixel - 128, where training recorded one."""
    if "preprocess" not in graph.meta:
        return None
    pair = Preprocess.from_json(graph.meta["preprocess"]).input_quant()
    return None if pair is None else Quant.per_tensor(*pair)


@dataclass(frozen=True, eq=False)
class Quantized:
    """The int8 graph, and what each calibration method that was tried scored; with "none" the float graph itself."""

    graph: Graph
    method: Method | Literal["none"]
    scores: Mapping[Method, float]


def quantize_best(
    graph: Graph,
    samples: Array,
    validation: Array,
    score: Score,
    *,
    method: Method | None = None,
    io: IO = "int8",
) -> Quantized:
    """The int8 form by one calibration method, or by the one that scores best on validation samples."""
    candidates: dict[Method, Graph] = {}
    scores: dict[Method, float] = {}
    for name in METHODS if method is None else (method,):
        ranges = calibrate(graph, samples, name)
        candidates[name] = quantize(graph, ranges=ranges, io=io, input_quant=recorded_input_quant(graph))
        scores[name] = score(real_outputs(candidates[name], run(candidates[name], validation)))
    best = max(scores, key=scores.__getitem__)  # the first of equals: the simplest
    return Quantized(candidates[best], best, scores)


def real_outputs(graph: Graph, y: Array) -> Array:
    """Outputs as real numbers, one row per sample."""
    quant = graph.tensors[graph.outputs[0]].quant
    return np.asarray(quant.dequantize(y) if quant else y, np.float32).reshape(len(y), -1)


def identifier_of(text: str) -> str:
    """A model's name made of any text: letters, digits and underscores, and no name that is taken."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    name = (name if name[:1].isalpha() else f"model_{name}".rstrip("_"))[:31]
    return f"model_{name}" if refusal(name) else name


def run_on_core(
    firmware: Firmware, x: Samples, jobs: int = 2, progress: Progress | None = None
) -> dict[str, Array]:
    """Every output of the emulated core for N samples, on `jobs` machines at once; equal to one machine's."""
    samples = list(feeds(firmware.graph, firmware.samples(x)))
    results: list[Mapping[str, Array]] = [{} for _ in samples]
    done: list[int] = []
    stopped = False

    def work(first: int) -> None:
        machine = open_machine(firmware.image)
        for i in range(first, len(samples), jobs):
            if stopped:
                return
            results[i] = on_machine(firmware, machine, samples[i])
            done.append(i)
            if progress:
                progress(len(done))

    # Threads, not processes: emulation happens outside Python, and lets the others run meanwhile.
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, first) for first in range(min(jobs, len(samples)))]
        try:
            for future in futures:
                future.result()
        finally:
            stopped = True
    return joined(firmware.graph, results)


@dataclass(frozen=True, eq=False)
class Proof:
    """The first output of the three implementations, and the verdict on all of them in the form of `validate`."""

    reference: Array
    host: Array
    core: Array
    verdict: dict[str, Any]


def prove(firmware: Firmware, x: Samples, on_core: int, progress: Progress | None = None) -> Proof:
    """Reference and host C on all samples, the emulated core on the first `on_core`, every layer on a few."""
    xs = firmware.samples(x)
    first = firmware.graph.outputs[0]
    core = run_on_core(firmware, _part(xs, slice(on_core)), progress=progress)
    reference, host = outputs(firmware.graph, xs), firmware.outputs(xs, "host")
    count = len(reference[first])
    unequal = np.zeros(count, bool)
    rounded = behind_floats(firmware.graph)
    for name, value in reference.items():
        unequal |= _rows(~agree(host[name], value, exact=name not in rounded))
        unequal[: len(core[name])] |= _rows(~agree(core[name], host[name][: len(core[name])], exact=True))
    wrong = np.flatnonzero(unequal)[:1]
    verdict = validate(firmware, _part(xs, wrong if len(wrong) else slice(LAYER_SAMPLES)))
    exact = bool(verdict["bit_exact"]) and not len(wrong)
    facts = {**verdict, "samples": len(core[first]), "host_samples": count, "bit_exact": exact}
    return Proof(reference[first], host[first], core[first], facts)


def _part(xs: Mapping[str, Array], chosen: slice | Array) -> dict[str, Array]:
    return {name: x[chosen] for name, x in xs.items()}


def _rows(unequal: Array) -> Array:
    return np.asarray(unequal.reshape(len(unequal), -1).any(axis=1))


def report_of(folder: Path) -> Report:
    """What is known of the build in a folder: all of report.json, or what the firmware itself tells."""
    firmware = open_build(folder)
    file = folder / REPORT
    if file.is_file():
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read '{file}': {error}") from error
        kept = parse_report(text, build_mark(firmware), str(file))
        if kept is not None:
            return kept
    return with_firmware(Report(firmware.name, firmware.name, __version__, firmware.target.name), firmware)


REPORT = "report.json"


def build_mark(firmware: Firmware) -> str:
    """Which build a report belongs to: the hash of its C and its target."""
    content = f"{firmware.target.name}\n{firmware.optimize}\n{firmware.emitted.source}"
    return hashlib.sha256(content.encode()).hexdigest()


def with_firmware(report: Report, firmware: Firmware, profile: Any = None) -> Report:
    """The report with what the shipped ELF needs and does, its memory map, and the boards it fits."""
    from lilliput.plan import plan
    from lilliput.report.collect import memory_map

    profile = profile or firmware.profile()
    found: Any = ranking(profile)["boards"]
    before = plan(firmware.graph, firmware.target.isa, share=False)
    memory = replace(memory_map(firmware.plan), before=memory_map(before))
    return replace(report, profile=profile, memory=memory, boards=tuple(found))
