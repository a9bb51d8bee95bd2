"""Tree ensembles: every estimator against its library, thresholds, NaN, integers, ONNX, hostile numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import onnx.reference
import pytest
import xgboost
from sklearn import datasets, ensemble, tree
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from batch import Case, core_batch, host_models
from lilliput.errors import GraphError, UserError
from lilliput.evaluate import outputs, run, step_through
from lilliput.firmware import compile
from lilliput.graph import Array, Graph, Quant, Tensor, verify
from lilliput.importers.onnx import load_onnx
from lilliput.importers.sklearn import load_sklearn
from lilliput.op import fastest, simplest, smallest
from lilliput.ops.tree import Tree, assemble
from lilliput.ops.tree.ensemble import float_keys
from lilliput.ops.tree.estimate import estimate
from lilliput.ops.tree.integers import decisions_lost, quantize_trees, to_integers
from lilliput.plan import plan
from lilliput.quantize import quantize
from lilliput.target import load_target

warnings.filterwarnings("ignore", module="sklearn|xgboost|lightgbm")
SEED: dict[str, Any] = {"random_state": 0}
LGB: dict[str, Any] = {"verbose": -1, "min_child_samples": 5, **SEED}
ROWS = 40

pytestmark = pytest.mark.slow  # fits many models

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "decision tree": lambda: tree.DecisionTreeClassifier(**SEED),
    "shallow tree": lambda: tree.DecisionTreeClassifier(max_depth=3, **SEED),
    "extra tree": lambda: tree.ExtraTreeClassifier(**SEED),
    "random forest": lambda: ensemble.RandomForestClassifier(7, **SEED),
    "shallow forest": lambda: ensemble.RandomForestClassifier(7, max_depth=3, **SEED),
    "extra trees": lambda: ensemble.ExtraTreesClassifier(7, **SEED),
    "gradient boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=4, **SEED),
    "from zero": lambda: ensemble.GradientBoostingClassifier(n_estimators=4, init="zero", **SEED),
    "hist gradient boosting": lambda: ensemble.HistGradientBoostingClassifier(max_iter=4, **SEED),
    "ada boost": lambda: ensemble.AdaBoostClassifier(n_estimators=6, **SEED),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=4, max_depth=3),
    "xgboost dart": lambda: xgboost.XGBClassifier(n_estimators=4, max_depth=3, booster="dart", rate_drop=0.5),
    "xgboost forest": lambda: xgboost.XGBRFClassifier(n_estimators=4, max_depth=4),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=4, num_leaves=9, **LGB),
    "pipeline": lambda: make_pipeline("passthrough", tree.DecisionTreeClassifier(max_depth=4, **SEED)),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "decision tree": lambda: tree.DecisionTreeRegressor(**SEED),
    "extra tree": lambda: tree.ExtraTreeRegressor(**SEED),
    "random forest": lambda: ensemble.RandomForestRegressor(5, **SEED),
    "extra trees": lambda: ensemble.ExtraTreesRegressor(5, max_depth=5, **SEED),
    "gradient boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=9, **SEED),
    "huber": lambda: ensemble.GradientBoostingRegressor(n_estimators=9, loss="huber", **SEED),
    "hist gradient boosting": lambda: ensemble.HistGradientBoostingRegressor(max_iter=9, **SEED),
    "xgboost": lambda: xgboost.XGBRegressor(n_estimators=9, max_depth=3),
    "xgboost, counts": lambda: xgboost.XGBRegressor(n_estimators=9, max_depth=3, objective="count:poisson"),
    "lightgbm": lambda: lightgbm.LGBMRegressor(n_estimators=9, num_leaves=9, **LGB),
    "lightgbm forest": lambda: lightgbm.LGBMRegressor(
        n_estimators=5, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6, **LGB
    ),
    "lightgbm, tweedie": lambda: lightgbm.LGBMRegressor(n_estimators=9, objective="tweedie", **LGB),
}


@cache
def split(name: str) -> tuple[Array, Array, Array]:
    """Training rows and labels, and held-out rows, float32."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = x.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))[:340]
    train, held = order[:-ROWS], order[-ROWS:]
    return x[train], y[train], x[held]


@cache
def fitted(kind: str, name: str, data: str) -> Any:
    x, y, _ = split(data)
    return (CLASSIFIERS if kind == "classifier" else REGRESSORS)[name]().fit(x, y)


EVERY = [
    *(("classifier", name, data) for name in CLASSIFIERS for data in ("digits", "breast_cancer")),
    *(("regressor", name, "diabetes") for name in REGRESSORS),
]


