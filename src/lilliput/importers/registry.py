"""Who turns a foreign operator into ours: filled by `ops/<family>/convert.py`, asked by the importers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value

TorchConverter = Callable[["TorchBuilder", "Call"], "Value | tuple[Value, ...]"]
TfliteConverter = Callable[["TfliteBuilder", "TfliteOperator"], None]

_TORCH: dict[str, TorchConverter] = {}
_TFLITE: dict[str, TfliteConverter] = {}


def aten(*names: str) -> Callable[[TorchConverter], TorchConverter]:
    """Register a converter for ATen operators, named without overload: "conv2d"."""
    return _into(_TORCH, names)


def tflite(*names: str) -> Callable[[TfliteConverter], TfliteConverter]:
    """Register a converter for TensorFlow Lite operators: "CONV_2D"."""
    return _into(_TFLITE, names)


def _into(table: dict[str, Any], names: tuple[str, ...]) -> Callable[[Any], Any]:
    def keep(converter: Any) -> Any:
        for name in names:
            if name in table:
                raise ValueError(f"{name} has two converters")
            table[name] = converter
        return converter

    return keep


@cache
def _load() -> None:
    import lilliput.ops

    for module in pkgutil.iter_modules(lilliput.ops.__path__, "lilliput.ops."):
        if module.ispkg and importlib.util.find_spec(f"{module.name}.convert"):
            importlib.import_module(f"{module.name}.convert")


def torch_converters() -> dict[str, TorchConverter]:
    _load()
    return _TORCH


def tflite_converters() -> dict[str, TfliteConverter]:
    _load()
    return _TFLITE
