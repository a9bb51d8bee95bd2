"""How ONNX's attention and rotary embedding become ours."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx
from lilliput.ops.attention.attend import MASKED, attend, causal, finite, heads, side_by_side
from lilliput.ops.attention.linear import LinearAttention
from lilliput.ops.shape.importing import joined, padded, part, permuted, view_as

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("Attention", moves=True)
def attention(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    q, k, v = (b.value(n, i) for i in range(3))
    flat = len(q.order) == 3
    if not flat and len(q.order) != 4:
        raise UserError(f"{n.where}: a query of {len(q.order)} dimensions, expected 3 or 4")
    if flat:
        count, shared = int(n.attr("q_num_heads", 0)), int(n.attr("kv_num_heads", 0))
        if count < 1 or shared < 1:
            raise UserError(f"{n.where}: q_num_heads {count} and kv_num_heads {shared}, expected at least 1")
        q, k, v = heads(b, q, count), heads(b, k, shared), heads(b, v, shared)
    past = 0
    if b.has(n, 4):
        past = b.shape(b.value(n, 4))[2]
        k = joined(b, [b.value(n, 4), k], 2)
    if b.has(n, 5):
        v = joined(b, [b.value(n, 5), v], 2)
    size, rows, columns = b.shape(q)[3], b.shape(q)[2], b.shape(k)[2]
    masks = [_mask(b, n, columns)] if b.has(n, 3) else []
    if n.attr("is_causal", 0):
        masks.append(b.constant(causal(rows, columns, past)))
    if b.has(n, 6):
        seen = np.arange(columns)[None, :] < b.data(n, 6).reshape(-1, 1)
        masks.append(b.constant(finite(seen).reshape(-1, 1, 1, columns)))
    scale = float(n.attr("scale", 0.0)) or 1 / math.sqrt(size)
    mode = int(n.attr("qk_matmul_output_mode", 0))
    found = attend(b, q, k, v, masks, scale, float(n.attr("softcap", 0.0)), show_masked=mode == 2)
    stages = (found.scores, found.capped, found.masked, found.shares)
    if not 0 <= mode < len(stages):
        raise UserError(f"{n.where}: qk_matmul_output_mode {mode}, expected 0 to {len(stages) - 1}")
    return side_by_side(b, found.y) if flat else found.y, k, v, stages[mode]


def _mask(b: OnnxBuilder, n: OnnxNode, columns: int) -> Value:
    """What is added to the scores; columns that a mask does not reach are not seen."""
    v = b.value(n, 3)
    data = b.numbers(v)
    if data is not None:
        v = b.constant(finite(data))
    elif b.tensor(v).dtype == "bool":
        v = ask(
            b, n, "Where", [v, b.constant(np.array(0, np.float32)), b.constant(np.array(MASKED, np.float32))]
        )
    else:  # minus infinity may come at run time
        v = ask(b, n, "Max", [v, b.constant(np.array(MASKED, np.float32))])
    missing = columns - b.shape(v)[-1]
    return padded(b, v, [*((0, 0),) * (len(v.order) - 1), (0, missing)], value=MASKED) if missing > 0 else v


@onnx("RotaryEmbedding", moves=True)
def rotary(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Pairs of features turn by an angle that depends on the step."""
    x, cos, sin = b.value(n, 0), b.value(n, 1), b.value(n, 2)
    flat = len(x.order) == 3
    x = heads(b, x, int(n.attr("num_heads", 0)) or 1) if flat else x
    size = b.shape(x)[3]
    turned = int(n.attr("rotary_embedding_dim", 0)) or size
    if b.has(n, 3):
        cos, sin = (ask(b, n, "Gather", [cache, b.value(n, 3)], axis=0) for cache in (cos, sin))
    # [batch, steps, turned / 2] for all heads
    cos, sin = (view_as(b, c, (b.shape(c)[0], 1, *b.shape(c)[1:])) for c in (cos, sin))
    head, tail = part(b, x, 3, 0, turned), None
    if turned < size:
        tail = part(b, x, 3, turned, size - turned)
    half = turned // 2
    woven = bool(n.attr("interleaved", 0))
    first = part(b, head, 3, 0, half, 2) if woven else part(b, head, 3, 0, half)
    second = part(b, head, 3, 1, half, 2) if woven else part(b, head, 3, half, half)
    real = ask(b, n, "Sub", [ask(b, n, "Mul", [first, cos]), ask(b, n, "Mul", [second, sin])])
    imaginary = ask(b, n, "Add", [ask(b, n, "Mul", [first, sin]), ask(b, n, "Mul", [second, cos])])
    if woven:
        lead = b.shape(real)
        pairs = [view_as(b, v, (*lead, 1)) for v in (real, imaginary)]
        y = view_as(b, joined(b, pairs, 4), (*lead[:3], turned))
    else:
        y = joined(b, [real, imaginary], 3)
    y = y if tail is None else joined(b, [y, tail], 3)
    return side_by_side(b, y) if flat else permuted(y, range(4))


@onnx("LinearAttention", moves=True)
def linear_attention(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, Value]:
    rule = str(n.attr("update_rule", "gated_delta"))
    if rule not in ("linear", "gated", "delta", "gated_delta"):
        raise UserError(f"{n.where}: update_rule '{rule}', expected linear, gated, delta or gated_delta")
    q, k, v = (b.logical(b.value(n, i)) for i in range(3))
    heads, shared = int(n.attr("q_num_heads", 0)), int(n.attr("kv_num_heads", 0))
    if heads < 1 or shared < 1 or len(q.order) != 3:
        raise UserError(f"{n.where}: q_num_heads {heads}, kv_num_heads {shared} and a query of {b.shape(q)}")
    (batch, steps, _), keys = b.shape(q), b.shape(q)[2] // heads
    shape = (batch, shared, keys, b.shape(v)[2] // shared)
    memory = b.logical(b.value(n, 3)) if b.has(n, 3) else b.constant(np.zeros(shape, np.float32))
    decay, beta = (
        b.logical(b.value(n, i)) if b.has(n, i) else b.constant(np.zeros((batch, steps, shared), np.float32))
        for i in (4, 5)
    )
    scale = float(n.attr("scale", 0.0)) or 1 / math.sqrt(keys)
    op = LinearAttention(heads, scale, "gated" in rule, "delta" in rule)
    y, after = b.add_many(op, [q, k, v, memory, decay, beta])
    return y, replace(after, order=(0, 1, 2, 3))
