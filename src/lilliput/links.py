"""How the channels of an operator's inputs and of its result hang together: what may be removed with what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.graph import Array
from lilliput.interval import channels_of


@dataclass(frozen=True, eq=False)
class Link:
    """Channel operand[i] of an input and channel result[i] of the first result exist both or neither.

    Without any two of them the operator does on the others what it did. Its constants run along the result's
    channels, or hold one number for all.
    """

    operand: Array
    result: Array


@dataclass(frozen=True, eq=False)
class Mixing:
    """How each channel of a result weighs each channel of the first input, both [out, in].

    Of an operator with weights [out, ..., in] and a bias [out] that adds sums of weight * (x - zero point).
    """

    sums: Array
    """int64: of all weights that ever meet the input."""
    weighs: Array
    """bool: one of these is not zero."""
    bordered: Array
    """bool: one of these meets the padding at times, and then adds nothing."""


Links = tuple[Link | None, ...]
"""One per input; None: all channels of that input stay."""


def one_to_one(channels: int) -> Link:
    return Link(np.arange(channels), np.arange(channels))


def behind_view(x: tuple[int, ...], y: tuple[int, ...]) -> Link | None:
    """Elements keep their order: flattened channels repeat those of the plane, and the other way round."""
    before, after = channels_of(x), channels_of(y)
    if max(before, after) % min(before, after):
        return None
    every = np.arange(max(before, after))
    return Link(every % before, every % after)
