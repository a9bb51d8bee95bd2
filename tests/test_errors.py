"""Bad input: each kind gives one clear message and a non-zero exit code, and leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_tools import files, lilliput, refused, spawn
from lilliput import load, store
from lilliput.errors import CheckError, UserError
from lilliput.firmware import compile
from lilliput.graph import Graph
from lilliput.toolchain import find_compiler, run_compiler
from small_graphs import Builder, int8

Capture = pytest.CaptureFixture[str]
MAIN = "from lilliput.cli import main; main()"

pytestmark = pytest.mark.slow


def dense(features: int, out: int) -> Graph:
    b = Builder()
    x = b.input(1, features)
    return b.graph(b.linear(x, out, name="wide"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """small.lil (float), a build of it in build/, and x.npz that fits it."""
    place = tmp_path_factory.mktemp("errors")
    graph = dense(6, 3)
    store.save(graph, place / "small.lil")
    compile(int8(graph), out=place / "build", name="small")
    np.savez(place / "x.npz", x=np.zeros((4, 6), np.float32))
    return place


# Files that are missing or not what they should be.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compile", "no.lil", "-o", "out"], ["no.lil", "does not exist"]),
        (["compile", "model.onnxx", "-o", "out"], [".onnxx", ".lil, .tflite, .onnx"]),
        (["compile", "model.pt", "-o", "out"], ["model.pt", "pickle", "lilliput.load(module"]),
        (["compile", "model.pkl", "-o", "out"], ["model.pkl", "pickle", "skops.io.dump"]),
        (["compile", "model.joblib", "-o", "out"], ["model.joblib", "pickle", "skops.io.dump"]),
        (["compile", "model.h5", "-o", "out"], ["model.h5", "model.save('model.keras')"]),
        (["compile", "model.pb", "-o", "out"], ["model.pb", "TFLiteConverter"]),
        (["compile", "small.lil", "--weights", "int4", "-o", "out"], ["--weights int4", "--calibration"]),
        (["compile", "small.lil", "--stateful", "-o", "out"], ["no layer with states"]),
        (["compile", "small.lil", "--shape", "y=1,6", "-o", "out"], ["--shape y", "no such input", "x"]),
        (["compile", "small.lil", "--shape", "x0=1,7", "-o", "out"], ["--shape x0", "fixes it as 1x6"]),
        (["compile", "small.lil", "--shape", "6", "-o", "out"], ["--shape 6", "INPUT=1,3,32,32"]),
        (["export", "small.lil", "-o", "y.pb"], ["y.pb", "--format tflite or onnx"]),
        (["export", "small.lil", "-o", "no/y.onnx"], ["--output", "'no'", "does not exist"]),
        (["compile", "noise.lil", "-o", "out"], ["noise.lil", "cannot be read"]),
        (["compile", "noise.tflite", "-o", "out"], ["noise.tflite"]),
        (["compile", "folder.lil", "-o", "out"], ["folder.lil"]),
        (["compile", "small.lil", "--calibration", "no.npz", "-o", "out"], ["no.npz", "no such file"]),
        (["compile", "small.lil", "--target", "cortexm4", "-o", "out"], ["did you mean 'cortex-m4'"]),
        (["compile", "small.lil", "--name", "int", "-o", "out"], ["'int'", "--name"]),
        (["compile", "small.lil", "-o", "noise.lil"], ["noise.lil", "is a file"]),
        (["run", "build", "--input", "no.npz", "--output", "y.npz"], ["no.npz", "no such file"]),
        (["run", "build", "--input", "noise.npz", "--output", "y.npz"], ["noise.npz", "not a readable .npz"]),
        (["run", "build", "--input", "empty.npz", "--output", "y.npz"], ["empty.npz", "'x'"]),
        (
            ["run", "build", "--input", "x.npz", "--output", "no/y.npz"],
            ["--output", "'no'", "does not exist"],
        ),
        (["run", "build", "--input", "x.npz", "--output", "build"], ["--output", "is a folder"]),
        (["run", "folder.lil", "--input", "x.npz", "--output", "y.npz"], ["folder.lil", "lilliput.json"]),
        (["profile", "no"], ["lilliput.json"]),
        (["train", "no.toml"], ["no.toml", "no such file"]),
    ],
)
def test_files(
    made: Path,
    tmp_path: Path,
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("noise.lil", "noise.tflite", "noise.npz"):
        Path(name).write_bytes(b"\x1c\x00\x00\x00TFL3" + os.urandom(300))
    Path("folder.lil").mkdir()
    np.savez("empty.npz")
    before = files(tmp_path)
    refused(lilliput(capfd, *arguments), *words)
    assert files(tmp_path) == before


# Samples that do not fit.

BAD_SAMPLES: dict[str, tuple[Callable[[], np.ndarray], list[str]]] = {
    "nan": (lambda: np.array([[0, 1, 2, 3, 4, np.nan]], np.float32), ["NaN", "1 "]),
    "infinite": (lambda: np.full((2, 6), np.inf), ["infinite", "12"]),
    "too large for float32": (lambda: np.full((2, 6), 1e300), ["infinite"]),
    "another shape": (lambda: np.zeros((2, 7), np.float32), ["(2, 7)", "(N, 6)"]),
    "same size, another order": (lambda: np.zeros((2, 3, 2), np.float32), ["(2, 3, 2)", "(N, 6)"]),
    "no samples": (lambda: np.zeros((0, 6), np.float32), ["no sample"]),
    "a single number": (lambda: np.float32(1), ["no sample"]),
    "words": (lambda: np.array([["a"] * 6]), ["type"]),
    "integers out of range": (lambda: np.full((1, 6), 300, np.int32), ["int32", "int8"]),
    "bytes without a record": (lambda: np.zeros((1, 6), np.uint8), ["uint8"]),
}


@pytest.mark.parametrize("kind", BAD_SAMPLES)
def test_samples(made: Path, tmp_path: Path, capfd: Capture, kind: str) -> None:
    make, words = BAD_SAMPLES[kind]
    file = tmp_path / "x.npz"
    np.savez(file, x=make())
    before = files(made)
    outcome = lilliput(capfd, "run", made / "build", "--input", file, "--output", tmp_path / "y.npz")
    refused(outcome, str(file), *words)
    refused(lilliput(capfd, "validate", made / "build", "--data", file, "--json"), str(file), *words)
    assert files(tmp_path) == {"x.npz"}
    assert files(made) == before


def test_calibration_of_an_int8_model(made: Path, tmp_path: Path, capfd: Capture) -> None:
    model = made / "build" / "small.lil"
    outcome = lilliput(capfd, "compile", model, "--calibration", made / "x.npz", "-o", tmp_path / "out")
    refused(outcome, "quantized already")
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("file", "package", "extra"),
    [("m.onnx", "onnx", "lilliput[onnx]"), ("m.skops", "skops.io", "lilliput[sklearn]")],
)
def test_a_package_that_is_missing(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, file: str, package: str, extra: str
) -> None:
    (tmp_path / file).write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, package, None)
    refused(
        lilliput(capfd, "compile", tmp_path / file, "-o", tmp_path / "out"), file, f"pip install '{extra}'"
    )
    assert files(tmp_path) == {file}


# Models that cannot be compiled.


def test_unsupported_operator_of_torch() -> None:
    import torch

    class Inner(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.det(x.reshape(2, 2)).reshape(1, 1)

    class Outer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.odd = torch.nn.Sequential(torch.nn.Linear(4, 4), Inner())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.odd(x))

    with pytest.raises(UserError) as caught:
        load(Outer(), torch.zeros(1, 4))
    message = str(caught.value)
    assert "'odd.1'" in message
    assert "det'" in message
    assert "Supported: " in message
    assert "lilliput ops --from torch" in message


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (lambda: dense(4096, 400), ["FLASH overflows by", "bytes", "wide"]),
        (lambda: dense(300_000, 2), ["RAM", "more than", "wide"]),
    ],
    ids=["flash", "ram"],
)
def test_over_budget(tmp_path: Path, capfd: Capture, graph: Callable[[], Graph], words: list[str]) -> None:
    store.save(int8(graph()), tmp_path / "big.lil")
    refused(
        lilliput(capfd, "compile", tmp_path / "big.lil", "-o", tmp_path / "out"), "big", "cortex-m4", *words
    )
    assert files(tmp_path) == {"big.lil"}


def test_a_failed_compile_leaves_the_old_build(made: Path, tmp_path: Path, capfd: Capture) -> None:
    shutil.copytree(made / "build", tmp_path / "build")
    store.save(int8(dense(300_000, 2)), tmp_path / "small.lil")
    before = {name: (tmp_path / "build" / name).read_bytes() for name in files(tmp_path / "build")}
    refused(lilliput(capfd, "compile", tmp_path / "small.lil", "-o", tmp_path / "build"))
    assert {name: (tmp_path / "build" / name).read_bytes() for name in files(tmp_path / "build")} == before


BROKEN_COMPILER = """#!/bin/sh
case "$*" in *--version*) echo "broken 1.0"; exit 0;; esac
echo "internal compiler error: out of ideas" >&2
exit 1
"""


@pytest.mark.parametrize("chained", [False, True], ids=["as it is", "caused by itself"])
def test_a_compiler_that_fails(
    made: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, chained: bool
) -> None:
    """The walk along an error's causes ends, also where a cause is the error itself."""
    program = tmp_path / "arm-none-eabi-gcc"
    program.write_text(BROKEN_COMPILER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    find_compiler.cache_clear()
    monkeypatch.setattr("lilliput.build.run_compiler", raising_itself if chained else run_compiler)
    out = tmp_path / "out"
    try:
        outcome = lilliput(capfd, "compile", made / "small.lil", "--compiler", "gcc", "-o", out)
    finally:
        find_compiler.cache_clear()
    refused(outcome, "internal compiler error: out of ideas", "building")
    assert not out.exists()


def raising_itself(*arguments: Any) -> None:
    try:
        run_compiler(*arguments)
    except UserError as error:
        raise error from error


# Training data.

PROJECT = """
[data]
format = "folder"
path = "pictures"
test_fraction = 0.3
validation = 0.3

[preprocess]
height = 8
width = 8
channels = 1

[model]
family = "mlp"

[train]
epochs = 1
batch_size = 8
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two classes of pictures, bright and dark."""
    from PIL import Image

    for label, level in (("bright", 220), ("dark", 30)):
        place = tmp_path / "pictures" / "train" / label
        place.mkdir(parents=True)
        for i in range(10):
            Image.new("L", (8, 8), level + i).save(place / f"{i}.png")
    file = tmp_path / "project.toml"
    file.write_text(PROJECT)
    return file


def test_corrupt_picture_is_named_or_left_out(project: Path, tmp_path: Path, capfd: Capture) -> None:
    bad = tmp_path / "pictures" / "train" / "dark" / "3.png"
    bad.write_bytes(b"not a picture")
    out = tmp_path / "out"
    refused(lilliput(capfd, "train", project, "-o", out), str(bad), "--skip-bad")
    assert not out.exists()
    outcome = lilliput(capfd, "train", project, "-o", out, "--skip-bad", "--json")
    assert outcome.code == 0, outcome.err
    assert str(bad) in outcome.err.replace("\n", "")
    assert (out / "report.html").is_file()
    assert (out / "model-float.lil").is_file()
    assert outcome.json["metric"]["name"] == "accuracy"


def test_empty_class(project: Path, tmp_path: Path, capfd: Capture) -> None:
    for picture in (tmp_path / "pictures" / "train" / "dark").iterdir():
        picture.unlink()
    refused(lilliput(capfd, "train", project, "-o", tmp_path / "out"), "'dark'", "no usable image")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs = 1", "epoch = 1", ["'epoch'", "[train]", "did you mean 'epochs'"]),
        ("[model]", "[modell]", ["'modell'", "did you mean 'model'"]),
        ("epochs = 1", "epochs = 0", ["train.epochs"]),
        ("epochs = 1", "epochs = ", ["TOML"]),
        ('"mlp"', '"mpl"', ["mpl", "mlp"]),
        ('"pictures"', '"nowhere"', ["nowhere", "no such folder"]),
    ],
)
def test_project_file(
    project: Path, tmp_path: Path, capfd: Capture, old: str, new: str, words: list[str]
) -> None:
    project.write_text(project.read_text().replace(old, new))
    refused(lilliput(capfd, "train", project, "-o", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_training_data_that_are_not_finite(tmp_path: Path, capfd: Capture) -> None:
    x = np.zeros((20, 6), np.float32)
    x[7, 2] = np.nan
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 2)
    file = tmp_path / "project.toml"
    file.write_text('[data]\nformat = "npz"\npath = "data.npz"\n')
    refused(lilliput(capfd, "train", file, "-o", tmp_path / "out"), "data.npz", "nan")
    assert not (tmp_path / "out").exists()


# A full disk, and Ctrl-C.

FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); " + MAIN
"""No file may grow beyond 300 bytes: writing fails half-way, as on a full disk."""


