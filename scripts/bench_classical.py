"""Tree ensembles against emlearn and m2cgen on one core, each peer in all of its forms. Needs the extra `bench`.

python scripts/bench_classical.py [REGEX of "data model"]
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bench_peers import HEAD, Application, Row, compare

from lilliput.graph import Array, Graph
from lilliput.importers.sklearn import load_sklearn
from lilliput.ops.tree.integers import quantize_trees, to_integers
from lilliput.target import load_target

SAMPLES = 40


def emlearn_forms(model: Any, x: Array) -> Iterator[Application]:
    """emlearn with int16 features, its default: if/else, and tables where it can."""
    import emlearn

    size = -(-x[0].nbytes // 4) * 4
    kind = "float" if "Regressor" in type(model).__name__ else "int32_t"
    run = (
        "int app_run(void *arena, size_t size) { (void)size; "
        f"*({kind} *)((char *)arena + {size}) = peer_predict((const int16_t *)arena, {x.shape[1]}); return 0; }}\n"
    )
    for method in ("inline", "loadable"):
        if method == "loadable" and x.shape[1] > 127:
            continue
        code = emlearn.convert(model, method=method, dtype="int16_t").save(name="peer", include_proba=False)
        if method == "loadable":
            headers = Path(emlearn.__file__).parent
            code = re.sub(r"^EmlTrees ", "static const EmlTrees ", code, flags=re.M)
            code = code.replace("#include <eml_trees.h>", _eml(headers))
        samples = tuple(row.tobytes() for row in x)
        result = np.dtype(np.float32 if kind == "float" else np.int32)
        yield Application(code + run, size + 4, samples, size, result, 1)


def _eml(folder: Path) -> str:
    """emlearn's headers as one text; a freestanding compiler has no math.h, of which they use NAN."""
    common, trees = ((folder / f"eml_{name}.h").read_text() for name in ("common", "trees"))
    silent = "".join(
        f"#define EML_LOG_{word}(...)\n" for word in ("BEGIN", "END", "ADD_INTEGER", "ADD_ARRAY")
    )
    text = common + silent + trees
    text = re.sub(r"#include [^\n]*", "", text)
    return (
        '#include <stdint.h>\n#include <stdbool.h>\n#include <stddef.h>\n#define NAN __builtin_nanf("")\n'
        + text
    )


def m2cgen_forms(model: Any, x: Array) -> Iterator[Application]:
    """m2cgen: if/else over doubles."""
    import m2cgen

    code = m2cgen.export_to_c(model, function_name="peer")
    code = re.sub(r"#include <(math|string).h>", "", code)
    code = "double exp(double);\nvoid *memcpy(void *, const void *, size_t);\n" + code
    features = 8 * x.shape[1]
    vector = "double * output" in code
    n = int(getattr(model, "n_classes_", 1)) if vector else 1
    call = "peer(arena, out)" if vector else "out[0] = peer(arena)"
    code += (
        "int app_run(void *arena, size_t size) { (void)size; "
        f"double *out = (double *)((char *)arena + {features}); {call}; return 0; }}\n"
    )
    samples = tuple(row.astype(np.float64).tobytes() for row in x)
    yield Application(code, features + 8 * n, samples, features, np.dtype(np.float64), n)


def data(name: str) -> tuple[Array, Array]:
    """A data set of scikit-learn's as whole numbers: raw sensor readings, so that int16 features are exact."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name != "digits":
        x = np.rint((x - x.min(0)) / (x.max(0) - x.min(0)) * 1000)
    return x.astype(np.float32), y


def models() -> Iterator[tuple[str, str, Any, tuple[str, ...]]]:
    """(data set, label, estimator, peers that read it)."""
    import lightgbm
    import xgboost
    from sklearn import ensemble, tree

    both = ("emlearn", "m2cgen")
    for name in ("digits", "breast_cancer", "wine"):
        yield name, "decision tree", tree.DecisionTreeClassifier(random_state=0), both
        for trees in (10, 50):
            forest = ensemble.RandomForestClassifier(trees, random_state=0)
            yield name, f"random forest of {trees}", forest, both
        yield name, "extra trees, 20", ensemble.ExtraTreesClassifier(20, random_state=0), both
    yield "diabetes", "regression tree", tree.DecisionTreeRegressor(max_leaf_nodes=40, random_state=0), both
    forest = ensemble.RandomForestRegressor(10, max_leaf_nodes=40, random_state=0)
    yield "diabetes", "regression forest of 10", forest, both
    only = ("m2cgen",)
    for name in ("breast_cancer", "wine"):
        booster = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=15, verbose=-1, random_state=0)
        yield name, "LightGBM, 20 rounds", booster, only
        yield (
            name,
            "XGBoost, 20 rounds",
            xgboost.XGBClassifier(n_estimators=20, max_depth=4, base_score=0.5),
            only,
        )


def classical_rows(core: str = "cortex-m0plus", keep: str = "") -> Iterator[Row]:
    """Two rows per model and peer: costs of both, for the same results."""
    target = load_target(core)
    for dataset, label, model, peers in models():
        if not re.search(keep, f"{dataset} {label}"):
            continue
        x, y = data(dataset)
        half = len(x) // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x[:half], y[:half])
        x = x[half : half + SAMPLES]
        regressor = not hasattr(model, "predict_proba")
        for peer in peers:
            graph = load_sklearn(model, probabilities=peer == "m2cgen")
            names = (dataset, label, peer)
            if peer == "emlearn":
                graph = quantize_trees(graph, x, "int16")
                taken = to_integers(graph, x)
                forms = list(emlearn_forms(model, taken))
                differ, truth = labels_differ, model.predict(x)[:, None]
            else:
                graph = graph if regressor else _scores(graph)
                taken, forms = x, list(m2cgen_forms(model, x))
                differ = classes_differ
                truth = None if regressor else _like(model.predict_proba(x), graph)
            if regressor:
                differ, truth = values_differ, model.predict(x)[:, None]
            yield from compare(names, graph, taken, forms, target, differ, truth)


def _like(probabilities: Array, graph: Graph) -> Array:
    """In the columns of the graph's result: two classes may have one, the probability of the second."""
    return probabilities if graph.tensors[graph.outputs[-1]].size > 1 else probabilities[:, 1:]


def _scores(graph: Graph) -> Graph:
    """Only the probabilities, as m2cgen gives them."""
    return replace(graph, outputs=graph.outputs[1:])


def labels_differ(a: Array, b: Array) -> int:
    """Samples of another label."""
    return int((a != b).any(axis=1).sum())


def classes_differ(a: Array, b: Array) -> int:
    """Samples of which another class has the greatest score; a single score is that of the second class."""
    if a.shape[1] == 1:
        return int(((a > 0.5) != (b > 0.5)).any(axis=1).sum())
    return int((a.argmax(1) != b.argmax(1)).sum())


def values_differ(a: Array, b: Array) -> int:
    """Samples whose results differ by more than 1e-3 of the largest."""
    return int((np.abs(a - b).max(axis=1) > 1e-3 * np.abs(b).max()).sum())


def main() -> None:
    print(HEAD, flush=True)
    for row in classical_rows(keep=sys.argv[1] if len(sys.argv) > 1 else ""):
        print(row.markdown(), flush=True)


if __name__ == "__main__":
    main()
