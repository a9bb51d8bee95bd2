"""Neighbours by brute force, and what chooses the nearest of a few centres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.neighbours import Nearest, NeighbourMean, NeighbourVote
from lilliput.ops.neighbours.nearest import METRICS, Metric
from lilliput.ops.shape import Reshape


def _metric(b: SklearnBuilder, model: Any) -> Metric:
    name = getattr(model, "effective_metric_", model.metric)
    if name == "minkowski":
        name = {1: "manhattan", 2: "euclidean"}.get(getattr(model, "p", 2), name)
    for metric in METRICS:
        if name == metric:
            return metric
    raise UserError(
        f"layer '{b.layer}': metric {name!r} is not supported, expected one of {', '.join(METRICS)}"
    )


def _nearest(b: SklearnBuilder, model: Any, x: str) -> tuple[str, str]:
    points = model._fit_X
    if hasattr(points, "toarray"):
        points = points.toarray()
    index, distance = b.add_many(Nearest(int(model.n_neighbors), _metric(b, model)), x, b.constant(points))
    return index, distance


def _by_distance(b: SklearnBuilder, model: Any) -> bool:
    if model.weights not in ("uniform", "distance", None):
        raise UserError(f"layer '{b.layer}': weights={model.weights!r}, expected 'uniform' or 'distance'")
    return bool(model.weights == "distance")


@estimator("KNeighborsClassifier")
def classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    if model.outputs_2d_:
        raise UserError(
            f"layer '{b.layer}': several labels for one sample are not supported; fit one model per label"
        )
    if len(model.classes_) > 256:
        raise UserError(f"layer '{b.layer}': {len(model.classes_)} classes, expected at most 256")
    index, distance = _nearest(b, model, x)
    op = NeighbourVote(_by_distance(b, model), len(model.classes_))
    label, shares = b.add_many(op, index, distance, b.constant(model._y, "int32"))
    return b.labelled(label, model.classes_, shares)


@estimator("KNeighborsRegressor")
def regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    targets: Array = np.asarray(model._y, np.float64)
    index, distance = _nearest(b, model, x)
    known = b.constant(targets.reshape(len(targets), -1))
    return (b.add(NeighbourMean(_by_distance(b, model)), index, distance, known),)


def _nearest_centre(b: SklearnBuilder, x: str, centres: Any, metric: Metric) -> tuple[str, str]:
    if b.transforming:
        raise UserError(f"layer '{b.layer}': its distances as features for further steps are not supported")
    index, distance = b.add_many(Nearest(1, metric), x, b.constant(centres))
    return b.add(Reshape((1,)), index), distance


@estimator("KMeans", "MiniBatchKMeans")
def clusters(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(index of the nearest centre, its distance)."""
    label, distance = _nearest_centre(b, x, model.cluster_centers_, "euclidean")
    return b.labelled(label, range(len(model.cluster_centers_)), distance)


@estimator("NearestCentroid")
def centroids(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(label, distance to its centroid)."""
    if np.ptp(np.asarray(getattr(model, "class_prior_", [0.0]))) > 1e-9:
        raise UserError(f"layer '{b.layer}': priors={model.priors!r} is not supported, expected 'uniform'")
    label, distance = _nearest_centre(b, x, model.centroids_, _metric(b, model))
    return b.labelled(label, model.classes_, distance)