@pytest.mark.parametrize(("kind", "name", "data"), EVERY, ids=map(" ".join, EVERY))
def test_predictions_equal_the_library_on_held_out_rows(kind: str, name: str, data: str) -> None:
    model, held = fitted(kind, name, data), split(data)[2]
    graph = load_sklearn(model)
    found = step_through(graph, {"x": held})
    if kind == "classifier":
        label, probabilities = (found[output] for output in graph.outputs)
        assert np.array_equal(np.array(graph.meta["labels"])[label], model.predict(held).astype(str))
        assert np.allclose(probabilities, model.predict_proba(held), rtol=0, atol=4e-7)
        alone = load_sklearn(model, probabilities=False)
        assert np.array_equal(step_through(alone, {"x": held})[alone.outputs[0]], label)
    else:
        expected = model.predict(held).reshape(ROWS, -1)
        # Fixed-point leaves are better than float32; XGBoost itself adds in float32.
        assert np.allclose(found[graph.outputs[0]], expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def on_host(graphs: list[Graph], feeds: list[Array]) -> None:
    """Both C forms give the numpy reference's bits on every row."""
    cases = [
        Case(f"{i} {pick.__name__}", plan(g, pick=pick))
        for i, g in enumerate(graphs)
        for pick in (fastest, simplest)
    ]
    for n, (case, model) in enumerate(zip(cases, host_models(cases), strict=True)):
        graph, rows = case.plan.graph, feeds[n // 2]
        expected = step_through(graph, {"x": rows})
        for i, row in enumerate(rows):
            for output, value in model.run({"x": row[None]}).items():
                trees_only = len(graph.nodes) == 1
                same = value.tobytes() == expected[output][i : i + 1].tobytes()
                close = not trees_only and np.allclose(
                    value, expected[output][i : i + 1], rtol=2e-6, atol=1e-7
                )
                assert same or close, f"{case.label}, row {i}: {value} != {expected[output][i]}"


def test_c_equals_numpy_on_held_out_rows() -> None:
    """One library for all; softmax and the exponential may differ in the last bits, trees may not."""
    on_host([load_sklearn(fitted(*which)) for which in EVERY], [split(which[2])[2] for which in EVERY])


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_core_equals_numpy(core: str) -> None:
    chosen = [
        ("classifier", "decision tree", "digits"),
        ("classifier", "random forest", "digits"),
        ("classifier", "ada boost", "breast_cancer"),
        ("classifier", "xgboost", "breast_cancer"),
        ("regressor", "lightgbm", "diabetes"),
    ]
    graphs = [load_sklearn(fitted(*which), probabilities=False) for which in chosen]
    cases = [Case(str(i), plan(g, pick=pick)) for i, g in enumerate(graphs) for pick in (fastest, simplest)]
    batch = core_batch(cases, load_target(core))
    for n, case in enumerate(cases):
        held = split(chosen[n // 2][2])[2][:5]
        expected = step_through(case.plan.graph, {"x": held})
        for i, row in enumerate(held):
            for output, value in batch.run(n, {"x": row[None]}).items():
                assert value.tobytes() == expected[output][i : i + 1].tobytes(), (case.label, i)


def test_isolation_forest() -> None:
    x, _, held = split("diabetes")
    held = np.concatenate([held, held[:5] * 8])
    graphs = []
    for options in ({}, {"contamination": 0.2, "max_features": 0.5}):
        model = ensemble.IsolationForest(n_estimators=15, **options, **SEED).fit(x)
        graph = load_sklearn(model)
        label, score = (step_through(graph, {"x": held})[output] for output in graph.outputs)
        assert np.array_equal(np.array(graph.meta["labels"])[label], model.predict(held).astype(str))
        assert len(set(label.tolist())) == 2, "both kinds of rows"
        assert np.allclose(score[:, 0], model.score_samples(held), rtol=0, atol=3e-7)
        graphs.append(graph)
    on_host(graphs, [held, held])


def test_several_outputs_of_a_regressor() -> None:
    x, y, held = split("diabetes")
    model = ensemble.RandomForestRegressor(4, max_depth=4, **SEED).fit(x, np.stack([y, -y, y**2], 1))
    graph = load_sklearn(model)
    expected = model.predict(held)
    assert np.allclose(step_through(graph, {"x": held})[graph.outputs[0]], expected, rtol=1e-6, atol=1e-2)
    on_host([graph], [held])


def test_thresholds_decide_like_the_library_for_every_float32() -> None:
    """Around each float64 threshold, all float32 neighbours go the way that x <= t, or x < t, says."""
    rng = np.random.default_rng(1)
    tiny = float(np.float32(1e-45))
    thresholds = [
        0.0,
        -0.0,
        tiny,
        -tiny,
        tiny / 3,
        0.1,
        -0.1,
        1 / 3,
        2.0,
        3.4e38,
        1e300,
        -1e300,
        np.inf,
        -np.inf,
    ]
    thresholds += list(rng.normal(size=40) * 10.0 ** rng.integers(-42, 30, 40))
    for strict in (False, True):
        for t in thresholds:
            near = np.float32(np.clip(t, -3.4028235e38, 3.4028235e38))
            x = [near, np.float32(0.0), np.float32(-0.0), np.float32(np.inf), np.float32(-np.inf)]
            for away in (np.inf, -np.inf):
                with np.errstate(over="ignore"):
                    step = np.nextafter(near, np.float32(away))
                    x += [step, np.nextafter(step, np.float32(away))]
            rows = np.array(x, np.float32)[:, None]
            stump = Tree(
                np.zeros(3, int), np.full(3, t), np.array([1, -1, -1]), np.array([2, -1, -1]),
                np.array([[0.0], [1.0], [2.0]]), strict=strict,
            )  # fmt: skip
            op, *constants = assemble([stump], np.zeros(1), result="int32")
            site = Graph(("x",), (), (), {"x": Tensor("x", (1, 1))})
            (y,) = op.run(site, rows, *constants)  # type: ignore[arg-type]  # run reads no site
            went_left = y[:, 0] == y.min(initial=1 << op.shift)
            real = rows[:, 0].astype(np.float64)
            assert np.array_equal(went_left, real < t if strict else real <= t), (t, strict)


def test_missing_values_go_where_the_library_sends_them() -> None:
    x, y, held = split("breast_cancer")
    rng = np.random.default_rng(0)
    x, held = (np.where(rng.random(v.shape) < 0.2, np.float32(np.nan), v) for v in (x, held))
    held[::2] = np.where(np.isnan(held[::2]), -np.float32(np.nan), held[::2])  # the other sign
    graphs = []
    for name in (
        "decision tree",
        "random forest",
        "extra trees",
        "hist gradient boosting",
        "xgboost",
        "lightgbm",
    ):
        model = CLASSIFIERS[name]().fit(x, y)
        graph = load_sklearn(model, missing=True)
        found = step_through(graph, {"x": held})
        assert np.array_equal(found[graph.outputs[0]], model.predict(held)), name
        assert np.allclose(found[graph.outputs[1]], model.predict_proba(held), rtol=0, atol=4e-7), name
        graphs.append(graph)
    on_host(graphs, [held] * len(graphs))


def test_integers_decide_alike() -> None:
    """Whole numbers stay themselves: nothing changes. Real features lose what the report says."""
    graphs, feeds = [], []
    for name in ("decision tree", "random forest", "gradient boosting", "lightgbm"):
        for data, most in (("digits", 0), ("breast_cancer", 1)):
            x, _, held = split(data)
            graph = load_sklearn(fitted("classifier", name, data), probabilities=False)
            for dtype in ("int16", "int8"):
                small = quantize_trees(graph, x, dtype)  # type: ignore[arg-type]
                lost = decisions_lost(graph, small, held)[graph.outputs[0]]["different"]
                assert lost <= (most if dtype == "int16" else 3 * most), (name, data, dtype, lost)
                graphs.append(small)
                feeds.append(to_integers(small, held))
    on_host(graphs, feeds)


def test_quantize_leaves_trees_exact() -> None:
    """int8 activations of one scale would ruin features: trees keep float32 ones, what follows them becomes int8."""
    x, _, held = split("breast_cancer")
    for name in ("random forest", "xgboost"):
        graph = load_sklearn(fitted("classifier", name, "breast_cancer"))
        small = quantize(graph, x, io="float32")
        before, after = (list(outputs(g, held).values()) for g in (graph, small))
        assert np.array_equal(before[0], after[0]), name
        assert np.abs(before[1] - after[1]).max() < 0.02, name
        features = replace(graph.tensors["x"], dtype="int8", quant=Quant.per_tensor(0.1, 0))
        with pytest.raises(GraphError, match="quantized as a whole"):
            verify(replace(graph, tensors={**graph.tensors, "x": features}))


def test_integer_leaves_and_their_loss() -> None:
    x, _, held = split("diabetes")
    graph = load_sklearn(fitted("regressor", "gradient boosting", "diabetes"))
    losses = []
    for leaves in ("int32", "int16", "int8"):
        small = quantize_trees(graph, x, "int16", leaves)  # type: ignore[arg-type]
        losses.append(decisions_lost(graph, small, held)[graph.outputs[0]]["mean"])
        on_host([small], [to_integers(small, held)])
    assert losses[0] <= losses[1] < losses[2] < 3.0, "of values about 150"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, y: tree.DecisionTreeClassifier(), "fitted"),
        (lambda x, y: ensemble.AdaBoostRegressor(n_estimators=2).fit(x, y), "weighted median"),
        (lambda x, y: tree.DecisionTreeClassifier().fit(x, np.stack([y, y], 1)), "2 outputs"),
        (
            lambda x, y: ensemble.HistGradientBoostingClassifier(max_iter=1, categorical_features=[0]).fit(
                np.abs(np.floor(x)) % 9, y
            ),
            "categorical",
        ),
        (
            lambda x, y: lightgbm.LGBMClassifier(n_estimators=1, **LGB).fit(
                np.abs(np.floor(x)) % 9, y, categorical_feature=list(range(30))
            ),
            "categorical",
        ),
        (
            lambda x, y: lightgbm.LGBMClassifier(n_estimators=1, zero_as_missing=True, **LGB).fit(x, y),
            "zero_as_missing",
        ),
        (lambda x, y: xgboost.XGBClassifier(booster="gblinear", n_estimators=1).fit(x, y), "no trees"),
        (
            lambda x, y: ensemble.GradientBoostingClassifier(
                n_estimators=1, init=tree.DecisionTreeClassifier(max_depth=1)
            ).fit(x, y),
            "init",
        ),
    ],
)
def test_refusals_say_why(make: Callable[[Array, Array], Any], message: str) -> None:
    x, y, _ = split("breast_cancer")
    with pytest.raises(UserError, match=message):
        load_sklearn(make(x, y))


def test_hostile_numbers_are_refused() -> None:
    graph = load_sklearn(fitted("classifier", "random forest", "digits"))
    nodes, trees, values, base = graph.nodes[0].inputs[1:]

    def broken(name: str, place: tuple[int, ...], value: int) -> Graph:
        data = graph.tensors[name].data
        assert data is not None
        data = data.copy()
        data[place] = value
        return replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], data=data)})

    for name, place, value, message in (
        (nodes, (0, 0), 64, "feature"),
        (nodes, (0, 0), -1, "feature"),
        (nodes, (0, 1), 2**31 - 1, "float32"),
        (nodes, (3, 2), 0, "after its parent"),
        (nodes, (0, 3), 10**6, "neither"),
        (nodes, (0, 3), -(10**6), "neither"),
        (nodes, (0, 4), 7, "NaN"),
        (trees, (1, 0), 1, "two parents"),
        (trees, (0, 1), 9, "outside"),
        (trees, (0, 1), -1, "outside"),
        (values, (0, 0), 2**31 - 1, "overflow"),
        (base, (0,), 2**31 - 1, "overflow"),
    ):
        with pytest.raises(GraphError, match=message):
            verify(broken(name, place, value))


