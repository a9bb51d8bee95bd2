"""scikit-learn's own predictions on held-out rows, from numpy and from the C on this machine: everything but trees."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn import datasets
from sklearn.cluster import Birch, KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR, OneClassSVM

import lilliput
from batch import Case, core_batch, host_models
from lilliput.errors import UserError
from lilliput.evaluate import as_input, outputs
from lilliput.graph import Array, Graph
from lilliput.passes.standardize import standardize
from lilliput.plan import plan
from lilliput.quantize.loss import loss
from lilliput.target import load_target

pytestmark = pytest.mark.slow  # fits many models

DATA: dict[str, Callable[..., Any]] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
SCALED = StandardScaler


def mlp(activation: str) -> Any:
    return make_pipeline(
        SCALED(), MLPClassifier((12, 9), activation=activation, max_iter=200, random_state=1)
    )


def discriminant(**more: Any) -> Any:
    return make_pipeline(SCALED(), QuadraticDiscriminantAnalysis(**more))


def mixture(kind: str) -> Any:
    return make_pipeline(SCALED(), PCA(6), GaussianMixture(3, covariance_type=kind, random_state=0))


def svc(kernel: str, **more: Any) -> Any:
    return make_pipeline(SCALED(), SVC(kernel=kernel, **more))


CLASSIFIERS: dict[str, tuple[str, Any]] = {
    "svc rbf": ("wine", svc("rbf")),
    "svc rbf, ten classes": ("digits", SVC()),
    "svc rbf, two classes": ("cancer", svc("rbf", C=3.0)),
    "svc rbf, features of any scale": ("wine", SVC(C=20.0)),
    "svc linear": ("wine", svc("linear")),
    "svc linear, two classes": ("cancer", svc("linear")),
    "svc poly": ("iris", svc("poly", degree=4, coef0=0.5)),
    "svc sigmoid": ("iris", svc("sigmoid")),
    "svc sigmoid, two classes": ("cancer", svc("sigmoid", gamma=0.01)),
    "nu svc": ("digits", NuSVC(nu=0.1)),
    "linear svc": ("digits", make_pipeline(MaxAbsScaler(), LinearSVC())),
    "linear svc, two classes": ("cancer", make_pipeline(RobustScaler(), LinearSVC())),
    "logistic": ("digits", make_pipeline(SCALED(), LogisticRegression(max_iter=300))),
    "logistic, two classes": ("cancer", make_pipeline(SCALED(), LogisticRegression())),
    "ridge classifier": ("wine", make_pipeline(MinMaxScaler(), RidgeClassifier())),
    "ridge classifier, two classes": ("cancer", make_pipeline(MinMaxScaler(clip=True), RidgeClassifier())),
    "sgd hinge": ("digits", make_pipeline(SCALED(), SGDClassifier(random_state=0))),
    "sgd logistic": ("iris", make_pipeline(SCALED(), SGDClassifier(loss="log_loss", random_state=0))),
    "perceptron": ("digits", Perceptron(random_state=0)),
    "passive aggressive": ("wine", make_pipeline(SCALED(), PassiveAggressiveClassifier(random_state=0))),
    "neighbours": ("digits", KNeighborsClassifier(5)),
    "neighbours by distance": ("wine", make_pipeline(SCALED(), KNeighborsClassifier(7, weights="distance"))),
    "neighbours, manhattan": ("iris", KNeighborsClassifier(4, p=1)),
    "nearest centroid": ("digits", NearestCentroid()),
    "gaussian naive bayes": ("wine", GaussianNB()),
    "gaussian naive bayes, two classes": ("cancer", GaussianNB()),
    "gaussian naive bayes, constant features": ("digits", GaussianNB()),
    "multinomial naive bayes": ("digits", MultinomialNB()),
    "complement naive bayes": ("digits", ComplementNB()),
    "linear discriminant": ("wine", LinearDiscriminantAnalysis()),
    "linear discriminant, two classes": ("cancer", LinearDiscriminantAnalysis()),
    "linear discriminant as features": (
        "digits",
        make_pipeline(
            VarianceThreshold(0.1), LinearDiscriminantAnalysis(n_components=5), KNeighborsClassifier(3)
        ),
    ),
    "quadratic discriminant": ("wine", QuadraticDiscriminantAnalysis()),
    "quadratic discriminant, regularised": (
        "cancer",
        discriminant(reg_param=0.3),
    ),
    "perceptrons relu": ("digits", mlp("relu")),
    "perceptrons tanh": ("wine", mlp("tanh")),
    "perceptrons logistic": ("iris", mlp("logistic")),
    "perceptrons identity, two classes": ("cancer", mlp("identity")),
    "best features": ("cancer", make_pipeline(SelectKBest(k=7), SCALED(), SVC())),
    "features of a model": (
        "cancer",
        make_pipeline(SCALED(), SelectFromModel(LogisticRegression(C=0.1)), PCA(4, whiten=True), SVC()),
    ),
    "feature elimination": (
        "wine",
        make_pipeline(SCALED(), RFE(LogisticRegression(), n_features_to_select=5)),
    ),
    "norms of one": ("digits", make_pipeline(Normalizer("l1"), LogisticRegression(C=100, max_iter=300))),
    "columns": (
        "wine",
        make_pipeline(
            SCALED(),
            ColumnTransformer(
                [
                    ("a", MinMaxScaler((-1, 1)), [0, 3, 5]),
                    ("b", PCA(2), slice(6, 12)),
                    ("c", "passthrough", [1]),
                ],
                remainder="drop",
            ),
            GaussianNB(),
        ),
    ),
}
REGRESSORS: dict[str, tuple[str, Any]] = {
    "linear": ("diabetes", LinearRegression()),
    "ridge": ("diabetes", Ridge(0.1)),
    "lasso": ("diabetes", Lasso(0.1)),
    "elastic net": ("diabetes", ElasticNet(0.01)),
    "bayesian ridge": ("diabetes", BayesianRidge()),
    "huber": ("diabetes", HuberRegressor(max_iter=1000)),
    "sgd": ("diabetes", SGDRegressor(random_state=0)),
    "linear svr": ("diabetes", LinearSVR(C=50.0, max_iter=20000)),
    "svr rbf": ("diabetes", SVR(C=100.0)),
    "svr linear": ("diabetes", SVR(kernel="linear", C=100.0)),
    "svr poly": ("diabetes", SVR(kernel="poly", C=100.0, coef0=1.0)),
    "nu svr": ("diabetes", NuSVR(C=100.0)),
    "neighbours": ("diabetes", KNeighborsRegressor(6)),
    "neighbours by distance": ("diabetes", KNeighborsRegressor(6, weights="distance", p=1)),
    "perceptrons": (
        "diabetes",
        MLPRegressor(hidden_layer_sizes=(10,), activation="tanh", max_iter=300, random_state=0),
    ),
    "scaled": ("diabetes", make_pipeline(SCALED(), MinMaxScaler(), Ridge())),
}
TRANSFORMERS: dict[str, tuple[str, Any]] = {
    "pca": ("digits", PCA(8)),
    "pca, whitened": ("wine", make_pipeline(SCALED(), PCA(5, whiten=True))),
    "incremental pca": ("iris", IncrementalPCA(2)),
    "singular values": ("digits", TruncatedSVD(6, random_state=0)),
    "independent components": ("iris", FastICA(3, random_state=0)),
    "standard": ("wine", StandardScaler()),
    "standard, mean only": ("wine", StandardScaler(with_std=False)),
    "robust": ("cancer", RobustScaler()),
    "min max": ("cancer", MinMaxScaler((-1, 2))),
    "max abs": ("digits", MaxAbsScaler()),
    "l2": ("wine", Normalizer("l2")),
    "max": ("wine", Normalizer("max")),
    "variance": ("digits", VarianceThreshold(5.0)),
}
CLUSTERS: dict[str, tuple[str, Any]] = {
    "k-means": ("digits", KMeans(10, n_init=1, random_state=0)),
    "k-means in batches": ("wine", make_pipeline(SCALED(), MiniBatchKMeans(4, n_init=1, random_state=0))),
    **{
        f"mixture, {kind}": (
            "wine",
            make_pipeline(SCALED(), PCA(6), GaussianMixture(3, covariance_type=kind, random_state=0)),
        )
        for kind in ("full", "tied", "diag", "spherical")
    },
    "outliers": ("cancer", make_pipeline(SCALED(), OneClassSVM(nu=0.1))),
}
TIES: dict[str, list[int]] = {}
"""Rows of the test set where float32 decides otherwise, for the scores are equal up to rounding: none."""


@dataclass(frozen=True, eq=False)
class Fitted:
    model: Any
    graph: Graph
    train: Array
    rows: Array
    wanted: Array


@cache
def split(data: str) -> tuple[Array, Array, Array, Array]:
    """Train and test features (float32 values) and targets; at most 160 test rows."""
    x, y = DATA[data](return_X_y=True)
    a, b, ya, yb = train_test_split(x.astype(np.float32), y, test_size=0.3, random_state=3)
    return a.astype(np.float64), b[:160].astype(np.float64), ya, yb[:160]


@cache
def fitted() -> dict[str, Fitted]:
    """Every model, fitted and converted once."""
    found = {}
    for table in (CLASSIFIERS, REGRESSORS, TRANSFORMERS, CLUSTERS):
        for name, (data, model) in table.items():
            a, b, ya, yb = split(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a few do not converge in the steps they are given
                model.fit(a, ya)
            label = f"{kind(table)}: {name}"
            found[label] = Fitted(model, lilliput.load(model), a.astype(np.float32), b.astype(np.float32), yb)
    return found


def kind(table: Any) -> str:
    names = (
        (CLASSIFIERS, "classifier"),
        (REGRESSORS, "regressor"),
        (TRANSFORMERS, "transformer"),
        (CLUSTERS, "cluster"),
    )
    return next(name for t, name in names if t is table)


@cache
def on_the_host() -> dict[str, dict[str, Array]]:
    """Every output of every model for its test rows, from one library of C."""
    cases = [Case(label, plan(f.graph)) for label, f in fitted().items()]
    found = {}
    for case, model in zip(cases, host_models(cases), strict=True):
        rows = fitted()[case.label].rows
        runs = [model.run({case.plan.graph.inputs[0]: row[None]}) for row in rows]
        found[case.label] = {n: np.concatenate([run[n] for run in runs]) for n in case.plan.graph.outputs}
    return found


def results(label: str) -> Iterator[tuple[str, list[Array]]]:
    f = fitted()[label]
    reference = outputs(f.graph, f.rows)
    for where, found in (("numpy", reference), ("host", on_the_host()[label])):
        yield where, [found[name] for name in f.graph.outputs]


def close(found: Array, wanted: Array, bound: float = 2e-5) -> bool:
    """Within `bound` of the largest value: float32 sums against float64 ones."""
    wanted = wanted.reshape(found.shape)
    return bool(np.allclose(found, wanted, rtol=0, atol=bound * max(1.0, float(np.abs(wanted).max()))))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str) -> None:
    f = fitted()[f"classifier: {name}"]
    x = f.rows.astype(np.float64)
    labels = np.array(f.graph.meta["labels"]).astype(f.model.predict(x[:1]).dtype)
    for where, (label, scores) in results(f"classifier: {name}"):
        differ = np.flatnonzero(labels[label] != f.model.predict(x)).tolist()
        assert differ == TIES.get(name, []), f"{where}: other labels"
        assert close(scores, scores_of(f.model, x), 1e-4), f"{where}: other scores"
    assert np.mean(f.model.predict(x) == f.wanted) > 0.6


def scores_of(model: Any, x: Array) -> Array:
    """Probabilities where the model has them, else decisions: one against one for support vector machines."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if isinstance(last, SVC | NuSVC):
        last.decision_function_shape = "ovo"
    elif isinstance(last, NearestCentroid):
        return np.sqrt(((x[:, None] - last.centroids_) ** 2).sum(-1)).min(1)
    elif hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x))
    return np.asarray(model.decision_function(x))


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name: str) -> None:
    f = fitted()[f"regressor: {name}"]
    for where, (y,) in results(f"regressor: {name}"):
        assert y.shape == (len(f.rows), 1)
        assert close(y, f.model.predict(f.rows.astype(np.float64))), where


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    f = fitted()[f"transformer: {name}"]
    for where, (y,) in results(f"transformer: {name}"):
        assert close(y, f.model.transform(f.rows.astype(np.float64))), where


