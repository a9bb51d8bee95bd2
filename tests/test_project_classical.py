"""Project files with classical models, statistics over time and anomalies: the whole way, and the examples."""

from __future__ import annotations

import io
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lilliput import store
from lilliput.demo import train
from lilliput.errors import UserError
from lilliput.evaluate import outputs, run
from lilliput.firmware import open_build
from lilliput.graph import Array
from lilliput.passes.chain import chain
from lilliput.passes.statistics import STATISTICS, statistics
from lilliput.train import load_project, parse_project
from lilliput.train.anomaly import detections
from lilliput.train.families import FAMILIES
from lilliput.train.figures import Metric, decided, roc_auc
from shared import ROOT, shared

STEPS, CHANNELS = 12, 2


def windows(count: int, seed: int) -> tuple[Array, Array]:
    """(N, STEPS, CHANNELS) whose level, swing and unit differ, and three classes by the swing of the first."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    swing = np.stack([0.5 * 3.0**y, np.full(count, 100.0)], 1)[:, None]
    x = rng.normal(size=(count, STEPS, CHANNELS)) * swing + np.array([5.0, -2000.0])
    return x.astype(np.float32), y


def project(
    folder: Path, text: str, *, target: str = "cortex-m0plus", **arrays: Array
) -> tuple[dict[str, Any], str]:
    """What a project in `folder` gives: the figures and what it prints."""
    np.savez(folder / "data.npz", **arrays)
    file = folder / "project.toml"
    where = f'name = "toy"\n[data]\nformat = "npz"\npath = "data.npz"\n[compile]\ntarget = "{target}"\n'
    file.write_text(where + text)
    console = Console(file=io.StringIO(), width=120)
    facts = train(file, folder / "out", console=console)
    assert isinstance(console.file, io.StringIO)
    return facts, console.file.getvalue()


def parts(**given: tuple[Array, Array]) -> dict[str, Array]:
    return {f"{axis}_{part}": a for part, pair in given.items() for axis, a in zip("xy", pair, strict=True)}


# --- the pieces ---


def test_statistics_are_numpy_s() -> None:
    x = windows(40, 0)[0]
    found = run(statistics(STEPS, CHANNELS, list(STATISTICS)), x)
    wide = x.astype(np.float64)
    expected = {
        "mean": wide.mean(1),
        "std": wide.std(1),
        "min": wide.min(1),
        "max": wide.max(1),
        "mean_abs_diff": np.abs(np.diff(wide, axis=1)).mean(1),
        "energy": np.square(wide).mean(1),
        "change": wide[:, -1] - wide[:, 0],
    }
    assert list(expected) == list(STATISTICS)
    for i, (name, value) in enumerate(expected.items()):
        part = found[:, CHANNELS * i : CHANNELS * (i + 1)]
        # float32 sums of up to 12 values of 4e6: 1e-5 of the values, or of the square where they cancel.
        np.testing.assert_allclose(part, value, rtol=1e-5, atol=1e-3, err_msg=name)
    with pytest.raises(UserError, match="at least 2"):
        statistics(1, 3, ["mean"])


def test_chained_graphs_keep_their_names_apart() -> None:
    first = statistics(STEPS, CHANNELS, ["mean", "std"])
    both = chain(statistics(STEPS, 4, ["change"]), statistics(2, 2, ["mean"]))
    x = np.random.default_rng(0).normal(size=(3, STEPS, 4)).astype(np.float32)
    change = (x[:, -1] - x[:, 0]).reshape(3, 2, 2)
    np.testing.assert_array_equal(run(both, x), change.sum(1) / 2)
    with pytest.raises(UserError, match="what comes before it gives"):
        chain(first, first)


def test_area_under_the_curve_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    for spread in (1000, 5, 1):  # with more and more equals
        scores = rng.integers(0, spread, 300).astype(np.float32)
        truth = rng.integers(0, 2, 300) > 0
        assert abs(roc_auc(scores, truth) - roc_auc_score(truth, scores)) < 1e-12
    with pytest.raises(UserError, match="expected both"):
        roc_auc(np.zeros(3), np.ones(3, bool))
    with pytest.raises(UserError, match="two classes"):
        Metric("ROC AUC")(np.zeros((3, 3)), np.zeros(3, int))


def test_events_are_found_when_one_of_their_samples_is_above() -> None:
    truth = np.array([0, 1, 1, 0, 0, 1, 0, 1], bool)
    scores = np.array([9, 0, 9, 0, 0, 1, 0, 0], np.float32)
    found = detections(scores, truth, 1.0)
    assert (found.events, found.found, found.false_alarms) == (3, 1, 0.25)


# --- project files ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[model]\nfamily = "svm"\noptions = {c = 1.0}', r"unknown option 'c'; SVC takes C, kernel"),
        ('[model]\nfamily = "svm"\noptions = {C = -1.0}', r"model 'svm' with .*C.*-1"),
        ('[model]\nfamily = "svn"', r"no such family; .*svm"),
        ('[model]\nfamily = "linear_regression"', "is for numbers, the targets are classes"),
        ('[model]\nfamily = "svm"\n[train]\nepochs = 3', r"train.epochs does not go with"),
        ('[model]\nfamily = "svm"\n[prune]\nfraction = 0.5', r"\[prune\] does not go with"),
        ('[model]\nfamily = "svm"\n[anomaly]\n', r"\[anomaly\] does not go with 'svm'"),
        ('[model]\nfamily = "svm"\n[quantize]\nfloat_io = false', "float_io = false does not go with"),
        ('[model]\nfamily = "isolation_forest"', "two classes, 0 .normal. and 1"),
    ],
)
def test_mistakes_in_a_project(tmp_path: Path, text: str, message: str) -> None:
    x, y = windows(60, 0)
    with pytest.raises(UserError, match=message):
        project(tmp_path, text, x=x, y=y)


def test_features_are_of_windows_of_numbers(tmp_path: Path) -> None:
    text = '[features]\nstatistics = ["mean"]\n[model]\nfamily = "svm"'
    for x in (np.zeros((20, 5, 2, 3)), np.zeros((20, 5, 2), np.uint8)):
        with pytest.raises(UserError, match="statistics over time"):
            project(tmp_path, text, x=x, y=np.arange(20) % 2)
    with pytest.raises(UserError, match=r"features.statistics"):
        parse_project('[features]\nstatistics = ["median"]', "p.toml")


# --- the whole way ---

OPTIONS = {
    "svm": "",
    "knn": "options = {n_neighbors = 3}",
    "naive_bayes": "",
    "random_forest": "options = {n_estimators = 8, max_depth = 5}",
}


@pytest.mark.slow
@pytest.mark.parametrize("family", OPTIONS)
def test_classes_of_windows(tmp_path: Path, family: str) -> None:
    train_part, held, test = (windows(n, seed) for seed, n in enumerate((150, 60, 90)))
    text = f'[features]\nstatistics = ["mean", "std", "mean_abs_diff"]\n[model]\nfamily = "{family}"\n{OPTIONS[family]}'
    labels = np.array(["calm", "busy", "wild"])
    facts, shown = project(
        tmp_path, text, **parts(train=train_part, validation=held, test=test), labels=labels
    )
    assert facts["validation"]["bit_exact"] is True
    form = "C" if FAMILIES[family].best == "float32" else "int8"
    assert facts["metric"]["float"] > 0.85
    assert abs(facts["metric"][form] - facts["metric"]["float"]) <= 0.04
    assert facts["metric"]["core"] == facts["metric"][form], "all samples ran on both"
    assert ("Kept in float32" in shown) == (form == "C")
    # The device takes windows as they are, and its label is a name.
    firmware = open_build(tmp_path / "out")
    assert firmware.graph.tensors[firmware.graph.inputs[0]].shape == (1, STEPS, CHANNELS)
    assert firmware.graph.meta["labels"] == list(labels)
    label = firmware.run(test[0][:5], "host")
    assert label.dtype == np.int32
    right = (decided(firmware.run(test[0], "host").reshape(-1, 1)) == test[1]).mean()
    assert right == facts["metric"][form]
    np.testing.assert_array_equal(np.load(tmp_path / "out/test.npz")["x"].shape[1:], (STEPS, CHANNELS))


@pytest.mark.slow
def test_none_is_the_estimator_itself(tmp_path: Path) -> None:
    (x, y), (tx, ty) = windows(150, 0), windows(60, 1)
    given = parts(train=(x, y), validation=(tx[:30], ty[:30]), test=(tx, ty))
    facts, _ = project(tmp_path, '[model]\nfamily = "svm"\n[quantize]\nmethod = "none"', **given)
    own = make_pipeline(StandardScaler(), SVC(random_state=0)).fit(x.reshape(len(x), -1), y)
    assert facts["metric"]["float"] == own.score(tx.reshape(len(tx), -1), ty) == facts["metric"]["C"]
    assert facts["calibration_method"] == "none"


@pytest.mark.slow
def test_numbers_from_a_table(tmp_path: Path) -> None:
    """Columns of very different size: the scaler is on the device."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)) * [1.0, 1000.0, 0.01]
    y = x @ [1.0, 0.002, 50.0]
    rows = "\n".join(",".join(map(str, row)) for row in np.column_stack([x, y]))
    (tmp_path / "a.csv").write_text("a,b,c,y\n" + rows)
    for family, more in {
        "ridge": "",
        "mlp": "epochs = 30\noptimizer = 'adam'\nlearning_rate = 0.01\n",
    }.items():
        file = tmp_path / f"{family}.toml"
        file.write_text(
            f'name = "{family}"\n[data]\nformat = "csv"\npath = "a.csv"\ntarget = "y"\n'
            f'[model]\nfamily = "{family}"\n[train]\nloss = "mse"\n{more}[compile]\ntarget = "cortex-m0plus"\n'
        )
        facts = train(file, tmp_path / family, console=Console(file=io.StringIO()))
        assert facts["validation"]["bit_exact"] is True
        assert facts["metric"]["name"] == "mean absolute error"
        assert facts["metric"]["int8"] < 0.3, "of numbers with a deviation of 2.3"
        graph = store.load(tmp_path / family / f"{family}.lil")
        assert graph.tensors[graph.inputs[0]].dtype == "float32"
        assert "scaler" in {site.op.name for site in graph.sites()}
        assert "preprocess" not in graph.meta