def _onnx_3(model: Any, mode: str) -> bytes:
    """A random forest of scikit-learn's as ai.onnx.ml has it to version 3, with the comparison `mode`."""
    upper = mode in ("BRANCH_GT", "BRANCH_GTE")
    nodes: list[tuple[Any, ...]] = []
    leaves: list[tuple[int, int, float]] = []
    for t, e in enumerate(model.estimators_):
        s = e.tree_
        for i, (left, right) in enumerate(zip(s.children_left, s.children_right, strict=True)):
            kind = "LEAF" if left < 0 else mode
            true, false = (right, left) if upper else (left, right)
            nodes.append(
                (t, i, max(0, s.feature[i]), float(s.threshold[i]), kind, max(0, true), max(0, false))
            )
            if left < 0:
                leaves.append((t, i, float(s.value[i, 0, 0])))
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    attributes = {f"nodes_{name}": list(v) for name, v in zip(names, zip(*nodes, strict=True), strict=True)}
    trees, ids, weights = zip(*leaves, strict=True)
    node = onnx.helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, aggregate_function="AVERAGE",
        **attributes, target_treeids=trees, target_nodeids=ids, target_ids=[0] * len(ids), target_weights=weights,
    )  # fmt: skip
    return _file(node, model.n_features_in_, 1, 3)


