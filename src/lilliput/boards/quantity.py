"""Quantities on the command line: "20ms", "20k", "1mJ" become seconds, bytes, joules."""

import difflib
import re
from collections.abc import Mapping
from typing import Literal

from lilliput.errors import UserError

Kind = Literal["time", "bytes", "energy"]

# Memories are sold in powers of two, so k and M are 1024 and 1024² here, with and without "iB".
_UNITS: Mapping[Kind, Mapping[str, float]] = {
    "time": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9},
    "bytes": {"": 1, "B": 1}
    | {prefix + tail: 1024**power for prefix, power in (("k", 1), ("M", 2)) for tail in ("", "B", "iB")},
    "energy": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9},
}
_EXAMPLE: Mapping[Kind, str] = {"time": "20ms", "bytes": "20k", "energy": "1mJ"}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-zµμ]*)\s*")


def parse_quantity(text: str, kind: Kind, option: str) -> float:
    """The value in s, bytes or J: positive, with a unit (bytes may be bare); `option` is for the message."""
    units = _UNITS[kind]
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UserError(
            f"{option}: {text!r} is not a positive number with a unit; write for example {_EXAMPLE[kind]!r}"
        )
    value, unit = float(match[1]), match[2].replace("μ", "µ")
    if kind == "bytes" and unit not in units:
        unit = unit[:1].lower().replace("m", "M") + unit[1:].replace("I", "i").replace("b", "B")  # K, KB, mb
    if unit not in units:
        known = ", ".join(name for name in units if name)
        near = difflib.get_close_matches(unit, units, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] else ""
        found = f"unit {unit!r}" if unit else "no unit"
        raise UserError(f"{option}: {text!r} has {found}; expected one of {known}{hint}")
    scaled = value * units[unit]
    if scaled <= 0:
        raise UserError(f"{option}: {text!r} must be more than zero; write for example {_EXAMPLE[kind]!r}")
    if kind == "bytes" and scaled != int(scaled):
        raise UserError(f"{option}: {text!r} is {scaled} bytes; write a whole number of bytes")
    return scaled