@pytest.mark.slow
def test_two_classes_by_the_area_under_the_curve(tmp_path: Path) -> None:
    x, y = windows(300, 0)
    text = '[features]\nstatistics = ["std"]\n[model]\nfamily = "{}"\n[train]\nmetric = "roc-auc"'
    for family in ("svm", "logistic_regression", "random_forest"):
        facts, shown = project(tmp_path, text.format(family), x=x, y=(y > 1).astype(int))
        assert facts["metric"]["name"] == "ROC AUC"
        values = [
            facts["metric"][key] for key in ("float", "int8" if "int8" in facts["metric"] else "C", "core")
        ]
        assert min(values) > 0.95
        assert max(values) - min(values) < 0.02
        assert "Test ROC AUC" in shown


def failing(count: int, seed: int, *spans: tuple[int, int]) -> tuple[Array, Array]:
    """Windows of a wave, with a step in the level where the machine fails."""
    rng = np.random.default_rng(seed)
    y = np.zeros(count, np.uint8)
    for a, b in spans:
        y[a:b] = 1
    phase = rng.uniform(0, 6, count)[:, None] + np.arange(STEPS) * 0.7
    x = 40 + np.sin(phase) + 0.1 * rng.normal(size=phase.shape) + 3.0 * y[:, None]
    return x[..., None].astype(np.float32), y


