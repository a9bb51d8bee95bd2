"""Project files and the whole way from one to a trained, pruned model."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from lilliput.errors import UserError
from lilliput.train import (
    InterruptedTrainingError,
    Project,
    TrainingProgress,
    load_project,
    parse_project,
    train_project,
)
from lilliput.train.loop import evaluate
from lilliput.train.recipes import demo

# One thread: tests run side by side, and these networks are too small for two.
torch.set_num_threads(1)
EXAMPLES = Path(__file__).parents[1] / "examples"


# --- the file ---

pytestmark = pytest.mark.slow


def test_example_is_the_demo() -> None:
    assert load_project(EXAMPLES / "digits/project.toml") == demo()


def test_every_example_is_valid() -> None:
    for path in EXAMPLES.glob("*/project.toml"):
        assert load_project(path).name


def test_empty_file_is_all_defaults() -> None:
    assert parse_project("", "x") == Project()


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[data]\nformat = "csv"\npath = "a.csv"\ntest = "b.csv"\ntarget = "y"\n')
    data = load_project(tmp_path / "p.toml").data
    assert (data.path, data.test) == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepoch = 3", r"unknown key 'epoch' in \[train\]; did you mean 'epochs'\?"),
        ("[trian]\nepochs = 3", r"unknown key 'trian' at the top; did you mean 'train'\?"),
        ("[prune]\nfrction = 0.3", r"unknown key 'frction' in \[prune\]; did you mean 'fraction'\?"),
        ("[data]\nzzzz = 1", r"unknown key 'zzzz' in \[data\]; expected one of format, path"),
        ("[train]\nepochs = 'ten'", r"train.epochs is 'ten'; input should be a valid integer"),
        ("[train]\nepochs = 0", r"train.epochs is 0; input should be greater than or equal to 1"),
        ("[train]\nlearning_rate = nan", r"train.learning_rate is nan"),
        ("[train]\nloss = 'cross'", r"train.loss is 'cross'; input should be 'cross-entropy', 'mse'"),
        ("[prune]\nfraction = 1.5", r"prune.fraction is 1.5"),
        ("[train\n", r"not valid TOML"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_project(path)
    assert str(path) in str(caught.value)


def test_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_project(tmp_path / "none.toml")
    (tmp_path / "p.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        load_project(tmp_path / "p.toml")


# --- the whole way ---


def write_stripes(path: Path, count: int = 240) -> None:
    """8x8 pictures with a bright stripe: class is its direction."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 2
    x = rng.integers(0, 60, (count, 8, 8)).astype(np.uint8)
    for index, kind in enumerate(y):
        at = rng.integers(1, 7)
        x[index, at if kind else slice(None), slice(None) if kind else at] = 220
    np.savez(path, x=x, y=y, labels=np.array(["down", "across"]))


def stripes(folder: Path, extra: str = "", prune: str = "[prune]\nepochs = 2\n") -> Project:
    write_stripes(folder / "a.npz")
    text = (
        '[data]\nformat = "npz"\npath = "a.npz"\nvalidation = 0.2\n'
        '[model]\nfamily = "mobilenet_v2"\noptions = {stages = [[2, 12, 2, 1]], head = 0, stem = 12}\n'
        f"[train]\nepochs = 4\nbatch_size = 32\n{extra}[augment]\nnoise = 0.05\n{prune}"
    )
    (folder / "p.toml").write_text(text)
    return load_project(folder / "p.toml")


def test_train_prune_tune(tmp_path: Path) -> None:
    screen = io.StringIO()
    with TrainingProgress(Console(file=screen, width=100)) as progress:
        result = train_project(stripes(tmp_path), tmp_path / "out", progress=progress)
    assert result.labels == ("down", "across")
    assert result.test.metric > 0.9
    assert result.report is not None
    assert result.report.confusion.sum() == len(result.split.test) == 48
    assert result.prune is not None
    assert result.prune.after.weights < 0.7 * result.prune.before.weights
    assert result.size == result.prune.after
    assert result.prune.metric_tuned == result.test.metric
    assert result.preprocess.input_quant() is not None
    again = evaluate(result.model, result.split.test.x, result.split.test.y, preprocess=result.preprocess)
    assert np.array_equal(again.outputs, result.test.outputs)
    record = json.loads((tmp_path / "out/training.json").read_text())
    assert record["test_metric"] == result.test.metric
    assert record["samples"] == {"train": 154, "validation": 38, "test": 48}
    shown = screen.getvalue()
    assert "Fine-tuning after pruning" in shown
    assert "epoch   4/4" in shown
    assert "accuracy 0." in shown or "accuracy 1." in shown


