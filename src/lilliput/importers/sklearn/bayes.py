"""Classes and clusters that are Gaussians, and naive Bayes on counts, which is linear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.linear import layer
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.neighbours import LogGaussian
from lilliput.ops.neighbours.gaussian import pack_triangles
from lilliput.ops.reduce import ReduceLogSumExp
from lilliput.ops.softmax import Softmax

HALF = np.sqrt(0.5)
LOG_TWO_PI = np.log(2 * np.pi)


def _densities(
    b: SklearnBuilder, x: str, means: Array, factors: Array, offsets: Array, *, full: bool = False
) -> Any:
    """(label, log densities); (x - mean) factors are deviations, here divided by the square root of two."""
    constants = (b.constant(means), b.constant(factors * HALF), b.constant(offsets))
    return b.add_many(LogGaussian(full), x, *constants)


@estimator("GaussianNB")
def naive(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    var = np.asarray(model.var_, np.float64)
    offsets = np.log(model.class_prior_) - 0.5 * np.log(2 * np.pi * var).sum(1)
    label, scores = _densities(b, x, model.theta_, 1 / np.sqrt(var), offsets)
    return b.labelled(label, model.classes_, b.add(Softmax(), scores))


@estimator("MultinomialNB", "ComplementNB")
def counts(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    weights = np.asarray(model.feature_log_prob_)
    prior: Array | float = model.class_log_prior_
    if type(model).__name__ == "ComplementNB" and len(model.classes_) > 1:
        prior = 0.0
    # What all classes have in common decides nothing, yet would take up the range of integers.
    prior = np.broadcast_to(prior, len(weights))
    scores = layer(b, x, weights - weights.mean(0), prior - prior.mean())
    return b.classify(scores, model.classes_, b.add(Softmax(), scores))


def upper_factor(m: Array) -> Array:
    """The upper triangular P with P P^T = M M^T, for M [F, rank]."""
    flipped = m[::-1]
    lower: Array = np.asarray(np.linalg.qr(flipped.T, mode="r")).T
    square = np.zeros((len(m), len(m)))
    square[:, : lower.shape[1]] = lower
    return square[::-1, ::-1]


@estimator("QuadraticDiscriminantAnalysis")
def quadratic(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    pairs = list(zip(model.rotations_, model.scalings_, strict=True))
    triangles = np.stack([upper_factor(r / np.sqrt(s)) for r, s in pairs])
    offsets = np.log(model.priors_) - 0.5 * np.array([np.log(s).sum() for _, s in pairs])
    label, scores = _densities(b, x, model.means_, pack_triangles(triangles), offsets, full=True)
    return b.labelled(label, model.classes_, b.add(Softmax(), scores))


@estimator("GaussianMixture")
def mixture(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(component, its probabilities, log likelihood of x: `score_samples`)."""
    means, precision = np.asarray(model.means_), np.asarray(model.precisions_cholesky_)
    n, features = means.shape
    offsets = np.log(model.weights_) - 0.5 * features * LOG_TWO_PI
    kind = model.covariance_type
    if kind == "full":
        offsets = offsets + np.log(np.diagonal(precision, axis1=1, axis2=2)).sum(1)
        found = _densities(b, x, means, pack_triangles(precision), offsets, full=True)
    elif kind == "tied":
        offsets = offsets + np.log(np.diagonal(precision)).sum()
        centre = means.mean(0)  # subtracted before the numbers are multiplied: less is lost
        moved = layer(b, x, precision.T, -centre @ precision)
        found = _densities(b, moved, (means - centre) @ precision, np.ones((1, 1)), offsets)
    else:
        factors = precision if kind == "diag" else precision[:, None]
        offsets = offsets + np.log(factors).sum(1) * (1 if kind == "diag" else features)
        found = _densities(b, x, means, factors, offsets)
    label, scores = found
    likelihood = b.add(ReduceLogSumExp((1,), False), scores)
    return b.labelled(label, range(n), b.add(Softmax(), scores), likelihood)
