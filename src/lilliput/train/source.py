"""From the `[data]` and `[preprocess]` sections to a split data set and its preprocessing."""

from __future__ import annotations

from pathlib import Path

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
from lilliput.train.project import Project


def load_split(project: Project, report: Report | None = None) -> tuple[Split, Preprocess]:
    """Training, validation and test data, and what the network sees of a sample.

    `report` gets one message per sample that `skip_bad` left out. Mean and deviation are those of the
    training part alone.
    """
    data = project.data
    source = data.path or data.format
    train, test = _load(project, report)
    refuse_empty_class(train, source)
    if test is None:
        train, test = stratified_split(train, data.test_fraction, data.seed + 1, source)
    train, validation = stratified_split(train, data.validation, data.seed, source)
    chosen = project.preprocess
    preprocess = fit_preprocess(train.x, _values(chosen.mean), _values(chosen.std))
    return Split(train, validation, test), preprocess


def _load(project: Project, report: Report | None) -> tuple[Dataset, Dataset | None]:
    data = project.data
    if data.format == "digits":
        return load_digits()
    if not data.path:
        raise UserError(f"data.path is missing; expected where the {data.format} data are")
    path = Path(data.path)
    if data.format == "idx":
        return load_idx(path)
    if data.format == "npz":
        return load_npz(path)
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