class StopInPhase(TrainingProgress):
    """Ctrl-C in the second epoch of the phase of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(Console(file=io.StringIO()))
        self.name, self.now = name, ""

    def phase(self, name: str, epochs: int, metric: str) -> None:
        self.now = name

    def step(self, epoch: int, epochs: int, step: int, steps: int) -> None:
        if self.now.startswith(self.name) and epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("phase", ["Training", "Fine-tuning"])
def test_resume_in_either_phase(tmp_path: Path, phase: str) -> None:
    project = stripes(tmp_path)
    expected = train_project(project, tmp_path / "straight")
    # A complete earlier run in the same folder, of other settings, must not leak into this one.
    other = project.model_copy(update={"train": project.train.model_copy(update={"epochs": 2})})
    train_project(other, tmp_path / "out")
    with pytest.raises(InterruptedTrainingError, match="after 1 of"):
        train_project(project, tmp_path / "out", progress=StopInPhase(phase))
    resumed = train_project(project, tmp_path / "out", resume=True)
    assert np.array_equal(resumed.test.outputs, expected.test.outputs)


@pytest.mark.parametrize("importance", ["bn-scale", "taylor"])
def test_other_importances(tmp_path: Path, importance: str) -> None:
    project = stripes(tmp_path, prune=f'[prune]\nepochs = 1\nfraction = 0.5\nimportance = "{importance}"\n')
    result = train_project(project, tmp_path / "out")
    assert result.prune is not None
    assert result.prune.after.macs < 0.5 * result.prune.before.macs


def test_folder_project_with_a_bad_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for index, label in enumerate(("dark", "light")):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(120 * index, 120 * index + 100, (6, 6, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "train/dark/0.png").write_bytes(b"broken")
    text = (
        '[data]\nformat = "folder"\npath = "."\nvalidation = 0.2\n{skip}'
        "[preprocess]\nheight = 8\nwidth = 10\nchannels = 3\n"
        '[model]\nfamily = "mlp"\noptions = {{hidden = [8]}}\n'
        "[train]\nepochs = 5\nbatch_size = 4\nlearning_rate = 0.05\n"
    )
    path = tmp_path / "p.toml"
    path.write_text(text.format(skip=""))
    with pytest.raises(UserError, match=r"dark/0\.png"):
        train_project(load_project(path), tmp_path / "out")
    path.write_text(text.format(skip="skip_bad = true\n"))
    screen = io.StringIO()
    with TrainingProgress(Console(file=screen, width=200)) as progress:
        result = train_project(load_project(path), tmp_path / "out", progress=progress)
    assert result.preprocess.shape == (8, 10, 3)
    assert result.test.metric == 1.0
    assert "dark/0.png" in screen.getvalue()


def test_csv_regression_project(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("a.csv", 300), ("b.csv", 50)):
        x = rng.normal([10, 0.1], [5, 0.01], (count, 2))
        y = x[:, 0] * 0.2 + x[:, 1] * 100
        rows = [f"{a},{b},{c}" for (a, b), c in zip(x, y, strict=True)]
        (tmp_path / name).write_text("heat,flow,power\n" + "\n".join(rows))
    (tmp_path / "p.toml").write_text(
        '[data]\nformat = "csv"\npath = "a.csv"\ntest = "b.csv"\ntarget = "power"\n'
        '[model]\nfamily = "mlp"\n[train]\nloss = "mse"\noptimizer = "adam"\n'
        "learning_rate = 0.01\nbatch_size = 16\n"
    )
    result = train_project(load_project(tmp_path / "p.toml"), tmp_path / "out")
    assert result.labels == ()
    assert result.report is None
    assert result.metric_name == "mean absolute error"
    assert result.test.metric < 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[data]\nformat = "idx"', "data.path is missing"),
        ('[data]\nformat = "csv"\npath = "a.csv"', "data.target is missing"),
        ('[data]\nformat = "folder"\npath = "a"', "preprocess.height and preprocess.width are missing"),
        ('[data]\nformat = "npz"\npath = "none.npz"', "none.npz: no such file"),
        ('[data]\nformat = "npz"\npath = "a.npz"\n[model]\nfamily = "resnet"', "did you mean 'resnet8'"),
        ('[data]\nformat = "npz"\npath = "a.npz"\n[preprocess]\nstd = [1.0, 2.0]', "2 values for 1 channels"),
    ],
)
def test_projects_that_cannot_run(tmp_path: Path, text: str, message: str) -> None:
    write_stripes(tmp_path / "a.npz")
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        train_project(load_project(tmp_path / "p.toml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
