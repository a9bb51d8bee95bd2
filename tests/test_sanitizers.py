"""The address sanitizer over generated code; it needs gcc, for zig brings no runtime of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.cross
def test_no_access_outside_arena_or_constants() -> None:
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = {**os.environ, "LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"}
    child = Path(__file__).with_name("asan_child.py")
    done = subprocess.run(
        [sys.executable, str(child), "gcc"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "no report" in done.stdout
