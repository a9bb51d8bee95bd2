"""Python values as C literals: numbers, arrays, identifiers, strings. Nothing from a file passes unescaped."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array

C_TYPES = {
    "float32": "float",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "bool": "uint8_t",
}
_C_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long main register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
"""


_STANDARD_HEADERS = """
assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdarg stdbool stddef stdint
stdio stdlib string tgmath time wchar wctype
"""
_CMAKE_TARGETS = """
all all_build clean depend edit_cache help install list_install_components package package_source preinstall
rebuild_cache run_tests test uninstall zero_check
"""


def refusal(name: str) -> str | None:
    """Why a model cannot have this name. Upper and lower case are one: on many disks they name the same file."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", name) or name in _C_WORDS.split():
        return (
            "it becomes a C identifier. Give --name with a letter first, then at most 30 letters, digits or "
            "underscores"
        )
    if name.lower() in _STANDARD_HEADERS.split():
        return f"its header would hide the standard <{name.lower()}.h>. Give another --name, such as '{name}_model'"
    if name.lower() in _CMAKE_TARGETS.split():
        return f"CMake keeps the target '{name}' for itself. Give another --name, such as '{name}_model'"
    if name.lower() == "lilliput":
        return "Lilliput's own names in the C begin with it. Give another --name, such as 'model'"
    return None


def wrapped(items: Iterable[str]) -> str:
    """The items of an initialiser, as many on a line as fit."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > 111:
            lines.append(f"  {line},")
            line = item
        else:
            line = f"{line}, {item}" if line else item
    return "\n".join([*lines, f"  {line}"])


def number(value: int | float) -> str:
    """One literal. Floats are hexadecimal: exact, and the same on every machine."""
    if isinstance(value, bool | int | np.integer):
        least = {-(2**31): "(-2147483647 - 1)", -(2**63): "(-9223372036854775807 - 1)"}
        return least.get(int(value), str(int(value)))
    if not np.isfinite(value):
        raise ValueError(f"{value} has no C99 literal")
    return f"{float(np.float32(value)).hex()}f"


def array(values: Array) -> str:
    """The body of an initialiser, wrapped."""
    flat = values.reshape(-1)
    if flat.dtype == np.float32 or flat.dtype in (np.int32, np.int64):
        texts = [number(v) if np.isfinite(v) else _strange(v) for v in flat.tolist()]
    else:
        texts = list(map(str, flat.astype(np.int64).tolist()))
    return wrapped(texts)


def _strange(value: float) -> str:
    """What has no literal, as an expression: results that the self-test expects may be infinite or NaN."""
    return "(0.0f / 0.0f)" if np.isnan(value) else "(1.0f / 0.0f)" if value > 0 else "(-1.0f / 0.0f)"


def identifier(name: str) -> str:
    """A model's name as given by its user: checked, never silently changed."""
    if reason := refusal(name):
        raise UserError(f"'{name}' cannot be the model's name: {reason}")
    return name


def tame(name: str, index: int) -> str:
    """A name from a file made into a piece of an identifier; the index keeps it unique."""
    kept = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:24]
    return f"{kept}_{index}" if kept else str(index)


def string(text: str) -> str:
    """A C string literal: printable ASCII stays, every other byte is an octal escape."""
    safe = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?%' else f"\\{b:03o}"
        for b in text.encode("utf-8", "replace")
    )
    return f'"{safe}"'
