"""Which estimators of scikit-learn a project file can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Number = Literal["int8", "float32"]


@dataclass(frozen=True)
class Family:
    """Where the estimators are; `scaled` puts a StandardScaler in front; `best` is its default form on a device."""

    module: str
    classifier: str | None
    regressor: str | None = None
    detector: str | None = None
    scaled: bool = False
    best: Number = "int8"


FAMILIES = {
    "logistic_regression": Family("linear_model", "LogisticRegression", scaled=True),
    "linear_regression": Family("linear_model", None, "LinearRegression", scaled=True),
    "ridge": Family("linear_model", "RidgeClassifier", "Ridge", scaled=True),
    "linear_discriminant": Family("discriminant_analysis", "LinearDiscriminantAnalysis", scaled=True),
    "svm": Family("svm", "SVC", "SVR", scaled=True),
    "linear_svm": Family("svm", "LinearSVC", "LinearSVR", scaled=True),
    "knn": Family("neighbors", "KNeighborsClassifier", "KNeighborsRegressor", scaled=True),
    "naive_bayes": Family("naive_bayes", "GaussianNB", scaled=True),
    "decision_tree": Family("tree", "DecisionTreeClassifier", "DecisionTreeRegressor", best="float32"),
    "random_forest": Family("ensemble", "RandomForestClassifier", "RandomForestRegressor", best="float32"),
    "extra_trees": Family("ensemble", "ExtraTreesClassifier", "ExtraTreesRegressor", best="float32"),
    "gradient_boosting": Family(
        "ensemble", "GradientBoostingClassifier", "GradientBoostingRegressor", best="float32"
    ),
    "ada_boost": Family("ensemble", "AdaBoostClassifier", best="float32"),
    "isolation_forest": Family("ensemble", None, detector="IsolationForest", best="float32"),
    "one_class_svm": Family("svm", None, detector="OneClassSVM", scaled=True),
}
DETECTORS = tuple(name for name, family in FAMILIES.items() if family.detector)
