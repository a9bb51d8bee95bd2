"""ai.onnx.ml operators other than trees: one-node models, compared with ONNX's own reference in numpy and in C."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from batch import Case, host_models
from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.onnx import load_onnx
from lilliput.passes import simplify
from lilliput.plan import plan

FEATURES = 6
ROWS = 12


def model(op: str, outputs: int, attributes: dict[str, Any], constants: dict[str, Array]) -> onnx.ModelProto:
    """x float32 [1, 6] -> one operator, with further inputs that are known."""
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, ["x", *constants], names, domain="ai.onnx.ml", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, FEATURES])
    results = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in names]
    known = [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph([node], "one", [x], results, known)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    )


def numbers(seed: int, *shape: int) -> list[float]:
    return [float(np.float32(v)) for v in np.random.default_rng(seed).normal(0, 1, shape).reshape(-1)]


def machine(kernel: str, counts: list[int]) -> dict[str, Any]:
    n, k = sum(counts), len(counts)
    return {
        "kernel_type": kernel,
        "kernel_params": [0.2, 0.5, 3.0],
        "support_vectors": numbers(1, n, FEATURES),
        "vectors_per_class": counts,
        "coefficients": numbers(2, k - 1, n),
        "rho": numbers(3, k * (k - 1) // 2),
        "classlabels_ints": [7, -2, 5, 11][:k],
    }


def linear(rows: int, classes: int, **more: Any) -> dict[str, Any]:
    labels = {"classlabels_ints": [3, 1, 9][:classes]}
    return {"coefficients": numbers(4, rows, FEATURES), "intercepts": numbers(5, rows), **labels, **more}


def regression(kernel: str, supports: int) -> dict[str, Any]:
    vectors = {"support_vectors": numbers(8, supports, FEATURES), "n_supports": supports}
    shape = (supports,) if supports else (FEATURES,)
    parameters = {"kernel_type": kernel, "kernel_params": [0.3, 0.1, 2.0]}
    return {**parameters, "coefficients": numbers(9, *shape), "rho": [0.25], **(vectors if supports else {})}


PLATT = {"prob_a": [-1.3], "prob_b": [0.2]}
CASES: dict[str, tuple[str, int, dict[str, Any], dict[str, Array]]] = {
    **{
        f"svm {k}": ("SVMClassifier", 2, machine(k, [3, 2, 4]), {})
        for k in ("RBF", "POLY", "LINEAR", "SIGMOID")
    },
    "svm of two": ("SVMClassifier", 2, machine("RBF", [3, 2]), {}),
    "svm of two, softmax": ("SVMClassifier", 2, {**machine("RBF", [3, 2]), "post_transform": "SOFTMAX"}, {}),
    "svm of two, probabilities": ("SVMClassifier", 2, {**machine("RBF", [3, 2]), **PLATT}, {}),
    "svm of four, logistic": (
        "SVMClassifier",
        2,
        {**machine("RBF", [2, 1, 2, 3]), "post_transform": "LOGISTIC"},
        {},
    ),
    "linear classifier": ("LinearClassifier", 2, linear(3, 3, post_transform="SOFTMAX"), {}),
    "linear classifier of two": ("LinearClassifier", 2, linear(2, 2, post_transform="LOGISTIC"), {}),
    "linear classifier, one row": ("LinearClassifier", 2, linear(1, 2, post_transform="NONE"), {}),
    "linear regressor": (
        "LinearRegressor",
        1,
        {"coefficients": numbers(6, 2, FEATURES), "intercepts": [0.5, -1.0], "targets": 2},
        {},
    ),
    "svm regressor": ("SVMRegressor", 1, regression("RBF", 5), {}),
    "svm regressor, square": ("SVMRegressor", 1, regression("POLY", 4), {}),
    "svm regressor, linear": ("SVMRegressor", 1, regression("LINEAR", 0), {}),
    "scaler": ("Scaler", 1, {"offset": numbers(10, FEATURES), "scale": numbers(11, FEATURES)}, {}),
    "scaler, one for all": ("Scaler", 1, {"offset": [0.5], "scale": [3.0]}, {}),
    **{f"normalizer {norm}": ("Normalizer", 1, {"norm": norm}, {}) for norm in ("L1", "L2", "MAX")},
    "binarizer": ("Binarizer", 1, {"threshold": 0.25}, {}),
    "imputer": (
        "Imputer",
        1,
        {"imputed_value_floats": numbers(12, FEATURES), "replaced_value_float": float("nan")},
        {},
    ),
    "imputer of a number": ("Imputer", 1, {"imputed_value_floats": [2.5], "replaced_value_float": 1.0}, {}),
    "one hot": ("OneHotEncoder", 1, {"cats_int64s": [1, 0, -1]}, {}),
    "labels": (
        "LabelEncoder",
        1,
        {"keys_floats": [1.0, -1.0, 0.0], "values_int64s": [7, 8, 9], "default_int64": -3},
        {},
    ),
    "extractor": ("ArrayFeatureExtractor", 1, {}, {"chosen": np.array([[4, 0, 1]], np.int64)}),
    "vectorizer": (
        "FeatureVectorizer",
        1,
        {"inputdimensions": [FEATURES, 2]},
        {"more": np.ones((1, 2), np.float32)},
    ),
}


@pytest.fixture(scope="module")
def on_the_host() -> dict[str, Any]:
    graphs = {name: simplify(load_onnx(model(*case).SerializeToString())) for name, case in CASES.items()}
    cases = [Case(name, plan(graph)) for name, graph in graphs.items()]
    return dict(zip(graphs, host_models(cases), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_equal_to_the_reference(name: str, on_the_host: dict[str, Any]) -> None:
    reference = ReferenceEvaluator(model(*CASES[name]))
    compiled = on_the_host[name]
    for i, x in enumerate(np.random.default_rng(20).normal(0, 1, (ROWS, 1, FEATURES)).astype(np.float32)):
        if name in ("one hot", "labels", "imputer of a number"):
            x = np.round(x)
        elif name == "imputer":
            x[0, i % FEATURES] = np.nan
        found = compiled.run({"x": x})
        for wanted, y in zip(
            reference.run(None, {"x": x}), (found[o] for o in compiled.plan.graph.outputs), strict=True
        ):
            if y.dtype == np.float32:
                bound = (
                    1e-3 if "prob_a" in CASES[name][2] else 2e-5
                )  # the reference iterates probabilities to 0.0025
                np.testing.assert_allclose(
                    y.reshape(wanted.shape), wanted, rtol=0, atol=bound * max(1, abs(wanted).max())
                )
            else:
                assert y.tolist() == wanted.reshape(y.shape).tolist()


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("svm RBF", {"kernel_type": "EXP"}, "kernel_type 'EXP'"),
        ("svm RBF", {"rho": [0.0]}, "intercepts have shapes"),
        ("svm RBF", {"coefficients": numbers(2, 17)}, "17 coefficients for rows of 9"),
        ("svm RBF", {"vectors_per_class": [3, 2, 400]}, "coefficients for rows of 405"),
        ("svm RBF", {"prob_a": [1.0, 1.0, 1.0], "prob_b": [0.0, 0.0, 0.0]}, "probabilities of 3 classes"),
        ("svm regressor", {"one_class": 1}, "one_class"),
        ("linear classifier", {"post_transform": "PROBIT"}, "PROBIT"),
        ("scaler", {"offset": [1.0, 2.0]}, "offset has 2 numbers for 6 features"),
    ],
)
def test_refused(name: str, changed: dict[str, Any], message: str) -> None:
    op, outputs, attributes, constants = CASES[name]
    with pytest.raises(UserError, match=message):
        load_onnx(model(op, outputs, {**attributes, **changed}, constants).SerializeToString())