def test_full_disk(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    np.savez(tmp_path / "many.npz", x=np.random.default_rng(0).normal(size=(400, 6)))
    before = files(tmp_path)
    arguments = ["run", "build", "--input", "many.npz", "--output", "y.npz", "--on", "host"]
    done = spawn(MAIN, *arguments, cwd=tmp_path)  # fills the compiler's cache, which is not the question here
    assert done.code == 0, done.err
    (tmp_path / "y.npz").unlink()
    refused(spawn(FULL, *arguments, cwd=tmp_path), "large")
    assert files(tmp_path) == before
    refused(spawn(FULL, "compile", "small.lil", "-o", "out", cwd=tmp_path), "large")
    assert files(tmp_path) == before


def test_disk_full_by_its_own_error(
    made: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    result, replace, refusals = tmp_path / "y.npz", os.replace, []

    def full(source: Path, place: Path) -> None:
        if place == result:
            refusals.append(source)
            raise OSError(errno.ENOSPC, "No space left on device", str(place))
        replace(source, place)

    monkeypatch.setattr("lilliput.files.os.replace", full)
    arguments = ["--input", made / "x.npz", "--output", result, "--on", "host"]
    outcome = lilliput(capfd, "run", made / "build", *arguments)
    refused(outcome, "y.npz", "No space left", "free some space")
    assert len(refusals) == 1
    assert files(tmp_path) == set()


def interrupt(arguments: list[str], cwd: Path, when: Callable[[], bool]) -> subprocess.CompletedProcess[str]:
    """Start a command line, press Ctrl-C as soon as `when()`, and wait for its end."""
    # A shell's background jobs, and with them these tests, may ignore Ctrl-C; a user's terminal does not.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + MAIN
    process = subprocess.Popen(
        [sys.executable, "-c", listening, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_ctrl_c_in_a_run(made: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=np.zeros((1_000_000, 6), np.float32))
    shutil.copytree(made / "build", tmp_path / "build")
    elf = tmp_path / "build" / "small.elf"
    elf.unlink()  # opening the build links it again: then the run is about to begin
    before = files(tmp_path) | {"build/small.elf"}
    arguments = ["run", "build", "--input", "many.npz", "--output", "y.npz"]
    done = interrupt(arguments, tmp_path, elf.exists)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "interrupted" in done.stderr
    assert files(tmp_path) == before


def test_ctrl_c_in_training_says_how_to_go_on(project: Path, tmp_path: Path) -> None:
    project.write_text(project.read_text().replace("epochs = 1", "epochs = 100000"))
    checkpoints = tmp_path / "out" / "checkpoints"
    done = interrupt(
        ["train", "project.toml", "-o", "out"], tmp_path, lambda: any(checkpoints.rglob("*.safetensors"))
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "--resume" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "out" / "report.html").exists()
    assert not list((tmp_path / "out").rglob("*.part"))


# What is nobody's wish.


def test_ctrl_c_anywhere(made: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lilliput.firmware.Firmware.profile", stop)
    refused(lilliput(capfd, "profile", made / "build"), "interrupted", code=130)


def test_our_own_mistake_keeps_its_traceback(
    made: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lilliput.firmware.Firmware.profile", stumble)
    with pytest.raises(ZeroDivisionError):
        lilliput(capfd, "profile", made / "build")
    assert "mistake in Lilliput" in capfd.readouterr().err


def test_a_failed_check_is_code_1(made: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CheckError("the stack was too deep")

    monkeypatch.setattr("lilliput.firmware.Firmware.profile", fail)
    refused(lilliput(capfd, "profile", made / "build"), "too deep", code=1)


def test_a_reader_that_leaves_early() -> None:
    """`lilliput ops | head -1` brings no complaint: here the reader left before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "lilliput", "targets", "--json"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
