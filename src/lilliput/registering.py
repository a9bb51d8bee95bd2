"""Tables that decorators fill: who converts a foreign operator, layer or estimator, and who writes one of ours."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any


def into(table: dict[Any, Any], keys: Iterable[Any]) -> Callable[[Any], Any]:
    """A decorator that enters a function under each key; a key may be there only once."""

    def keep(function: Any) -> Any:
        for key in keys:
            if key in table:
                raise ValueError(f"{getattr(key, 'name', key)} is registered twice")
            table[key] = function
        return function

    return keep


def import_all(package: ModuleType) -> None:
    """Import every module of a package, so that its decorators run."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
