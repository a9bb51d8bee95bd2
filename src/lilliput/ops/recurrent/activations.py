"""The functions that recurrent layers apply to their gates: names, parameters, numpy form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lilliput.graph import Array

Function = tuple[str, float, float]
"""Name, alpha and beta; what a function does not use is 0."""

SIGMOID: Function = ("sigmoid", 0.0, 0.0)
TANH: Function = ("tanh", 0.0, 0.0)
RELU: Function = ("relu", 0.0, 0.0)


def _sigmoid(x: Array, a: float, b: float) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.float32(1)) / (np.float32(1) + e)


def _elu(x: Array, a: float, b: float) -> Array:
    return np.where(x < 0, np.float32(a) * (np.exp(np.minimum(x, 0)) - np.float32(1)), x)


NUMPY: dict[str, Callable[[Array, float, float], Array]] = {
    "sigmoid": _sigmoid,
    "tanh": lambda x, a, b: np.tanh(x),
    "relu": lambda x, a, b: np.maximum(x, 0),
    "affine": lambda x, a, b: np.float32(a) * x + np.float32(b),
    "leaky_relu": lambda x, a, b: np.where(x < 0, np.float32(a) * x, x),
    "thresholded_relu": lambda x, a, b: np.where(x > np.float32(a), x, np.float32(0)),
    "scaled_tanh": lambda x, a, b: np.float32(a) * np.tanh(np.float32(b) * x),
    "hard_sigmoid": lambda x, a, b: np.clip(np.float32(a) * x + np.float32(b), 0, 1),
    "elu": _elu,
    "softsign": lambda x, a, b: x / (np.float32(1) + np.abs(x)),
    "softplus": lambda x, a, b: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}
CODES = {name: code for code, name in enumerate(NUMPY)}
"""The functions' numbers in `c/gates_f32.h`."""

PARAMETERS: dict[str, tuple[float | None, float | None]] = {
    "affine": (1.0, 0.0),
    "leaky_relu": (0.01, None),
    "thresholded_relu": (1.0, None),
    "scaled_tanh": (1.0, 1.0),
    "hard_sigmoid": (0.2, 0.5),
    "elu": (1.0, None),
}
"""Which functions take alpha and beta, with what ONNX says or ONNX Runtime assumes where a file gives none."""


def apply(function: Function, x: Array) -> Array:
    """float32 -> float32."""
    name, alpha, beta = function
    return np.asarray(NUMPY[name](x, alpha, beta), np.float32)


def unknown(functions: tuple[Function, ...], count: int) -> str | None:
    """Why a layer cannot have these functions, or None."""
    if len(functions) != count:
        return f"{len(functions)} activation functions are given, expected {count}"
    for name, alpha, beta in functions:
        if name not in NUMPY:
            return f"the activation function '{name}' is unknown, expected one of {', '.join(NUMPY)}"
        if not (np.isfinite(np.float32(alpha)) and np.isfinite(np.float32(beta))):
            return f"the activation function '{name}' has parameters {alpha}, {beta} that are not finite"
    return None
