"""Which converter turns a fitted estimator into operators: filled by the modules beside this one, by class name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from lilliput.registering import import_all, into

if TYPE_CHECKING:
    from lilliput.importers.sklearn.builder import SklearnBuilder

Converter = Callable[["SklearnBuilder", Any, str], "Sequence[str]"]
"""(builder, fitted estimator, name of x [1, F]) -> names of the results.

A transformer gives one result [1, K], a regressor one [1, outputs]; a classifier gives (label index [1] int32, scores)
or the label alone, which is what `SklearnBuilder.classify` returns.
"""

_TABLE: dict[str, Converter] = {}


def estimator(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for estimators of these class names: "RandomForestClassifier"."""
    return into(_TABLE, names)


@cache
def _load() -> None:
    import lilliput.importers.sklearn as package

    import_all(package)


def converters() -> dict[str, Converter]:
    """Class name -> converter, of every module here."""
    _load()
    return _TABLE