def _onnx_5(model: Any, mode: str) -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto
    upper = mode in ("BRANCH_GT", "BRANCH_GTE")
    feature, value, sides, roots, targets, weights = [], [], [], [], [], []
    for e in model.estimators_:
        s = e.tree_
        inner = {int(i): len(feature) + k for k, i in enumerate(np.flatnonzero(s.children_left >= 0))}
        leaf = {}
        for i in np.flatnonzero(s.children_left < 0):
            leaf[int(i)] = len(targets)
            targets.append(0)
            weights.append(float(s.value[i, 0, 0]))
        roots.append(inner[0])
        for i in inner:
            feature.append(int(s.feature[i]))
            value.append(float(s.threshold[i]))
            pair = [
                (leaf[c], 1) if c in leaf else (inner[c], 0)
                for c in (int(s.children_left[i]), int(s.children_right[i]))
            ]
            sides.append(pair[::-1] if upper else pair)
    code = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3}[mode]
    node = helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, aggregate_function=0, post_transform=0,
        tree_roots=roots, nodes_featureids=feature,
        nodes_splits=helper.make_tensor("s", kind.FLOAT, [len(value)], value),
        nodes_modes=helper.make_tensor("m", kind.UINT8, [len(value)], [code] * len(value)),
        nodes_truenodeids=[s[0][0] for s in sides], nodes_trueleafs=[s[0][1] for s in sides],
        nodes_falsenodeids=[s[1][0] for s in sides], nodes_falseleafs=[s[1][1] for s in sides],
        leaf_targetids=targets, leaf_weights=helper.make_tensor("w", kind.FLOAT, [len(weights)], weights),
    )  # fmt: skip
    return _file(node, model.n_features_in_, 1, 5)


