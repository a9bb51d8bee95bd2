"""Dense layers, embeddings, and what leaves its input as it is when a model is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.keras.activations import activated
from lilliput.importers.keras.registry import keras
from lilliput.ops.binary import Add
from lilliput.ops.binary.convert import apply
from lilliput.ops.conv.linear import Linear
from lilliput.ops.index.importing import gathered
from lilliput.ops.matmul.einsum import einsum
from lilliput.ops.reduce import ReduceSum
from lilliput.ops.unary import Cast

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer


def linear(b: KerasBuilder, x: Value, kernel: Array, bias: Array | None) -> Value:
    """x times kernel [I, O], plus bias [O]."""
    added = np.zeros(kernel.shape[1], np.float32) if bias is None else bias
    return b.add(Linear(), [b.plain(b.real(x)), b.constant(kernel.T), b.constant(added)])


@keras("Dense")
def dense(b: KerasBuilder, n: Layer) -> Value:
    biased = n.settings.flag("use_bias", True)
    kernel, *bias = n.weights(1 + biased)
    if kernel.shape[1:] != (n.settings.integer("units"),):
        raise UserError(f"{n.where}: weights of shape {kernel.shape} for {n.settings.get('units')} units")
    return activated(b, n, linear(b, n.x, kernel, bias[0] if bias else None))


@keras("EinsumDense")
def einsum_dense(b: KerasBuilder, n: Layer) -> Value:
    biased = n.settings.get("bias_axes") is not None
    n.settings.get("output_shape")
    equation = n.settings.get("equation")
    if not isinstance(equation, str):
        raise n.settings.wrong("equation", "text")
    kernel, *bias = n.weights(1 + biased)

    def summed(x: Value, dims: list[int]) -> Value:
        return b.add(ReduceSum(tuple(dims)), [b.plain(x)])

    y = einsum(b, equation, [b.real(n.x), b.constant(kernel)], summed)
    return activated(b, n, apply(b, Add(), y, b.constant(bias[0])) if bias else y)


@keras("Embedding")
def embedding(b: KerasBuilder, n: Layer) -> Value:
    if n.settings.flag("mask_zero"):
        raise UserError(
            f"{n.where}: mask_zero is not supported: train with sequences of one length and without it"
        )
    (table,) = n.weights(1)
    n.settings.get("input_length")
    if table.shape != (n.settings.integer("input_dim"), n.settings.integer("output_dim")):
        raise UserError(f"{n.where}: a table of shape {table.shape} does not fit its settings")
    x = b.plain(n.x)
    indices = x if b.tensor(x).dtype == "int32" else b.add(Cast("int32"), [x])
    return gathered(b, b.constant(table), 0, indices)


@keras(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization", "Identity",
)  # fmt: skip
def unchanged(b: KerasBuilder, n: Layer) -> Value:
    n.settings.get("data_format")
    return n.x
