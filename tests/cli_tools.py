"""Running the command line in tests: in this process, and as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lilliput.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command line left: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def lilliput(capfd: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run a command line in this process."""
    capfd.readouterr()
    try:
        main([str(a) for a in arguments])
        code = 0
    except SystemExit as leave:
        code = int(leave.code or 0)
    out, err = capfd.readouterr()
    return Outcome(code, out, err)


def spawn(code: str, *arguments: object, cwd: Path | None = None) -> Outcome:
    """Run Python code in a new process; `sys.argv[1:]` are the arguments."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def refused(outcome: Outcome, *words: str, code: int = 2) -> None:
    """The outcome is a clear message on stderr, no traceback, nothing on stdout, and the exit code."""
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err, outcome.err


def files(folder: Path) -> set[str]:
    """Everything below a folder, hidden files too."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}
