"""Multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.sklearn.builder import SklearnBuilder
from lilliput.importers.sklearn.linear import binary, layer
from lilliput.importers.sklearn.registry import estimator
from lilliput.op import Op
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import Clamp, Sigmoid, Tanh

ACTIVATIONS: dict[str, Op | None] = {
    "identity": None,
    "logistic": Sigmoid(),
    "tanh": Tanh(),
    "relu": Clamp(0.0, float("inf")),
}


def last_layer(b: SklearnBuilder, model: Any, x: str) -> str:
    """What the last weights give, before its activation."""
    op = ACTIVATIONS[model.activation]
    last = len(model.coefs_) - 1
    for i, (w, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        x = layer(b, x, np.asarray(w).T, bias)
        if i < last and op is not None:
            x = b.add(op, x)
    return x


@estimator("MLPRegressor")
def regressor(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    if model.out_activation_ != "identity":
        raise UserError(f"layer '{b.layer}': a result through '{model.out_activation_}' is not supported")
    return (last_layer(b, model, x),)


@estimator("MLPClassifier")
def classifier(b: SklearnBuilder, model: Any, x: str) -> Sequence[str]:
    scores = last_layer(b, model, x)
    if model.out_activation_ == "logistic":
        if b.features(scores) > 1:
            raise UserError(
                f"layer '{b.layer}': several labels for one sample are not supported; fit one per label"
            )
        return binary(b, scores, model.classes_, logistic=True)
    return b.classify(scores, model.classes_, b.add(Softmax(), scores))
