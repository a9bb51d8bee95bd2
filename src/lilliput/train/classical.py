"""Classical models: scikit-learn fits them as a project file says, and they come back as a graph."""

from __future__ import annotations

import inspect
import json
import time
import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.console import status
from lilliput.data import Dataset, Split
from lilliput.errors import UserError
from lilliput.files import write_bytes
from lilliput.graph import Graph, Node, Tensor, verify
from lilliput.ops.unary import Neg
from lilliput.passes.fold import remove_dead
from lilliput.train.families import DETECTORS, FAMILIES, Family
from lilliput.train.figures import Metric, metric_of
from lilliput.train.metrics import classification_report
from lilliput.train.project import Project
from lilliput.train.source import featured, load_data
from lilliput.train.trained import Trained


def train_classical(project: Project, out: Path) -> Trained:
    """Load, fit and test as the project says; training.json (the figures) goes to `out`."""
    family = FAMILIES[project.model.family]
    _refuse_sections(project, family)
    raw = load_data(project)
    features, split = featured(project, raw)
    if features is None:
        raw = split = Split(*(_flat(part) for part in (raw.train, raw.validation, raw.test)))
    estimator = _estimator(project, family, split.train)
    begin = time.perf_counter()
    with status(f"fitting {project.model.family} …"):
        _fit(project, estimator, split.train)
    seconds = time.perf_counter() - begin
    graph = _graph(estimator, raw.train.labels)
    metric = (
        Metric("ROC AUC") if family.detector else metric_of(project.train, numbers=not split.train.labels)
    )
    report = None
    rows = _rows(split.test)
    if family.detector:
        outputs = -estimator.score_samples(rows)
    elif metric.name == "ROC AUC" and hasattr(estimator, "decision_function"):
        outputs = estimator.decision_function(rows)
    elif metric.name == "ROC AUC":
        outputs = estimator.predict_proba(rows)
    else:
        outputs = estimator.predict(rows)
    if split.test.labels and not family.detector:
        report = classification_report(split.test.y, estimator.predict(rows), split.test.labels)
    outputs = np.asarray(outputs).reshape(len(rows), -1)
    trained = Trained(
        project=project,
        split=raw,
        graph=_judged(graph, metric, bool(family.detector)),
        front=features,
        metric=metric,
        test=metric(outputs, split.test.y),
        report=report,
        seconds=seconds,
        quantizes=family.best == "int8",
    )
    write_bytes(out / "training.json", json.dumps(_record(trained), indent=1).encode())
    return trained


def _refuse_sections(project: Project, family: Family) -> None:
    """What only networks have, and what only anomaly detectors have."""
    name = project.model.family
    given = sorted({"augment", "prune"} & project.model_fields_set)
    given += [f"preprocess.{key}" for key in sorted({"mean", "std"} & project.preprocess.model_fields_set)]
    if given:
        raise UserError(f"[{given[0]}] does not go with the classical model {name!r}; remove it")
    others = sorted(project.train.model_fields_set - {"seed", "loss", "metric"})
    if others:
        raise UserError(
            f"train.{others[0]} does not go with the classical model {name!r}; its options are in [model.options]"
        )
    if project.anomaly is not None and family.detector is None:
        raise UserError(
            f"[anomaly] does not go with {name!r}; expected {', '.join(DETECTORS)}, or a network that gives its "
            "input back"
        )
    if project.quantize.float_io is False:
        raise UserError(
            f"quantize.float_io = false does not go with {name!r}: the device takes float32; remove it"
        )


def _estimator(project: Project, family: Family, train: Dataset) -> Any:
    """The estimator with the options of the project, behind a scaler where the family wants one."""
    name, options = project.model.family, project.model.options
    wanted = family.detector or (family.classifier if train.labels else family.regressor)
    if wanted is None:
        raise UserError(
            f"model {name!r} is for {'numbers' if train.labels else 'classes'}, the targets are "
            f"{'classes' if train.labels else 'numbers'}"
        )
    try:
        module = import_module(f"sklearn.{family.module}")
    except ModuleNotFoundError as error:
        raise UserError(
            f"model {name!r} needs scikit-learn; install it with: pip install 'lilliput[sklearn]' ({error})"
        ) from error
    constructor = getattr(module, wanted)
    known = list(inspect.signature(constructor).parameters)
    for key in options:
        if key not in known:
            raise UserError(f"model {name!r}: unknown option {key!r}; {wanted} takes {', '.join(known)}")
    seed = {"random_state": project.train.seed} if "random_state" in known else {}
    estimator = constructor(**{**seed, **options})
    if not family.scaled:
        return estimator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)


def _flat(data: Dataset) -> Dataset:
    """Samples as rows of features, which the device takes too."""
    return replace(data, x=data.x.reshape(len(data), 1, 1, -1))


def _rows(data: Dataset) -> Any:
    """Samples as scikit-learn takes them: [N, F]."""
    return data.x.reshape(len(data), -1).astype(np.float32)


def _fit(project: Project, estimator: Any, train: Dataset) -> None:
    y = train.y if train.y.ndim == 1 or train.y.shape[1] > 1 else train.y[:, 0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of options that a project file does not name
            estimator.fit(_rows(train), y)
    except (TypeError, ValueError) as error:
        raise UserError(f"model {project.model.family!r} with {project.model.options}: {error}") from error


def _graph(estimator: Any, labels: tuple[str, ...]) -> Graph:
    """The estimator as a graph; classes are called what the data call them."""
    from lilliput.loading import load

    graph = load(estimator)
    return replace(graph, meta={"labels": list(labels)} if labels else {})


def _judged(graph: Graph, metric: Metric, detector: bool) -> Graph:
    """With what is measured as the first result: the score where samples are ranked, of detectors the only one.

    scikit-learn's scores of detectors are high for what is normal; ours are for what is not.
    """
    if metric.name != "ROC AUC":
        return graph
    if not detector:
        return replace(graph, outputs=graph.outputs[::-1])
    normal = graph.tensors[graph.outputs[-1]]
    score = Tensor("score", normal.shape)
    nodes = [*graph.nodes, Node(Neg(), (normal.name,), (score.name,), "score")]
    return verify(remove_dead(replace(graph, outputs=(score.name,)).with_nodes(nodes, {score.name: score})))


def _record(trained: Trained) -> dict[str, object]:
    """The figures, as JSON."""
    return {
        "labels": list(trained.split.train.labels),
        "model": trained.project.model.model_dump(),
        "features": None if trained.project.features is None else trained.project.features.statistics,
        "samples": {name: len(part) for name, part in vars(trained.split).items()},
        "seconds": trained.seconds,
        "metric_name": trained.metric.name,
        "test_metric": trained.test,
        "report": trained.report.to_json() if trained.report else None,
    }
