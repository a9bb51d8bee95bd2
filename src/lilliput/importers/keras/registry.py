"""Which converter turns a Keras layer into operators: filled by the modules beside this one, by class name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.keras.builder import KerasBuilder, Layer

Converter = Callable[["KerasBuilder", "Layer"], "Value | tuple[Value, ...]"]

_TABLE: dict[str, Converter] = {}


def keras(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for layers of these classes: "Dense"; for functions of keras.ops: "ops.Add"."""

    def keep(converter: Converter) -> Converter:
        for name in names:
            if name in _TABLE:
                raise ValueError(f"{name} has two converters")
            _TABLE[name] = converter
        return converter

    return keep


@cache
def _load() -> None:
    import lilliput.importers.keras as package

    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def keras_converters() -> dict[str, Converter]:
    """Class name -> converter, of every module here."""
    _load()
    return _TABLE
