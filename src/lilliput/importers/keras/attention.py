"""Attention of many heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.keras.dense import linear
from lilliput.importers.keras.registry import keras
from lilliput.ops.attention.attend import attend, causal, heads, side_by_side

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer


@keras("MultiHeadAttention")
def multi_head(b: KerasBuilder, n: Layer) -> Value | tuple[Value, ...]:
    """query [1, T, D], value and key [1, S, D]."""
    given = {name: n.options.get(name) for name in ("query", "value", "key")}
    given.update(zip(("query", "value", "key"), n.inputs, strict=False))
    query, value = given["query"], given["value"]
    key = given["key"] or value
    if len(n.inputs) > 3 or not all(isinstance(v, Value) for v in (query, value, key)):
        raise UserError(f"{n.where}: {len(n.inputs)} inputs, expected query, value and perhaps key")
    q, k, v = (b.plain(b.real(found)) for found in (query, key, value))
    for found in (q, k, v):
        b.expect_rank(n, found, 3)
    if n.settings.get("attention_axes") not in (None, [1], 1):
        raise n.settings.wrong("attention_axes", "null or [1]")
    n.settings.get("output_shape")  # the weights' shape says it
    count, size = n.settings.integer("num_heads", most=4096), n.settings.integer("key_dim")
    width = size if n.settings.get("value_dim") is None else n.settings.integer("value_dim")
    biased = n.settings.flag("use_bias", True)

    def projected(x: Value, which: str, wide: int) -> Value:
        kernel, *bias = n.weights(1 + biased, f"{which}_dense")  # [D, heads, size]
        _expect(n, kernel, (b.shape(x)[-1], count, wide))
        flat = linear(b, x, kernel.reshape(kernel.shape[0], -1), bias[0].reshape(-1) if bias else None)
        return heads(b, flat, count)

    q, k, v = projected(q, "query", size), projected(k, "key", size), projected(v, "value", width)
    masks = []
    if n.options.get("use_causal_mask"):
        masks = [b.constant(causal(b.shape(q)[2], b.shape(k)[2]))]
    attended = attend(b, q, k, v, masks, 1 / math.sqrt(size))
    kernel, *bias = n.weights(1 + biased, "output_dense")  # [heads, size, D]
    _expect(n, kernel, (count, width, kernel.shape[-1]))
    y = linear(
        b,
        side_by_side(b, attended.y),
        kernel.reshape(count * width, -1),
        bias[0].reshape(-1) if bias else None,
    )
    return (y, b.plain(attended.shares)) if n.options.get("return_attention_scores") else y


def _expect(n: Layer, kernel: Array, shape: tuple[int, ...]) -> None:
    if kernel.shape != shape:
        raise UserError(f"{n.where}: weights of shape {kernel.shape}, expected {shape}")
