"""What the verbs share: results, complaints, JSON, and a look at an output's place before the work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from lilliput.console import err, out
from lilliput.errors import UserError


def complain(message: str) -> None:
    """One message about what went wrong; never cut or coloured inside, so that names can be copied."""
    err().print(Text("error: ", style="bold red") + Text(message), soft_wrap=True)


def show(*parts: RenderableType) -> None:
    console = out()
    for part in parts:
        console.print(part)


def print_json(value: object) -> None:
    """The machine's form: one JSON value on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, default=plain) + "\n")


def plain(value: Any) -> Any:
    """numpy's numbers as Python's, for JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def check_place(path: Path, option: str) -> None:
    """Refuse an output file before the work, not after it."""
    folder = path.parent
    if path.is_dir():
        raise UserError(f"{option}: '{path}' is a folder; give the name of a file")
    if not folder.is_dir():
        raise UserError(f"{option}: the folder '{folder}' does not exist; make it, or choose another")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{option}: the folder '{folder}' cannot be written")
