"""Where the reference models and data of the developers lie; a stranger's checkout does without."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(*parts: str) -> Path:
    """A file beside the checkout. With CI set its absence fails the test; elsewhere the test is skipped."""
    path = ROOT.parent.joinpath("shared", *parts)
    if not path.exists():
        message = f"needs ../shared/{'/'.join(parts)}, which is not part of the project"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
