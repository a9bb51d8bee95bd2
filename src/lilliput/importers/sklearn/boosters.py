"""XGBoost and LightGBM boosters, from the JSON that both give; neither library is imported here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.registry import estimator
from lilliput.importers.sklearn.trees import add_trees, exponential, logits
from lilliput.ops.tree import Tree

IDENTITY = {
    "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:absoluteerror", "reg:pseudohubererror",
    "reg:quantileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg", "rank:map",
    "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg",
}  # fmt: skip
"""Objectives whose result is the sum of the trees."""
LOGISTIC = {"binary:logistic", "reg:logistic", "binary"}
EXPONENTIAL = {"count:poisson", "reg:gamma", "reg:tweedie", "poisson", "gamma", "tweedie"}
MULTICLASS = {"multi:softprob", "multi:softmax", "multiclass"}


def _finish(
    b: SklearnBuilder, x: str, objective: str, trees: list[Tree], base: Array, labels: Sequence[Any] | None
) -> Sequence[str]:
    """What the library does with the sum of its trees."""
    if objective in LOGISTIC | MULTICLASS:
        classes = max(2, len(base))
        return logits(b, x, trees, base, list(range(classes)) if labels is None else labels)
    if objective in IDENTITY:
        return add_trees(b, x, trees, base)
    if objective in EXPONENTIAL:
        return (exponential(b, add_trees(b, x, trees, base)[0]),)
    known = ", ".join(sorted(IDENTITY | LOGISTIC | EXPONENTIAL | MULTICLASS))
    raise UserError(f"the objective {objective} is not supported; supported: {known}")


@estimator("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker")
def xgboost_model(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    labels = getattr(model, "classes_", None) if hasattr(model, "predict_proba") else None
    return _xgboost(b, model.get_booster(), x, labels, best=True)


@estimator("Booster")
def booster(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """xgboost.Booster or lightgbm.Booster: their classes have one name."""
    if hasattr(model, "dump_model") and hasattr(model, "num_feature"):
        return _lightgbm(b, model, x, None)
    return _xgboost(b, model, x, None, best=False)


def _xgboost(
    b: SklearnBuilder, model: Any, x: str, labels: Sequence[Any] | None, *, best: bool
) -> Sequence[str]:
    learner = json.loads(bytes(model.save_raw(raw_format="json")))["learner"]
    gradient = learner["gradient_booster"]
    drop: list[float] | None = None
    if gradient["name"] == "dart":
        drop = gradient["weight_drop"]
        gradient = gradient["gbtree"]
    if "trees" not in gradient.get("model", {}):
        raise UserError(f"the XGBoost booster {gradient['name']} holds no trees; use gbtree or dart")
    objective = learner["objective"]["name"]
    param = learner["learner_model_param"]
    base = _base_score(param, objective)
    found, group = gradient["model"]["trees"], gradient["model"]["tree_info"]
    if int(param.get("num_target", 1)) > 1:
        raise UserError(f"the XGBoost model has {param['num_target']} targets; fit one model per target")
    if best and "best_iteration" in learner.get("attributes", {}):
        rounds = gradient["model"].get("iteration_indptr")
        kept = int(learner["attributes"]["best_iteration"]) + 1
        most = int(rounds[kept]) if rounds else kept * len(base)
        found, group = found[:most], group[:most]
    trees = []
    for i, (t, column) in enumerate(zip(found, group, strict=True)):
        if any(t["split_type"]):
            raise UserError(
                "the XGBoost model splits categorical features into sets, which is not supported: encode them as "
                "numbers"
            )
        values = np.array(t["split_conditions"], np.float32).astype(np.float64)
        weight = 1.0 if drop is None else drop[i]
        trees.append(
            Tree(
                np.array(t["split_indices"]),
                values,
                np.array(t["left_children"]),
                np.array(t["right_children"]),
                values[:, None] * weight,
                column if len(base) > 1 else 0,
                strict=True,
                nan_left=np.array(t["default_left"]),
            )
        )
    return _finish(b, x, objective, trees, base, labels)


def _base_score(param: dict[str, Any], objective: str) -> Array:
    """The margin that the trees are added to, one per class: stored as a prediction, not as a margin."""
    text = str(param["base_score"]).strip("[]")
    score = np.array([float(part) for part in text.split(",")], np.float64)
    score = np.broadcast_to(score, (max(1, int(param["num_class"])),)) if len(score) == 1 else score
    if objective in LOGISTIC or objective == "binary:logitraw":
        return np.array([math.log(p / (1 - p)) for p in score])
    return np.log(score) if objective in EXPONENTIAL else np.array(score)


@estimator("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
def lightgbm_model(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    return _lightgbm(b, model.booster_, x, getattr(model, "classes_", None))


def _lightgbm(b: SklearnBuilder, model: Any, x: str, labels: Sequence[Any] | None) -> Sequence[str]:
    dump = model.dump_model()
    name, *options = dump["objective"].split()
    slope = next((float(o.split(":")[1]) for o in options if o.startswith("sigmoid:")), 1.0)
    if "sqrt" in options:
        raise UserError(
            "LightGBM's reg_sqrt squares its result, which is not supported: transform the target before fit"
        )
    columns = dump["num_tree_per_iteration"]
    scale = slope if name == "binary" else 1.0
    if dump.get("average_output"):
        scale /= len(dump["tree_info"]) / columns
    trees = [_lightgbm_tree(t["tree_structure"], i % columns, scale) for i, t in enumerate(dump["tree_info"])]
    return _finish(b, x, name, trees, np.zeros(columns), labels)


def _lightgbm_tree(root: dict[str, Any], column: int, scale: float) -> Tree:
    """Nested dictionaries as arrays."""
    feature: list[int] = []
    sides: list[list[int]] = []
    threshold, value, nan_left = [], [], []
    todo = [(root, -1, 0)]
    while todo:
        node, parent, side = todo.pop()
        me = len(feature)
        if parent >= 0:
            sides[parent][side] = me
        sides.append([-1, -1])
        leaf = "split_feature" not in node
        feature.append(0 if leaf else node["split_feature"])
        value.append(node.get("leaf_value", 0.0))
        threshold.append(0.0 if leaf else _lightgbm_threshold(node))
        # Without missing values in training, LightGBM takes NaN for 0.
        missing = "" if leaf else node["missing_type"]
        nan_left.append(not leaf and (threshold[-1] >= 0 if missing == "None" else node["default_left"]))
        if not leaf:
            todo += [(node["right_child"], me, 1), (node["left_child"], me, 0)]
    left, right = np.array(sides).T
    values = np.array(value, np.float64)[:, None] * scale
    return Tree(
        np.array(feature), np.array(threshold), left, right, values, column, nan_left=np.array(nan_left)
    )


def _lightgbm_threshold(node: dict[str, Any]) -> float:
    if node["decision_type"] != "<=":
        raise UserError(
            "the LightGBM model splits categorical features into sets, which is not supported: encode them as numbers "
            "and fit without categorical_feature"
        )
    if node["missing_type"] == "Zero":
        raise UserError("LightGBM's zero_as_missing is not supported: fit without it")
    return float(node["threshold"])
