"""A short run of the fuzzer over every importer: the kept inputs first, then some seconds of new ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FORMATS = ("keras", "lil", "onnx", "skops", "tflite")


def test_the_corpus_is_small() -> None:
    files = [f for f in (HERE / "corpus").rglob("*") if f.is_file()]
    assert {f.parent.name for f in files} == set(FORMATS)
    assert max(f.stat().st_size for f in files) <= 8192
    assert sum(f.stat().st_size for f in files) < 400_000


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    """No exception but UserError and GraphError, no input over 2 s, no more than 512 MB."""
    kept = len(list((HERE / "corpus" / name).iterdir()))
    places = ["--found", f"{tmp_path}/found-", "--keep", str(tmp_path / "new")]
    run = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), name, "--seconds", "8", *places],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=180,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    executed = re.search(r"number_of_executed_units: (\d+)", run.stderr)
    assert executed is not None
    assert int(executed[1]) > kept, "new inputs were tried too"
    assert not list(tmp_path.glob("found-*"))
