"""The examples with networks over time: prepared, trained, quantized, compiled and run as their pages say."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lilliput.end_to_end import Settings, end_to_end
from lilliput.train import Project, load_project
from shared import ROOT, shared

pytestmark = pytest.mark.slow
HAR = "data/har/har_watch_windows_50hz.npz"
ECG = "data/ecg_mitbih/mitbih_beats_180hz.npz"
KWS = "data/speech_commands/kws12_mfcc49x10_int8.npz"


def prepared(example: str, folder: Path, data: str, keep: dict[str, int] | None = None) -> Project:
    """The example in a folder of its own; `keep` takes every n-th sample of a part."""
    for file in (ROOT / "examples" / example).iterdir():
        if file.suffix in (".py", ".toml"):
            shutil.copy(file, folder)
    subprocess.run([sys.executable, folder / "prepare.py", shared(data)], check=True, capture_output=True)
    arrays = dict(np.load(folder / "data.npz"))
    for part, step in (keep or {}).items():
        for what in ("x", "y"):
            arrays[f"{what}_{part}"] = arrays[f"{what}_{part}"][::step]
    np.savez(folder / "data.npz", **arrays)
    return load_project(folder / "project.toml")


def deployed(project: Project, out: Path, on_core: int = 1000, **train: Any) -> dict[str, Any]:
    """Test metrics of float, int8 and core, and whether all implementations agreed, with changes of `[train]`."""
    project = project.model_copy(update={"train": project.train.model_copy(update=train)})
    facts = end_to_end(project, Settings(out, Console(file=io.StringIO()), "test", on_core=on_core))
    assert facts["validation"]["bit_exact"]
    return {**facts["metric"], "ram": facts["profile"]["ram"]["total"]}


def test_a_gru_on_raw_windows_loses_less_than_half_a_point(tmp_path: Path) -> None:
    """Subjects that it never saw, all 782 windows, in numpy, on the host and on the core; a window is 0.13 points."""
    project = prepared("har_gru", tmp_path, HAR)
    found = [deployed(project, tmp_path / str(seed), seed=seed) for seed in range(3)]
    assert all(f["core"] == f["int8"] and f["core_samples"] == 782 for f in found)
    real, whole = (float(np.mean([f[name] for f in found])) for name in ("float", "int8"))
    assert real > 0.94, found
    assert real - whole < 0.005, found
    assert found[0]["ram"] < 1000


def test_ventricular_beats_of_other_patients(tmp_path: Path) -> None:
    """A third of the training beats is enough for an area of 0.98; all of them are in the example."""
    project = prepared("ecg", tmp_path, ECG, {"train": 3, "validation": 4, "test": 8})
    found = deployed(project, tmp_path / "out", epochs=8)
    assert found["name"] == "ROC AUC"
    assert min(found["float"], found["int8"], found["core"]) > 0.98, found
    command = [sys.executable, tmp_path / "evaluate.py", tmp_path / "out", "200"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line[:7] for line in told[:2]] == ["float32", "int8, C"]
    assert told[2].endswith("of 200 beats")
    assert told[3].startswith("0 of 400 integers differ")


def test_spoken_words(tmp_path: Path) -> None:
    """A third of the epochs of the example."""
    found = deployed(prepared("kws", tmp_path, KWS), tmp_path / "out", on_core=100, epochs=10)
    assert found["float"] > 0.8, found
    assert abs(found["float"] - found["int8"]) < 0.01, found


@pytest.mark.parametrize("example", ["har_gru", "ecg", "kws"])
def test_without_data_it_says_where_they_are(example: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / example / "prepare.py", tmp_path)
    command = [sys.executable, tmp_path / "prepare.py", tmp_path / "none.npz"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "none.npz: no such file" in told.stderr
    assert "https://" in told.stderr
    assert "CC BY 4.0" in told.stderr or "ODC-By" in told.stderr