def _file(node: Any, features: int, columns: int, version: int) -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, [1, features])],
        [helper.make_tensor_value_info("y", kind, [1, columns])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
@pytest.mark.parametrize("version", [3, 5])
def test_onnx_equals_its_reference(mode: str, version: int) -> None:
    """Rounded features meet the thresholds often, so that < and <= are told apart."""
    x, y, held = split("diabetes")
    x, held = np.round(x * 40), np.round(held * 40)
    model = ensemble.RandomForestRegressor(4, max_depth=5, **SEED).fit(
        2 * x, y
    )  # thresholds are whole numbers
    content = (_onnx_5 if version == 5 else _onnx_3)(model, mode)
    graph = load_onnx(content)
    held = np.concatenate([held, 2 * held]).astype(np.float32)
    (found,) = step_through(graph, {graph.inputs[0]: held}).values()
    session = onnx.reference.ReferenceEvaluator(onnx.load_from_string(content))
    expected = np.concatenate([session.run(None, {"x": row[None]})[0] for row in held])
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-4)


def test_samples_may_hold_nan_where_every_reader_understands_it() -> None:
    x, y = np.array([[0.0, 1.0], [2.0, np.nan], [np.nan, 3.0], [4.0, 5.0]] * 9, np.float32), np.arange(36.0)
    model = make_pipeline(StandardScaler(), ensemble.HistGradientBoostingRegressor(max_iter=4)).fit(x, y)
    graph = load_sklearn(model, missing=True)
    assert len(graph.nodes) == 2
    assert np.allclose(run(graph, x).reshape(-1), model.predict(x), rtol=1e-5)
    with pytest.raises(UserError, match="NaN or infinite values"):
        run(load_sklearn(model), x)
    with pytest.raises(UserError, match="NaN or infinite values"):
        run(graph, np.where(np.isnan(x), np.inf, x).astype(np.float32))


@pytest.mark.slow
def test_estimates_are_right_to_a_third(tmp_path: Path) -> None:
    """Bytes of both forms against the linked firmware; the pick for size takes the smaller one."""
    for which in (("classifier", "random forest", "digits"), ("regressor", "random forest", "diabetes")):
        graph = load_sklearn(fitted(*which), probabilities=False)
        site = graph.sites()[0]
        sizes = {}
        for kernel in site.op.kernels:
            firmware = compile(
                graph, "cortex-m0plus", out=tmp_path, optimize="size", pick=lambda _, __, k=kernel: k
            )
            sizes[kernel.name] = firmware.image.flash.total
            guess = estimate(site, kernel.tokens["FORM"])
            assert 0.66 < guess.flash / sizes[kernel.name] < 1.5, (
                which,
                kernel.name,
                guess,
                sizes[kernel.name],
            )
            run = firmware.profile()["instructions_range"]
            assert run[0] / 1.5 < guess.instructions < run[1] * 1.5, (which, kernel.name, guess, run)
        assert smallest(site, site.op.kernels).name == min(sizes, key=lambda name: sizes[name])


def test_keys_keep_the_order() -> None:
    x = np.array([-np.inf, -1.5, -1e-45, -0.0, 0.0, 1e-45, 2.0, np.inf, np.nan], np.float32)
    assert (np.diff(float_keys(x)) > 0).all()