@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters(name: str) -> None:
    f = fitted()[f"cluster: {name}"]
    x = f.rows.astype(np.float64)
    labels = np.array(f.graph.meta["labels"]).astype(f.model.predict(x[:1]).dtype)
    for where, (label, scores, *more) in results(f"cluster: {name}"):
        assert (labels[label] == f.model.predict(x)).all(), where
        if name.startswith("mixture"):
            assert close(scores, f.model.predict_proba(x), 1e-4), where
            assert close(more[0], f.model.score_samples(x)), where
        elif name == "outliers":
            assert close(scores, f.model.decision_function(x)), where
        else:
            assert close(scores, f.model.transform(x).min(1)), where


def of_one_size(label: str) -> Graph:
    """The graph with standardized features; those of digits are pixels, all on one scale from the start."""
    f = fitted()[label]
    return f.graph if f.train.shape[1] == 64 else standardize(f.graph, f.train)


@pytest.mark.parametrize("label", [f"classifier: {name}" for name in CLASSIFIERS])
def test_integers_decide_alike(label: str) -> None:
    """int8 between float ends: at most a few of a hundred decisions differ, and the helper counts the same."""
    f = fitted()[label]
    graph = of_one_size(label)
    integers = lilliput.quantize(graph, f.train, io="float32")
    (labels, *_) = loss(graph, integers, f.rows)
    (before, *_), (after, *_) = (list(outputs(g, f.rows).values()) for g in (graph, integers))
    assert labels.different == int((before != after).sum())
    assert labels.different <= 0.04 * len(f.rows), f"{labels.different} of {len(f.rows)} decisions differ"


