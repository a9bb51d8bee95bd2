"""Who writes an operator of ours in a foreign format: filled by `ops/<family>/to_tflite.py` and `to_onnx.py`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from lilliput.registering import into

if TYPE_CHECKING:
    from lilliput.exporters.onnx import OnnxWriter
    from lilliput.exporters.tflite import TfliteWriter
    from lilliput.op import Op, Site

ToTflite = Callable[["TfliteWriter", "Site"], None]
ToOnnx = Callable[["OnnxWriter", "Site"], None]
_TFLITE: dict[type[Op], ToTflite] = {}
_ONNX: dict[type[Op], ToOnnx] = {}


def to_tflite(*ops: type[Op]) -> Callable[[ToTflite], ToTflite]:
    """Register what writes these operators into a .tflite file."""
    return into(_TFLITE, ops)


def to_onnx(*ops: type[Op]) -> Callable[[ToOnnx], ToOnnx]:
    """Register what writes these operators into an .onnx file."""
    return into(_ONNX, ops)


@cache
def _load() -> None:
    import lilliput.ops

    for module in pkgutil.iter_modules(lilliput.ops.__path__, "lilliput.ops."):
        for part in ("to_tflite", "to_onnx"):
            if module.ispkg and importlib.util.find_spec(f"{module.name}.{part}"):
                importlib.import_module(f"{module.name}.{part}")


def tflite_writers() -> dict[type[Op], ToTflite]:
    _load()
    return _TFLITE


def onnx_writers() -> dict[type[Op], ToOnnx]:
    _load()
    return _ONNX
