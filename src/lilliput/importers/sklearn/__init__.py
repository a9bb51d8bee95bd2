"""Fitted scikit-learn, XGBoost and LightGBM estimators and pipelines -> Graph, read from the objects themselves."""

from __future__ import annotations

from typing import Any

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.importers.sklearn.builder import SklearnBuilder


def load_sklearn(
    estimator: Any, n_features: int | None = None, *, probabilities: bool = True, missing: bool = False
) -> Graph:
    """The graph of a fitted estimator: x [1, F] float32 -> its predictions.

    Classifiers give (index of the label [1] int32, probabilities or scores [1, K]), or with `probabilities=False` the
    index alone; `graph.meta["labels"]` has the classes in that order. With `missing` a feature may be NaN, and trees
    send it where the model does, at some cost; without, features are numbers. `n_features` is needed where the
    estimator does not know it.
    """
    n_features = n_features or _features(estimator)
    b = SklearnBuilder(n_features, probabilities=probabilities, missing=missing)
    return b.graph(b.convert(estimator, b.x))


def _features(estimator: Any) -> int:
    steps = [step for _, step in getattr(estimator, "steps", ()) if step not in (None, "passthrough")]
    for owner in (estimator, *steps[:1]):
        try:
            found = getattr(owner, "n_features_in_", None) or getattr(owner, "n_features_", None)
        except Exception as error:  # XGBoost and scikit-learn's own NotFittedError, without importing either
            raise UserError(f"{type(estimator).__name__} is not fitted: call fit first ({error})") from error
        if found:
            return int(found)
    if hasattr(estimator, "num_features"):  # xgboost.Booster
        return int(estimator.num_features())
    if hasattr(estimator, "num_feature"):  # lightgbm.Booster
        return int(estimator.num_feature())
    raise UserError(
        f"{type(estimator).__name__} does not say how many features it takes (is it fitted?): give n_features"
    )
