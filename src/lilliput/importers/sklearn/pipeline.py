"""Estimators of estimators: pipelines and soft votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.registry import estimator


@estimator("Pipeline")
def pipeline(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    results: Sequence[str] = (x,)
    whole = b.transforming
    for i, (_, step) in enumerate(model.steps):
        if step is not None and not (isinstance(step, str) and step == "passthrough"):
            b.transforming = whole or i < len(model.steps) - 1
            results = b.convert(step, results[0])
    b.transforming = whole
    return results
