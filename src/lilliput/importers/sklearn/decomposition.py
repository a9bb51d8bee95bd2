"""Projections onto components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.linear import layer
from lilliput.importers.sklearn.registry import estimator


@estimator("PCA", "IncrementalPCA")
def principal(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    components = np.asarray(model.components_, np.float64)
    if model.whiten:
        spread = np.sqrt(model.explained_variance_)
        components = components / np.maximum(spread, np.finfo(spread.dtype).eps)[:, None]
    centre = np.zeros(components.shape[1]) if model.mean_ is None else model.mean_
    return (layer(b, x, components, -components @ centre),)


@estimator("TruncatedSVD", "GaussianRandomProjection")
def plain(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    return (layer(b, x, model.components_, 0.0),)


@estimator("FastICA")
def independent(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    components = np.asarray(model.components_, np.float64)
    centre = getattr(model, "mean_", np.zeros(components.shape[1]))
    return (layer(b, x, components, -components @ centre),)
