"""The settings of a Keras layer, read one by one: what is found is checked, what nobody asked for is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilliput.errors import UserError

LARGEST = 1 << 26
TRAINING = ("_initializer", "_regularizer", "_constraint")
IRRELEVANT = {
    "name", "trainable", "dtype", "seed", "dropout", "recurrent_dropout", "rate", "noise_shape", "stddev", "momentum",
    "synchronized", "batch_shape", "batch_input_shape", "build_config", "zero_output_for_mask", "unroll",
    "unit_forget_bias", "l1", "l2", "renorm_momentum",
}  # fmt: skip
"""What changes training only, or how something is computed and not what."""


class Settings:
    """The `config` of a layer. `where` names the layer in errors."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{where}: its config is {_short(values)}, expected settings by name")
        self.values: dict[str, Any] = values
        self.where = where
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """A setting as it is."""
        self.asked.add(name)
        return self.values.get(name, default)

    def wrong(self, name: str, expected: str) -> UserError:
        return UserError(f"{self.where}: {name} is {_short(self.values.get(name))}, expected {expected}")

    def flag(self, name: str, default: bool = False) -> bool:
        found = self.get(name, default)
        if not isinstance(found, bool):
            raise self.wrong(name, "true or false")
        return found

    def integer(self, name: str, least: int = 1, most: int = LARGEST, default: int | None = None) -> int:
        found = self.get(name, default)
        if not _is_integer(found) or not least <= found <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return int(found)

    def integers(self, name: str, count: int, least: int = 1, most: int = LARGEST) -> list[int]:
        """One number for each of `count` axes, or one for all."""
        found = self.get(name)
        several = found if isinstance(found, list) else [found] * count
        if len(several) != count or not all(_is_integer(v) and least <= v <= most for v in several):
            raise self.wrong(name, f"{count} whole numbers from {least} to {most}")
        return [int(v) for v in several]

    def ends(self, name: str, count: int) -> list[tuple[int, int]]:
        """(before, after) for each axis; Keras writes one number, one per axis, or two."""
        found = self.get(name)
        several = found if isinstance(found, list) else [found] * count
        if count == 1 and len(several) == 2 and all(map(_is_integer, several)):
            several = [several]
        both = [v if isinstance(v, list) else [v, v] for v in several]
        fine = all(len(v) == 2 and all(_is_integer(n) and 0 <= n <= LARGEST for n in v) for v in both)
        if len(both) != count or not fine:
            raise self.wrong(name, f"{count} numbers, or pairs of them, from 0 to {LARGEST}")
        return [(int(v[0]), int(v[1])) for v in both]

    def number(self, name: str, default: float | None = None) -> float:
        found = self.get(name, default)
        if isinstance(found, dict):  # {"class_name": "__numpy__", "config": {"value": ...}} of older versions
            found = (
                (found.get("config") or {}).get("value") if isinstance(found.get("config"), dict) else None
            )
        if not _is_number(found):
            raise self.wrong(name, "a number")
        return float(found)

    def numbers(self, name: str) -> list[float] | None:
        """One number or several, None where nothing is given."""
        found = self.get(name)
        if isinstance(found, dict):  # {"class_name": "__numpy__", "config": {"value": [...], "dtype": ...}}
            inner = found.get("config")
            found = inner.get("value") if isinstance(inner, dict) else ()
        if found is None:
            return None
        flat = list(_flat(found, 8))
        if not flat or len(flat) > LARGEST or not all(map(_is_number, flat)):
            raise self.wrong(name, "numbers")
        return [float(v) for v in flat]

    def choice(self, name: str, known: Sequence[str], default: str | None = None) -> str:
        found = self.get(name, default)
        if not isinstance(found, str) or found not in known:
            raise self.wrong(name, f"one of {', '.join(known)}")
        return found

    def finish(self) -> None:
        """Refuse settings that are on and that nobody asked for: they would change what the layer computes."""
        for name, value in self.values.items():
            if name in self.asked or name in IRRELEVANT or name.endswith(TRAINING):
                continue
            if value is None or value is False or value == [] or value == {}:
                continue
            raise UserError(f"{self.where}: the setting {_short(name)}={_short(value)} is not supported")


def _flat(value: Any, depth: int) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [v for item in value for v in (_flat(item, depth - 1) if depth else [None])]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == value
        and abs(value) <= 3.4e38
    )


def _short(value: Any) -> str:
    return repr(value)[:80]