DETECTORS = {
    "isolation_forest": '[features]\nstatistics = ["mean", "std"]\n[model]\nfamily = "isolation_forest"\n'
    "options = {n_estimators = 20, max_samples = 32}\n",
    "one_class_svm": '[features]\nstatistics = ["mean", "std"]\n[model]\nfamily = "one_class_svm"\n'
    "options = {nu = 0.05}\n",
    "autoencoder": '[model]\nfamily = "autoencoder"\noptions = {hidden = [8], code = 2}\n'
    '[train]\nloss = "mse"\nepochs = 15\nbatch_size = 16\noptimizer = "adam"\nlearning_rate = 0.01\n',
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DETECTORS)
def test_anomalies(tmp_path: Path, kind: str) -> None:
    data = parts(
        train=failing(300, 0, (10, 20)),
        validation=failing(100, 1),
        test=failing(200, 2, (50, 60), (150, 152)),
    )
    facts, shown = project(tmp_path, DETECTORS[kind] + "[anomaly]\nfalse_alarms = 0.1", **data)
    assert facts["validation"]["bit_exact"] is True
    assert facts["metric"]["name"] == "ROC AUC"
    assert min(facts["metric"][key] for key in ("float", "core")) > 0.95
    assert facts["detections"]["events"] == facts["detections"]["found"] == 2
    assert facts["detections"]["false_alarms"] < 0.25
    assert "2 of 2 events found" in shown
    found = open_build(tmp_path / "out").outputs(data["x_test"], "host")
    score, alarm = (v.reshape(-1) for v in found.values())
    np.testing.assert_array_equal(alarm.astype(bool), score > np.float32(facts["limit"]))
    assert score[50:60].min() > np.median(score)


