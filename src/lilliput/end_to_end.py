"""A whole project, told as it happens: train, prune, quantize, compile, prove, report."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from lilliput import store
from lilliput.boards import fits_table, ranked, recommend
from lilliput.console import progress, status
from lilliput.data.preprocess import Preprocess
from lilliput.deploy import (
    REPORT,
    Proof,
    Quantized,
    build_mark,
    identifier_of,
    prove,
    quantize_best,
    real_outputs,
    with_firmware,
)
from lilliput.errors import CheckError
from lilliput.evaluate import as_input
from lilliput.files import write_text
from lilliput.firmware import Firmware, compile
from lilliput.graph import Array, Graph
from lilliput.loading import load
from lilliput.npz import write_npz
from lilliput.passes.preprocess import fold_preprocess
from lilliput.quantize.report import sqnr
from lilliput.report import collect, terminal
from lilliput.report.data import AccuracyRow, Epoch, ModelSize, Pruning, Report, Training
from lilliput.report.html import write_html
from lilliput.report.store import report_json
from lilliput.train.checkpoint import load_checkpoint
from lilliput.train.loop import CHECKPOINT, History
from lilliput.train.losses import metric
from lilliput.train.pipeline import TrainResult, build_model, train_project
from lilliput.train.progress import TrainingProgress
from lilliput.train.project import Project
from lilliput.version import __version__

SHARED_SAMPLES = 200
"""Samples that are written beside the model, for the other verbs to use."""
SQNR_SAMPLES = 64
BOARDS_SHOWN = 12


@dataclass(frozen=True)
class Settings:
    """What is not the project's business: where it goes, who watches, and how much is proven."""

    out: Path
    console: Console
    command: str
    resume: bool = False
    on_core: int = 1000


@dataclass(frozen=True, eq=False)
class Trained:
    """The outcome of training as the next steps take it: a float graph, and a metric of real outputs."""

    project: Project
    result: TrainResult
    graph: Graph

    def network_input(self, x: Array) -> Array:
        """Samples as the graph takes them: what of the preprocessing is not part of it is done here."""
        return Preprocess.from_json(self.graph.meta["preprocess"]).apply(x)

    def measure(self, outputs: Array, y: Array) -> float:
        """The project's metric."""
        return metric(self.project.train, torch.from_numpy(outputs), torch.from_numpy(y))

    @property
    def classes(self) -> bool:
        return self.result.metric_name == "accuracy"


def end_to_end(project: Project, settings: Settings) -> dict[str, Any]:
    """Do all that the project asks for; returns the figures as JSON. CheckError when the proof fails."""
    start = time.perf_counter()
    trained = _train(project, settings)
    report = _trained_report(trained, settings)
    facts: dict[str, Any] = {"folder": str(settings.out), "report": str(settings.out / "report.html")}
    facts["metric"] = {"name": trained.result.metric_name, "float": trained.result.test.metric}
    if {"quantize", "compile"} & project.model_fields_set:
        report = _deploy(trained, report, settings, facts)
    else:
        _say_how_to_compile(project, settings)
    write_html(report, settings.out / "report.html")
    facts["seconds"] = round(time.perf_counter() - start, 1)
    settings.console.print(
        f"\nReport: {settings.out / 'report.html'}   ({facts['seconds']:.0f} s)", soft_wrap=True
    )
    if not facts.get("validation", {"bit_exact": True})["bit_exact"]:
        raise CheckError("reference, host C and emulated core do not agree; the first difference is above")
    return facts


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def _train(project: Project, settings: Settings) -> Trained:
    with TrainingProgress(Console(stderr=True)) as watch:
        result = train_project(project, settings.out, resume=settings.resume, progress=watch)
    graph = float_graph(result.model, result)
    store.save(graph, float_path(project, settings))
    trained = Trained(project, result, graph)
    some = result.split.train.x[_drawn(len(result.split.train), SHARED_SAMPLES)]
    write_npz(settings.out / "calibration.npz", x=trained.network_input(some))
    return trained


def float_path(project: Project, settings: Settings) -> Path:
    """Where the float graph goes; NAME.lil is the compiled one."""
    return settings.out / f"{firmware_name(project)}-float.lil"


def float_graph(module: nn.Module, result: TrainResult) -> Graph:
    """The module's graph; labels and preprocessing travel with it, or become part of it."""
    preprocess = result.preprocess
    example = torch.zeros(1, preprocess.channels, preprocess.height, preprocess.width)
    graph = load(module, example)
    return fold_preprocess(replace(graph, meta={"labels": list(result.labels)}), preprocess)