INTEGER_KERNELS = {
    "classifier: svc rbf, ten classes": "kernel_machine_rbf_int8_uint32",
    "classifier: neighbours": "nearest_s8",
    "classifier: gaussian naive bayes": "log_gaussian_int_int8",
    "classifier: logistic": "argmax_s8",
    "classifier: svc linear": "pairwise_vote_int8",
    "classifier: perceptrons relu": "softmax_s8",
    "regressor: neighbours": "neighbour_mean_s8",
    "cluster: k-means": "nearest_s8",
    "cluster: mixture, diag": "log_gaussian_int_int8",
}


@pytest.mark.parametrize("label", INTEGER_KERNELS)
def test_integers_use_integer_kernels(label: str) -> None:
    f = fitted()[label]
    found = plan(lilliput.quantize(of_one_size(label), f.train, io="float32"))
    assert INTEGER_KERNELS[label] in [step.kernel.name for step in found.steps]


def test_integers_on_the_host() -> None:
    """Quantized models in C: every output equal to numpy's, bit for bit where it is an integer."""
    graphs = {label: of_one_size(label) for label in INTEGER_KERNELS}
    cases = [Case(k, plan(lilliput.quantize(g, fitted()[k].train))) for k, g in graphs.items()]
    for case, model in zip(cases, host_models(cases), strict=True):
        graph = case.plan.graph
        rows = as_input(graph, fitted()[case.label].rows)
        expected = outputs(graph, rows)
        for i, row in enumerate(rows[:40]):
            for name, found in model.run({graph.inputs[0]: row[None]}).items():
                if found.dtype != np.float32:
                    assert found.tolist() == expected[name][i : i + 1].tolist(), (
                        f"{case.label}: row {i}, {name}"
                    )


