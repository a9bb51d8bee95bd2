"""A whole project, told as it happens: train, prune, quantize, compile, prove, report."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from lilliput import store, zoo
from lilliput.boards import fits_table, ranked, recommend
from lilliput.console import progress, status
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
from lilliput.errors import CheckError, UserError
from lilliput.evaluate import as_input, run
from lilliput.files import write_text
from lilliput.firmware import Firmware, compile
from lilliput.graph import Array, Graph
from lilliput.npz import write_npz
from lilliput.quantize.report import sqnr
from lilliput.report import collect, terminal
from lilliput.report.data import AccuracyRow, Epoch, ModelSize, Pruning, Report, Training
from lilliput.report.html import write_html
from lilliput.report.store import report_json
from lilliput.train.anomaly import detections, limit_of, with_alarm
from lilliput.train.classical import train_classical
from lilliput.train.config import AnomalyConfig
from lilliput.train.families import FAMILIES
from lilliput.train.figures import decided, softmax
from lilliput.train.project import Project
from lilliput.train.trained import Trained, drawn, spread
from lilliput.version import __version__

if TYPE_CHECKING:
    from lilliput.train.loop import History

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


def end_to_end(project: Project, settings: Settings) -> dict[str, Any]:
    """Do all that the project asks for; returns the figures as JSON. CheckError when the proof fails."""
    start = time.perf_counter()
    trained = _train(project, settings)
    report = _trained_report(trained, settings)
    facts: dict[str, Any] = {"folder": str(settings.out), "report": str(settings.out / "report.html")}
    facts["metric"] = {"name": trained.metric.name, "float": trained.test}
    if {"quantize", "compile"} & project.model_fields_set:
        report = _deploy(trained, report, settings, facts)
    else:
        _say_how_to_compile(trained, settings)
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
    family = project.model.family
    if family in FAMILIES:
        trained = train_classical(project, settings.out)
    elif family not in zoo.FAMILIES:
        raise UserError(
            f"model {family!r}: no such family; {zoo.nearest(family, [*FAMILIES, *zoo.FAMILIES])}"
        )
    else:
        _needs_torch()
        from lilliput.train.network import train_network

        trained = train_network(project, settings.out, resume=settings.resume)
    store.save(trained.whole(trained.graph), float_path(project, settings))
    some = drawn(trained.split.train, SHARED_SAMPLES).x
    write_npz(settings.out / "calibration.npz", x=trained.device_input(some))
    return trained


def _needs_torch() -> None:
    """Say so where torch is missing; keep its threads from burning the processor while they wait.

    With the usual busy waiting, two threads beside one other busy process take thirty times as long as one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"training a network needs {missing[0]}; install it with: pip install 'lilliput[train]'. Classical models "
            f"({', '.join(FAMILIES)}) need scikit-learn only"
        )


def float_path(project: Project, settings: Settings) -> Path:
    """Where the float graph goes; NAME.lil is the compiled one."""
    return settings.out / f"{firmware_name(project)}-float.lil"


def _trained_report(trained: Trained, settings: Settings) -> Report:
    """Show what training gave, and begin the report with it."""
    console, network = settings.console, trained.network
    _heading(console, "Trained")
    counts = " + ".join(f"{len(part):,} {name}" for name, part in vars(trained.split).items())
    console.print(f"{trained.project.model.family} on {counts} samples, {trained.seconds:.0f} s")
    report = Report(
        title=trained.project.name,
        model=trained.project.name,
        version=__version__,
        target=trained.project.compile.target,
        command=settings.command,
        training=_curve(network.history, network.prune.history if network.prune else None)
        if network
        else None,
    )
    if trained.accuracy:
        report = replace(report, accuracy=(AccuracyRow("float32", trained.test, len(trained.split.test)),))
    else:
        console.print(f"Test {trained.metric.name}: {trained.test:.4g}")
    if trained.report is not None:
        classes = collect.classification(trained.report)
        report = replace(report, classification=classes, confusion=collect.confusion(trained.report))
        console.print(terminal.classification_view(classes))
    if network is not None and network.prune is not None and trained.accuracy:
        before, after = network.prune.before, network.prune.after
        pruning = Pruning(
            ModelSize(before.weights + before.channels, before.macs, network.prune.metric_before),
            ModelSize(after.weights + after.channels, after.macs, network.prune.metric_tuned),
        )
        report = replace(report, pruning=pruning)
        _heading(console, "Pruned and fine-tuned")
        console.print(terminal.pruning_view(pruning))
        console.print(f"Before fine-tuning: {network.prune.metric_pruned:.2%}", style="dim")
    return report


