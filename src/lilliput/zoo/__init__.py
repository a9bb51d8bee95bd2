"""The zoo: model families scaled to microcontrollers, for any input shape and number of classes.

`build(name, input_shape=(H, W, C), classes=n, **options)` gives a torch module that takes (N, C, H, W). For the
families of sequences (gru to transformer) H are the steps in time and W what is measured in each: windows [T, F].
Only standard layers are used, so every model can be exported, pruned, quantized and compiled. torch is
imported when a model is built.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from lilliput.errors import UserError

if TYPE_CHECKING:
    from torch import nn

#: Family -> module and class.
FAMILIES = {
    "mlp": ("mlp", "MLP"),
    "lenet": ("lenet", "LeNet"),
    "alexnet": ("alexnet", "AlexNet"),
    "mobilenet_v1": ("mobilenet_v1", "MobileNetV1"),
    "mobilenet_v2": ("mobilenet_v2", "MobileNetV2"),
    "ds_cnn": ("ds_cnn", "DSCNN"),
    "resnet8": ("resnet8", "ResNet8"),
    "gru": ("recurrent", "GRU"),
    "lstm": ("recurrent", "LSTM"),
    "cnn1d": ("cnn1d", "CNN1D"),
    "tcn": ("cnn1d", "TCN"),
    "transformer": ("transformer", "Transformer"),
    "autoencoder": ("autoencoder", "Autoencoder"),
}


def nearest(name: str, known: list[str]) -> str:
    """A hint for a misspelt name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"


def build(name: str, *, input_shape: tuple[int, int, int], classes: int, **options: object) -> nn.Module:
    """A freshly initialised model; `input_shape` is (height, width, channels)."""
    if name not in FAMILIES:
        raise UserError(f"model {name!r}: no such family; {nearest(name, list(FAMILIES))}")
    if min(input_shape) < 1 or classes < 1:
        raise UserError(f"model {name!r}: input {input_shape} and {classes} classes; expected all at least 1")
    module, family = FAMILIES[name]
    try:
        constructor = getattr(import_module(f"lilliput.zoo.{module}"), family)
    except ModuleNotFoundError as error:
        raise UserError(
            f"models need {error.name}; install it with: pip install 'lilliput[train]'"
        ) from error
    known = [p for p in inspect.signature(constructor).parameters if p not in ("input_shape", "classes")]
    for key in options:
        if key not in known:
            raise UserError(f"model {name!r}: unknown option {key!r}; {nearest(key, known)}")
    try:
        model: nn.Module = constructor(input_shape, classes, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"model {name!r} with {options}: {error}; check the types of the options") from error
    return model