def test_int16_support_vectors() -> None:
    f = fitted()["classifier: svc rbf, ten classes"]
    integers = lilliput.quantize(f.graph, f.train, activations="int16", io="float32")
    assert "kernel_machine_rbf_int16_uint64" in [step.kernel.name for step in plan(integers).steps]
    labels, decisions = loss(f.graph, integers, f.rows)
    assert (labels.different, decisions.largest < 2e-3) == (0, True)


@pytest.mark.slow
def test_on_the_core() -> None:
    """Some models on an emulated Cortex-M0+: the labels of scikit-learn, float32 and int8."""
    names = [
        "multinomial naive bayes",
        "svc rbf, ten classes",
        "gaussian naive bayes",
        "logistic",
        "neighbours by distance",
        "perceptrons relu",
    ]
    labels = [f"classifier: {name}" for name in names]
    graphs = [fitted()[label].graph for label in labels]
    graphs += [lilliput.quantize(of_one_size(k), fitted()[k].train) for k in labels]
    cases = [Case(label, plan(graph)) for label, graph in zip(labels * 2, graphs, strict=True)]
    batch = core_batch(cases, load_target("cortex-m0plus"))
    for i, case in enumerate(cases):
        graph = case.plan.graph
        rows = as_input(graph, fitted()[case.label].rows[:5])
        expected = outputs(graph, rows)
        for j, row in enumerate(rows):
            found = batch.run(i, {graph.inputs[0]: row[None]})
            assert found[graph.outputs[0]].tolist() == expected[graph.outputs[0]][j : j + 1].tolist()