def _drawn(total: int, wanted: int) -> Array:
    """Indices of `wanted` samples, the same every time."""
    return np.sort(np.random.default_rng(0).permutation(total)[:wanted])


def _trained_report(trained: Trained, settings: Settings) -> Report:
    """Show what training gave, and begin the report with it."""
    result, console = trained.result, settings.console
    split = result.split
    _heading(console, "Trained")
    counts = " + ".join(f"{len(part):,} {name}" for name, part in vars(split).items())
    console.print(f"{trained.project.model.family} on {counts} samples, {result.history.seconds:.0f} s")
    report = Report(
        title=trained.project.name,
        model=trained.project.name,
        version=__version__,
        target=trained.project.compile.target,
        command=settings.command,
        training=_curve(result.history, result.prune.history if result.prune else None),
    )
    if trained.classes:
        report = replace(report, accuracy=(AccuracyRow("float32", result.test.metric, len(split.test)),))
    else:
        console.print(f"Test {result.metric_name}: {result.test.metric:.4g}")
    if result.report is not None:
        classes = collect.classification(result.report)
        report = replace(report, classification=classes, confusion=collect.confusion(result.report))
        console.print(terminal.classification_view(classes))
    if result.prune is not None and trained.classes:
        pruning = _pruning(result)
        report = replace(report, pruning=pruning)
        _heading(console, "Pruned and fine-tuned")
        console.print(terminal.pruning_view(pruning))
        console.print(f"Before fine-tuning: {result.prune.metric_pruned:.2%}", style="dim")
    return report


def _curve(history: History, tuned: History | None) -> Training:
    epochs = [*history.epochs, *(tuned.epochs if tuned else ())]
    rows = (Epoch(e.train_loss, e.validation_loss, e.metric, e.learning_rate) for e in epochs)
    return Training(tuple(rows), len(history.epochs) if tuned else None)


def _pruning(result: TrainResult) -> Pruning:
    assert result.prune is not None
    before, after = result.prune.before, result.prune.after
    return Pruning(
        ModelSize(before.weights + before.channels, before.macs, result.prune.metric_before),
        ModelSize(after.weights + after.channels, after.macs, result.prune.metric_tuned),
    )


def _deploy(trained: Trained, report: Report, settings: Settings, facts: dict[str, Any]) -> Report:
    console, project = settings.console, trained.project
    quantized = _quantize(trained, console)
    rows = sqnr(trained.graph, quantized.graph, _calibration(trained)[:SQNR_SAMPLES])
    console.print(terminal.quantization_view(rows))
    name, target = firmware_name(project), project.compile.target
    with status(f"compiling for {target} …"):
        firmware = compile(quantized.graph, target, name=name, out=settings.out)
    x = _device_input(firmware.graph, trained)
    write_npz(settings.out / "test.npz", x=x[:SHARED_SAMPLES], y=trained.result.split.test.y[:SHARED_SAMPLES])
    proof = _prove(firmware, x, settings)
    report = replace(report, quantization=rows, validation=proof.verdict)  # type: ignore[arg-type]  # JSON of that form
    report = _measured(trained, firmware, proof, report, console, facts)
    profile: Any = firmware.profile()
    _heading(console, "Measured on the emulated core")
    console.print(terminal.profile_view(profile))
    if report.pruning is not None:
        report = _before_pruning(trained, quantized, profile, report, settings)
    _show_boards(profile, console, facts)
    report = with_firmware(report, firmware, profile)
    write_text(settings.out / REPORT, report_json(report, build_mark(firmware)))
    facts.update(profile=profile, validation=proof.verdict, calibration_method=quantized.method)
    return report


def _calibration(trained: Trained) -> Array:
    x = trained.result.split.train.x
    return trained.network_input(x[_drawn(len(x), trained.project.quantize.samples)])


def _quantize(trained: Trained, console: Console) -> Quantized:
    settings, held = trained.project.quantize, trained.result.split.validation
    sign = 1 if trained.classes else -1
    with status("calibrating …"):
        quantized = quantize_best(
            trained.graph,
            _calibration(trained),
            trained.network_input(held.x),
            lambda outputs: sign * trained.measure(outputs, held.y),
            method=None if settings.method == "auto" else settings.method,
            io="float32" if settings.float_io else "int8",
        )
    _heading(console, "Quantized to int8")
    scores = ", ".join(f"{name} {abs(score):.4g}" for name, score in quantized.scores.items())
    console.print(f"Calibration by {quantized.method}; validation {trained.result.metric_name}: {scores}")
    return quantized


