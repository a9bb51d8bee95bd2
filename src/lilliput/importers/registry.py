"""Who turns a foreign operator into ours: filled by `convert.py` and `from_onnx.py` of each `ops/<family>/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from lilliput.registering import into

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder

TorchConverter = Callable[["TorchBuilder", "Call"], "Value | tuple[Value, ...]"]
TfliteConverter = Callable[["TfliteBuilder", "TfliteOperator"], None]
OnnxConverter = Callable[["OnnxBuilder", "OnnxNode"], "Value | tuple[Value | None, ...]"]

_TORCH: dict[str, TorchConverter] = {}
_TFLITE: dict[str, TfliteConverter] = {}
_ONNX: dict[str, OnnxConverter] = {}
_PLANES: set[str] = set()
_MOVES: set[str] = set()


def aten(
    *names: str, planes: bool = False, moves: bool = False
) -> Callable[[TorchConverter], TorchConverter]:
    """Register a converter for ATen operators, named without overload: "conv2d"; `planes` and `moves` as for `onnx`."""
    _PLANES.update(names if planes else ())
    _MOVES.update(names if moves else ())
    return into(_TORCH, names)


def tflite(*names: str) -> Callable[[TfliteConverter], TfliteConverter]:
    """Register a converter for TensorFlow Lite operators: "CONV_2D"."""
    return into(_TFLITE, names)


def onnx(*names: str, planes: bool = False, moves: bool = False) -> Callable[[OnnxConverter], OnnxConverter]:
    """Register a converter for ONNX operators, with their domain unless it is the default: "ai.onnx.ml:Scaler".

    `planes`: it computes on planes, so that an input of the model is stored channels-last for it.
    `moves`: the axes of its result are not those of its input (reshape, transpose).
    """
    _PLANES.update(names if planes else ())
    _MOVES.update(names if moves else ())
    return into(_ONNX, names)


@cache
def _load() -> None:
    import lilliput.ops

    for module in pkgutil.iter_modules(lilliput.ops.__path__, "lilliput.ops."):
        for part in ("convert", "from_onnx"):
            if module.ispkg and importlib.util.find_spec(f"{module.name}.{part}"):
                importlib.import_module(f"{module.name}.{part}")


def torch_converters() -> dict[str, TorchConverter]:
    _load()
    return _TORCH


def tflite_converters() -> dict[str, TfliteConverter]:
    _load()
    return _TFLITE


def onnx_converters() -> dict[str, OnnxConverter]:
    _load()
    return _ONNX


def wants_planes(operator: str) -> bool:
    """Whether an operator of ONNX or ATen computes on planes."""
    _load()
    return operator in _PLANES


def moves_axes(operator: str) -> bool:
    """Whether the axes of an ONNX or ATen operator's result are others than its input's."""
    _load()
    return operator in _MOVES
