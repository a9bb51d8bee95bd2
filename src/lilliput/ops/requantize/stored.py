"""What a model file stores of its constants in integers, while importers handle the real numbers they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lilliput.graph import Array, Quant, Tensor
from lilliput.importers.builder import Builder, Value


def _name(v: Value) -> str:
    return f"{v.name}@stored"


def remember(b: Builder, v: Value, integers: Tensor) -> None:
    """`integers` are what the constant v was made of."""
    b.tensors[_name(v)] = replace(integers, name=_name(v))


def stored(b: Builder, v: Value) -> Tensor | None:
    """The integers that a constant was made of, in the order of its storage; None where it was real all along."""
    return b.tensors.get(_name(v))


def rearranged(b: Builder, v: Value, move: Callable[[Array], Array], channels: int, axis: int) -> Value:
    """Weights laid out by `move`, which keeps the order of the output channels and puts them on `axis`.

    Their integers follow, with one scale per channel.
    """
    data = b.numbers(v)
    assert data is not None
    made = b.constant(move(data))
    integers = stored(b, v)
    if integers is not None and integers.data is not None:
        q = integers.q
        scale = np.broadcast_to(q.scale, channels).copy()
        quant = Quant(scale, np.broadcast_to(q.zero_point, channels).copy(), axis)
        now = np.transpose(integers.data, [v.order.index(d) for d in range(data.ndim)])
        remember(
            b, made, Tensor("", b.tensor(made).shape, integers.dtype, quant, np.ascontiguousarray(move(now)))
        )
    return made