def firmware_name(project: Project) -> str:
    """The prefix of all C names: as `[compile]` says, or the project's name."""
    given = project.compile.name if "name" in project.compile.model_fields_set else project.name
    return identifier_of(given)


def _device_input(graph: Graph, trained: Trained) -> Array:
    """The test samples as the device gets them."""
    return as_input(graph, trained.network_input(trained.result.split.test.x))


def _prove(firmware: Firmware, x: Array, settings: Settings) -> Proof:
    _heading(settings.console, "Proof")
    on_core = min(settings.on_core, len(x))
    with progress(f"on the emulated {firmware.target.name}", on_core) as done:
        proof = prove(firmware, x, on_core, done)
    settings.console.print(terminal.validation_view(proof.verdict))  # type: ignore[arg-type]  # JSON of that form
    return proof


def _measured(
    trained: Trained,
    firmware: Firmware,
    proof: Proof,
    report: Report,
    console: Console,
    facts: dict[str, Any],
) -> Report:
    """The metric of float, int8 and core on the test samples."""
    test = trained.result.split.test
    outputs = {"int8": proof.host, "core": proof.core}
    real = {name: real_outputs(firmware.graph, y) for name, y in outputs.items()}
    values = {name: trained.measure(y, test.y[: len(y)]) for name, y in real.items()}
    facts["metric"] |= {**values, "test_samples": len(test), "core_samples": len(proof.core)}
    if not trained.classes:
        console.print(
            f"Test {trained.result.metric_name}: int8 {values['int8']:.4g}, on the core {values['core']:.4g}"
        )
        return report
    rows = (
        AccuracyRow("float32", trained.result.test.metric, len(test)),
        AccuracyRow("int8", values["int8"], len(test)),
        AccuracyRow(f"on the emulated {firmware.target.name}", values["core"], len(proof.core)),
    )
    console.print()
    console.print(terminal.accuracy_view(rows))
    report = replace(report, accuracy=rows)
    if test.x.dtype == np.uint8 and test.labels and test.x.shape[-1] in (1, 3):
        sure = torch.softmax(torch.from_numpy(real["int8"]), 1).numpy().max(axis=1)
        wrong = collect.wrong_samples(test.x, test.y, real["int8"].argmax(axis=1), test.labels, sure)
        report = replace(report, wrong=wrong)
    return report


def _before_pruning(
    trained: Trained, quantized: Quantized, after: dict[str, Any], report: Report, settings: Settings
) -> Report:
    """What pruning saved on the core: the model as it was before goes the same way."""
    with status("compiling the model as it was before pruning …"), tempfile.TemporaryDirectory() as folder:
        whole = float_graph(_unpruned(trained, settings), trained.result)
        samples = _calibration(trained)
        scored = quantize_best(whole, samples, samples[:1], lambda _: 0.0, method=quantized.method)
        name = firmware_name(trained.project)
        before = compile(scored.graph, after["target"], name=name, out=folder).profile()
    assert report.pruning is not None
    pruning = Pruning(_on_core(report.pruning.before, before), _on_core(report.pruning.after, after))
    _heading(settings.console, "What pruning saved")
    settings.console.print(terminal.pruning_view(pruning))
    return replace(report, pruning=pruning)


def _on_core(size: ModelSize, profile: dict[str, Any]) -> ModelSize:
    return replace(
        size,
        flash=profile["flash"]["total"],
        ram=profile["ram"]["total"],
        instructions=profile["instructions"],
    )


def _unpruned(trained: Trained, settings: Settings) -> nn.Module:
    """The network with the weights it had before pruning, from its checkpoint."""
    module = build_model(trained.project, trained.result.split, trained.result.preprocess)
    kept = load_checkpoint(settings.out / "checkpoints" / "train" / CHECKPOINT).tensors
    state = {name.removeprefix("model."): t for name, t in kept.items() if name.startswith("model.")}
    module.load_state_dict(state)
    return module.eval()


def _show_boards(profile: dict[str, Any], console: Console, facts: dict[str, Any]) -> None:
    fits = ranked(profile)
    choice = recommend(fits)
    _heading(console, f"Boards ({sum(fit.fits for fit in fits)} of {len(fits)} fit)")
    console.print(fits_table(fits, most=BOARDS_SHOWN))
    console.print(choice.reason)
    facts["recommended"] = choice.fit.board.name if choice.fit else None


def _say_how_to_compile(project: Project, settings: Settings) -> None:
    out = settings.out
    _heading(settings.console, "Next")
    settings.console.print(
        f"lilliput compile {float_path(project, settings)} --calibration {out / 'calibration.npz'} "
        f"--target {project.compile.target} -o {out / 'firmware'}",
        soft_wrap=True,
    )
