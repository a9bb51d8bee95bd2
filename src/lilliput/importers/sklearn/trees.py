"""scikit-learn's trees: decision trees, forests, gradient boosting, AdaBoost and isolation forests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder, plain
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.binary import Mul
from lilliput.ops.shape import Slice
from lilliput.ops.softmax import Softmax
from lilliput.ops.tree import Result, Tree, assemble


def add_trees(
    b: SklearnBuilder, x: str, trees: Sequence[Tree], base: Array, result: Result = "float32"
) -> tuple[str, ...]:
    """The sum of the trees and `base` as `result` says."""
    op, *constants = assemble(trees, base, result=result, missing=b.missing)
    return b.add_many(op, x, *(b.constant(c, "int32") for c in constants))


def classified(
    b: SklearnBuilder, x: str, trees: Sequence[Tree], base: Array, labels: Sequence[Any], *, softmax: bool
) -> Sequence[str]:
    """(label, probabilities): the sums themselves, or their softmax; the label alone where that is asked for."""
    b.labels = [plain(label) for label in labels]
    if not b.probabilities:
        return add_trees(b, x, trees, base, "label")
    label, scores = add_trees(b, x, trees, base, "both")
    return label, b.add(Softmax(), scores) if softmax else scores


def refuse_outputs(model: Any) -> None:
    """Classifiers of several outputs have a list of label sets."""
    if getattr(model, "n_outputs_", 1) != 1:
        raise UserError(
            f"{type(model).__name__} has {model.n_outputs_} outputs; classifiers of one output are supported: fit one "
            "for each"
        )


def fitted(model: Any, attribute: str) -> Any:
    """What `fit` sets."""
    if not hasattr(model, attribute):
        raise UserError(f"{type(model).__name__} is not fitted: call fit first")
    return getattr(model, attribute)


def tree_of(
    model: Any, values: Array, *, scale: float = 1.0, column: int = 0, features: Array | None = None
) -> Tree:
    """A fitted DecisionTree with leaf values [nodes, W] of its own; `features` are the columns it was fitted on."""
    t = fitted(model, "tree_")
    return Tree(
        t.feature if features is None else np.asarray(features)[np.maximum(t.feature, 0)],
        t.threshold,
        t.children_left,
        t.children_right,
        np.asarray(values, np.float64) * scale,
        column,
        nan_left=t.missing_go_to_left,
    )


def leaf_values(model: Any) -> Array:
    """[nodes, W]: class probabilities, or a number per output."""
    value: Array = fitted(model, "tree_").value
    return value[:, 0, :] if hasattr(model, "classes_") else value[:, :, 0]


def leaf_votes(model: Any) -> Array:
    """[nodes, classes]: one for the class that a single tree predicts."""
    value = leaf_values(model)
    return np.asarray(np.eye(value.shape[1])[value.argmax(axis=1)])


@estimator("DecisionTreeClassifier", "ExtraTreeClassifier")
def tree_classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    refuse_outputs(model)
    tree = tree_of(model, leaf_values(model))
    return classified(b, x, [tree], np.zeros(len(model.classes_)), model.classes_, softmax=False)


@estimator("DecisionTreeRegressor", "ExtraTreeRegressor")
def tree_regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    values = leaf_values(model)
    return add_trees(b, x, [tree_of(model, values)], np.zeros(values.shape[1]))


@estimator("RandomForestClassifier", "ExtraTreesClassifier")
def forest_classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    refuse_outputs(model)
    trees = fitted(model, "estimators_")
    members = [tree_of(t, leaf_values(t), scale=1 / len(trees)) for t in trees]
    return classified(b, x, members, np.zeros(len(model.classes_)), model.classes_, softmax=False)


@estimator("RandomForestRegressor", "ExtraTreesRegressor")
def forest_regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    trees = fitted(model, "estimators_")
    members = [tree_of(t, leaf_values(t), scale=1 / len(trees)) for t in trees]
    return add_trees(b, x, members, np.zeros(model.n_outputs_))


def _boosted(b: SklearnBuilder, model: Any) -> tuple[list[Tree], Array]:
    """Trees of gradient boosting and the constant they start from."""
    stages = fitted(model, "estimators_")
    if model.init_ != "zero" and type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise UserError(
            f"{type(model).__name__} starts from a fitted {type(model.init_).__name__}; use init=None or init='zero'"
        )
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))[0]
    classes = stages.shape[1]
    trees = [
        tree_of(t, t.tree_.value[:, :, 0], scale=model.learning_rate, column=k if classes > 1 else 0)
        for stage in stages
        for k, t in enumerate(stage)
    ]
    return trees, np.asarray(start, np.float64)


@estimator("GradientBoostingRegressor")
def boosting_regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    return add_trees(b, x, *_boosted(b, model))


@estimator("GradientBoostingClassifier")
def boosting_classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    trees, start = _boosted(b, model)
    slope = 2.0 if model.loss == "exponential" else 1.0
    return logits(b, x, trees, start, model.classes_, slope)


def logits(
    b: SklearnBuilder, x: str, trees: Sequence[Tree], base: Array, labels: Sequence[Any], slope: float = 1.0
) -> Sequence[str]:
    """Classes from sums of trees: with one column its logistic function, as the softmax of (0, sum)."""
    if len(base) > 1:
        return classified(b, x, trees, base, labels, softmax=True)
    moved = [
        Tree(t.feature, t.threshold, t.left, t.right, t.values * slope, 1, t.strict, t.nan_left)
        for t in trees
    ]
    return classified(b, x, moved, np.array([0.0, slope * float(base[0])]), labels, softmax=True)


def _histogram_trees(model: Any) -> list[Tree]:
    """Trees of histogram gradient boosting."""
    if getattr(model, "is_categorical_", None) is not None and np.any(model.is_categorical_):
        raise UserError(
            f"{type(model).__name__} splits categorical features into sets, which is not supported: encode them as "
            "numbers and fit without categorical_features"
        )
    trees = []
    for stage in fitted(model, "_predictors"):
        for k, predictor in enumerate(stage):
            n = predictor.nodes
            leaf = n["is_leaf"] != 0
            left, right = (np.where(leaf, -1, n[side].astype(np.int64)) for side in ("left", "right"))
            trees.append(
                Tree(
                    n["feature_idx"],
                    n["num_threshold"],
                    left,
                    right,
                    n["value"][:, None],
                    k,
                    nan_left=n["missing_go_to_left"],
                )
            )
    return trees


@estimator("HistGradientBoostingRegressor")
def histogram_regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    trees = _histogram_trees(model)
    (y,) = add_trees(b, x, trees, np.asarray(model._baseline_prediction, np.float64).reshape(-1))
    return (exponential(b, y) if model.loss in ("gamma", "poisson") else y,)


@estimator("HistGradientBoostingClassifier")
def histogram_classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    start = np.asarray(fitted(model, "_baseline_prediction"), np.float64).reshape(-1)
    return logits(b, x, _histogram_trees(model), start, model.classes_)


@estimator("AdaBoostClassifier")
def ada_boost(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    members = fitted(model, "estimators_")
    weights = model.estimator_weights_[: len(members)] / model.estimator_weights_[: len(members)].sum()
    k = len(model.classes_)
    trees = []
    for member, weight in zip(members, weights, strict=True):
        if not hasattr(member, "tree_") or not np.array_equal(member.classes_, model.classes_):
            raise UserError(
                f"AdaBoostClassifier over {type(member).__name__}: only decision trees are supported"
            )
        # A vote counts 1 for its class and -1 / (k - 1) for the others; the softmax is of the votes / (k - 1).
        trees.append(tree_of(member, leaf_votes(member), scale=weight * k / (k - 1) ** 2))
    return classified(b, x, trees, np.full(k, -1 / (k - 1) ** 2), model.classes_, softmax=True)


@estimator("AdaBoostRegressor")
def ada_boost_regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    raise UserError(
        "AdaBoostRegressor predicts a weighted median of its trees, which is not supported; use "
        "GradientBoostingRegressor or RandomForestRegressor"
    )


@estimator("IsolationForest")
def isolation_forest(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(1 for an inlier or 0, score_samples): the mean depth at which x ends up, against the expected one."""
    members = fitted(model, "estimators_")
    expected = len(members) * _path_length(np.array([model._max_samples]))[0]
    trees = []
    for member, columns in zip(members, model.estimators_features_, strict=True):
        t = member.tree_
        depth = np.zeros(t.node_count)
        for i in range(t.node_count):  # parents come first
            for child in (t.children_left[i], t.children_right[i]):
                if child >= 0:
                    depth[child] = depth[i] + 1
        values = depth + _path_length(t.n_node_samples)
        trees.append(tree_of(member, values[:, None], scale=1 / expected, column=1, features=columns))
    b.labels = ["-1", "1"]
    # An inlier has -2^-d >= offset.
    limit = -math.log2(-float(model.offset_))
    if not b.probabilities:
        return add_trees(b, x, trees, np.array([limit, 0.0]), "label")
    label, sums = add_trees(b, x, trees, np.array([limit, 0.0]), "both")
    return label, score_of_depth(b, sums)


def _path_length(samples: Array) -> Array:
    """Mean depth of an unsuccessful search in a binary search tree; Liu, Ting, Zhou 2008, equation 1."""
    n = np.asarray(samples, np.float64)
    many = np.where(n > 2, n, 3.0)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, length))


def exponential(b: SklearnBuilder, x: str) -> str:
    """e^x, the inverse of a logarithmic link."""
    from lilliput.ops.unary import Exp

    return b.add(Exp(), x)


def score_of_depth(b: SklearnBuilder, sums: str) -> str:
    """-2^-d of d, the second column."""
    d = b.add(Slice((0, 1), (1, 1), (1, 1)), sums)
    power = exponential(b, b.add(Mul(), d, b.constant(np.array([-math.log(2)]))))
    return b.add(Mul(), power, b.constant(np.array([-1.0])))
