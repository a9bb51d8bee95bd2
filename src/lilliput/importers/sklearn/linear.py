"""Linear models: one layer of weights, for a classifier with the decision behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.conv import Linear
from lilliput.ops.kernel_machine import PairwiseVote
from lilliput.ops.norm import LpNorm
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import Sigmoid


def layer(b: SklearnBuilder, x: str, weights: Any, bias: Any) -> str:
    """x w^T + b; weights [outputs, features] or [features]."""
    w = np.atleast_2d(np.asarray(weights, np.float64))
    bias = np.broadcast_to(np.asarray(bias, np.float64).reshape(-1), len(w))
    return b.add(Linear(), x, b.constant(w), b.constant(bias))


def both(b: SklearnBuilder, second: str) -> str:
    """The probabilities [1, 2] of two classes from that of the second one."""
    return layer(b, second, [[-1.0], [1.0]], [1.0, 0.0])


def binary(b: SklearnBuilder, decision: str, labels: Sequence[Any], *, logistic: bool) -> Sequence[str]:
    """(label, probabilities or the decision) from the decision [1, 1], which is positive for the second class."""
    label = b.add(PairwiseVote(2), decision)
    return b.labelled(label, labels, both(b, b.add(Sigmoid(), decision)) if logistic else decision)


def _coefficients(b: SklearnBuilder, model: Any) -> Array:
    coef = model.coef_
    return np.asarray(coef.toarray() if hasattr(coef, "toarray") else coef, np.float64)


def _decision(b: SklearnBuilder, model: Any, x: str) -> str:
    return layer(b, x, _coefficients(b, model), model.intercept_)


@estimator(
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "Lars", "LarsCV"
)
@estimator(
    "LassoLars", "LassoLarsCV", "LassoLarsIC", "OrthogonalMatchingPursuit", "BayesianRidge", "ARDRegression"
)
@estimator(
    "MultiTaskLasso", "MultiTaskElasticNet", "HuberRegressor", "TheilSenRegressor", "QuantileRegressor"
)
@estimator("SGDRegressor", "PassiveAggressiveRegressor", "LinearSVR", "PLSRegression")
def regression(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    if type(model).__name__ == "PLSRegression":  # coefficients of the centred features
        bias = model.intercept_ - model._x_mean @ model.coef_.T
        return (layer(b, x, model.coef_, bias),)
    return (_decision(b, model, x),)


@estimator("LogisticRegression", "LogisticRegressionCV")
def logistic(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    decision = _decision(b, model, x)
    if b.features(decision) == 1:
        return binary(b, decision, model.classes_, logistic=True)
    return b.classify(decision, model.classes_, b.add(Softmax(), decision))


@estimator("LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier")
def margins(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    classes = np.asarray(model.classes_)
    decision = _decision(b, model, x)
    if classes.ndim != 1 or b.features(decision) not in (1, len(classes)) or _multilabel(model):
        raise UserError(
            f"layer '{b.layer}': several labels for one sample are not supported; fit one model per label"
        )
    if b.features(decision) == 1:
        return binary(b, decision, list(classes), logistic=False)
    return b.classify(decision, list(classes))


def _multilabel(model: Any) -> bool:
    binarizer = getattr(model, "_label_binarizer", None)
    return str(getattr(binarizer, "y_type_", "")).startswith("multilabel")


@estimator("SGDClassifier")
def stochastic(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    decision = _decision(b, model, x)
    logistic = model.loss == "log_loss"  # other losses give no probabilities, or their decisions say the same
    if b.features(decision) == 1:
        return binary(b, decision, model.classes_, logistic=logistic)
    shares = b.add(LpNorm(1, -1, 1e-30), b.add(Sigmoid(), decision)) if logistic else None
    return b.classify(decision, model.classes_, shares)


@estimator("LinearDiscriminantAnalysis")
def linear_discriminant(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    if b.transforming:
        if model.solver == "lsqr":
            raise UserError(f"layer '{b.layer}': solver 'lsqr' has no transform; fit with 'svd' or 'eigen'")
        scalings = np.asarray(model.scalings_)[:, : model._max_components]
        centre = model.xbar_ if model.solver == "svd" else np.zeros(len(scalings))
        return (layer(b, x, scalings.T, -centre @ scalings),)
    return logistic(b, model, x)
