"""Lilliput: machine learning on microcontrollers, from data to proven C99.

    graph = lilliput.load(module, example)          # torch.nn.Module, or a .lil or .tflite file
    small = lilliput.quantize(graph, samples)       # int8, calibrated on samples (N first)
    firmware = lilliput.compile(small, target="cortex-m4")
    firmware.run(x); firmware.validate(x); firmware.profile()

Names are imported when they are first used, so that `import lilliput` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lilliput.version import __version__ as __version__

if TYPE_CHECKING:
    from lilliput.boards import boards as boards
    from lilliput.demo import demo as demo
    from lilliput.errors import CheckError as CheckError
    from lilliput.errors import LilliputError as LilliputError
    from lilliput.errors import UserError as UserError
    from lilliput.firmware import Firmware as Firmware
    from lilliput.firmware import compile as compile
    from lilliput.firmware import open_build as open_build
    from lilliput.graph import Graph as Graph
    from lilliput.graph import Quant as Quant
    from lilliput.graph import Tensor as Tensor
    from lilliput.loading import load as load
    from lilliput.passes.states import stateful as stateful
    from lilliput.profile import profile as profile
    from lilliput.quantize import quantize as quantize
    from lilliput.store import save as save
    from lilliput.target import load_target as load_target
    from lilliput.target import target_names as target_names
    from lilliput.validate import validate as validate

PUBLIC = {
    "CheckError": "errors",
    "Firmware": "firmware",
    "Graph": "graph",
    "LilliputError": "errors",
    "Quant": "graph",
    "Tensor": "graph",
    "UserError": "errors",
    "boards": "boards",
    "compile": "firmware",
    "demo": "demo",
    "load": "loading",
    "load_target": "target",
    "open_build": "firmware",
    "profile": "profile",
    "quantize": "quantize",
    "save": "store",
    "stateful": "passes.states",
    "target_names": "target",
    "validate": "validate",
}
"""The public API: name -> the module it lives in."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'lilliput' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"lilliput.{PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


class _Package(ModuleType):
    """Keeps `lilliput.quantize` and its like the functions, whatever submodules are imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