def _curve(history: History, tuned: History | None) -> Training:
    epochs = [*history.epochs, *(tuned.epochs if tuned else ())]
    rows = (Epoch(e.train_loss, e.validation_loss, e.metric, e.learning_rate) for e in epochs)
    return Training(tuple(rows), len(history.epochs) if tuned else None)


def _deploy(trained: Trained, report: Report, settings: Settings, facts: dict[str, Any]) -> Report:
    console, project = settings.console, trained.project
    quantized = _quantize(trained, console)
    if quantized.method != "none":
        rows = sqnr(trained.graph, quantized.graph, _calibration(trained)[:SQNR_SAMPLES])
        console.print(terminal.quantization_view(rows))
        report = replace(report, quantization=rows)
    graph = trained.whole(quantized.graph)
    if trained.detects:
        graph, facts["limit"] = _with_alarm(trained, graph)
    name, target = firmware_name(project), project.compile.target
    with status(f"compiling for {target} …"):
        firmware = compile(graph, target, name=name, out=settings.out)
    test = trained.split.test
    # Series are in order of time: their beginning does not stand for all of them. Pictures are in none.
    pictures = test.x.dtype == np.uint8
    order = np.arange(len(test)) if pictures else spread(len(test), settings.on_core)
    x, y = as_input(firmware.graph, trained.device_input(test.x[order])), test.y[order]
    write_npz(settings.out / "test.npz", x=x[:SHARED_SAMPLES], y=y[:SHARED_SAMPLES])
    proof = _prove(firmware, x, settings)
    report = replace(report, validation=proof.verdict)  # type: ignore[arg-type]  # JSON of that form
    report = _measured(trained, firmware, proof, order, report, console, facts)
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
    return trained.model_input(drawn(trained.split.train, trained.project.quantize.samples).x)


def _quantize(trained: Trained, console: Console) -> Quantized:
    """The integer form that does best on validation samples: by the metric, or of scores by how little they change."""
    held, method = trained.split.validation, trained.method
    if method == "none":
        _heading(console, "Kept in float32")
        return Quantized(trained.graph, "none", {})
    x = trained.model_input(held.x)
    metric, sign = trained.metric, 1 if trained.metric.rising else -1
    judged: str = metric.name
    exact = run(trained.graph, x) if trained.detects else None
    if exact is not None:
        judged = "difference to float32"

    def score(outputs: Array) -> float:
        if exact is not None:
            return -float(np.abs(outputs - exact.reshape(outputs.shape)).mean())
        return sign * metric(outputs, held.y)

    with status("calibrating …"):
        quantized = quantize_best(
            trained.graph,
            _calibration(trained),
            x,
            score,
            method=None if method == "auto" else method,  # type: ignore[arg-type]  # "none" is done
            io="float32" if trained.float_io else "int8",
        )
    if not _has_integers(quantized.graph):
        _heading(console, "Kept in float32: nothing in this model has an integer form")
        return Quantized(trained.graph, "none", {})
    _heading(console, "Quantized to int8")
    scores = ", ".join(f"{name} {abs(score):.4g}" for name, score in quantized.scores.items())
    console.print(f"Calibration by {quantized.method}; validation {judged}: {scores}")
    return quantized


def _has_integers(graph: Graph) -> bool:
    return any(t.quant is not None for t in graph.tensors.values())


def _with_alarm(trained: Trained, graph: Graph) -> tuple[Graph, float]:
    """The limit that validation samples give, as a part of the graph."""
    chosen = trained.project.anomaly or AnomalyConfig()
    scores = run(graph, trained.device_input(trained.split.validation.x))
    limit = limit_of(scores, chosen.false_alarms)
    return with_alarm(graph, limit), limit


