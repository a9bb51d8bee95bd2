"""Support vector machines of libsvm: classifiers, regressors, outlier detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.linear import layer
from lilliput.importers.sklearn.registry import estimator
from lilliput.ops.kernel_machine import KernelMachine, PairwiseVote
from lilliput.ops.kernel_machine.machine import FUNCTIONS


def _dense(values: Any) -> Array:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, np.float64)


def decisions(b: SklearnBuilder, model: Any, x: str, counts: Sequence[int]) -> str:
    """[1, pairs]; the support vectors of a linear machine become one vector of weights for each pair."""
    if model.kernel not in FUNCTIONS:
        raise UserError(
            f"layer '{b.layer}': kernel {model.kernel!r} is not supported, expected one of {', '.join(FUNCTIONS)}"
        )
    vectors, dual = _dense(model.support_vectors_), _dense(model.dual_coef_)
    if model.shape_fit_[1] != vectors.shape[1]:
        raise UserError(f"layer '{b.layer}': the machine has no support vectors; fit it on other data")
    if model.kernel == "linear":
        return layer(b, x, _dense(model.coef_), model.intercept_)
    op = KernelMachine(
        model.kernel, tuple(map(int, counts)), float(model._gamma), float(model.coef0), int(model.degree)
    )
    return b.add(op, x, b.constant(vectors), b.constant(dual.T), b.constant(model.intercept_))


@estimator("SVC", "NuSVC")
def classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(label, decisions between pairs of classes: `decision_function` with decision_function_shape="ovo")."""
    classes = len(model.classes_)
    if model.break_ties and classes > 2:
        raise UserError(f"layer '{b.layer}': break_ties=True is not supported; fit with break_ties=False")
    found = decisions(b, model, x, model.n_support_)
    return b.labelled(b.add(PairwiseVote(classes), found), model.classes_, found)


@estimator("SVR", "NuSVR")
def regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    return (decisions(b, model, x, [len(model.support_)]),)


@estimator("OneClassSVM")
def outliers(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    """(label: -1 for an outlier or 1, the decision)."""
    found = decisions(b, model, x, [len(model.support_)])
    return b.labelled(b.add(PairwiseVote(2), found), [-1, 1], found)