def test_skops(tmp_path: Path) -> None:
    """The same graph from a .skops file as from the object, for estimators of every kind."""
    for label in (
        "classifier: svc rbf",
        "classifier: neighbours",
        "classifier: columns",
        "regressor: perceptrons",
    ):
        f = fitted()[label]
        skops.io.dump(f.model, tmp_path / "model.skops")
        again = lilliput.load(tmp_path / "model.skops")
        for a, b in zip(outputs(f.graph, f.rows).values(), outputs(again, f.rows).values(), strict=True):
            assert a.tobytes() == b.tobytes(), label


class Foreign:
    """Not a type of scikit-learn's."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("foreign", "types that are not scikit-learn's or numpy's: .*Foreign"),
        ("text", "not a .skops file"),
        ("no schema", "not a readable .skops file"),
        ("bomb", "bytes in all, expected at most"),
        ("cut", "not a .*skops file"),
    ],
)
def test_hostile_skops(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "model.skops"
    if content in ("foreign", "cut"):
        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
        model.more = Foreign()
        skops.io.dump(model, path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif content == "text":
        path.write_text("model")
    elif content != "foreign":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            size = 300 * 1024 * 1024 if content == "bomb" else 10
            file.writestr("other.json", bytes(size))
    with pytest.raises(UserError, match=message):
        lilliput.load(path)


@pytest.mark.parametrize("ending", [".pkl", ".pickle", ".joblib"])
def test_pickles_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"cos\nsystem\n(S'exit 3'\ntR.")
    with pytest.raises(UserError, match=r"is a pickle, .*skops"):
        lilliput.load(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SVC(break_ties=True, decision_function_shape="ovr"), "break_ties=True is not supported"),
        (KNeighborsClassifier(metric="chebyshev"), "metric 'chebyshev' is not supported"),
        (KNeighborsClassifier(weights=lambda d: d), "weights=.*expected 'uniform' or 'distance'"),
        (make_pipeline(KMeans(3, n_init=1), SVC()), "its distances as features"),
        (Birch(), "estimator Birch is not supported. Supported: "),
    ],
)
def test_unsupported(model: Any, message: str) -> None:
    a, _, ya, _ = split("iris")
    model.fit(a, ya)
    with pytest.raises(UserError, match=message):
        lilliput.load(model)


def test_unfitted() -> None:
    with pytest.raises(UserError, match=r"SVC .*fitted"):
        lilliput.load(SVC())
