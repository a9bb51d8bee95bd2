"""Classical models other than trees against emlearn and m2cgen on one core. Needs the extra `bench`.

python scripts/bench_classical_models.py [REGEX of "data model"]
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
from lilliput.loading import load
from lilliput.passes import simplify
from lilliput.target import load_target

SAMPLES = 20
POW = """
static inline double peer_pow(double x, double y) { /* whole powers, faster than any libm's */
  double r = 1.0;
  for (int i = (int)y; i > 0; i--) r *= x;
  return r;
}
#define pow peer_pow
"""


def m2cgen_form(model: Any, x: Array, outputs: int) -> Application:
    """Doubles, one expression for everything."""
    import m2cgen

    code = m2cgen.export_to_c(model, function_name="peer")
    vector = "double * output" in code
    code = re.sub(r"#include <(math|string).h>", "", code)
    head = "double exp(double);\ndouble tanh(double);\nvoid *memcpy(void *, const void *, size_t);\n"
    features = 8 * x.shape[1]
    call = "peer(arena, out)" if vector else "out[0] = peer(arena)"
    run = (
        "int app_run(void *arena, size_t size) { (void)size; "
        f"double *out = (double *)((char *)arena + {features}); {call}; return 0; }}\n"
    )
    samples = tuple(row.astype(np.float64).tobytes() for row in x)
    return Application(
        head + POW + code + run, features + 8 * outputs, samples, features, np.dtype(np.float64), outputs
    )


def emlearn_form(model: Any, x: Array) -> Application:
    """emlearn's own choice for the estimator; the label, or the number of a regressor.

    What it keeps in static memory goes to the flash or, the buffers of a network, into the arena.
    """
    import emlearn

    numpy_errors = np.geterr()
    code = emlearn.convert(model).save(name="peer")
    np.seterr(**numpy_errors)  # emlearn makes all of them errors
    features = 4 * x.shape[1]
    result = "float" if "Regressor" in type(model).__name__ else "int32_t"
    if "eml_net" in code:
        headers = ("common", "net_common", "net")
        found = re.search(
            r"static EmlNet peer = \{ (\d+), peer_layers, peer_buf1, peer_buf2, (\d+) \};", code
        )
        assert found is not None, "emlearn writes networks otherwise than it did"
        code = re.sub(r"static float peer_buf\d\[\d+\];", "", code[: found.start()])
        buffer = 4 * int(found[2])
        at = features + 2 * buffer
        function = "eml_net_regress1" if result == "float" else "eml_net_predict"
        buffers = ", ".join(f"(float *)((char *)arena + {features + k * buffer})" for k in range(2))
        body = f"EmlNet net = {{{found[1]}, peer_layers, {buffers}, {found[2]}}};"
        call = f"{function}(&net, (const float *)arena, {x.shape[1]})"
    else:
        headers, at, body = ("common", "fixedpoint", "bayes"), features, ""
        code = code.replace("EmlBayesSummary peer", "static const EmlBayesSummary peer")
        code = code.replace("EmlBayesModel peer", "static const EmlBayesModel peer")
        call = f"peer_predict((const float *)arena, {x.shape[1]})"
    folder = Path(emlearn.__file__).parent
    text = "".join((folder / f"eml_{name}.h").read_text() for name in headers)
    text = re.sub(r"#include [^\n]*", "", text + code)
    head = "#include <stdint.h>\n#include <stdbool.h>\n#include <stddef.h>\n"
    head += (
        '#define INFINITY __builtin_inff()\n#define NAN __builtin_nanf("")\n#define fabsf __builtin_fabsf\n'
    )
    head += "float expf(float);\nfloat logf(float);\n"
    head += "static float tanhf(float x) { return 1.0f - 2.0f / (expf(2.0f * x) + 1.0f); }\n"
    run = (
        "int app_run(void *arena, size_t size) { (void)size; "
        f"{body} *({result} *)((char *)arena + {at}) = {call}; return 0; }}\n"
    )
    dtype = np.dtype(np.float32 if result == "float" else np.int32)
    return Application(head + text + run, at + 4, tuple(r.tobytes() for r in x), at, dtype, 1)


def models() -> Iterator[tuple[str, str, Any, str]]:
    """(data set, label, estimator, peer)."""
    from sklearn import linear_model, naive_bayes, neural_network, svm

    yield "diabetes", "linear regression", linear_model.LinearRegression(), "m2cgen"
    yield "diabetes", "SVR, RBF", svm.SVR(C=1.0, epsilon=0.5), "m2cgen"
    yield "breast_cancer", "logistic regression", linear_model.LogisticRegression(), "m2cgen"
    yield "digits", "logistic regression, 10 classes", linear_model.LogisticRegression(max_iter=300), "m2cgen"
    yield "wine", "linear SVC", svm.LinearSVC(), "m2cgen"
    yield "wine", "SVC, RBF", svm.SVC(), "m2cgen"
    yield "breast_cancer", "SVC, RBF", svm.SVC(), "m2cgen"
    yield "wine", "SVC, linear", svm.SVC(kernel="linear"), "m2cgen"
    yield "wine", "SVC, cubic", svm.SVC(kernel="poly"), "m2cgen"
    yield "wine", "Gaussian naive Bayes", naive_bayes.GaussianNB(), "emlearn"
    yield "breast_cancer", "Gaussian naive Bayes", naive_bayes.GaussianNB(), "emlearn"
    yield (
        "wine",
        "perceptrons 13-20-3",
        neural_network.MLPClassifier((20,), max_iter=200, random_state=0),
        "emlearn",
    )
    small = neural_network.MLPClassifier((32,), max_iter=60, random_state=0)
    yield "digits", "perceptrons 64-32-10", small, "emlearn"
    net = neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=400, random_state=0)
    yield "diabetes", "perceptrons 10-16-1", net, "emlearn"


def data(name: str) -> tuple[Array, Array]:
    """Features of mean zero and deviation one, as users of these models have them."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    spread = x.std(0)
    x = (x - x.mean(0)) / np.where(spread > 0, spread, 1)
    return x.astype(np.float32), (y - y.mean()) / y.std() if name == "diabetes" else y


