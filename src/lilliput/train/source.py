"""From the sections `[data]`, `[features]` and `[preprocess]` to a split data set and its preprocessing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lilliput.data import (
    Dataset,
    Preprocess,
    Split,
    fit_preprocess,
    load_csv,
    load_digits,
    load_folder,
    load_idx,
    load_npz,
    stratified_split,
)
from lilliput.data.dataset import check_same_form, refuse_empty_class
from lilliput.data.folder import Report
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.graph import Graph
from lilliput.passes.statistics import statistics
from lilliput.train.families import DETECTORS
from lilliput.train.project import Project


def load_split(project: Project, report: Report | None = None) -> tuple[Split, Preprocess]:
    """Training, validation and test data, and what the network sees of a sample.

    `report` gets one message per sample that `skip_bad` left out.
    """
    _, split = featured(project, load_data(project, report))
    return split, preprocess_of(project, split)


def preprocess_of(project: Project, split: Split) -> Preprocess:
    """Mean and deviation as given, or those of the training part alone."""
    chosen = project.preprocess
    return fit_preprocess(split.train.x, _values(chosen.mean), _values(chosen.std))


def featured(project: Project, split: Split) -> tuple[Graph | None, Split]:
    """The graph that computes `[features]`, if the project has them, and the data as they leave it."""
    if project.features is None:
        return None, split
    x = split.train.x
    _, steps, channels, last = x.shape
    if x.dtype != np.float32 or last != 1:
        raise UserError(
            "[features] are statistics over time of windows (N, steps, channels) of numbers; "
            f"the samples are {x.dtype} of shape {x.shape[1:]}"
        )
    graph = statistics(steps, channels, project.features.statistics)
    parts = (
        replace(d, x=run(graph, d.x)[:, None, None]) for d in (split.train, split.validation, split.test)
    )
    return graph, Split(*parts)


def load_data(project: Project, report: Report | None = None) -> Split:
    """Training, validation and test data as the files have them; for anomalies without any in the first two."""
    data = project.data
    source = data.path or data.format
    train, validation, test = _load(project, report)
    if not detects(project):
        refuse_empty_class(train, source)
    if test is None:
        train, test = stratified_split(train, data.test_fraction, data.seed + 1, source)
    if validation is None:
        train, validation = stratified_split(train, data.validation, data.seed, source)
    if detects(project):
        if len(test.labels) != 2:
            raise UserError(
                f"{source}: classes {test.labels}; anomalies are found in data of two classes, 0 (normal) and 1"
            )
        refuse_empty_class(test, f"{source} (test)")
        train, validation = (part.take(np.flatnonzero(part.y == 0)) for part in (train, validation))
        if not len(train) or not len(validation):
            raise UserError(
                f"{source}: no samples of class 0 to learn or validate what is normal; expected some"
            )
    return Split(train, validation, test)


def detects(project: Project) -> bool:
    """Whether the project is about anomalies: it says so, or the model is a detector."""
    return project.anomaly is not None or project.model.family in DETECTORS


def _load(project: Project, report: Report | None) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Training data, and validation and test data where they are given."""
    data = project.data
    if data.format == "npz" and data.path:
        return load_npz(Path(data.path))
    train, test = _load_pair(project, report)
    return train, None, test


def _load_pair(project: Project, report: Report | None) -> tuple[Dataset, Dataset | None]:
    data = project.data
    if data.format == "digits":
        return load_digits()
    if not data.path:
        raise UserError(f"data.path is missing; expected where the {data.format} data are")
    path = Path(data.path)
    if data.format == "idx":
        return load_idx(path)
    if data.format == "folder":
        size = project.preprocess
        if size.height is None or size.width is None:
            raise UserError(
                "preprocess.height and preprocess.width are missing; expected the size of the input"
            )
        return load_folder(
            path, (size.height, size.width), size.channels, skip_bad=data.skip_bad, report=report
        )
    return _load_tables(project, path)


def _load_tables(project: Project, path: Path) -> tuple[Dataset, Dataset | None]:
    data = project.data
    if not data.target:
        raise UserError("data.target is missing; expected the name of the column to predict")
    regression = project.train.loss in ("mse", "huber")
    train = load_csv(path, data.target, regression=regression)
    if not data.test:
        return train, None
    test = load_csv(Path(data.test), data.target, regression=regression)
    check_same_form(train, test, f"{path} and {data.test}")
    return train, test


def _values(value: float | list[float] | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    return tuple(value) if isinstance(value, list) else (float(value),)
