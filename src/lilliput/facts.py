"""lilliput.json: what a build folder says about itself, and how far that is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lilliput.emit import literals
from lilliput.errors import UserError


def read_text(path: Path) -> str:
    """The text of a file, or a UserError that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read '{path}': {error}") from error


def read_facts(folder: Path) -> dict[str, Any]:
    """What lilliput.json says, believed only as far as it makes sense: its compiler is a program that will run."""
    try:
        facts = dict(json.loads(read_text(folder / "lilliput.json")))
        literals.identifier(facts["name"])
        for key, fits in FACTS.items():
            if not fits(facts[key]):
                raise ValueError(f"{key} is {facts[key]!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"'{folder}' is not a build folder: lilliput.json is not readable ({error})"
        ) from error
    return facts


def _is_range(v: Any) -> bool:
    return isinstance(v, list) and len(v) == 2 and all(type(i) is int for i in v) and 0 <= v[0] <= v[1]


FACTS: Mapping[str, Callable[[Any], bool]] = {
    "target": lambda v: isinstance(v, str),
    "compiler": lambda v: isinstance(v, str) and re.fullmatch(r"zig|(gcc|clang)(-[0-9]+)?", v) is not None,
    "optimize": lambda v: v in ("speed", "size", "ram"),
    "version": lambda v: isinstance(v, str),
    "kernels": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "arena": lambda v: isinstance(v, int),
    "streams": lambda v: isinstance(v, list) and all(map(_is_range, v)) and sorted(v) == v,
    "feed_rows": lambda v: isinstance(v, bool),
}