def _results(graph: Graph, peer: str) -> Graph:
    """What the peer computes: the label alone, or the decisions without it."""
    if peer == "emlearn":
        return simplify(replace(graph, outputs=graph.outputs[:1]))
    decided = [node.inputs[0] for node in graph.nodes if node.outputs[0] == graph.outputs[0]]
    floats = graph.tensors[graph.outputs[0]].dtype == "float32"
    return graph if floats else simplify(replace(graph, outputs=(decided[0],)))


def model_rows(core: str = "cortex-m0plus", keep: str = "") -> Iterator[Row]:
    """Two rows per model: costs of both, and on how many samples they disagree."""
    target = load_target(core)
    for name, label, model, peer in models():
        if not re.search(keep, f"{name} {label}"):
            continue
        x, y = data(name)
        half = len(x) // 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            order = np.random.default_rng(0).permutation(len(x))
            model.fit(x[order[:half]].astype(np.float64), y[order[:half]])
        rows = x[order[half : half + SAMPLES]]
        graph = _results(load(model), peer)
        outputs = graph.tensors[graph.outputs[0]].size
        other = m2cgen_form(model, rows, outputs) if peer == "m2cgen" else emlearn_form(model, rows)
        yield from compare((name, label, peer), graph, rows, [other], target, differ)


def differ(a: Array, b: Array) -> int:
    """Samples with another label, or with results that differ by more than 1e-4 of the largest."""
    return int((np.abs(a - b).max(axis=1) > 1e-4 * np.abs(b).max()).sum())


def main() -> None:
    print(HEAD, flush=True)
    for row in model_rows(keep=sys.argv[1] if len(sys.argv) > 1 else ""):
        print(row.markdown(), flush=True)


if __name__ == "__main__":
    main()
