"""Networks: torch trains and prunes them, and they come back as graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

from lilliput.data import Preprocess
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.graph import Graph, Node, Tensor, verify
from lilliput.loading import load
from lilliput.ops.features import Scaler
from lilliput.passes.chain import chain
from lilliput.passes.preprocess import fold_preprocess
from lilliput.train.checkpoint import load_checkpoint
from lilliput.train.figures import Metric, metric_of
from lilliput.train.loop import CHECKPOINT
from lilliput.train.pipeline import TrainResult, build_model, train_project
from lilliput.train.progress import TrainingProgress
from lilliput.train.project import Project
from lilliput.train.source import detects
from lilliput.train.trained import Trained


def train_network(project: Project, out: Path, *, resume: bool = False) -> Trained:
    """Train as the project says, shown on stderr."""
    with TrainingProgress(Console(stderr=True)) as watch:
        result = train_project(project, out, resume=resume, progress=watch)
    asked = project.quantize.float_io
    floats = _needs_floats(project, result) if asked is None else asked
    front = _front(result) if floats else None
    if not floats and (detects(project) or project.features is not None):
        raise UserError(
            "quantize.float_io = false: [features] and [anomaly] are computed in float32; remove it"
        )
    metric = (
        Metric("ROC AUC")
        if detects(project)
        else metric_of(project.train, numbers=result.metric_name != "accuracy")
    )
    trained = Trained(
        project=project,
        split=result.raw,
        graph=float_graph(result.model, result, folded=front is None),
        front=front,
        metric=metric,
        test=result.test.metric,
        report=result.report,
        seconds=result.history.seconds,
        float_io=floats,
        network=result,
    )
    if metric.name != "ROC AUC":
        return trained
    test = result.raw.test
    outputs = result.test.outputs
    if detects(project):
        outputs = run(trained.whole(trained.graph), trained.device_input(test.x)).reshape(len(test), -1)
    return replace(trained, test=metric(outputs, test.y))


def _needs_floats(project: Project, result: TrainResult) -> bool:
    """Whether features are of different size, or computed on the device."""
    chosen = result.preprocess
    scaled = chosen.unit == 1.0 and (any(chosen.mean) or set(chosen.std) != {1.0})
    return scaled or detects(project) or project.features is not None


def _front(result: TrainResult) -> Graph | None:
    """Statistics over time, then mean and deviation: what numbers go through before the network."""
    if result.preprocess.unit != 1.0:
        return result.features
    scaler = standardizer(result.preprocess)
    return scaler if result.features is None else chain(result.features, scaler)


def standardizer(preprocess: Preprocess) -> Graph:
    """(x - mean) / std along the last axis, float32."""
    shape = (1, *preprocess.shape)
    mean, std = (
        np.broadcast_to(np.asarray(v, np.float64), preprocess.channels)
        for v in (preprocess.mean, preprocess.std)
    )
    x, y = Tensor("x", shape), Tensor("standardized", shape)
    constants = {
        name: Tensor(name, (preprocess.channels,), data=values.astype(np.float32))
        for name, values in (("mean", mean), ("factor", 1 / std))
    }
    node = Node(Scaler(), (x.name, *constants), (y.name,), "standardize")
    return verify(Graph((x.name,), (y.name,), (node,), {t.name: t for t in (x, y)} | constants))


def float_graph(module: nn.Module, result: TrainResult, *, folded: bool) -> Graph:
    """The module's graph; labels travel with it, and so does preprocessing, or becomes part of it."""
    preprocess = result.preprocess
    example = torch.zeros(1, preprocess.channels, preprocess.height, preprocess.width)
    graph = replace(load(module, example), meta={"labels": list(result.labels)} if result.labels else {})
    return fold_preprocess(graph, preprocess) if folded else graph


def unpruned(trained: Trained, out: Path) -> Graph:
    """The network with the weights it had before pruning, from its checkpoint."""
    result = trained.network
    assert result is not None
    module = build_model(trained.project, result.split, result.preprocess)
    kept = load_checkpoint(out / "checkpoints" / "train" / CHECKPOINT).tensors
    state = {name.removeprefix("model."): t for name, t in kept.items() if name.startswith("model.")}
    module.load_state_dict(state)
    return float_graph(module.eval(), result, folded=trained.front is None)