def firmware_name(project: Project) -> str:
    """The prefix of all C names: as `[compile]` says, or the project's name."""
    given = project.compile.name if "name" in project.compile.model_fields_set else project.name
    return identifier_of(given)


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
    order: Array,
    report: Report,
    console: Console,
    facts: dict[str, Any],
) -> Report:
    """The metric of float, deployed form and core on the test samples, which ran in this order."""
    test, metric = trained.split.test, trained.metric
    form = "int8" if _has_integers(firmware.graph) else "C"
    real = {form: np.empty(()), "core": real_outputs(firmware.graph, proof.core)}
    host = real_outputs(firmware.graph, proof.host)
    real[form] = np.empty_like(host)
    real[form][order] = host
    truth = {form: test.y, "core": test.y[order[: len(proof.core)]]}
    values = {name: metric(y, truth[name]) for name, y in real.items()}
    facts["metric"] |= {**values, "test_samples": len(test), "core_samples": len(proof.core)}
    if not trained.accuracy:
        console.print(
            f"Test {metric.name}: float32 {trained.test:.4g}, {form} {values[form]:.4g}, "
            f"on the core {values['core']:.4g} ({len(proof.core):,} of {len(test):,} samples)"
        )
        if trained.detects:
            _show_detections(trained, real[form][:, 0], console, facts)
        return report
    rows = (
        AccuracyRow("float32", trained.test, len(test)),
        AccuracyRow(form, values[form], len(test)),
        AccuracyRow(f"on the emulated {firmware.target.name}", values["core"], len(proof.core)),
    )
    console.print()
    console.print(terminal.accuracy_view(rows))
    report = replace(report, accuracy=rows)
    if test.x.dtype == np.uint8 and test.labels and test.x.shape[-1] in (1, 3) and host.shape[1] > 1:
        sure = softmax(real[form]).max(axis=1)
        wrong = collect.wrong_samples(test.x, test.y, decided(real[form]), test.labels, sure)
        report = replace(report, wrong=wrong)
    return report


def _show_detections(trained: Trained, scores: Array, console: Console, facts: dict[str, Any]) -> None:
    found = detections(scores, trained.split.test.y > 0, facts["limit"])
    console.print(
        f"Alarm above {found.limit:.6g}: {found.found} of {found.events} events found, "
        f"{found.false_alarms:.2%} of the normal samples raise it"
    )
    facts["detections"] = found.to_json()


def _before_pruning(
    trained: Trained, quantized: Quantized, after: dict[str, Any], report: Report, settings: Settings
) -> Report:
    """What pruning saved on the core: the model as it was before goes the same way."""
    with status("compiling the model as it was before pruning …"), tempfile.TemporaryDirectory() as folder:
        from lilliput.train.network import unpruned

        whole = unpruned(trained, settings.out)
        samples = _calibration(trained)
        if quantized.method != "none":
            whole = quantize_best(
                whole,
                samples,
                samples[:1],
                lambda _: 0.0,
                method=quantized.method,
                io="float32" if trained.float_io else "int8",
            ).graph
        name = firmware_name(trained.project)
        before = compile(trained.whole(whole), after["target"], name=name, out=folder).profile()
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


def _show_boards(profile: dict[str, Any], console: Console, facts: dict[str, Any]) -> None:
    fits = ranked(profile)
    choice = recommend(fits)
    _heading(console, f"Boards ({sum(fit.fits for fit in fits)} of {len(fits)} fit)")
    console.print(fits_table(fits, most=BOARDS_SHOWN))
    console.print(choice.reason)
    facts["recommended"] = choice.fit.board.name if choice.fit else None


def _say_how_to_compile(trained: Trained, settings: Settings) -> None:
    """Integers begin behind what is computed in float32: of statistics and scores only a project can say so."""
    out, project = settings.out, trained.project
    _heading(settings.console, "Next")
    if project.features is not None or trained.network is None or trained.detects:
        settings.console.print(
            "Add a section [compile] to the project file, with the target, and train again."
        )
        return
    settings.console.print(
        f"lilliput compile {float_path(project, settings)} --calibration {out / 'calibration.npz'} "
        f"--target {project.compile.target} -o {out / 'firmware'}" + " --io float32" * trained.float_io,
        soft_wrap=True,
    )
