"""A whole project: load the data, train, prune, fine-tune, test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lilliput import zoo
from lilliput.compress.prune import ModelSize, Pruned, model_size, prune_channels
from lilliput.data import Dataset, Preprocess, Split
from lilliput.errors import UserError
from lilliput.files import write_bytes
from lilliput.graph import Graph
from lilliput.train.config import PruneConfig, TrainConfig
from lilliput.train.loop import CHECKPOINT, Evaluation, History, evaluate, fit, to_network
from lilliput.train.losses import make_loss, metric_name
from lilliput.train.metrics import ClassificationReport, classification_report
from lilliput.train.progress import TrainingProgress
from lilliput.train.project import Project
from lilliput.train.source import detects, featured, load_data, preprocess_of

#: Samples that the Taylor importance looks at.
TAYLOR_SAMPLES = 1000


@dataclass(frozen=True)
class PruneSummary:
    """Test metric and size around the pruning step."""

    before: ModelSize
    after: ModelSize
    metric_before: float
    metric_pruned: float
    metric_tuned: float
    history: History

    def to_json(self) -> dict[str, object]:
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "metric_before": self.metric_before,
            "metric_pruned": self.metric_pruned,
            "metric_tuned": self.metric_tuned,
            "history": self.history.to_json(),
        }


@dataclass(frozen=True, eq=False)
class TrainResult:
    """The float model in eval mode, and all that later steps need: data, preprocessing, labels, figures.

    `report` is None for models whose targets are numbers. `split` is what the network learns from, `raw` the samples as
    they come to the device, of which `features` computes the others.
    """

    model: nn.Module
    preprocess: Preprocess
    labels: tuple[str, ...]
    split: Split
    raw: Split
    features: Graph | None
    history: History
    size: ModelSize
    prune: PruneSummary | None
    test: Evaluation
    metric_name: str
    report: ClassificationReport | None

    def to_json(self) -> dict[str, object]:
        return {
            "labels": list(self.labels),
            "preprocess": self.preprocess.to_json(),
            "samples": {
                "train": len(self.split.train),
                "validation": len(self.split.validation),
                "test": len(self.split.test),
            },
            "history": self.history.to_json(),
            "size": self.size.to_json(),
            "prune": self.prune.to_json() if self.prune else None,
            "metric_name": self.metric_name,
            "test_metric": self.test.metric,
            "test_loss": self.test.loss,
            "report": self.report.to_json() if self.report else None,
        }


def train_project(
    project: Project, out_dir: Path, *, resume: bool = False, progress: TrainingProgress | None = None
) -> TrainResult:
    """Train as the project says, with checkpoints and training.json (all figures) in `out_dir`."""
    folders = {phase: out_dir / "checkpoints" / phase for phase in ("train", "finetune")}
    if not resume:
        for folder in folders.values():
            (folder / CHECKPOINT).unlink(missing_ok=True)
    raw = load_data(project, progress.note if progress else None)
    features, split = featured(project, raw)
    preprocess = preprocess_of(project, split)
    if detects(project):
        split = _own_targets(project, split, preprocess)
    model = build_model(project, split, preprocess)
    example = torch.zeros(1, preprocess.channels, preprocess.height, preprocess.width)
    config = project.train

    def run(phase: str, title: str, candidate: nn.Module, settings: TrainConfig) -> History:
        if progress:
            progress.phase(title, settings.epochs, metric_name(settings))
        return fit(
            candidate,
            split,
            settings,
            augmentation=project.augment,
            preprocess=preprocess,
            on_epoch=progress.epoch if progress else None,
            on_step=progress.step if progress else None,
            checkpoint_dir=folders[phase],
            resume=resume,
        )

    def test(candidate: nn.Module) -> Evaluation:
        return evaluate(candidate, split.test.x, split.test.y, config, preprocess=preprocess)

    history = run("train", "Training", model, config)
    summary = None
    if project.prune is not None:
        before = test(model).metric
        pruned = prune_model(model, example, split, preprocess, config, project.prune)
        model = pruned.model
        cut = test(model).metric
        tuned = run("finetune", "Fine-tuning after pruning", model, fine_tuning(config, project.prune))
        summary = PruneSummary(pruned.before, pruned.after, before, cut, test(model).metric, tuned)
    result = _result(project, raw, features, split, preprocess, model, example, history, summary)
    write_bytes(out_dir / "training.json", json.dumps(result.to_json(), indent=1).encode())
    return result


def _own_targets(project: Project, split: Split, preprocess: Preprocess) -> Split:
    """What the network is to give back: its own input."""
    if project.train.loss not in ("mse", "huber"):
        raise UserError(
            f"train.loss is {project.train.loss!r}; expected mse or huber for anomalies: "
            "the network gives its input back"
        )

    def own(data: Dataset) -> Dataset:
        return Dataset(data.x, preprocess.apply(data.x).reshape(len(data), -1), ())

    return Split(own(split.train), own(split.validation), own(split.test))


def build_model(project: Project, split: Split, preprocess: Preprocess) -> nn.Module:
    """The freshly initialised model of the project: same seed, same weights."""
    before = torch.get_rng_state()
    torch.manual_seed(project.train.seed)
    try:
        options = project.model.options
        return zoo.build(
            project.model.family, input_shape=preprocess.shape, classes=split.train.outputs, **options
        )
    finally:
        torch.set_rng_state(before)


def prune_model(
    model: nn.Module,
    example: torch.Tensor,
    split: Split,
    preprocess: Preprocess,
    config: TrainConfig,
    prune: PruneConfig,
) -> Pruned:
    """Prune as `[prune]` says; the Taylor importance sees the first training samples."""
    loss = make_loss(config, split.train)

    def training_loss(candidate: nn.Module) -> torch.Tensor:
        batch = to_network(torch.from_numpy(split.train.x[:TAYLOR_SAMPLES]), preprocess)
        return loss(candidate(batch), torch.from_numpy(split.train.y[:TAYLOR_SAMPLES]))

    return prune_channels(
        model,
        example,
        prune.fraction,
        round_to=prune.round_to,
        importance=prune.importance,
        loss=training_loss,
    )


def fine_tuning(config: TrainConfig, prune: PruneConfig) -> TrainConfig:
    """The training after pruning: as before it, with its own length and rate, and other random numbers."""
    rate = prune.learning_rate or config.learning_rate / 2
    update = {"epochs": prune.epochs, "learning_rate": rate, "seed": config.seed + 1}
    return config.model_copy(update=update)


def _result(
    project: Project,
    raw: Split,
    features: Graph | None,
    split: Split,
    preprocess: Preprocess,
    model: nn.Module,
    example: torch.Tensor,
    history: History,
    summary: PruneSummary | None,
) -> TrainResult:
    test = evaluate(model, split.test.x, split.test.y, project.train, preprocess=preprocess)
    labels = split.train.labels
    report = classification_report(split.test.y, test.predicted, labels) if labels else None
    return TrainResult(
        model=model,
        preprocess=preprocess,
        labels=labels,
        split=split,
        raw=raw,
        features=features,
        history=history,
        size=model_size(model, example),
        prune=summary,
        test=test,
        metric_name=metric_name(project.train),
        report=report,
    )
