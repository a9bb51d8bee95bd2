"""Keras's activation functions, as layers of their own and as settings of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.keras.registry import keras
from lilliput.op import Op
from lilliput.ops.binary import Mul, Prelu
from lilliput.ops.binary.convert import apply
from lilliput.ops.softmax import LogSoftmax, Softmax
from lilliput.ops.unary import (
    Celu,
    Clamp,
    Elu,
    Exp,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LogSigmoid,
    Mish,
    Shrink,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
    Threshold,
)
from lilliput.ops.unary.activations import SELU

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer

INF = float("inf")

FUNCTIONS: dict[str, Op | None] = {
    "linear": None,
    "relu": Clamp(0.0, INF),
    "relu6": Clamp(0.0, 6.0),
    "leaky_relu": LeakyRelu(0.2),
    "softmax": Softmax(),
    "log_softmax": LogSoftmax(),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "elu": Elu(),
    "celu": Celu(),
    "selu": Elu(*SELU),
    "softplus": Softplus(),
    "softsign": Softsign(),
    "silu": Silu(),
    "swish": Silu(),
    "gelu": Gelu(),
    "mish": Mish(),
    "exponential": Exp(),
    "hard_sigmoid": HardSigmoid(),
    "hard_silu": HardSwish(),
    "hard_swish": HardSwish(),
    "hard_tanh": Clamp(-1.0, 1.0),
    "hard_shrink": Shrink(0.5, 0.0),
    "soft_shrink": Shrink(0.5, 0.5),
    "log_sigmoid": LogSigmoid(),
}
"""By name, with the defaults that a name stands for; those over a row go along the last axis."""


def activated(b: KerasBuilder, n: Layer, x: Value, key: str = "activation") -> Value:
    """x through the activation that a setting names, or describes as a layer of its own."""
    found = n.settings.get(key)
    if found is None:
        return x
    if isinstance(found, dict) and found.get("class_name") not in ("function", None):
        (y,) = b.call(found, n.path, [x], {}, n.names)
        return y
    name = function_name(n, key)
    op = FUNCTIONS[name]
    return x if op is None else b.add(op, [b.real(x)])


def function_name(n: Layer, key: str) -> str:
    """The name of an activation: a word, or Keras's own function by name."""
    found = n.settings.get(key)
    if isinstance(found, dict) and found.get("module") == "keras.activations":
        found = found.get("config")
    if found is None:
        return "linear"
    if not isinstance(found, str) or found not in FUNCTIONS:
        raise UserError(
            f"{n.where}: {key} is {str(found)[:80]!r}, expected one of {', '.join(FUNCTIONS)}; own functions are "
            "code, which is never run"
        )
    return found


@keras("Activation")
def activation(b: KerasBuilder, n: Layer) -> Value:
    return activated(b, n, n.x)


@keras("ReLU")
def relu(b: KerasBuilder, n: Layer) -> Value:
    slope, threshold = n.settings.number("negative_slope", 0.0), n.settings.number("threshold", 0.0)
    most = INF if n.settings.get("max_value") is None else n.settings.number("max_value")
    if slope and threshold:
        raise UserError(
            f"{n.where}: negative_slope={slope} with threshold={threshold} is not supported, only one"
        )
    x = b.real(n.x)
    if slope:
        x = b.add(LeakyRelu(slope), [x])
        return x if most == INF else b.add(Clamp(-INF, most), [x])
    if threshold:
        x = b.add(Threshold(threshold, 0.0), [x])
        return x if most == INF else b.add(Clamp(-INF, most), [x])
    return b.add(Clamp(0.0, most), [x])


def _with(
    setting: str, default: float, make: Callable[[float], Op]
) -> Callable[[KerasBuilder, Layer], Value]:
    def convert(b: KerasBuilder, n: Layer) -> Value:
        return b.add(make(n.settings.number(setting, default)), [b.real(n.x)])

    return convert


keras("LeakyReLU")(_with("negative_slope", 0.3, LeakyRelu))
keras("ELU")(_with("alpha", 1.0, Elu))


@keras("PReLU")
def prelu(b: KerasBuilder, n: Layer) -> Value:
    n.settings.get("shared_axes")  # the slopes' shape says it
    (alpha,) = n.weights(1)
    return apply(b, Prelu(), b.real(n.x), b.constant(alpha[None]))


@keras("Softmax")
def softmax(b: KerasBuilder, n: Layer) -> Value:
    x, found = b.real(n.x), n.settings.get("axis", -1)
    axes = found if isinstance(found, list) else [found]
    rank = len(x.order)
    if len(axes) != 1 or not isinstance(axes[0], int) or not -rank < axes[0] < rank or axes[0] % rank == 0:
        raise UserError(f"{n.where}: axis is {str(found)[:40]}, expected one of 1 to {rank - 1}")
    last = axes[0] % rank
    return b.add(Softmax(), [b.reorder(x, (*(d for d in range(rank) if d != last), last))])


@keras("ops.Relu", "ops.Sigmoid", "ops.Tanh", "ops.Silu", "ops.Softmax", "ops.Relu6")
def function(b: KerasBuilder, n: Layer) -> Value:
    if len(n.args) > 1:
        raise UserError(f"{n.where}: {len(n.args)} arguments, expected 1")
    if n.settings.get("axis", -1) != -1 or n.options.get("axis", -1) != -1:
        raise UserError(f"{n.where}: softmax is supported along the last axis only")
    op = FUNCTIONS[n.kind.removeprefix("ops.").lower()]
    assert op is not None
    return b.add(op, [b.real(n.x)])


def scaled(b: KerasBuilder, x: Value, factor: float) -> Value:
    """x times a number."""
    return apply(b, Mul(), x, b.constant(np.asarray(factor, np.float32)))