@pytest.mark.slow
def test_without_torch(tmp_path: Path) -> None:
    x, y = windows(90, 0)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    (tmp_path / "p.toml").write_text(
        '[data]\nformat = "npz"\npath = "data.npz"\n[model]\nfamily = "naive_bayes"\n'
        '[compile]\ntarget = "cortex-m0plus"\n'
    )
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'safetensors', 'PIL'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from lilliput.demo import train\n"
        f"assert train({str(tmp_path / 'p.toml')!r}, {str(tmp_path / 'out')!r})['validation']['bit_exact']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, capture_output=True)


def test_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("sklearn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    x, y = windows(60, 0)
    with pytest.raises(UserError, match=r"pip install 'lilliput\[sklearn\]'"):
        project(tmp_path, '[model]\nfamily = "svm"', x=x, y=y)


# --- the examples, on the data they are about ---

EXAMPLES = {
    # project, source, which metric, its least value in float32 and deployed (the README's less a margin)
    "har_svm/project.toml": ("har/har_watch_windows_50hz.npz", 0.95),
    "occupancy/project.toml": ("occupancy", 0.85),
    "anomaly/project.toml": ("nab_mit", 0.87),
    "anomaly/autoencoder.toml": ("nab_mit", 0.75),
}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    source, least = EXAMPLES[example]
    data = shared("data", source)
    folder = tmp_path / "example"
    shutil.copytree(ROOT / "examples" / Path(example).parent, folder, ignore=shutil.ignore_patterns("*.npz"))
    monkeypatch.setattr(sys, "argv", ["prepare.py", str(data)])
    runpy.run_path(str(folder / "prepare.py"), run_name="__main__")
    file = folder / Path(example).name
    assert load_project(file).name
    facts = train(file, tmp_path / "out", console=Console(file=io.StringIO()))
    metric = facts["metric"]
    assert facts["validation"]["bit_exact"] is True
    assert min(metric["float"], metric.get("int8", 1.0), metric.get("C", 1.0)) > least
    assert metric["core"] > least - 0.03, "on a part of the samples"
    if "detections" in facts:
        assert facts["detections"]["found"] >= 2


def test_prepare_names_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for example in ("har_svm", "occupancy", "anomaly"):
        monkeypatch.setattr(sys, "argv", ["prepare.py", str(tmp_path / "nothing")])
        with pytest.raises(SystemExit, match=r"https://.*\((CC BY 4.0|MIT)\)"):
            runpy.run_path(str(ROOT / "examples" / example / "prepare.py"), run_name="__main__")


def test_all_families_are_imported(tmp_path: Path) -> None:
    """Each estimator of the table exists, and its graph decides as it does."""
    x, y = windows(80, 0)
    from lilliput.train.classical import _estimator, _fit, _graph
    from lilliput.train.source import load_data

    np.savez(tmp_path / "c.npz", x=x, y=y)
    np.savez(tmp_path / "r.npz", x=x, y=x[:, -1, 0])
    for name, family in FAMILIES.items():
        for kind, path in (("classifier", "c"), ("regressor", "r")):
            if getattr(family, kind) is None:
                continue
            text = f'[data]\nformat = "npz"\npath = "{tmp_path}/{path}.npz"\n[model]\nfamily = "{name}"'
            chosen = parse_project(text, "p.toml")
            data = load_data(chosen).train
            estimator = _estimator(chosen, family, data)
            _fit(chosen, estimator, data)
            graph = _graph(estimator, data.labels)
            rows = data.x.reshape(len(data), -1)
            found = outputs(graph, rows)[graph.outputs[0]].reshape(len(rows), -1)
            expected = estimator.predict(rows).reshape(len(rows), -1)
            scale = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, atol=1e-4 * scale, err_msg=name)
