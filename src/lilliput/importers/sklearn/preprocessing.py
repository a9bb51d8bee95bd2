"""Scalers, norms, and the choice of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.binary import Mul
from lilliput.ops.extremum import Maximum
from lilliput.ops.features import Scaler
from lilliput.ops.index import Gather
from lilliput.ops.norm import LpNorm
from lilliput.ops.reduce import ReduceMax
from lilliput.ops.shape import Concat
from lilliput.ops.unary import Clamp
from lilliput.ops.unary.elementary import Abs, Reciprocal

LEAST = 1e-30
"""Where a norm is zero; its numbers are zero then."""


def scaled(b: SklearnBuilder, x: str, offset: Any, factor: Any) -> str:
    """(x - offset) factor; None is no offset, a factor of one."""
    n = b.features(x)
    offset = np.broadcast_to(0.0 if offset is None else np.asarray(offset, np.float64), n)
    factor = np.broadcast_to(1.0 if factor is None else np.asarray(factor, np.float64), n)
    return b.add(Scaler(), x, b.constant(offset), b.constant(factor))


@estimator("StandardScaler")
def standard(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    factor = None if not model.with_std else 1 / np.asarray(model.scale_)
    return (scaled(b, x, model.mean_ if model.with_mean else None, factor),)


@estimator("RobustScaler")
def robust(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    factor = None if not model.with_scaling else 1 / np.asarray(model.scale_)
    return (scaled(b, x, model.center_ if model.with_centering else None, factor),)


@estimator("MinMaxScaler")
def min_max(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    y = scaled(b, x, -np.asarray(model.min_) / model.scale_, model.scale_)
    low, high = model.feature_range
    return (b.add(Clamp(float(low), float(high)), y) if model.clip else y,)


@estimator("MaxAbsScaler")
def max_abs(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    y = scaled(b, x, None, 1 / np.asarray(model.scale_))
    return (b.add(Clamp(-1.0, 1.0), y) if getattr(model, "clip", False) else y,)


def normalized(b: SklearnBuilder, x: str, norm: str) -> str:
    """Rows of norm one; zeros stay zeros."""
    if norm != "max":
        return b.add(LpNorm(1 if norm == "l1" else 2, -1, LEAST), x)
    largest = b.add(ReduceMax((1,), True), b.add(Abs(), x))
    size = b.add(Maximum(), largest, b.constant(np.full((1, 1), LEAST)))
    return b.add(Mul(), x, b.add(Reciprocal(), size))


@estimator("Normalizer")
def normalizer(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    return (normalized(b, x, model.norm),)


@estimator("FunctionTransformer")
def identity(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    if model.func is not None:
        raise UserError(
            f"layer '{b.layer}': a function of Python cannot be converted; apply it before the model"
        )
    return (x,)


def chosen(b: SklearnBuilder, x: str, columns: Any) -> str:
    """The features of these numbers."""
    columns = np.asarray(columns)
    if len(columns) == 0:
        raise UserError(f"layer '{b.layer}': no features are left")
    if np.array_equal(columns, np.arange(b.features(x))):
        return x
    return b.add(Gather(1), x, b.constant(columns, "int32"))


@estimator(
    "SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe", "GenericUnivariateSelect"
)
@estimator("VarianceThreshold", "SelectFromModel", "RFE", "RFECV", "SequentialFeatureSelector")
def selection(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    name = type(model).__name__
    if name in ("RFE", "RFECV") and not b.transforming:
        return b.convert(model.estimator_, chosen(b, x, model.get_support(indices=True)))
    return (chosen(b, x, model.get_support(indices=True)),)


@estimator("ColumnTransformer")
def columns(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """Columns by number; those by name need the names in the order of the features."""
    names = list(getattr(model, "feature_names_in_", []))
    parts, whole = [], b.transforming
    for _, transformer, given in model.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        taken = _numbers(b, x, given, names)
        if not taken:
            continue
        part = chosen(b, x, taken)
        b.transforming = True
        if not isinstance(transformer, str):  # "passthrough" stays as it is
            (part,) = b.convert(transformer, part)
        parts.append(part)
    b.transforming = whole
    if not parts:
        raise UserError(f"layer '{b.layer}': no features are left")
    return (parts[0] if len(parts) == 1 else b.add(Concat(1), *parts),)


def _numbers(b: SklearnBuilder, x: str, given: Any, names: list[str]) -> list[int]:
    """The columns of x that are meant: numbers, negative ones from the end, a slice, a mask, or names."""
    features = b.features(x)
    if isinstance(given, slice):
        return list(range(features))[given]
    values = np.atleast_1d(np.asarray(given))
    if values.dtype == bool:
        return [int(i) for i in np.flatnonzero(values)]
    if values.dtype.kind in "iu":
        return [int(i) % features for i in values]
    try:
        return [names.index(str(name)) for name in values]
    except ValueError as error:
        raise UserError(f"layer '{b.layer}': columns {given!r} are not among {names}") from error
