"""Which converter turns a Keras layer into operators: filled by the modules beside this one, by class name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from lilliput.registering import import_all, into

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.keras.builder import KerasBuilder, Layer

Converter = Callable[["KerasBuilder", "Layer"], "Value | tuple[Value, ...]"]

_TABLE: dict[str, Converter] = {}


def keras(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for layers of these classes: "Dense"; for functions of keras.ops: "ops.Add"."""
    return into(_TABLE, names)


@cache
def _load() -> None:
    import lilliput.importers.keras as package

    import_all(package)


def keras_converters() -> dict[str, Converter]:
    """Class name -> converter, of every module here."""
    _load()
    return _TABLE
