"""Pooling over windows and over whole planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.importers.builder import Value
from lilliput.importers.keras.builder import first
from lilliput.importers.keras.convolutions import axes_of
from lilliput.importers.keras.registry import keras
from lilliput.ops.pool.importing import averaged, maximum, pooled
from lilliput.ops.reduce import Mean, ReduceMax

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer


@keras(*(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def pool(b: KerasBuilder, n: Layer) -> Value:
    """Padding counts in neither, the rule of Keras with TensorFlow and JAX.

    With torch Keras repeats the border instead where more is padded behind than before.
    """
    x = b.planes(n, n.x)
    b.expect_rank(n, x, int(n.kind[-2]) + 2)
    window = axes_of(n, b.shape(x)[2:], "pool_size")
    if n.kind.startswith("Max"):
        return b.from_planes(n, pooled(b, x, window, maximum))
    return b.from_planes(n, averaged(b, x, window, window, padding=False))


@keras(*(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def global_pool(b: KerasBuilder, n: Layer) -> Value:
    x, keep = b.plain(b.real(n.x)), n.settings.flag("keepdims")
    rank = int(n.kind[-2]) + 2
    b.expect_rank(n, x, rank)
    axes = tuple(range(2, rank) if first(n, rank) else range(1, rank - 1))
    return b.add(Mean(axes, keep) if "Average" in n.kind else ReduceMax(axes, keep), [x])
