"""The whole way, in its quick form: every step of the demo, and of a user's own project."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from cli_tools import Outcome, files, lilliput
from lilliput import store
from lilliput.demo import demo, train
from lilliput.deploy import prove, report_of, run_on_core
from lilliput.firmware import open_build

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Shown:
    """A finished demo: where it is, the figures it returned, what it printed."""

    folder: Path
    facts: dict[str, Any]
    text: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    torch.set_num_threads(1)  # the other tests have the other core
    folder = tmp_path_factory.mktemp("demo") / "digits"
    console = Console(file=io.StringIO(), width=80)
    facts = demo(folder, quick=True, console=console)
    assert isinstance(console.file, io.StringIO)
    return Shown(folder, facts, console.file.getvalue())


def test_the_figures(shown: Shown) -> None:
    facts = shown.facts
    assert facts["validation"]["bit_exact"] is True
    assert facts["validation"]["first_difference"] is None
    metric = facts["metric"]
    assert metric["name"] == "accuracy"
    assert metric["float"] > 0.5, "one epoch of the toy is poor, but far from guessing"
    assert abs(metric["int8"] - metric["float"]) < 0.03
    assert metric["test_samples"] == 500
    assert metric["core_samples"] == facts["validation"]["samples"] == 20
    assert facts["profile"]["target"] == "cortex-m4"
    assert facts["recommended"]


def test_what_it_prints(shown: Shown) -> None:
    for words in (
        "Precision",
        "Pruned and fine-tuned",
        "Quantized to int8",
        "minmax",
        "SQNR",
        "Bit for bit",
        "float32",
        "on the emulated cortex-m4",
        "Instructions",
        "What pruning saved",
        "Boards",
        "is the smallest board",
        "report.html",
    ):
        assert words in shown.text, words
    tables = [line for line in shown.text.splitlines() if "report.html" not in line]
    assert max(map(len, tables)) <= 80


def test_what_it_leaves(shown: Shown) -> None:
    found = files(shown.folder)
    wanted = {"digits.c", "digits.h", "digits.lil", "digits-float.lil", "lilliput.json", "CMakeLists.txt"}
    assert wanted | {"report.html", "report.json", "training.json", "test.npz", "calibration.npz"} <= found
    assert not [name for name in found if name.startswith(".") or name.endswith(".part")]


def test_pruning_shrinks_the_firmware(shown: Shown) -> None:
    pruning = report_of(shown.folder).pruning
    assert pruning is not None
    for name in ("params", "macs", "flash", "ram", "instructions"):
        assert getattr(pruning.after, name) < getattr(pruning.before, name), name
    assert pruning.after.instructions == shown.facts["profile"]["instructions"]


def test_a_camera_s_bytes_are_the_model_s_integers(shown: Shown) -> None:
    pixels, file = np.load(shown.folder / "quick.npz"), np.load(shown.folder / "test.npz")
    count = len(file["x"])
    np.testing.assert_array_equal(file["x"], pixels["x_test"][:count].astype(np.int16) - 128)
    np.testing.assert_array_equal(file["y"], pixels["y_test"][:count])


def test_labels_travel_with_the_model(shown: Shown) -> None:
    graph = store.load(shown.folder / "digits.lil")
    assert graph.meta["labels"] == [str(digit) for digit in range(10)]


def test_quantization_noise_is_low_in_every_layer(shown: Shown) -> None:
    rows = report_of(shown.folder).quantization
    assert rows
    assert min(row.sqnr_db for row in rows) > 10


def test_the_report_can_be_made_again(shown: Shown, tmp_path: Path, capfd: Capture) -> None:
    page = tmp_path / "again.html"
    assert lilliput(capfd, "report", shown.folder, "-o", page).code == 0
    assert page.read_text(encoding="utf-8") == (shown.folder / "report.html").read_text(encoding="utf-8")


def test_the_other_verbs_take_the_folder(shown: Shown, capfd: Capture) -> None:
    outcome: Outcome = lilliput(capfd, "profile", shown.folder, "--json")
    assert outcome.json == shown.facts["profile"]


def test_two_cores_at_once_are_one(shown: Shown) -> None:
    firmware = open_build(shown.folder)
    x = np.load(shown.folder / "test.npz")["x"][:7]
    seen: list[int] = []
    (found,) = run_on_core(firmware, x, 2, seen.append).values()
    np.testing.assert_array_equal(found, firmware.run(x, "host"))
    assert sorted(seen) == [1, 2, 3, 4, 5, 6, 7]


def test_a_difference_is_found_and_named(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that is wrong in one sample of many: the proof fails."""
    firmware = open_build(shown.folder)
    x = np.load(shown.folder / "test.npz")["x"][:6]

    def wrong(*arguments: Any, **options: Any) -> dict[str, np.ndarray]:
        ((name, y),) = run_on_core(*arguments, **options).items()
        y[4, 0] ^= 1
        return {name: y}

    monkeypatch.setattr("lilliput.deploy.run_on_core", wrong)
    assert prove(firmware, x, 6).verdict["bit_exact"] is False


PROJECT = """
name = "plant"

[data]
format = "npz"
path = "data.npz"

[model]
family = "mlp"

[train]
epochs = 2
learning_rate = 0.02
loss = "{loss}"

[quantize]
samples = 50
method = "minmax"
"""


@pytest.mark.parametrize("loss", ["cross-entropy", "mse"])
def test_own_data(tmp_path: Path, loss: str) -> None:
    """Features from a table: classes, and numbers to predict."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    target = x[:, 0] - x[:, 1]
    np.savez(tmp_path / "data.npz", x=x, y=target if loss == "mse" else (target > 0).astype(np.int64))
    file = tmp_path / "project.toml"
    file.write_text(PROJECT.format(loss=loss))
    console = Console(file=io.StringIO(), width=80)
    facts = train(file, tmp_path / "out", console=console)
    assert facts["validation"]["bit_exact"] is True
    assert facts["calibration_method"] == "minmax"
    assert facts["metric"]["name"] == ("mean absolute error" if loss == "mse" else "accuracy")
    assert abs(facts["metric"]["int8"] - facts["metric"]["float"]) < 0.1
    assert {"plant.c", "plant.lil", "plant-float.lil", "report.html"} <= files(tmp_path / "out")


def test_without_compile_it_says_what_comes_next(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))
    file = tmp_path / "project.toml"
    file.write_text(PROJECT.format(loss="cross-entropy").split("[quantize]")[0])
    console = Console(file=io.StringIO(), width=80)
    train(file, tmp_path / "out", console=console)
    assert isinstance(console.file, io.StringIO)
    assert "lilliput compile" in console.file.getvalue()
    assert not (tmp_path / "out" / "plant.c").exists()
